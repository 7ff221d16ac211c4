"""The first run: a marketplace under load, through every block of scalekit, with measured figures.

    python examples/quickstart.py                   SQLite and memory; needs no server
    python examples/quickstart.py --json            the same for a program
    python examples/quickstart.py --database URL    the listings on PostgreSQL, in a table that is dropped
    python examples/quickstart.py --redis URL       cache and limiter on Redis or Valkey, and its link

Every step checks what it claims; the exit code is 0 only if all checks hold. The steps are in
`_quickstart/`, one file each, made to be copied from.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import ArgumentError

sys.path.insert(0, str(Path(__file__).parent))  # for `python -I`, too

from _quickstart.fleet import fleet
from _quickstart.limits import limits
from _quickstart.link import link
from _quickstart.listings import Marketplace, listings
from _quickstart.pages import pages
from _quickstart.photo import photo
from _quickstart.profiles import profiles
from _quickstart.step import Step
from scalekit.errors import ConfigurationError, MissingExtra
from scalekit.redis import RedisLink

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST = 1_000  # fewer listings have no depth to show


class Run:
    """Runs the steps, prints each as it ends, and knows the verdict."""

    def __init__(self, *, quiet: bool) -> None:
        self.steps: list[Step] = []
        self._quiet = quiet
        self._started = time.perf_counter()

    def step(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        step = Step(name)
        start = time.perf_counter()
        try:
            work(step, *arguments)
        except Exception as error:  # noqa: BLE001  # it fails this step; the others still run
            reason = " ".join(str(error).splitlines()[:1])
            step.show(
                "error", "", f"{type(error).__name__}: {reason}", error=f"{type(error).__name__}: {error}"
            )
            step.check("runs to its end", holds=False)
        step.seconds = time.perf_counter() - start
        self.steps.append(step)
        if not self._quiet:
            self._print(step)

    def _print(self, step: Step) -> None:
        heading = step.name
        for label, value, note in step.lines:
            print(f"{heading:<10}{label:<24}{value:>11}  {note}".rstrip())
            heading = ""
        for claim, holds in step.checks.items():
            print(f"{heading:<10}{'ok' if holds else 'FAILED':<7} {claim}")
            heading = ""
        print(flush=True)

    @property
    def failed(self) -> list[str]:
        return [f"{step.name} ({'; '.join(step.failed) or 'no check'})" for step in self.steps if not step.ok]

    def verdict(self) -> str:
        spent = f"{time.perf_counter() - self._started:.1f} s"
        if self.failed:
            return f"FAILED: {', '.join(self.failed)}; {spent}"
        checks = sum(len(step.checks) for step in self.steps)
        return f"all {checks} checks of {len(self.steps)} steps hold; {spent}"

    def json(self, **facts: object) -> str:
        steps = {
            step.name: {
                "ok": step.ok,
                "seconds": round(step.seconds, 3),
                "figures": step.figures,
                "checks": step.checks,
            }
            for step in self.steps
        }
        return json.dumps({"ok": not self.failed, **facts, "steps": steps}, indent=2)


def linked(url: str, refuse: Callable[[str], None]) -> RedisLink | None:
    try:
        return RedisLink.from_url(url, timeout="1s")
    except (MissingExtra, ConfigurationError) as error:
        refuse(f"--redis: {error}")
        return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listings", type=int, default=200_000, help="how many (default: 200000)")
    parser.add_argument("--database", metavar="URL", help="postgresql://user:password@host/name")
    parser.add_argument("--redis", metavar="URL", help="redis://host:6379/0")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the report")
    options = parser.parse_args()
    if options.listings < LEAST:
        parser.error(f"--listings: expected >= {LEAST}; got {options.listings}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the table is dropped then, too

    run = Run(quiet=options.json)
    shared = linked(options.redis, parser.error) if options.redis else None
    with TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/marketplace.db"
        try:
            market = Marketplace(url, options.listings)
        except ModuleNotFoundError as error:
            parser.error(f"--database: {error.name} is missing: pip install 'scaleblocks[postgres]'")
        except ArgumentError as error:  # not a URL, or of a database that SQLAlchemy does not know
            parser.error(f"--database: {error}")
        with market:
            run.step("listings", listings, market)
            run.step("pages", pages, market)
            run.step("cache", profiles, market, shared)
    run.step("limiter", limits, shared)
    run.step("images", photo)
    run.step("pools", fleet)
    if shared:
        run.step("redis", link, options.redis)
        shared.close()

    if options.json:
        print(run.json(listings=options.listings, database=market.engine.name, redis=bool(options.redis)))
    else:
        print(run.verdict())
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
