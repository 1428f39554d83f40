"""The tables of a snapshot: filled beside those that are shown, and put in their place at the end.

They have the same columns and keys. What they lack are the other indexes, which are made in their
place, when nothing is added any more: so that is quicker, and each has its name.
"""

from __future__ import annotations

import re

import apsw

from postbox.client.store.rows import row, rows, value

BASE = (
    "person",
    "picture",
    "conversation",
    "hole",
    "member",
    "watermark",
    "message",
    "edit",
    "deleted",
    "reaction",
    "foreign_event",
    "guild",
    "invite",
)
"""All that the stream said."""

PREFIX = "shadow_"

_TABLE = "select sql from sqlite_schema where type = 'table' and name = ?"
_INDEXES = "select sql from sqlite_schema where type = 'index' and tbl_name = ? and sql is not null"


def begin(cursor: apsw.Cursor) -> None:
    """Empty ones: what an earlier snapshot left in them does not count."""
    drop(cursor)
    for table in BASE:
        sql = value(cursor, _TABLE, (table,))
        # Of a table that was renamed, SQLite keeps the name in quotes.
        cursor.execute(re.sub(rf'^CREATE TABLE "?{table}"?', f"create table {PREFIX}{table}", sql))


def drop(cursor: apsw.Cursor) -> None:
    for table in BASE:
        cursor.execute(f"drop table if exists {PREFIX}{table}")


def is_there(cursor: apsw.Cursor) -> bool:
    return row(cursor, _TABLE, (f"{PREFIX}{BASE[0]}",)) is not None


def put_in_place(cursor: apsw.Cursor) -> None:
    for table in BASE:
        indexes = [sql for (sql,) in rows(cursor, _INDEXES, (table,))]
        cursor.execute(f"drop table {table}")
        cursor.execute(f"alter table {PREFIX}{table} rename to {table}")
        for sql in indexes:
            cursor.execute(sql)
