"""A database on PostgreSQL as one file of SQLite, and back: row by row, in the order of keys.

Which tables there are is what the migrations for SQLite make. What PostgreSQL has beyond them is of
the moment (who holds a lease, what was committed just now), or not the node's. A table is one
`copy`, in binary form, so that neither side holds more than some rows of it in memory. No limit of
time ends one: it is as long as the table is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import NamedTuple

import apsw
import psycopg

from postbox.store.backup import CannotBackUp, CannotRestore, Contents, Copied, Copying
from postbox.store.postgres import statements
from postbox.store.postgres.faults import renamed
from postbox.store.postgres.session import Patience, Role, Session, open_session, shown
from postbox.store.postgres.tables import PostgresDatabase
from postbox.store.schema import KERNEL, Migrations, Version, build, check_known, migrate
from postbox.store.sqlite.backup import CONTENTS, named, open_for_reading, open_new
from postbox.store.sqlite.tables import SqliteDatabase
from postbox.world import Disk

STEP_ROWS = 2_000  # hundredths of a second
_LOG = "entry"  # so much larger than the others that it alone tells how far a copy is

_BEGIN = f"begin isolation level repeatable read, read only; {statements.NO_TIME_LIMIT}"

_TABLES = """select name from sqlite_schema
  where type = 'table' and name not in ('schema', 'backup') and name not like 'sqlite_%'
  order by name = 'entry', name"""
_INDEXES = "select name, sql from sqlite_schema where type = 'index' and sql is not null"
_COLUMNS = "select name, pk from pragma_table_info(?)"
_TYPES = """select array_agg(a.atttypid::bigint order by c.at)
  from unnest(%s::text[]) with ordinality c (name, at)
  join pg_attribute a on a.attrelid = to_regclass(%s) and a.attname = c.name"""

_COUNTED = """select a.attname::text, pg_get_serial_sequence(t.name, a.attname::text)
  from (select %s::text as name) t
  join pg_attribute a on a.attrelid = to_regclass(t.name) and a.attidentity <> ''"""


class _Table(NamedTuple):
    """`types`: PostgreSQL's numbers of them."""

    name: str
    columns: str
    key: str
    marks: str
    types: list[int]


def read_out(disk: Disk, url: str, sets: Sequence[Migrations], path: str) -> Copying:
    """Everything of the node in the database at `url`, as it is at one moment, into a database of
    SQLite at `path`, which is there and empty."""
    kernel_and_sets = (KERNEL, *sets)
    with _server(disk, url, Role.READER) as session, closing(open_new(disk, path)) as written:
        session.send(_BEGIN)
        versions = _versions(session, url)
        check_known(versions, kernel_and_sets, "postgres")
        with named(path):
            schema = {name: version.number for name, version in versions.items()}
            written.execute("begin")
            build(SqliteDatabase(written), kernel_and_sets, schema)
            indexes = _take_indexes(written)
            contents = _contents(session)
            for table in _tables(written, session):
                written.execute(f'delete from "{table.name}"')  # what a migration put there
                for count in _read_table(session, table, written):
                    yield _copied(table, count, contents)
            session.send("commit")  # nothing more is asked, and an idle transaction would be ended
            for index in indexes:
                written.execute(index)
            written.execute("commit")
        return contents


def fill(disk: Disk, path: str, url: str, sets: Sequence[Migrations]) -> Copying:
    """See `backup.fill_server`."""
    kernel_and_sets = (KERNEL, *sets)
    with closing(open_for_reading(disk, path)) as read, _server(disk, url, Role.WRITER) as session:
        with named(path):
            contents = Contents(*next(read.execute(CONTENTS)))
            check_known(SqliteDatabase(read).versions(), kernel_and_sets, "postgres")
        session.send(f"{session.take_turn}; {statements.NO_TIME_LIMIT}")
        database = PostgresDatabase(session)
        if database.versions():
            raise CannotRestore(
                f"{shown(url)} has a node already: make an empty database, and name that one"
            )
        migrate(database, kernel_and_sets)
        for table in _tables(read, session):
            session.send(f'delete from "{table.name}"')
            for count in _write_table(session, table, read, path):
                yield _copied(table, count, contents)
            _go_on_counting(session, table)
        session.commit()
    return contents


