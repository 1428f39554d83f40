"""How PostgreSQL is told what to make: see `schema.Database`."""

from __future__ import annotations

from postbox.store.postgres.session import Session
from postbox.store.schema import Engine, Version


class PostgresDatabase:
    """See `schema.Database`."""

    engine: Engine = "postgres"

    def __init__(self, session: Session) -> None:
        self._session = session

    def versions(self) -> dict[str, Version]:
        # Looked for first: who may not make tables can still use those that are there.
        if self._session.send("select to_regclass('schema')") == [None]:
            self._session.send(
                'create table schema (name text collate "C" primary key,'
                " version bigint not null, compatible bigint not null)"
            )
        rows = self._session.rows("select name, version, compatible from schema")
        return {str(name): Version(number, least) for name, number, least in rows}

    def run(self, sql: str) -> None:
        self._session.send(sql)

    def put_version(self, name: str, version: Version) -> None:
        self._session.rows(
            "insert into schema values (%s, %s, %s) on conflict (name) do update"
            " set version = excluded.version, compatible = excluded.compatible",
            (name, *version),
        )
