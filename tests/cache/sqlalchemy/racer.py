"""One of several processes that load, invalidate and lose tokens: `racer.py URL TABLE FILE CALLS [MUTANT]`.

FILE holds what all share: versions of the sources. What a process serves must not be older than what
everybody had been told when its read began. Prints a JSON object.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import random
import sys
import time
from pathlib import Path

from sqlalchemy import create_engine, text

from scalekit.cache import Entry
from scalekit.cache.sqlalchemy import SQLAlchemyCacheStore
from scalekit.errors import BackendError
from scalekit.testing._cache_probe import place

SLOTS = [place(f"race:k{i}", "race:", f"race:t{i}", "race:shared") for i in range(3)]
SIZE = 16 * len(SLOTS)


class Sources:
    """Of each slot the version, and the version up to which its readers were told."""

    def __init__(self, path):
        self.file = Path(path).open("r+b")  # noqa: SIM115
        self.versions = memoryview(mmap.mmap(self.file.fileno(), SIZE)).cast("q")

    def version(self, slot):
        return self.versions[2 * SLOTS.index(slot)]

    def told(self, slot):
        return self.versions[2 * SLOTS.index(slot) + 1]

    @contextlib.contextmanager
    def updated(self, slot):
        """One at a time: the version rises, whoever must be told is told, and then it counts."""
        at = 2 * SLOTS.index(slot)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        try:
            self.versions[at] += 1
            yield
            self.versions[at + 1] = self.versions[at]
        finally:
            fcntl.flock(self.file, fcntl.LOCK_UN)


def main(url, table, path, calls, mutant=""):  # noqa: C901
    engine = create_engine(url, **({"connect_args": {"timeout": 20}} if url.startswith("sqlite") else {}))
    store = SQLAlchemyCacheStore(engine, table=table, timeout=20)
    sources = Sources(path)
    counted = {"reads": 0, "hits": 0, "stored": 0, "refused": 0, "invalidations": 0, "stale": 0, "errors": 0}

    def update(slot):
        with sources.updated(slot):
            if random.random() < 0.3:
                store.delete([slot.key])
            else:
                store.invalidate(random.choice([slot.tags[1:2], slot.tags[2:], slot.tags[::-1]]))
        counted["invalidations"] += 1

    def lose(slot):
        """As an eviction would, or a crash."""
        with engine.begin() as connection:
            lost = text(f"DELETE FROM {table} WHERE name = :name OR :one_in > 0.8 AND data IS NULL")
            connection.execute(lost, {"name": f"t:{slot.tags[1]}".encode(), "one_in": random.random()})

    def read(slot):
        oldest = sources.told(slot)
        found = store.read(slot, time.monotonic())
        counted["reads"] += 1
        if isinstance(found, Entry):
            counted["hits"] += 1
            counted["stale"] += found.value < oldest
            return
        if random.random() < 0.2:
            found = store.begin(slot, time.monotonic(), random.random() < 0.5)
        value = sources.version(slot)
        if random.random() < 0.5:
            time.sleep(random.random() * 0.001)
        now = time.monotonic()
        if mutant == "late":
            found = store.begin(slot, now, False)
        if random.random() < 0.2:
            [stored] = store.write_many([(slot, Entry(value, expires=now + 60), found)], now)
        else:
            stored = store.write(slot, Entry(value, expires=now + 60), found, now)
        counted["stored" if stored else "refused"] += 1

    for _ in range(int(calls)):
        chance, slot = random.random(), random.choice(SLOTS)
        try:
            update(slot) if chance < 0.08 else lose(slot) if chance < 0.1 else read(slot)
        except BackendError as error:
            counted["errors"] += 1
            counted["error"] = str(error)
    engine.dispose()
    print(json.dumps(counted))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
