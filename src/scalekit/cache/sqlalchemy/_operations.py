"""What each method of the store does, in statements: the same for sync and async.

Every operation may be done twice, so one whose outcome is not known can be tried again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import SQLAlchemyError

from scalekit.cache._chance import chance
from scalekit.cache._entry import Entry, Snapshot
from scalekit.cache._frame import TOKEN_BYTES, Frame, entry_name, opened, sealed, tag_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache.sqlalchemy._run import Run
    from scalekit.cache.sqlalchemy._statements import Statements

HOUR = 3_600_000
"""Milliseconds for which the row of a key is kept beyond its entry: for so long a load may take."""

_TAG_KEPT = 6 * HOUR
"""For so long a tag's row is kept at first; below that, an entry's first write need not renew it."""

# A write in 32 looks at 64 rows, so on average two at each write: what is over is gone after as many writes as
# there are rows, and no write looks at more. A chance, not a count, for processes that write a few times only.
_SWEPT = 64
_CHANCE = 1 / 32


def names_of(slot: Slot) -> list[bytes]:
    """Return the names of the rows that a snapshot of `slot` is made of, in its order."""
    return [entry_name(slot.key), *map(tag_name, slot.tags)]


def new_token() -> bytes:
    """Return a token that was never there before."""
    return os.urandom(TOKEN_BYTES)


class Operations:
    """The operations on one table; `clock` gives milliseconds since 1970, or None for the database's own."""

    def __init__(self, statements: Statements, clock: Callable[[], int | None]) -> None:
        self.sql = statements
        self.clock = clock
        self._hand: bytes | None = None

    def read(self, run: Run, slot: Slot, now: float) -> Entry | Snapshot:
        """Return the living entry of `slot`, or the snapshot with which a load may start."""
        names = names_of(slot)
        rows = run.rows(self.sql.read(len(names)), (self.clock(), *names))
        tokens = {name: token for name, token, _, _ in rows}
        for name, _, data, left in rows:
            if data is not None and name == names[0]:
                entry = self.alive(run, slot, now, data=data, left=left, tokens=tokens)
                if entry is not None:
                    return self.with_snapshot(entry, names, tokens, now)
        return self.snapshot(run, names, tokens)

    def begin(self, run: Run, slot: Slot, outdate: bool) -> Snapshot:  # noqa: FBT001  # as the protocol has it
        """Return a snapshot for a load; with `outdate` it outdates those begun before it for the same key."""
        names = names_of(slot)
        tokens: dict[bytes, bytes] = {}
        if outdate:
            token = new_token()
            run.changed(self.sql.outdate_loads(), (names[0], token, self.clock(), HOUR))
            tokens[names[0]] = token
        unknown = [name for name in names if name not in tokens]
        tokens |= self._tokens(run, unknown)[0]
        return self.snapshot(run, names, tokens)

    def write(self, run: Run, slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float) -> bool:
        """Store `entry`, unless what `snapshot` saw has changed since; return whether it is stored."""
        name, *tags = names_of(slot)
        if snapshot is None:
            self._put(run, slot, entry, name, tags, now)
            stored = True
        else:
            token, *tokens = cast("tuple[bytes, ...]", snapshot)
            stored = self._store(run, slot, entry, name, token, dict(zip(tags, tokens, strict=True)), now)
        if chance() < _CHANCE:
            with suppress(SQLAlchemyError):  # the next one will do it; this write is done
                # Processes that write only a few times begin in different places.
                last, _ = self.sweep(run, name if self._hand is None else self._hand, _SWEPT)
                self._hand = b"" if last is None else last
        return stored

    def outdate(self, run: Run, names: Iterable[bytes]) -> None:
        """Give keys or tags a new token each, and take entries away."""
        chosen = sorted(set(names))
        run.changed(self.sql.outdate(len(chosen)), (new_token(), *chosen))

    def sweep(self, run: Run, after: bytes, number: int) -> tuple[bytes | None, int]:
        """Remove what is over among the next `number` rows; return the last name (None: the end), and how much."""
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
        self, run: Run, slot: Slot, now: float, *, data: bytes | None, left: int, tokens: dict[bytes, bytes]
    ) -> Entry | None:
        """Return the entry in `data`, if it is not over and its tags have the tokens it was written with."""
        if data is None or left <= 0:
            return None
        frame = opened(data, fingerprint=slot.serializer.fingerprint)
        if frame is None:
            return None
        known: dict[bytes, bytes | None] = {**tokens}
        # An entry is judged by the tags it was written with, which the slot need not name.
        unnamed = [name for name, _ in frame.tags if name not in known]
        if unnamed:
            known |= dict.fromkeys(unnamed) | self._tokens(run, unnamed)[0]
        return entry_of(frame, slot, now, left) if frame.alive(known) else None

    def with_snapshot(self, entry: Entry, names: Sequence[bytes], tokens: dict[bytes, bytes], now: float) -> Entry:
        """Give a stale `entry` the snapshot that a reload may start from, if all tokens were seen."""
        if entry.fresh_until <= now and all(name in tokens for name in names):
            entry.snapshot = Snapshot([tokens[name] for name in names])
        return entry

    def snapshot(self, run: Run, names: Sequence[bytes], tokens: dict[bytes, bytes]) -> Snapshot:
        """Return a snapshot of `names`; those without a token get one."""
        lost = [name for name in names if name not in tokens]
        if lost:
            tokens = tokens | self.made(run, lost)
        return Snapshot([tokens[name] for name in names])

    def made(self, run: Run, names: Iterable[bytes], kept: int = _TAG_KEPT) -> dict[bytes, bytes]:
        """Return tokens for names that had none."""
        chosen = sorted(set(names))
        tokens = {name: new_token() for name in chosen}
        rows: list[Any] = []
        for name, token in tokens.items():
            rows += (name, token, self.clock(), kept)
        if run.changed(self.sql.make(len(chosen)), tuple(rows)) < len(chosen):
            # Others were faster. What is gone again gets a token that no write will find.
            found, _ = self._tokens(run, chosen)
            return {name: found.get(name) or new_token() for name in chosen}
        return tokens

    def _tokens(self, run: Run, names: Sequence[bytes]) -> tuple[dict[bytes, bytes], int]:
        """Return the tokens of those of `names` that have one, and for how long all of these are kept."""
        if not names:
            return {}, _TAG_KEPT
        rows = run.rows(self.sql.tokens(len(names)), (self.clock(), *names))
        return {name: token for name, token, _ in rows}, min([_TAG_KEPT, *(kept for _, _, kept in rows)])

    def _put(self, run: Run, slot: Slot, entry: Entry, name: bytes, tags: list[bytes], now: float) -> None:
        life = life_of(entry, now)
        tokens, kept = self._tokens(run, tags)
        lost = [tag for tag in tags if tag not in tokens]
        if lost:
            tokens |= self.made(run, lost)
        if kept < life:
            self.renew(run, tokens, life)
        data = framed(slot, entry, {tag: tokens[tag] for tag in tags}, now)
        times = (self.clock(), life if data else None, self.clock(), life + HOUR)
        run.changed(self.sql.put(), (name, new_token(), data, *times))

    def _store(
        self,
        run: Run,
        slot: Slot,
        entry: Entry,
        name: bytes,
        token: bytes,
        tags: dict[bytes, bytes],
        now: float,
    ) -> bool:
        life = life_of(entry, now)
        data = framed(slot, entry, tags, now)
        clock = self.clock()
        sql = self.sql.store(len(tags))
        values: tuple[Any, ...] = (data, clock, life if data else None, clock, life + HOUR, name, token)
        if tags:
            values += (clock, life, *(part for pair in tags.items() for part in pair))
        if run.changed(sql, values):
            return True
        # The tags may be as they were, and only not kept for long enough.
        return bool(tags) and self.renew(run, tags, life) and bool(run.changed(sql, values))

    def renew(self, run: Run, names: Iterable[bytes], life: int) -> bool:
        """Keep the rows of tags for as long as an entry lives; return whether that was news."""
        chosen = sorted(names)
        clock = self.clock()
        # Twice as long, so that not every write of a long-lived entry has to.
        values = (clock, 2 * life + _TAG_KEPT, clock, life, *chosen)
        return bool(run.changed(self.sql.renew(len(chosen)), values))


