"""Scaling building blocks for any Python application.

Five blocks, each a subpackage with pluggable backends and a sync and an async face: `cache`,
`ratelimit`, `pagination`, `images` and `pools`. Importing `scalekit` loads none of them: every
name below is fetched on first use (PEP 562), so an application pays only for what it touches.
"""

from scalekit._lazy import exports

__version__ = "0.1.0.dev0"

__all__ = [
    "__version__",
]

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing (3 ms)
if TYPE_CHECKING:
    pass
else:
    __getattr__, __dir__ = exports(__name__, {})
