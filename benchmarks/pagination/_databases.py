"""The databases that pages are measured on, each with the same table, and what a query reads there."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    text,
)

from benchmarks.cache.sql import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

FEED = Table(
    "feed",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", DateTime, nullable=False),  # three rows share each
    Column("a", Integer, nullable=False),  # and each of these
    Column("kind", Integer, nullable=False),  # one of 50
    Column("flag", Boolean, nullable=False),
    Column("score", Integer),  # NULL in one row of twenty
    Column("name", String(20), nullable=False),
    Column("body", String(60), nullable=False),
)
_ROW = "{n}, {at}, {n} / 3, {n} % 50, {n} % 2 = 0, CASE WHEN {n} % 20 <> 0 THEN {n} / 5 END, {name}, {body}"
_INDEXES = {
    "time": "at, id",
    "uniform": "a, id",
    "mixed": "a DESC, id",
    "ties": "kind, id",
    "ties_mixed": "kind DESC, id",
    "flags": "flag DESC, id",
    "nulls": "score, id",
}
_POSTGRES_INDEXES = {"nulls_last": "score DESC NULLS LAST, id DESC"}


def _filled(engine: Engine, rows: int) -> None:
    name = engine.dialect.name
    FEED.create(engine)
    with engine.begin() as connection:
        if name == "sqlite":
            numbers = f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})"
            at = "datetime(1704067200 + n / 3, 'unixepoch') || '.000000'"
            columns = _ROW.format(n="n", at=at, name="'n' || n", body="'" + "x" * 40 + "'")
            connection.execute(text(f"INSERT INTO feed {numbers} SELECT {columns} FROM s"))
        elif name == "postgresql":
            at = "timestamp '2024-01-01' + n / 3 * interval '1 second'"
            columns = _ROW.format(n="n", at=at, name="'n' || n", body="repeat('x', 40)")
            connection.execute(
                text(f"INSERT INTO feed SELECT {columns} FROM generate_series(1, {rows}) AS n")
            )
        else:
            at = "'2024-01-01' + INTERVAL (seq / 3) SECOND"
            columns = _ROW.format(n="seq", at=at, name="CONCAT('n', seq)", body="REPEAT('x', 40)")
            columns = columns.replace("/", "DIV")
            connection.execute(text(f"INSERT INTO feed SELECT {columns} FROM seq_1_to_{rows}"))
        for index, on in (_INDEXES | (_POSTGRES_INDEXES if name == "postgresql" else {})).items():
            connection.execute(text(f"CREATE INDEX feed_{index} ON feed ({on})"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        analyse = {"postgresql": "VACUUM ANALYZE feed", "sqlite": "ANALYZE"}
        connection.execute(text(analyse.get(name, "ANALYZE TABLE feed")))


@contextmanager
def sqlite(rows: int) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/feed.db")
        _filled(engine, rows)
        yield engine
        engine.dispose()


@contextmanager
def postgresql(rows: int) -> Iterator[Engine]:
    """A server started for the run (fsync off), or the one at DATABASE_URL; no JIT, no parallel plans."""
    with postgres() as url:
        engine = create_engine(
            url, connect_args={"options": "-cjit=off -cmax_parallel_workers_per_gather=0 -csearch_path=bench"}
        )
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS bench CASCADE"))
            connection.execute(text("CREATE SCHEMA bench"))
        _filled(engine, rows)
        yield engine
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA bench CASCADE"))
        engine.dispose()


@contextmanager
def mariadb(rows: int) -> Iterator[Engine | None]:
    """A server started for the run, or the one at MARIADB_URL; None where there is none."""
    with ExitStack() as stack:
        url = os.environ.get("MARIADB_URL")
        if url is None:
            from tests.servers.mariadb import MariaDB, binary  # noqa: PLC0415  # only where none is given

            if binary() is None:
                yield None
                return
            server = MariaDB("innodb-buffer-pool-size=1G")
            server.start()
            stack.callback(server.close)
            url = server.url.replace("mariadb+", "mysql+")  # as most write it
        engine = create_engine(url)
        _filled(engine, rows)
        yield engine
        FEED.drop(engine)
        engine.dispose()


def rows_read(connection: Connection, statement: Any, parameters: Any) -> int:
    """Return how many rows or index entries are read; on SQLite, how many steps its machine takes."""
    match connection.dialect.name:
        case "postgresql":
            compiled = statement.compile(dialect=connection.dialect)
            sql = f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {compiled}"
            [plan] = connection.exec_driver_sql(sql, compiled.construct_params(parameters)).scalar_one()
            return int(_scanned(plan["Plan"]))
        case "sqlite":
            steps = [0]
            raw: Any = connection.connection.dbapi_connection

            def step() -> int:
                steps[0] += 1
                return 0

            raw.set_progress_handler(step, 1)
            connection.execute(statement, parameters).all()
            raw.set_progress_handler(None, 0)
            return steps[0]
        case _:
            connection.execute(text("FLUSH STATUS"))
            connection.execute(statement, parameters).all()
            found = connection.execute(text("SHOW STATUS LIKE 'Handler_read%'"))
            return sum(int(row[1]) for row in found)


def _scanned(plan: dict[str, Any]) -> float:
    own = 0
    if "Relation Name" in plan:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        own = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    return own + sum(_scanned(child) for child in plan.get("Plans", ()))


class Sent:
    """The last statement sent on an engine, to look at what it reads."""

    def __init__(self, engine: Engine) -> None:
        self.statement: Any = None
        self.parameters: Any = None
        event.listen(engine, "before_execute", self._note)

    def _note(self, _connection: Any, statement: Any, multi: Any, parameters: Any, _options: Any) -> None:
        self.statement, self.parameters = statement, parameters or (multi[0] if multi else {})
