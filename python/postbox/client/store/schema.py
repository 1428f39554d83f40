"""Brings the tables of a device's file up to date: numbered migrations, each run once, in order.

The first line of one is `-- compatible: N`: after it, a library that knows less than migration N
can no longer use the file, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple

import apsw

from postbox.client.errors import BrokenDatabase
from postbox.client.store.rows import rows, value
from postbox.errors import SchemaTooNew

APPLICATION_ID = 0x70626F78
""""pbox": by which SQLite's header says whose file it is."""

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_COMPATIBLE = re.compile(r"-- compatible: (\d+)\n")
_VERSION = """create table version (
  one integer primary key check (one = 1),
  number integer not null,
  compatible integer not null
) strict"""


class Step(NamedTuple):
    number: int
    compatible: int
    sql: str


def load_steps() -> list[Step]:
    return sorted(_steps())


def _steps() -> Iterator[Step]:
    for file in files("postbox.client.store.migrations").iterdir():
        if name := _NAME.fullmatch(file.name):
            sql = file.read_text("utf-8")
            compatible = _COMPATIBLE.match(sql)
            assert compatible is not None, f"{file.name} does not say with what it is compatible"
            yield Step(int(name[1]), int(compatible[1]), sql)


def check_ours(connection: apsw.Connection, path: str) -> None:
    """Before anything is changed in it. Raises BrokenDatabase for a file of another program."""
    its = connection.pragma("application_id")
    tables = value(connection.cursor(), "select count(*) from sqlite_schema")
    if its != APPLICATION_ID and (its or tables):
        raise BrokenDatabase(
            f"{path} is a database of another program: name another file, which need not be there"
        )


def migrate(connection: apsw.Connection, path: str, steps: list[Step]) -> None:
    """All that it has not run yet, in one transaction. Raises SchemaTooNew, and changes nothing."""
    connection.execute("begin immediate")
    try:
        _migrate(connection, path, steps)
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:  # after some errors SQLite has rolled back by itself
            connection.execute("rollback")
        raise


def _migrate(connection: apsw.Connection, path: str, steps: list[Step]) -> None:
    number, compatible = _version(connection)
    if compatible > len(steps):
        raise SchemaTooNew(
            f"{path} was written by a newer version, which knows migration {compatible}; this one"
            f" knows {len(steps)}. Use the newer version, or another file"
        )
    for step in steps[number:]:
        connection.execute(step.sql)
        values = (step.number, step.compatible)
        connection.execute("replace into version values (1, ?, ?)", values)


def _version(connection: apsw.Connection) -> tuple[int, int]:
    """Its last migration, and that which a library has to know at least."""
    if connection.pragma("application_id") != APPLICATION_ID:
        connection.execute(_VERSION)
        connection.pragma("application_id", APPLICATION_ID)
        return 0, 0
    [found] = rows(connection.cursor(), "select number, compatible from version")
    return found[0], found[1]
