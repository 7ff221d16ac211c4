# ruff: noqa: S608  # no value becomes text here, only the name of the table, which is checked
"""The SQL of the store, as text for one driver.

One table holds everything, like the keys of a Redis server:

    name     of a key, a tag or a lease, see `_record`
    token    of a key: the token of its loads; of a tag: its token; of a lease: its owner
    data     of a key: the entry, see `_record`, or NULL
    expires  when the entry ends
    kept     when the row may be removed; a lease ends then

Times are milliseconds since 1970. A key's entry and the token of its loads share a row, so one
statement checks the one and replaces the other: no lock is held between two statements, and none of
these takes more than one row's lock, or it takes them in the order of their names.

No statement depends on what another one found, beyond the tokens it names: each may be sent in a
transaction of its own, and sent again when nobody knows whether it arrived.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from scalekit.sqlalchemy._dialect import DATABASE_CLOCK, rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from scalekit.sqlalchemy._dialect import Dialect

T = TypeVar("T")

# A statement has 32,766 parameters at most on SQLite, 32,767 through asyncpg. Per name it has four at most;
# six per write, and two for each of up to `NAMES` tags.
NAMES = 2_048
WRITES = 200


def pieces(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield `names`, each once and in order, in lists that a statement can take."""
    return parts(sorted(set(names)))


def parts(items: list[T]) -> Iterator[list[T]]:
    """Yield `items`, names or what has one each, in lists that a statement can take."""
    for at in range(0, len(items), NAMES):
        yield items[at : at + NAMES]


def _list(item: str, number: int, separator: str = ", ") -> str:
    return separator.join([item] * number)


