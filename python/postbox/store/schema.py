"""Numbered migrations, one set a package, and what an old binary may still open.

A set is a package with files `NNNN_name.sqlite.sql` and `NNNN_name.postgres.sql`, run once each, in
order, in one transaction. Both engines have the same numbers, so that a database's version means
the same on both. The first line of a file is `-- compatible: N`: after it, binaries that know less
than migration N of this set can no longer use the database, and say so. Sets that this binary does
not know are left alone, so that a server without a door still opens the database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Literal, NamedTuple, Protocol, TypeAlias

from postbox.errors import Fatal, SchemaTooNew
from postbox.store.contract import IDENTITY, Identity, Snapshot

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.(sqlite|postgres)\.sql")
_COMPATIBLE = re.compile(r"-- compatible: (\d+)")

Engine: TypeAlias = Literal["sqlite", "postgres"]
Schema: TypeAlias = dict[str, int]  # migration set -> number of its last migration


class Migrations(NamedTuple):
    """A door's numbered SQL: `Migrations("trust", "postbox.trust.migrations")`."""

    name: str
    package: str


KERNEL = Migrations("kernel", "postbox.store.migrations")


class Step(NamedTuple):
    number: int
    compatible: int
    sql: str


class Version(NamedTuple):
    """What a database knows of a set."""

    number: int  # of the last migration
    compatible: int  # binaries that know less of the set cannot use it


class Database(Protocol):
    """What a driver gives for its tables to be brought up to date, in a transaction of its own."""

    engine: Engine

    def versions(self) -> dict[str, Version]:
        """By set. The table that holds them is made if it is not there."""
        ...

    def run(self, sql: str) -> None:
        """Every statement of it."""
        ...

    def put_version(self, name: str, version: Version) -> None: ...


def identity_of(schema: Schema, snapshot: Snapshot) -> Identity:
    rows = snapshot.rows(IDENTITY, [("epoch",), ("cursor_key",)])
    match [row and row[1] for row in rows.values()]:
        case [bytes(epoch), bytes(cursor_key)]:
            return Identity(epoch, cursor_key, schema)
        case _:
            raise Fatal("the database has lost what names it: restore a backup")


def load_steps(migrations: Migrations, engine: Engine) -> list[Step]:
    """The set's files for this engine in order; they must be numbered 1, 2, 3 ..."""
    steps = []
    for file in files(migrations.package).iterdir():
        name = _NAME.fullmatch(file.name)
        if name is not None and name[2] == engine:
            steps.append(_parse(migrations, int(name[1]), file.read_text("utf-8")))
    steps.sort()
    if not steps or [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise Fatal(
            f"migrations of {migrations.name} for {engine} are not numbered from 1 without a gap"
        )
    return steps


def _parse(migrations: Migrations, number: int, sql: str) -> Step:
    compatible = _COMPATIBLE.match(sql)
    if compatible is None:
        raise Fatal(
            f"migration {number} of {migrations.name} does not start with `-- compatible: N`"
        )
    return Step(number, int(compatible[1]), sql)


def migrate(database: Database, sets: Sequence[Migrations]) -> Schema:
    """Brings every set up to date inside the transaction that the caller holds.

    Returns the number of each set's last migration. Raises SchemaTooNew, and changes nothing
    then, if the database was written by a binary that is too new for this one.
    """
    versions = database.versions()
    for migrations in sets:
        version = versions.get(migrations.name, Version(0, 0))
        versions[migrations.name] = _migrate_set(database, migrations, version)
    return {name: version.number for name, version in sorted(versions.items())}


def _migrate_set(database: Database, migrations: Migrations, version: Version) -> Version:
    steps = load_steps(migrations, database.engine)
    _check_compatible(migrations, version, len(steps))
    return _run(database, migrations, steps[version.number :], version)


def _run(
    database: Database, migrations: Migrations, steps: Sequence[Step], version: Version
) -> Version:
    for step in steps:
        database.run(step.sql)
        version = Version(step.number, step.compatible)
        database.put_version(migrations.name, version)
    return version


def check_compatible(
    versions: Mapping[str, Version], sets: Sequence[Migrations], engine: Engine
) -> None:
    """Raises SchemaTooNew as `migrate` would."""
    for migrations in sets:
        if migrations.name in versions:
            known = len(load_steps(migrations, engine))
            _check_compatible(migrations, versions[migrations.name], known)


def _check_compatible(migrations: Migrations, version: Version, known: int) -> None:
    if version.compatible > known:
        raise SchemaTooNew(
            f"the database's {migrations.name} tables need a postbox that knows migration "
            f"{version.compatible}; this one knows {known}. Start the newer version, or "
            f"restore a backup made by this one"
        )


def build(database: Database, sets: Sequence[Migrations], schema: Schema) -> None:
    """The tables as they were at these numbers, in an empty database: none for a set without."""
    database.versions()
    for migrations in sets:
        steps = load_steps(migrations, database.engine)[: schema.get(migrations.name, 0)]
        _run(database, migrations, steps, Version(0, 0))


def check_known(
    versions: Mapping[str, Version], sets: Sequence[Migrations], engine: Engine
) -> None:
    """Raises SchemaTooNew for tables of which this binary does not know all: copied row by row,
    something would be lost."""
    known = {migrations.name: len(load_steps(migrations, engine)) for migrations in sets}
    beyond = [name for name, each in versions.items() if each.number > known.get(name, 0)]
    if beyond:
        raise SchemaTooNew(
            f"the database has tables that this postbox does not know ({', '.join(beyond)}), and"
            f" cannot copy: do this with the postbox that made them"
        )
