"""How SQLite is told what to make: see `schema.Database`."""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from postbox.store.schema import Engine, Version


class SqliteDatabase:
    """See `schema.Database`."""

    engine: Engine = "sqlite"

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def versions(self) -> dict[str, Version]:
        self._connection.execute(
            "create table if not exists schema (name text primary key, version integer not null,"
            " compatible integer not null) strict, without rowid"
        )
        rows = self._connection.execute("select name, version, compatible from schema")
        return {str(name): Version(int(number), int(least)) for name, number, least in rows}

    def run(self, sql: str) -> None:
        for statement in split_statements(sql):
            self._connection.execute(statement)

    def put_version(self, name: str, version: Version) -> None:
        self._connection.execute("insert or replace into schema values (?, ?, ?)", (name, *version))


def split_statements(sql: str) -> Iterator[str]:
    """One statement at a time: of several in one call apsw stops at the first that has a row."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if apsw.complete(pending):
            yield pending
            pending = ""
