"""The database server that all pools share."""

from __future__ import annotations

from dataclasses import dataclass

from scalekit.errors import ConfigurationError
from scalekit.pools._numbers import amount, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one database server can give.

    `max_connections` is the server's own setting. `reserved` of them are out of reach of
    applications: PostgreSQL keeps `superuser_reserved_connections` (3 by default) plus
    `reserved_connections` (0). `cores` are the processors it runs on, fractions allowed; they are
    needed only when a `Load` gives `db_cpu`.

    Raises `ConfigurationError` for anything that cannot be a server.
    """

    max_connections: int
    reserved: int = 3
    cores: float | None = None

    def __post_init__(self) -> None:
        count(self.max_connections, "max_connections")
        count(self.reserved, "reserved", least=0)
        if self.reserved >= self.max_connections:
            raise ConfigurationError("reserved", self.reserved, f"< max_connections = {self.max_connections}")
        if self.cores is not None:
            amount(self.cores, "cores")
