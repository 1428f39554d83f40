"""What a statement gives, all of it: a cursor that has not come to its end holds a lock."""

from __future__ import annotations

from typing import Any

import apsw


def rows(cursor: apsw.Cursor, sql: str, params: Any = ()) -> list[tuple[Any, ...]]:
    return cursor.execute(sql, params).fetchall()


def row(cursor: apsw.Cursor, sql: str, params: Any = ()) -> tuple[Any, ...] | None:
    """The first."""
    return next(iter(rows(cursor, sql, params)), None)


def value(cursor: apsw.Cursor, sql: str, params: Any = (), default: Any = None) -> Any:
    """The first row's first."""
    found = row(cursor, sql, params)
    return default if found is None else found[0]