class Statements:
    """Each method returns a statement; its docstring names the parameters, in order."""

    def __init__(self, table: str, dialect: Dialect, mark: str) -> None:
        self._table = table
        self._dialect = dialect
        self._mark = mark
        # A hit must not pay for text. There are few shapes: one for each number of tags.
        self._reading = lru_cache(64)(self._read)
        self.store = lru_cache(64)(self._store)

    def _made(self, sql: str) -> str:
        dialect = self._dialect
        return rendered(sql.format(table=self._table, now=dialect.now, blob=dialect.blob), self._mark)

    def read(self, names: Sequence[bytes], clock: int | None) -> tuple[str, tuple[bytes, ...]]:
        """Return the statement of a hit, and its parameters: for the first `NAMES` of `names`.

        Rows are name, token and data; and what is left of it, if only the database knows the time.
        """
        chosen = tuple(names) if len(names) <= NAMES else tuple(names[:NAMES])
        return self._reading(len(chosen), clock is None), chosen

    def _read(self, names: int, timed: bool) -> str:  # noqa: FBT001  # for the cache above
        left = f", expires - {DATABASE_CLOCK}" if timed else ""
        chosen = _list("?", names)
        return self._made(f"SELECT name, token, data{left} FROM {{table}} WHERE name IN ({chosen})")

    def tokens(self, names: int) -> str:
        """Return rows of name, token and for how long the row is kept; parameters: now, names."""
        return self._made(
            f"SELECT name, token, kept - {{now}} FROM {{table}} WHERE name IN ({_list('?', names)})"
        )

    def make(self, rows: int) -> str:
        """Make rows where there are none; parameters of each: name, token, now, for how long to keep it."""
        return self._made(
            f"INSERT INTO {{table}} (name, token, kept) VALUES {_list('(?, ?, {now} + ?)', rows)}"
            " ON CONFLICT (name) DO NOTHING"
        )

    def outdate_loads(self, keys: int) -> str:
        """Give keys new tokens, and leave their entries.

        Parameters of each: name, token, now, for how long to keep it.
        """
        return self._made(
            f"INSERT INTO {{table}} (name, token, kept) VALUES {_list('(?, ?, {now} + ?)', keys)}"
            " ON CONFLICT (name) DO UPDATE SET token = excluded.token, kept ="
            " CASE WHEN {table}.kept > excluded.kept THEN {table}.kept ELSE excluded.kept END"
        )

    def _store(self, tags: int) -> str:
        """Replace the entry of a key if all tokens are as they were, and its tags are kept until its end.

        Parameters: data, now, life, now, how long to keep the row, name, token; and if there are tags, those
        of `unchanged`.
        """
        return self._made(
            "UPDATE {table} SET data = ?, expires = {now} + ?, kept = {now} + ? WHERE name = ? AND token = ?"
            + self._if_unchanged(tags)
        )

    def store_many(self, rows: int, tags: int) -> str:
        """Do the same for several keys; `tags` are those of all.

        Parameters: now, now, of each row its name, token, data, life and how long to keep it; the names once
        more; and about tags as for one.
        """
        row = "({})".format(", ".join(["CAST(? AS {blob})"] * 3 + ["CAST(? AS BIGINT)"] * 2))
        return self._made(
            "UPDATE {table} SET data = given.column3, expires = {now} + given.column4, kept = {now} +"
            f" given.column5 FROM (VALUES {_list(row, rows)}) AS given"
            " WHERE {table}.name = given.column1 AND {table}.token = given.column2"
            f" AND {{table}}.name IN ({self._locked(rows)}){self._if_unchanged(tags)}"
        )

    def unchanged(self, tags: int) -> str:
        """Count the tags that have their tokens and are kept long enough.

        Parameters: of each its name and token; now, and how long they must be kept.
        """
        return self._made(self._counted(tags))

    def _if_unchanged(self, tags: int) -> str:
        # Not looked at under a lock: an entry whose tag is invalidated right now carries a dead token, and is
        # never read. The count keeps it from taking the place of a newer one.
        return f" AND ({self._counted(tags)}) = {tags}" if tags else ""

    def _counted(self, tags: int) -> str:
        # An OR for each would be too deep for SQLite from 494 tags on. `(name, token) IN (VALUES ...)` would
        # not, but reads the whole table there (40 ms for 3 tags among 200,000 rows).
        # A join finds each by its name.
        first = "(CAST(? AS {blob}), CAST(? AS {blob}))"
        given = ", ".join([first, *["(?, ?)"] * (tags - 1)])
        return (
            f"SELECT count(*) FROM (VALUES {given}) AS tags CROSS JOIN {{table}} AS kept"
            " WHERE kept.name = tags.column1 AND kept.token = tags.column2 AND kept.kept >= {now} + ?"
        )

    def put(self) -> str:
        """Store an entry in any case; parameters: name, token, data, now, life, now, how long to keep it."""
        return self._made(
            "INSERT INTO {table} (name, token, data, expires, kept) VALUES (?, ?, ?, {now} + ?, {now} + ?)"
            " ON CONFLICT (name) DO UPDATE SET token = excluded.token, data = excluded.data,"
            " expires = excluded.expires, kept = excluded.kept"
        )

    def renew(self, names: int) -> str:
        """Keep rows for longer that are not kept so long; parameters: now, how long, now, how long, names."""
        return self._made(
            "UPDATE {table} SET kept = {now} + ? WHERE kept < {now} + ?"
            f" AND name IN ({self._locked(names)})"
        )

    def outdate(self, names: int) -> str:
        """Give keys and tags a new token and take entries away; parameters: token, names."""
        return self._made(
            "UPDATE {table} SET token = ?, data = NULL, expires = NULL"
            f" WHERE name IN ({self._locked(names)})"
        )

    def _locked(self, names: int) -> str:
        chosen = _list("?", names)
        # Of one row there is no order.
        if names == 1 or not self._dialect.in_order:
            return chosen
        return f"SELECT name FROM {{table}} WHERE name IN ({chosen}){self._dialect.in_order}"

    def acquire(self) -> str:
        """Take or renew a lease unless another has it; parameters: name, owner, now, how long, now."""
        return self._made(
            "INSERT INTO {table} (name, token, kept) VALUES (?, ?, {now} + ?)"
            " ON CONFLICT (name) DO UPDATE SET token = excluded.token, kept = excluded.kept"
            " WHERE {table}.token = excluded.token OR {table}.kept <= {now}"
        )

    def release(self) -> str:
        """Give a lease back; parameters: name, owner."""
        return self._made("DELETE FROM {table} WHERE name = ? AND token = ?")

    def look(self, rows: int) -> str:
        """Return the next rows as name, and whether row and data are over; parameters: now, now, after."""
        return self._made(
            "SELECT name, kept <= {now}, expires <= {now} FROM {table}"
            f" WHERE name > ? ORDER BY name LIMIT {rows}"
        )

    def remove(self, names: int) -> str:
        """Remove rows that are over; parameters: now, names."""
        return self._made(f"DELETE FROM {{table}} WHERE kept <= {{now}} AND name IN ({self._free(names)})")

    def empty(self, names: int) -> str:
        """Take away data that is over; parameters: now, names."""
        return self._made(
            "UPDATE {table} SET data = NULL, expires = NULL"
            f" WHERE expires <= {{now}} AND name IN ({self._free(names)})"
        )

    def _free(self, names: int) -> str:
        chosen = _list("?", names)
        if not self._dialect.free_ones:
            return chosen
        return f"SELECT name FROM {{table}} WHERE name IN ({chosen}){self._dialect.free_ones}"
