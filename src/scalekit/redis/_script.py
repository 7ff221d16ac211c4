"""Scripts, and how they are run: by the name a server gives them, for it knows most of them already."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

from scalekit.errors import BackendError
from scalekit.redis._failure import is_unknown_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scalekit.redis._async import AsyncRedisLink
    from scalekit.redis._sync import RedisLink

Operands: TypeAlias = "tuple[Any, ...]"
"""What follows the script in a command: how many keys, the keys, the arguments."""


class Script:
    """A script's text, and the digest by which a server that has seen it finds it again."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def known(self, calls: Sequence[Operands]) -> list[Operands]:
        """Return the commands for a server that has seen the script."""
        return [("EVALSHA", self.digest, *call) for call in calls]

    def teaching(self, calls: Sequence[Operands]) -> list[Operands]:
        """Return the commands for any server; it has seen the script then."""
        return [("EVAL", self.text, *call) for call in calls]


def run(link: RedisLink, script: Script, calls: Sequence[Operands]) -> list[Any]:
    """Return what `script` answers to each of `calls`, in one round trip, or two after the server forgot it.

    Raises as the link's `pipeline` does.
    """
    if not calls:
        return []
    try:
        return link.pipeline(script.known(calls))
    except BackendError as error:
        if not is_unknown_script(error):
            raise
    return link.pipeline(script.teaching(calls))


async def async_run(link: AsyncRedisLink, script: Script, calls: Sequence[Operands]) -> list[Any]:
    """Do the same for an asyncio link."""
    if not calls:
        return []
    try:
        return await link.pipeline(script.known(calls))
    except BackendError as error:
        if not is_unknown_script(error):
            raise
    return await link.pipeline(script.teaching(calls))
