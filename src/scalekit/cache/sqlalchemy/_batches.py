"""Many entries at once: one statement for all, in pieces that it can take."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from scalekit.cache.sqlalchemy._operations import Operations, with_snapshot
from scalekit.cache.sqlalchemy._record import names_of
from scalekit.cache.sqlalchemy._statements import WRITES, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.cache._entry import Entry, Slot, Snapshot
    from scalekit.sqlalchemy._run import Run


class BatchOperations(Operations):
    """The operations on one entry, and on many."""

    def read_many(self, run: Run, slots: Sequence[Slot], now: float) -> list[Entry | Snapshot]:
        """Return for each of `slots` its living entry, or a snapshot."""
        wanted = [names_of(slot) for slot in slots]
        clock = self.clock()
        rows: dict[bytes, Sequence[Any]] = {}
        for piece in pieces(name for names in wanted for name in names):
            rows |= {row[0]: row for row in run.rows(*self.sql.read(_padded(piece), clock))}
        tokens = {name: row[1] for name, row in rows.items()}
        found: list[Entry | None] = []
        for slot, names in zip(slots, wanted, strict=True):
            row = rows.get(names[0])
            entry = None
            if row is not None and row[2] is not None:
                entry = self.alive(run, slot, now, row=row, clock=clock, tokens=tokens)
            found.append(entry)
        missed = [names for entry, names in zip(found, wanted, strict=True) if entry is None]
        lost = {name for names in missed for name in names if name not in tokens}
        tokens |= self.made(run, lost)
        answers: list[Entry | Snapshot] = []
        for entry, names in zip(found, wanted, strict=True):
            if entry is None:
                answers.append(self.snapshot(run, names, tokens))
            else:
                answers.append(entry if entry.fresh_until > now else with_snapshot(entry, names, tokens))
        return answers

    def begin_many(self, run: Run, slots: Sequence[Slot], outdate: bool) -> list[Snapshot]:  # noqa: FBT001  # as the protocol has it
        """Return for each of `slots` a snapshot for a load; `outdate` as for one."""
        wanted = [names_of(slot) for slot in slots]
        tokens: dict[bytes, bytes] = {}
        if outdate:
            for piece in pieces(key for key, *_ in wanted):
                tokens |= self.outdated_loads(run, piece)
        every = [name for names in wanted for name in names]
        for piece in pieces(name for name in every if name not in tokens):
            tokens |= self.tokens(run, piece)[0]
        for piece in pieces(name for name in every if name not in tokens):
            tokens |= self.made(run, piece)
        return [self.snapshot(run, names, tokens) for names in wanted]

    def write_many(self, run: Run, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float) -> list[bool]:
        """Store each entry unless its snapshot has changed; return which are stored."""
        stored: list[bool] = []
        for at in range(0, len(writes), WRITES):
            piece = writes[at : at + WRITES]
            if self._store_all(run, piece, now):
                stored += [True] * len(piece)
            else:
                # Something has changed for some of them. To store the others again does no harm.
                stored += [self.write(run, slot, entry, seen, now) for slot, entry, seen in piece]
        return stored

    def _store_all(self, run: Run, writes: Sequence[tuple[Slot, Entry, Snapshot]], now: float) -> bool:
        """Store all of `writes` at once; False if one of them at least was not stored."""
        rows: dict[bytes, tuple[Any, ...]] = {}
        tags: dict[bytes, bytes] = {}
        longest = 0
        for slot, entry, snapshot in writes:
            name, *names = names_of(slot)
            token, *tokens = cast("tuple[bytes, ...]", snapshot)
            own = dict(zip(names, tokens, strict=True))
            if name in rows or any(tags.setdefault(tag, seen) != seen for tag, seen in own.items()):
                return False
            rows[name] = (name, token, *(written := self.written(slot, entry, own, now)))
            longest = max(longest, written.life or 0)
        clock = self.clock()
        values: tuple[Any, ...] = (clock, clock, *(part for row in rows.values() for part in row), *rows)
        sql = partial(self.sql.store_many, len(rows))
        return self.stored(run, sql, values, rows=len(rows), tags=tags, life=longest)


def _padded(piece: list[bytes]) -> list[bytes]:
    """Repeat the last name until their number is a power of two, so that there are few statements."""
    return piece + piece[-1:] * ((1 << (len(piece) - 1).bit_length()) - len(piece))
