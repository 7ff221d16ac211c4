"""The tokens of keys and tags: what a load begins with, and what an entry is checked against."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from scalekit.cache._entry import Snapshot
from scalekit.cache.sqlalchemy._record import TOKEN_BYTES, is_key
from scalekit.cache.sqlalchemy._statements import parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scalekit.cache.sqlalchemy._statements import Statements
    from scalekit.sqlalchemy._run import Run

HOUR = 3_600_000
"""Milliseconds for which the row of a key is kept beyond its entry: for so long a load may take."""

TAG_KEPT = 6 * HOUR
"""For so long a tag's row is kept at first; an entry that lives longer renews it by one more statement."""


class Tokens:
    """The tokens in one table; `clock` gives milliseconds since 1970, or None for the database's own."""

    def __init__(self, statements: Statements, clock: Callable[[], int | None]) -> None:
        self.sql = statements
        self.clock = clock

    def tokens(self, run: Run, names: list[bytes]) -> tuple[dict[bytes, bytes], float]:
        """Return the tokens of those of `names` that have one, and for how long all of these are kept."""
        tokens: dict[bytes, bytes] = {}
        kept = math.inf
        for part in parts(names):
            for name, token, left in run.rows(self.sql.tokens(len(part)), (self.clock(), *part)):
                tokens[name] = token
                kept = min(kept, left)
        return tokens, kept

    def snapshot(self, run: Run, names: Sequence[bytes], tokens: Mapping[bytes, bytes]) -> Snapshot:
        """Return a snapshot of `names`; those without a token get one."""
        lost = [name for name in names if name not in tokens]
        if lost:
            tokens = {**tokens, **self.made(run, lost)}
        return Snapshot([tokens[name] for name in names])

    def made(self, run: Run, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return tokens for names that had none."""
        tokens = {name: new_token() for name in sorted(names)}
        clock = self.clock()
        made = 0
        for part in parts(list(tokens.items())):
            values = [value for name, token in part for value in (name, token, clock, _kept_at_first(name))]
            made += run.changed(self.sql.make(len(part)), tuple(values))
        if made < len(tokens):
            # Others were faster. What is gone again gets a token that no write will find.
            found, _ = self.tokens(run, list(tokens))
            return {name: found.get(name) or new_token() for name in tokens}
        return tokens

    def outdated_loads(self, run: Run, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return new tokens of `keys`, sorted names, whose entries stay; older loads are outdated by them."""
        tokens = {key: new_token() for key in keys}
        clock = self.clock()
        values = [value for key, token in tokens.items() for value in (key, token, clock, HOUR)]
        run.changed(self.sql.outdate_loads(len(tokens)), tuple(values))
        return tokens

    def renew(self, run: Run, names: Iterable[bytes], life: int) -> bool:
        """Keep the rows of tags for as long as an entry lives; return whether that was news."""
        chosen = sorted(names)
        clock = self.clock()
        # Twice as long, so that not every write of a long-lived entry has to.
        times = (clock, 2 * life + TAG_KEPT, clock, life)
        return sum(run.changed(self.sql.renew(len(part)), (*times, *part)) for part in parts(chosen)) > 0


def new_token() -> bytes:
    """Return a token that was never there before."""
    return os.urandom(TOKEN_BYTES)


def _kept_at_first(name: bytes) -> int:
    return HOUR if is_key(name) else TAG_KEPT
