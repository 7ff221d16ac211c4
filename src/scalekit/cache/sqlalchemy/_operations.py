"""What each method of the store does, in statements: the same for sync and async.

Every operation may be done twice, so one whose outcome is not known can be tried again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy.exc import SQLAlchemyError

from scalekit.cache._chance import chance
from scalekit.cache._entry import Entry, NamedEntry, Snapshot
from scalekit.cache._serialized import dumped, fingerprint_of
from scalekit.cache.sqlalchemy._record import (
    key_name,
    names_of,
    opened,
    packed,
    section,
    tag_names,
    tokens_of,
)
from scalekit.cache.sqlalchemy._statements import NAMES, parts
from scalekit.cache.sqlalchemy._tokens import HOUR, TAG_KEPT, Tokens, new_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache.sqlalchemy._statements import Statements
    from scalekit.sqlalchemy._run import Run

# A write in 32 looks at 64 rows, so on average two at each write: what is over is gone after as many writes
# as there are rows, and no write looks at more. A chance, not a count: some processes write only a few times.
_SWEPT = 64
_CHANCE = 1 / 32
_PURGED = 1_000
"""Rows that one step of a purge looks at."""


class Written(NamedTuple):
    """What a write brings into a row: `data` is None if the entry is over, `life` then as well."""

    data: bytes | None
    life: int | None
    kept: int


class Operations(Tokens):
    """The operations on one table; `clock` gives milliseconds since 1970, or None for the database's own."""

    def __init__(self, statements: Statements, clock: Callable[[], int | None]) -> None:
        super().__init__(statements, clock)
        self._hand: bytes | None = None

    def read(self, run: Run, slot: Slot, now: float) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        names = names_of(slot)
        clock = self.clock()
        rows = run.rows(*self.sql.read(names, clock))
        tokens = {row[0]: row[1] for row in rows}
        if len(names) > NAMES:
            tokens |= self.tokens(run, names[NAMES:])[0]
        for row in rows:
            if row[2] is not None and row[0] == names[0]:
                entry = self.alive(run, slot, now, row=row, clock=clock, tokens=tokens)
                if entry is not None:
                    return entry if entry.fresh_until > now else with_snapshot(entry, names, tokens)
        return self.snapshot(run, names, tokens)

    def begin(self, run: Run, slot: Slot, outdate: bool) -> Snapshot:  # noqa: FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        names = names_of(slot)
        tokens: dict[bytes, bytes] = {}
        if outdate:
            tokens |= self.outdated_loads(run, names[:1])
        tokens |= self.tokens(run, [name for name in names if name not in tokens])[0]
        return self.snapshot(run, names, tokens)

    def write(self, run: Run, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored."""
        if snapshot is None:
            self._put(run, slot, entry, now)
            stored = True
        else:
            stored = self._store(run, slot, entry, snapshot, now)
        if chance() < _CHANCE:
            with suppress(SQLAlchemyError):  # the next one will do it; this write is done
                # Processes that write only a few times begin in different places.
                hand = key_name(slot.key) if self._hand is None else self._hand
                last, _ = self.sweep(run, hand, _SWEPT)
                self._hand = b"" if last is None else last
        return stored

    def outdate(self, run: Run, names: Sequence[bytes]) -> None:
        """Give keys or tags a new token, and take entries away; `names` are sorted."""
        run.changed(self.sql.outdate(len(names)), (new_token(), *names))

    def purge(self, run: Run, after: bytes) -> tuple[bytes | None, int]:
        """Do one step of a purge; see `sweep`."""
        return self.sweep(run, after, _PURGED)

    def sweep(self, run: Run, after: bytes, number: int) -> tuple[bytes | None, int]:
        """Take away what is over in the next rows; return the last name (None: the end) and a number."""
        now = self.clock()
        rows = run.rows(self.sql.look(number), (now, now, after))
        over = [name for name, row_over, _ in rows if row_over]
        emptied = [name for name, row_over, data_over in rows if data_over and not row_over]
        removed = run.changed(self.sql.remove(len(over)), (now, *over)) if over else 0
        if emptied:
            removed += run.changed(self.sql.empty(len(emptied)), (now, *emptied))
        return (rows[-1][0] if len(rows) == number else None), removed

    # -- parts ------------------------------------------------------------------------------------

    def alive(
        self,
        run: Run,
        slot: Slot,
        now: float,
        *,
        row: Sequence[Any],
        clock: int | None,
        tokens: Mapping[bytes, bytes],
    ) -> Entry | None:
        """Return the entry in `row`, if it is not over and its tags have the tokens it was written with."""
        record = opened(row[2], fingerprint=slot.serializer.fingerprint)
        if record is None:
            return None
        tags, written, life, fresh, load, data = record
        left = row[3] if clock is None else written + life - clock
        named = tags == section(slot.tags, tokens)
        if left <= 0 or not (named or self._unchanged(run, tags, tokens)):
            return None
        try:
            value = slot.serializer.loads(data)
        except ValueError:
            return None
        left = min(left, life)  # a clock may have been set back
        return (NamedEntry if named else Entry)(
            value,
            expires=now + left / 1_000,
            fresh_until=now + (left - life + fresh) / 1_000,
            load_seconds=load / 1_000_000,
        )

    def _unchanged(self, run: Run, tags: bytes, tokens: Mapping[bytes, bytes]) -> bool:
        """Whether an entry's tags have the tokens it was written with; the slot need not name all of them."""
        carried = tokens_of(tags)
        unnamed = [name for name in carried if name not in tokens]
        known = {**tokens, **self.tokens(run, unnamed)[0]}
        return all(known.get(name) == token for name, token in carried.items())

    def _put(self, run: Run, slot: Slot, entry: Entry, now: float) -> None:
        tags = list(tag_names(slot.tags))
        tokens, kept = self.tokens(run, tags)
        lost = [tag for tag in tags if tag not in tokens]
        if lost:
            tokens |= self.made(run, lost)
            kept = min(kept, TAG_KEPT)
        data, life, keep = self.written(slot, entry, tokens, now)
        if kept < (life or 0):
            self.renew(run, tokens, life or 0)
        clock = self.clock()
        run.changed(self.sql.put(), (key_name(slot.key), new_token(), data, clock, life, clock, keep))

    def _store(self, run: Run, slot: Slot, entry: Entry, snapshot: Snapshot, now: float) -> bool:
        name, *tags = names_of(slot)
        token, *tokens = cast("tuple[bytes, ...]", snapshot)
        own = dict(zip(tags, tokens, strict=True))
        data, life, keep = self.written(slot, entry, own, now)
        clock = self.clock()
        values = (data, clock, life, clock, keep, name, token)
        return self.stored(run, self.sql.store, values, rows=1, tags=own, life=life or 0)

    def stored(
        self,
        run: Run,
        sql: Callable[[int], str],
        values: tuple[Any, ...],
        *,
        rows: int,
        tags: Mapping[bytes, bytes],
        life: int,
    ) -> bool:
        """Store the entries of `rows` rows, unless one of `tags` has changed; return whether all are stored.

        `sql` makes the statement for a number of tags, and `values` are its parameters but for those.
        """
        if self._sent(run, sql, values, tags, life) == rows:
            return True
        # The tags may be as they were, and only not kept for long enough.
        return bool(tags) and self.renew(run, tags, life) and self._sent(run, sql, values, tags, life) == rows

    def _sent(
        self,
        run: Run,
        sql: Callable[[int], str],
        values: tuple[Any, ...],
        tags: Mapping[bytes, bytes],
        life: int,
    ) -> int:
        # Tags beyond what a statement takes are looked at before it, for it does not lock them either.
        *before, last = list(parts(list(tags.items()))) or [[]]
        for pairs in before:
            if run.rows(self.sql.unchanged(len(pairs)), self._kept(pairs, life))[0][0] < len(pairs):
                return 0
        return run.changed(sql(len(last)), values + (self._kept(last, life) if last else ()))

    def _kept(self, pairs: Iterable[tuple[bytes, bytes]], life: int) -> tuple[Any, ...]:
        return (*(part for pair in pairs for part in pair), self.clock(), life)

    def written(self, slot: Slot, entry: Entry, tokens: Mapping[bytes, bytes], now: float) -> Written:
        """Return what `entry` is in a row, with `tokens` of its tags."""
        life = max(0, int((entry.expires - now) * 1_000))
        if not life:
            return Written(None, None, HOUR)
        serializer = slot.serializer
        record = (
            section(slot.tags, tokens),
            self.clock() or 0,
            life,
            min(life, max(0, int((entry.fresh_until - now) * 1_000))),
            int(entry.load_seconds * 1_000_000),
            dumped(serializer, entry.value),
        )
        return Written(packed(record, fingerprint=fingerprint_of(serializer)), life, life + HOUR)


def with_snapshot(entry: Entry, names: Sequence[bytes], tokens: Mapping[bytes, bytes]) -> Entry:
    """Give an `entry` the snapshot that a reload may start from, if all tokens were seen."""
    if all(name in tokens for name in names):
        entry.snapshot = Snapshot([tokens[name] for name in names])
    return entry
