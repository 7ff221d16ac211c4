"""An event loop's connections are of no use to another: asyncpg's would fail for ever, each call anew.

SQLAlchemy asks to dispose of an engine at the end of its loop. Where that is forgotten, as between two
`asyncio.run()`, its pool reports each connection that it has to give up, and the store goes on.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import ref

from sqlalchemy.exc import DisconnectionError

_LOOP = "scalekit loop"


def of_this_loop(_driver: Any, record: Any, _fairy: Any) -> None:
    """Have the pool replace a connection of another event loop; a listener to its `checkout`."""
    loop = asyncio.get_running_loop()
    if record.info.setdefault(_LOOP, ref(loop))() is not loop:
        raise DisconnectionError("a connection of another event loop")
