"""What a load, or many at once, asks for before it begins: the tokens that it starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalekit.cache.redis._commands import set_token
from scalekit.cache.redis._reading import snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.cache._entry import Slot, Snapshot
    from scalekit.cache.redis._commands import Piece, Pieces
    from scalekit.redis._packed import Packed


class Beginning:
    """The begin of loads for `slots`; `wanted` are the values to hand to `made`, each asked for once."""

    def __init__(self, pieces: Pieces, slots: Sequence[Slot]) -> None:
        self._each = [[pieces.load(slot.key), *map(pieces.tag, slot.tags)] for slot in slots]
        self._loads = list(dict.fromkeys(load for load, *_ in self._each))
        self._tags = list(dict.fromkeys(tag for _, *tags in self._each for tag in tags))
        self.wanted: list[Piece] = [*self._loads, *self._tags]

    def commands(self, *, outdate: bool) -> list[Packed]:
        """Return what makes the tokens that are missing, and with `outdate` new ones of the loads."""
        return [*(set_token(load, anew=outdate) for load in self._loads), *map(set_token, self._tags)]

    def made(self, values: Sequence[bytes | None]) -> list[Snapshot]:
        """Return a snapshot for each slot; `values` are those of `wanted`, in their order."""
        tokens = dict(zip(self.wanted, values, strict=True))
        return [snapshot([tokens[piece] for piece in every]) for every in self._each]
