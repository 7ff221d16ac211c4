"""What a write sends.

One server gets the whole of it in one script, which looks at every token that the load saw. On a cluster a
script reaches one slot, so the tokens of tags are looked at first, wherever they are, and then the script
looks at that of the loads. A tag that is invalidated in between does no harm: the entry is stored with the
token that the load saw, and is dead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from scalekit.cache._frame import Times, bulk, entry_name, load_name, sealed, tag_name, tags_of
from scalekit.cache._serialized import dumped, fingerprint_of
from scalekit.cache.redis._commands import TOKEN_KEPT, token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scalekit.cache._entry import Entry, Slot, Snapshot
    from scalekit.redis._script import Operands

_LONGEST = 100 * 365 * 86_400_000
"""Milliseconds that an entry lives at most: servers refuse what does not fit into 64 bits."""


class Writing(NamedTuple):
    """A write, ready to be sent."""

    entry: bytes
    load: bytes
    tags: tuple[bytes, ...]
    life: int
    """Milliseconds; 0 takes the entry away."""
    record: bytes
    """The entry up to its tags."""
    seen: tuple[bytes, ...] | None
    """The tokens that the load saw: of the loads, and of the tags. None where there was no load."""

    @property
    def needed(self) -> int:
        """How many milliseconds its tokens must yet live: twice as long as the entry, and for a load."""
        return 2 * self.life + TOKEN_KEPT // 2

    def at_once(self) -> Operands:
        """Return the operands of the script that does all."""
        names = (self.load, *self.tags)
        tokens = [token() for _ in names] if self.seen is None else self.seen
        return (1 + len(names), self.entry, *names, *self._arguments(b""), *tokens)

    def after_tags(self, tokens: Sequence[bytes]) -> Operands:
        """Return the operands of the script that leaves out the tags, which have `tokens`."""
        tags = tags_of(map(bulk, self.tags), tokens) if self.life else b""
        load = token() if self.seen is None else self.seen[0]
        return (2, self.entry, self.load, *self._arguments(tags), load)

    def _arguments(self, tags: bytes) -> Operands:
        # Tokens are renewed when half of their time is gone, and not by every write.
        return (self.life, self.needed, 2 * self.needed, self.record, tags, 0 if self.seen is None else 1)


def writing(slot: Slot, entry: Entry, snapshot: Snapshot | None, now: float, wall: float) -> Writing:
    """Return the write of `entry` to `slot`; raises `SerialisationError` as its serializer does."""
    seconds = entry.expires - now
    life = int(min(max(0.0, seconds * 1_000), _LONGEST))
    record = b""
    tags = tuple(map(tag_name, slot.tags))
    if life:
        fresh = min(max(0.0, entry.fresh_until - now), seconds)
        times = Times(wall, fresh_until=wall + fresh, expires=wall + seconds, load_seconds=entry.load_seconds)
        value, fingerprint = dumped(slot.serializer, entry.value), fingerprint_of(slot.serializer)
        record = sealed(value, fingerprint, map(bulk, tags), times)
    return Writing(
        entry=entry_name(slot.key),
        load=load_name(slot.key),
        tags=tags,
        life=life,
        record=record,
        seen=cast("tuple[bytes, ...] | None", snapshot),
    )


class Keeping(NamedTuple):
    """The tags of writes to a cluster: what must be known of them, and done to them, before."""

    tags: tuple[bytes, ...]
    operands: list[Operands]

    def told(self, tokens: Sequence[bytes | None]) -> Mapping[bytes, bytes | None]:
        """Return the token of each tag."""
        return dict(zip(self.tags, tokens, strict=True))


def keeping(writes: Sequence[Writing]) -> Keeping:
    """Return what to ask about the tags of `writes`, each of which need be asked about once."""
    needed: dict[bytes, int] = {}
    made: set[bytes] = set()
    for write in writes:
        for tag in write.tags:
            needed[tag] = max(write.needed, needed.get(tag, 0))
        if write.seen is None:
            made.update(write.tags)
    operands = [(1, tag, least, 2 * least, token() if tag in made else b"") for tag, least in needed.items()]
    return Keeping(tuple(needed), operands)


def ready(writes: Sequence[Writing], tokens: Mapping[bytes, bytes | None]) -> dict[int, Operands]:
    """Return what is left to do of `writes` by their places, but for those whose loads saw other tokens."""
    left: dict[int, Operands] = {}
    for place, write in enumerate(writes):
        found = tuple(tokens[tag] for tag in write.tags)
        if write.seen is None or found == write.seen[1:]:
            left[place] = write.after_tags(cast("tuple[bytes, ...]", found))
    return left
