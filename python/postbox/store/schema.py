"""Numbered migrations, one set a package, and what an old binary may still open.

A set is a package with files `NNNN_name.sql`, run once each, in order, in one transaction. The
first line of a file is `-- compatible: N`: after it, binaries that know less than migration N of
this set can no longer use the database, and say so. Files of another engine end in
`.postgres.sql` and are passed over here. Sets that this binary does not know are left alone, so
that a server without a door still opens the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import NamedTuple

import apsw

from postbox.errors import Fatal, SchemaTooNew

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_COMPATIBLE = re.compile(r"-- compatible: (\d+)")


class Migrations(NamedTuple):
    """A door's numbered SQL: `Migrations("trust", "postbox.trust.migrations")`."""

    name: str
    package: str


KERNEL = Migrations("kernel", "postbox.store.migrations")


class Step(NamedTuple):
    number: int
    compatible: int
    sql: str


def load_steps(migrations: Migrations) -> list[Step]:
    """The set's files in order; they must be numbered 1, 2, 3 ..."""
    steps = []
    for file in files(migrations.package).iterdir():
        name = _NAME.fullmatch(file.name)
        if name is not None:
            steps.append(_parse(migrations, int(name[1]), file.read_text("utf-8")))
    steps.sort()
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise Fatal(f"migrations of {migrations.name} are not numbered from 1 without a gap")
    return steps


def _parse(migrations: Migrations, number: int, sql: str) -> Step:
    compatible = _COMPATIBLE.match(sql)
    if compatible is None:
        raise Fatal(
            f"migration {number} of {migrations.name} does not start with `-- compatible: N`"
        )
    return Step(number, int(compatible[1]), sql)


def migrate(connection: apsw.Connection, sets: Sequence[Migrations]) -> dict[str, int]:
    """Brings every set up to date inside the transaction that the caller holds.

    Returns the number of each set's last migration. Raises SchemaTooNew, and changes nothing
    then, if the database was written by a binary that is too new for this one.
    """
    connection.execute(
        "create table if not exists schema (name text primary key, version integer not null,"
        " compatible integer not null) strict, without rowid"
    )
    for migrations in sets:
        _migrate_set(connection, migrations)
    return {str(name): int(version) for name, version in _versions(connection)}


def _versions(connection: apsw.Connection) -> list[tuple[str, int]]:
    rows = connection.execute("select name, version from schema order by name")
    return [(str(name), int(version)) for name, version in rows]


def _migrate_set(connection: apsw.Connection, migrations: Migrations) -> None:
    steps = load_steps(migrations)
    query = "select version, compatible from schema where name = ?"
    version, compatible = connection.execute(query, (migrations.name,)).fetchone() or (0, 0)
    if compatible > len(steps):
        raise SchemaTooNew(
            f"the database's {migrations.name} tables need a postbox that knows migration "
            f"{compatible}; this one knows {len(steps)}. Start the newer version, or restore a "
            f"backup made by this one"
        )
    for step in steps[version:]:
        for statement in split_statements(step.sql):
            connection.execute(statement)
        connection.execute(
            "insert or replace into schema values (?, ?, ?)",
            (migrations.name, step.number, step.compatible),
        )


def split_statements(sql: str) -> Iterator[str]:
    """One statement at a time: of several in one call apsw stops at the first that has a row."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if apsw.complete(pending):
            yield pending
            pending = ""
