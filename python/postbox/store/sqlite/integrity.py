"""Looks for damage in an SQLite database: its pages, its rows, its indexes, its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import apsw

from postbox.store.integrity import MAX_FINDINGS, Described, differences, is_as_new
from postbox.store.schema import Migrations, migrate
from postbox.store.sqlite.tables import SqliteDatabase

_SOUND = "ok"
_COMMENT = re.compile(r"--[^\n]*")


def find_damage(
    connection: apsw.Connection, empty: apsw.Connection, sets: Sequence[Migrations]
) -> list[str]:
    """In words. `empty`: another database, without anything in it, to compare with."""
    try:
        return [
            *_integrity(connection),
            *_foreign_keys(connection),
            *_schema(connection, empty, sets),
        ]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return [str(error)]


def _integrity(connection: apsw.Connection) -> Iterator[str]:
    """Pages, the order of keys, every row in its indexes and the other way, types and checks."""
    for (text,) in connection.execute(f"pragma integrity_check({MAX_FINDINGS})"):
        if text != _SOUND:
            yield str(text)


def _foreign_keys(connection: apsw.Connection) -> Iterator[str]:
    for table, row, parent, _ in connection.execute("pragma foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that is not there"


def _schema(
    connection: apsw.Connection, empty: apsw.Connection, sets: Sequence[Migrations]
) -> Iterator[str]:
    if is_as_new(SqliteDatabase(connection), sets):
        migrate(SqliteDatabase(empty), sets)
        yield from differences(_described(empty), _described(connection))


def _described(connection: apsw.Connection) -> Described:
    """What was given a statement of its own: not the indexes that SQLite makes for a key."""
    rows = connection.execute("select type, name, sql from sqlite_schema where sql is not null")
    return {f"{kind} {name}": _in_one_line(sql) for kind, name, sql in rows}


def _in_one_line(sql: str) -> str:
    return " ".join(_COMMENT.sub("", sql).split())