def life_of(entry: Entry, now: float) -> int:
    """Return how long `entry` has to live, in milliseconds."""
    return max(0, int((entry.expires - now) * 1_000))


def framed(slot: Slot, entry: Entry, tags: dict[bytes, bytes], now: float) -> bytes | None:
    """Return `entry` as it lies in the table, with the tokens of its tags; None if it is over."""
    life = life_of(entry, now)
    if not life:
        return None
    serializer = slot.serializer
    head, tail = sealed(
        serializer.dumps(entry.value),
        list(tags),
        fingerprint=serializer.fingerprint,
        written=0,  # the row says when it ends, by one clock
        life=life,
        fresh=min(life, max(0, int((entry.fresh_until - now) * 1_000))),
        load=int(entry.load_seconds * 1_000_000),
    )
    return b"".join((head, *tags.values(), tail))


def entry_of(frame: Frame, slot: Slot, now: float, left: int) -> Entry | None:
    """Return the entry in `frame`, with `left` milliseconds to live; None if its value cannot be read."""
    try:
        value = slot.serializer.loads(frame.value)
    except ValueError:
        return None
    left = min(left, frame.life)
    return Entry(
        value,
        expires=now + left / 1_000,
        fresh_until=now + (left - frame.life + frame.fresh) / 1_000,
        load_seconds=frame.load / 1_000_000,
    )
