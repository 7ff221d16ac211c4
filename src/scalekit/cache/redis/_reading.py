"""What a read has found out so far, and what it has to ask next.

    1. every entry, and the tokens of the tags that its slot names
    2. the tokens of tags that an entry has and its slot does not name
    3. where no entry lives: the token of the loads, and tokens for tags that have none

Most reads end with the first step, for step 3 is for those who go on to load. That the tokens of tags are as
old as step 1 then is right: all are taken before the load begins.
"""

from __future__ import annotations

from itertools import chain, repeat
from operator import attrgetter, is_
from typing import TYPE_CHECKING, cast

from scalekit.cache._entry import Entry, NamedEntry, Snapshot
from scalekit.cache._frame import all_living, living, opened, tags_of
from scalekit.cache.redis._commands import token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scalekit.cache._entry import Slot
    from scalekit.cache._frame import Frame
    from scalekit.cache.redis._commands import Piece, Pieces

_keys, _tags, _serializers = attrgetter("key"), attrgetter("tags"), attrgetter("serializer")


def living_alone(
    slot: Slot, wanted: Sequence[Piece], values: Sequence[bytes | None], now: float, wall: float
) -> Entry | None:
    """Return the entry of `slot` if it is alive by the slot's own tags; the first of `values` is its blob."""
    if None in values:
        return None
    blob, *tokens = cast("Sequence[bytes]", values)
    return living(slot.serializer, blob, tags_of(wanted[1:], tokens), now, wall, NamedEntry)


class Reading:
    """A read of `slots`; `wanted` are the values to hand to `found`."""

    def __init__(self, pieces: Pieces, slots: Sequence[Slot], now: float, wall: float) -> None:
        self._pieces = pieces
        self._slots = slots
        self._now = now
        self._wall = wall
        self._named: dict[str, None] = dict.fromkeys(chain.from_iterable(map(_tags, slots)))
        self._tag_pieces = list(map(pieces.tag, self._named))
        self.wanted: list[Piece] = [*map(pieces.entry, map(_keys, slots)), *self._tag_pieces]

    def found(self, values: Sequence[bytes | None]) -> None:
        """Take the values of `wanted`; `unnamed` and `lost` say what is left to do after it."""
        count = len(self._slots)
        self._blobs = values[:count]
        self._tokens = dict(zip(self._tag_pieces, values[count:], strict=True))
        self._undecided: dict[int, Frame] = {}
        entries = self._all_alive() if count and None not in values else None
        self._results: list[Entry | Snapshot | None] = [*entries] if entries else [None] * count
        if entries is None:
            self._judge_each()

    def _all_alive(self) -> list[Entry] | None:
        """Judge all entries at once, for most often they all live; None if not."""
        serializer = self._slots[0].serializer
        if not all(map(is_, map(_serializers, self._slots), repeat(serializer))):
            return None
        tokens = cast("dict[Piece, bytes]", self._tokens)
        said = dict(zip(self._named, map(bytes.__add__, tokens, tokens.values()), strict=True))
        tags = b"".join(map(said.__getitem__, chain.from_iterable(map(_tags, self._slots))))
        return all_living(serializer, cast("Sequence[bytes]", self._blobs), tags, self._now, self._wall)

    def _judge_each(self) -> None:
        """Judge each entry by the tags of its slot, and those that do not live so by their own."""
        pairs = zip(self._named, self._tokens.items(), strict=True)
        said = {tag: piece + token for tag, (piece, token) in pairs if token is not None}
        for place, (slot, blob) in enumerate(zip(self._slots, self._blobs, strict=True)):
            if blob is None:
                continue
            entry = None
            if said.keys() >= set(slot.tags):
                tags = b"".join(map(said.__getitem__, slot.tags))
                entry = living(slot.serializer, blob, tags, self._now, self._wall, NamedEntry)
            if entry is not None:
                self._results[place] = entry
            elif (frame := opened(blob)) is not None:
                self._undecided[place] = frame
        self._decide(self._tokens)

    def _decide(self, tokens: Mapping[Piece, bytes | None]) -> None:
        """Judge entries one by one, each by the tags that it was written with."""
        for place, frame in list(self._undecided.items()):
            alive = frame.alive(tokens)
            if alive is not None:
                del self._undecided[place]
            if alive:
                blob = cast("bytes", self._blobs[place])
                serializer = self._slots[place].serializer
                self._results[place] = living(serializer, blob, frame.written, self._now, self._wall)

    @property
    def unnamed(self) -> list[Piece]:
        """The tags that entries have and their slots do not name, whose tokens to hand to `told`."""
        pieces = [piece for frame in self._undecided.values() for piece, _ in frame.tags]
        return [piece for piece in dict.fromkeys(pieces) if piece not in self._tokens]

    def told(self, unnamed: Sequence[Piece], values: Sequence[bytes | None]) -> None:
        """Take the values of `unnamed`."""
        self._decide(self._tokens | dict(zip(unnamed, values, strict=True)))

    @property
    def lost(self) -> list[Piece]:
        """The tokens that those who load need and that are not known: to make, and to hand to `made`."""
        missed = [slot for slot, found in zip(self._slots, self._results, strict=True) if found is None]
        loads = [self._pieces.load(slot.key) for slot in missed]
        tags = map(self._pieces.tag, chain.from_iterable(map(_tags, missed)))
        return list(dict.fromkeys([*loads, *(piece for piece in tags if self._tokens.get(piece) is None)]))

    def made(self, lost: Sequence[Piece], values: Sequence[bytes | None]) -> None:
        """Take the values of `lost`."""
        self._tokens |= zip(lost, values, strict=True)
        for place, found in enumerate(self._results):
            if found is None:
                slot = self._slots[place]
                pieces = [self._pieces.load(slot.key), *map(self._pieces.tag, slot.tags)]
                self._results[place] = snapshot([self._tokens[piece] for piece in pieces])

    @property
    def results(self) -> list[Entry | Snapshot]:
        """An entry or a snapshot for each slot, in their order."""
        return cast("list[Entry | Snapshot]", self._results)


def snapshot(tokens: Sequence[bytes | None]) -> Snapshot:
    """Return a snapshot of `tokens`; what was evicted while we looked gets one that no write will find."""
    return Snapshot([token() if known is None else known for known in tokens])