def epoch_at(disk: Disk, url: str) -> bytes | None:
    """See `backup.server_epoch`."""
    with _server(disk, url, Role.READER) as session:
        if not _has_node(session):
            return None
        (epoch,) = next(iter(session.rows("select value from identity where name = 'epoch'")))
        assert isinstance(epoch, bytes)
        return epoch


@contextmanager
def _server(disk: Disk, url: str, role: Role) -> Iterator[Session]:
    try:
        session = open_session(disk, url, role, Patience())
        try:
            yield session
        finally:
            session.close()
    except psycopg.Error as error:
        raise renamed(error, shown(url)) from error


def _take_indexes(made: apsw.Connection) -> list[str]:
    """What makes them again: of a full table that takes half as long as keeping them while it
    fills."""
    indexes = list(made.execute(_INDEXES))
    for name, _ in indexes:
        made.execute(f'drop index "{name}"')
    return [sql for _, sql in indexes]


def _versions(session: Session, url: str) -> dict[str, Version]:
    if not _has_node(session):
        raise CannotBackUp(f"{shown(url)} has no node in it: see that this is the right database")
    return PostgresDatabase(session).versions()


def _has_node(session: Session) -> bool:
    return session.send("select to_regclass('schema')") != [None]


def _contents(session: Session) -> Contents:
    return Contents(*next(iter(session.rows(CONTENTS))))


def _tables(made: apsw.Connection, session: Session) -> list[_Table]:
    names = [name for (name,) in made.execute(_TABLES)]
    return [_table(name, made, session) for name in names]


def _table(name: str, made: apsw.Connection, session: Session) -> _Table:
    columns = list(made.execute(_COLUMNS, (name,)))
    key = [column for column, at in sorted(columns, key=lambda each: each[1]) if at]
    names = [column for column, _ in columns]
    (types,) = next(iter(session.rows(_TYPES, (names, f'"{name}"'))))
    return _Table(name, _listed(names), _listed(key), ", ".join("?" * len(names)), types)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _read_table(session: Session, table: _Table, written: apsw.Connection) -> Iterator[int]:
    put = f'insert into "{table.name}" ({table.columns}) values ({table.marks})'
    ordered = f'select {table.columns} from "{table.name}" order by {table.key}'
    count = 0
    with session.copy(f"copy ({ordered}) to stdout (format binary)", table.types) as copy:
        rows = copy.rows()
        while some := list(islice(rows, STEP_ROWS)):
            written.executemany(put, some)
            count += len(some)
            yield count


def _write_table(
    session: Session, table: _Table, read: apsw.Connection, path: str
) -> Iterator[int]:
    with named(path):
        rows = read.execute(f'select {table.columns} from "{table.name}" order by {table.key}')
    count = 0
    into = f'copy "{table.name}" ({table.columns}) from stdin (format binary)'
    with session.copy(into, table.types) as copy:
        while some := _some(rows, path):
            for row in some:
                copy.write_row(row)
            count += len(some)
            yield count


def _go_on_counting(session: Session, table: _Table) -> None:
    """Numbers that the server gives out by itself begin behind those that were copied."""
    name = f'"{table.name}"'
    for column, sequence in list(session.rows(_COUNTED, (name,))):
        last = f'select setval(%s::text::regclass, max("{column}")) from {name}'
        session.rows(last, (sequence,))


def _some(rows: apsw.Cursor, path: str) -> list[tuple[object, ...]]:
    with named(path):
        return list(islice(rows, STEP_ROWS))


def _copied(table: _Table, count: int, contents: Contents) -> Copied:
    is_log = table.name == _LOG
    return contents.up_to(min(1.0, count / max(contents.entries, 1)) if is_log else 0.0)
