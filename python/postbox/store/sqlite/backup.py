"""A database on SQLite as one file, and back: its pages, as they are at one moment.

The pages are copied under one read transaction, so that nobody who writes meanwhile is hindered or
makes the copy begin anew; until it ends the write-ahead log grows by what is written. See
docs/decisions/0020-a-backup-is-one-sqlite-file.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import apsw
from msgspec import convert
from msgspec.structs import astuple

from postbox.errors import Fatal, Full
from postbox.store.backup import CannotRestore, Contents, Copying, Label
from postbox.store.contract import Lane
from postbox.store.schema import KERNEL, Migrations, check_compatible
from postbox.store.sqlite.driver import BUSY_TIMEOUT_MS, CACHE_KIB, renamed
from postbox.store.sqlite.tables import SqliteDatabase
from postbox.world import Disk

FORMAT = 1
"""Of the label, and of what a backup is; the tables have numbers of their own."""

STEP_PAGES = 1_024  # 4 MiB: hundredths of a second

_LABEL = """create table backup (format integer not null, made_at_ms integer not null,
  engine text not null, version text not null, name text not null, "key" blob not null) strict"""
_PUT_LABEL = "insert into backup values (?, ?, ?, ?, ?, ?)"
_READ_LABEL = 'select format, made_at_ms, engine, version, name, "key" from backup'

CONTENTS = f"""select (select value from identity where name = 'node'),
  (select value from identity where name = 'epoch'),
  (select coalesce(max(pos), 0) from entry),
  (select count(*) from entry where lane <> 0),
  (select count(*) from entry where lane = {Lane.MESH:d})"""


def copy_pages(disk: Disk, source: str, target: str) -> Copying:
    """All pages of the database at `source` into `target`, which is there and empty."""
    with closing(open_for_reading(disk, source)) as read:
        contents = begin_reading(read, source)
        with closing(open_new(disk, target)) as written:
            with written.backup("main", read, "main") as copying:
                while not copying.done:
                    with named(target):
                        copying.step(STEP_PAGES)
                    yield contents.up_to(1 - copying.remaining / max(copying.page_count, 1))
    return contents


def open_for_reading(disk: Disk, path: str) -> apsw.Connection:
    """Says nothing to the database that would write, so that also who serves has nothing of it."""
    with named(path):
        connection = disk.open_database(path)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("query_only", 1)
        return connection


def begin_reading(connection: apsw.Connection, path: str) -> Contents:
    """What it holds in the snapshot that begins with this."""
    with named(path):
        connection.execute("begin")
        return Contents(*next(connection.execute(CONTENTS)))


def open_new(disk: Disk, path: str) -> apsw.Connection:
    """For writing what nobody else has open yet: whoever asked for it makes it durable at the end,
    or throws it away."""
    with named(path):
        connection = disk.open_database(path)
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("journal_mode", "off")
        connection.pragma("synchronous", "off")
        connection.pragma("cache_size", -CACHE_KIB)
        return connection


@contextmanager
def named(path: str) -> Iterator[None]:
    """What goes wrong in it went wrong with the database at `path`."""
    try:
        yield
    except apsw.FullError as error:
        raise Full(f"no room for {path}: make room on its disk, or name another place") from error
    except apsw.Error as error:
        raise renamed(error, path) from error


def put_label(disk: Disk, path: str, label: Label) -> None:
    with closing(open_new(disk, path)) as connection, named(path):
        connection.execute(_LABEL)
        connection.execute(_PUT_LABEL, (FORMAT, *astuple(label)))


def drop_label(disk: Disk, path: str) -> None:
    with closing(open_new(disk, path)) as connection, named(path):
        connection.pragma("secure_delete", 1)
        connection.execute("drop table backup")


def check_copy(disk: Disk, path: str, contents: Contents) -> None:
    """Raises Fatal if it does not hold what it should."""
    with closing(open_for_reading(disk, path)) as connection:
        problem = _damage(connection, path)
        if problem is None and begin_reading(connection, path) != contents:
            problem = "it does not hold what was copied"
    if problem is not None:
        raise Fatal(f"{path} is damaged right after it was written ({problem}): check its disk")


def read_label(disk: Disk, path: str, sets: Sequence[Migrations]) -> tuple[Label, Contents]:
    """See `backup.read_backup`."""
    try:
        with closing(open_for_reading(disk, path)) as connection:
            label = _label(connection, path)
            check_compatible(SqliteDatabase(connection).versions(), (KERNEL, *sets), "sqlite")
            problem = _damage(connection, path)
            if problem is None:
                return label, begin_reading(connection, path)
    except (Fatal, apsw.Error) as error:
        problem = str(error.__cause__ or error)
    raise CannotRestore(f"{path} is no backup, or damaged ({problem}): take another one")


def _label(connection: apsw.Connection, path: str) -> Label:
    form, *row = next(connection.execute(_READ_LABEL))
    if form != FORMAT:
        raise CannotRestore(f"{path} was made by a newer postbox: restore it with that one")
    return convert(dict(zip(Label.__struct_fields__, row, strict=True)), Label)


def _damage(connection: apsw.Connection, path: str) -> str | None:
    with named(path):
        said = connection.pragma("integrity_check", 1)
    return None if said == "ok" else " ".join(str(said).split())
