"""The first run holds its checks, and they notice when a block is broken."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, text

from tests.architecture.source import ROOT

QUICKSTART = ROOT / "examples" / "quickstart.py"
STEPS = ["listings", "pages", "cache", "limiter", "images", "pools"]

FAULTS = {
    "pages": """
import scalekit.pagination
whole = scalekit.pagination.CursorPaginator.pages
def pages(self, *args, **options):
    for page in whole(self, *args, **options):
        yield page
        yield page
scalekit.pagination.CursorPaginator.pages = pages
""",
    "cache": """
import scalekit.cache
scalekit.cache.Cache.invalidate_tags = lambda self, *tags: None
""",
    "limiter": """
import scalekit.ratelimit
RateLimiter = scalekit.ratelimit.RateLimiter
scalekit.ratelimit.RateLimiter = lambda limit, **options: RateLimiter("101/15m", **options)
""",
    "images": """
import scalekit.images
recipe = scalekit.images.ImageRecipe().fit(1921, 1081).encode(scalekit.images.Webp())
scalekit.images.ImageRecipe.web = lambda: recipe
""",
    "pools": """
import scalekit.pools
plan_pools = scalekit.pools.plan_pools
endless = scalekit.pools.Server(max_connections=10_000)
scalekit.pools.plan_pools = lambda server, roles, **options: plan_pools(endless, roles)
""",
}


def quickstart(*options, fault: str = "", listings: int = 2_000) -> subprocess.CompletedProcess[str]:
    """Run it as `make build` does, isolated; `fault` is code that breaks scalekit first."""
    arguments = [str(QUICKSTART), *options, "--listings", str(listings)]
    start = f"""{fault}
import runpy, sys
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    command = [sys.executable, "-I", "-c", start]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)


def tables(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.scalars(text("select tablename from pg_tables where tablename like 'quickstart%'"))
        names = list(found)
    engine.dispose()
    return names


def test_the_report_is_short_and_ends_with_the_verdict():
    done = quickstart()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("all 19 checks of 6 steps hold; ")
    assert [line.split()[0] for line in lines if line[:1].strip()] == [*STEPS, "all"]
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 110
    assert 'RateLimit-Policy: "100/15m";q=100;w=900' in done.stdout
    assert "web 5 × 8 × 15 = 600 > 92 usable" in done.stdout  # noqa: RUF001
    assert "FAILED" not in done.stdout


@pytest.mark.slow
def test_json_has_every_figure_and_check(postgres_url, redis_url):
    done = quickstart("--json", "--database", postgres_url, "--redis", redis_url)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert {name: report[name] for name in report if name != "steps"} == {
        "ok": True,
        "listings": 2_000,
        "database": "postgresql",
        "redis": True,
    }
    assert list(report["steps"]) == [*STEPS, "redis"]
    for step in report["steps"].values():
        assert set(step) == {"ok", "seconds", "figures", "checks"}
        assert step["ok"] is True
        assert step["seconds"] >= 0
        assert step["checks"]
        assert set(step["checks"].values()) == {True}
        assert step["figures"]
        assert all(isinstance(figure, (int, float, str)) for figure in step["figures"].values())
    figures = {name: step["figures"] for name, step in report["steps"].items()}
    assert figures["limiter"]["admitted"] == 100
    assert 0.9 < figures["cache"]["hit_ratio"] < 1
    assert figures["images"]["output_bytes"] < figures["images"]["input_bytes"] == 1_595_337
    assert {"cursor_deep_ms", "offset_deep_ms", "walk_rows_per_s"} <= set(figures["pages"])
    assert {"round_trip_us", "coalesced_per_s", "hang_ms"} <= set(figures["redis"])
    assert tables(postgres_url) == []


def test_every_step_notices_that_its_block_is_broken():
    done = quickstart("--json", fault="".join(FAULTS.values()))
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert [name for name, step in report["steps"].items() if not step["ok"]] == list(FAULTS)
    # By its own checks, not because the planted code did not run.
    assert "runs to its end" not in done.stdout


def test_the_step_that_failed_is_named():
    done = quickstart(fault=FAULTS["limiter"])
    assert (done.returncode, done.stderr) == (1, "")
    verdict = done.stdout.splitlines()[-1]
    assert verdict.startswith("FAILED: limiter (exactly the first 100 are admitted); ")
    assert "FAILED  exactly the first 100 are admitted" in done.stdout


@pytest.mark.slow
def test_a_redis_that_is_not_there_fails_what_needs_it_and_nothing_else():
    done = quickstart("--redis", "redis://127.0.0.1:1/0")
    assert done.returncode == 1
    # Each of the links says once that it has lost its server.
    assert {line.partition(" times")[0] for line in done.stderr.splitlines()} == {"redis failed 3"}
    verdict = done.stdout.splitlines()[-1]
    # The cache goes on loading, which the step notices, until an invalidation cannot be delivered. The
    # limiter goes on by a count of its own.
    failed = "cache (every profile is loaded once; runs to its end), limiter (every answer is the store's), "
    assert verdict.startswith(f"FAILED: {failed}redis (runs to its end); ")
    assert "BackendUnavailable: redis UNLINK: " in done.stdout


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "ZeroDivisionError"])
def test_the_table_is_dropped_after_an_error(postgres_url, error):
    fault = f"""
import scalekit.cache as block
class Cache:
    def __init__(self, *store, **options):
        raise {error}
block.Cache = Cache
"""
    done = quickstart("--database", postgres_url.replace("+psycopg", ""), fault=fault)
    assert done.returncode not in {0, 2}
    assert "rows on postgresql" in done.stdout
    assert tables(postgres_url) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--database", "nonsense"], "--database: "),
        (["--database", "mysql+nothing://localhost/x"], "--database: "),
    ],
)
def test_a_wrong_option_is_explained(options, complaint):
    done = quickstart(*options)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_listings_are_refused():
    done = quickstart(listings=999)
    assert done.returncode == 2
    assert "expected >= 1000; got 999" in done.stderr
