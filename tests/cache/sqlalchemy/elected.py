"""One of several processes that miss one key at once: `elected.py URL TABLE FILE LOCK LEASE ALL LONG`.

FILE is what all have in common. A line of it is "missed PID", or "loads PID" when a load begins.
Whoever loads waits until ALL processes have missed the key, and then for LONG seconds. Prints a JSON object:
what its callers got, and how often its store failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from scalekit.cache import AsyncCache, Cache
from scalekit.cache.sqlalchemy import AsyncSQLAlchemyCacheStore, SQLAlchemyCacheStore

CALLERS = 4
PATIENCE = 20.0


class Common:
    """The file; what one process writes into it is there for all."""

    def __init__(self, path):
        self.path = Path(path)

    def tell(self, what):
        with self.path.open("a") as file:  # a short line is appended as a whole
            file.write(f"{what} {os.getpid()}\n")

    def who(self, what):
        """Return the processes that have told `what`, each as often as it has."""
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [int(process) for told, process in lines if told == what]

    def all_missed(self, number):
        return len(set(self.who("missed"))) >= number


def telling(on_miss):
    """Return a hook for events that tells of each miss."""
    return lambda event: on_miss("missed") if (event.name, event.outcome) == ("get", "miss") else None


def run(engine, common, *, table, options, number, long):
    store = SQLAlchemyCacheStore(engine, table=table, timeout=PATIENCE)
    cache = Cache(store, on_event=telling(common.tell))

    @cache.cached(ttl="1h", **options)
    def loaded(key: int) -> str:
        common.tell("loads")
        ends = time.monotonic() + PATIENCE
        while not common.all_missed(number) and time.monotonic() < ends:
            time.sleep(0.005)
        time.sleep(long)
        return f"{key} of {os.getpid()}"

    with ThreadPoolExecutor(CALLERS) as threads:
        values = list(threads.map(loaded, [7] * CALLERS))
    engine.dispose()
    return values, cache.stats().backend_errors


async def run_async(engine, common, *, table, options, number, long):
    store = AsyncSQLAlchemyCacheStore(engine, table=table, timeout=PATIENCE)
    cache = AsyncCache(store, on_event=telling(common.tell))

    @cache.cached(ttl="1h", **options)
    async def loaded(key: int) -> str:
        common.tell("loads")
        ends = time.monotonic() + PATIENCE
        while not common.all_missed(number) and time.monotonic() < ends:  # noqa: ASYNC110  # no task's event
            await asyncio.sleep(0.005)
        await asyncio.sleep(long)
        return f"{key} of {os.getpid()}"

    values = await asyncio.gather(*(loaded(7) for _ in range(CALLERS)))
    await engine.dispose()
    return values, cache.stats().backend_errors


def main(url, table, path, lock, lease, number, long):  # noqa: PLR0917
    given = {"table": table, "options": {"lock": lock, "lease": float(lease)}}
    given |= {"number": int(number), "long": float(long)}
    arguments = {"connect_args": {"timeout": PATIENCE}} if url.startswith("sqlite") else {}
    if "aiosqlite" in url or "asyncpg" in url:
        values, errors = asyncio.run(run_async(create_async_engine(url, **arguments), Common(path), **given))
    else:
        values, errors = run(create_engine(url, **arguments), Common(path), **given)
    print(json.dumps({"values": values, "errors": errors}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
