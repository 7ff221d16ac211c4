"""A marketplace: one table of listings, on SQLite or PostgreSQL."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import sqlalchemy as sa

from _quickstart.step import seconds
from scalekit.pools import PoolConfig

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from _quickstart.step import Step

SELLERS = 200


class Marketplace:
    """`rows` listings in a table of its own, which is dropped at the end, also after an error."""

    def __init__(self, url: str, rows: int) -> None:
        psycopg = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        self.engine = sa.create_engine(psycopg, **PoolConfig(size=2).sqlalchemy())
        self.rows = rows
        self._made = False
        self.table = sa.Table(
            f"quickstart_listings_{uuid.uuid4().hex[:12]}",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("seller", sa.Integer, nullable=False, index=True),
            sa.Column("price", sa.Integer, nullable=False),
            sa.Column("created_at", sa.Integer, nullable=False),
        )
        # What makes a page by cursor cheap: an index in the order of the pages.
        sa.Index(f"{self.table.name}_newest", self.table.c.created_at.desc(), self.table.c.id.desc())

    def fill(self) -> None:
        """Make the listings in the database itself: 20 to every moment, so that the order has ties."""
        one = sa.select(sa.cast(1, sa.BigInteger).label("n")).cte("numbers", recursive=True)
        numbers = one.union_all(sa.select(one.c.n + 1).where(one.c.n < self.rows))
        n = numbers.c.n
        created_at = n * 7919 % self.rows // 20
        listings = sa.select(n, n * 7919 % SELLERS, 100 + n * 7919 % 90_000, created_at)
        columns = ["id", "seller", "price", "created_at"]
        self.table.create(self.engine)
        self._made = True
        with self.engine.begin() as connection:
            connection.execute(self.table.insert().from_select(columns, listings))
            connection.execute(sa.text(f"analyze {self.table.name}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._made:
                self.table.drop(self.engine)
        finally:
            self.engine.dispose()


def listings(step: Step, market: Marketplace) -> None:
    spent = seconds(market.fill)
    with market.engine.connect() as connection:
        found = connection.scalar(sa.select(sa.func.count()).select_from(market.table))
    step.show(
        "created and indexed", f"{spent:.2f} s", f"{found:,} rows on {market.engine.name}", seconds=spent
    )
    step.check(f"there are {market.rows:,} listings", holds=found == market.rows)
