"""A database of its own for one run of the tests, on any PostgreSQL server."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.engine import make_url

from tests.servers.lifeline import NoServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Create a database beside the one of `url`, drop it at the end; yields its SQLAlchemy URL (psycopg).

    A database rather than a schema: it separates the run's tables whatever the driver, where a schema would
    need a search path, which each driver spells differently.
    """
    address = make_url(url.replace("postgres://", "postgresql://", 1)).set(drivername="postgresql+psycopg")
    name = f"scalekit_test_{uuid.uuid4().hex}"
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
    except psycopg.errors.InsufficientPrivilege as error:
        raise NoServer(
            "the user of DATABASE_URL must be allowed to create a database for the tests"
        ) from error
    yield address.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
