"""The store on SQLite, through apsw: one connection that writes, a few that read.

Write-ahead log, `synchronous=full` (read back at open), one statement an execute. A connection is
used by one thread at a time: the writer pool has one thread, and `read` takes a connection out of
the idle ones for as long as it runs.
"""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from heapq import merge
from itertools import groupby, islice
from typing import Any, TypeVar

import apsw
from msgspec.structs import astuple

from postbox.errors import Fatal, Fault, Full, Unavailable, Violation
from postbox.store.change import check_storable, stored_appends
from postbox.store.contract import (
    Change,
    Entry,
    EntryName,
    Found,
    Identity,
    Key,
    Known,
    Lane,
    Page,
    Query,
    Reader,
    Row,
    Scalar,
    Size,
    Table,
    Tx,
    Wanted,
    Windows,
)
from postbox.store.idle import Idle
from postbox.store.paging import cut_page
from postbox.store.schema import KERNEL, Migrations, Schema, identity_of, migrate
from postbox.store.sqlite import statements
from postbox.store.sqlite.checkpoints import Checkpoints
from postbox.store.sqlite.integrity import find_damage
from postbox.store.sqlite.tables import SqliteDatabase
from postbox.world import Disk

T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000  # another process with the file open holds its lock for less than 1 s
CACHE_KIB = 65_536  # the id index of a million mesh events is 30 MB
_SYNCHRONOUS_FULL = 2
_SHM_CAN_NOT_GROW = apsw.SQLITE_IOERR_SHMSIZE  # a full disk is the one reason that it has
_DISK_FULL_HINT = "make room on the disk of the home; nothing was written"


class SqliteStore:
    """See `contract.Store`."""

    def __init__(
        self,
        disk: Disk,
        path: str,
        writer: apsw.Connection,
        sets: Sequence[Migrations],
        schema: Schema,
    ) -> None:
        self._disk = disk
        self._path = path
        self._writer = writer
        self._cursor = writer.cursor()
        self._idle: Idle[apsw.Connection] = Idle()
        self._sets = sets
        self._schema = schema

    def write(self, work: Callable[[Tx], T]) -> T:
        cursor = self._cursor
        try:
            cursor.execute("begin immediate")
            result = work(SqliteTx(cursor))
            cursor.execute("commit")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, apsw.Error):
                raise renamed(error, self._path) from error
            raise
        return result

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, and a closed connection cannot.
        try:
            if self._writer.in_transaction:
                self._cursor.execute("rollback")
        except apsw.Error:
            pass

    def read(self, work: Callable[[Reader], T]) -> T:
        return self._with_connection(lambda connection: _read(connection, work))

    def _with_connection(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            connection = self._idle.take() or _connect(self._disk, self._path)
            try:
                return work(connection)
            finally:
                self._idle.keep(connection)
        except apsw.Error as error:
            raise renamed(error, self._path) from error

    def identity(self) -> Identity:
        return self.read(partial(identity_of, self._schema))

    @property
    def shared(self) -> None:
        """A home is open in one process."""

    def check(self) -> list[str]:
        def work(connection: apsw.Connection) -> list[str]:
            # SQLite's name of a database that is nobody else's and ends with its connection.
            with closing(self._disk.open_database("")) as empty:
                return find_damage(connection, empty, self._sets)

        return self._with_connection(work)

    def size(self) -> Size:
        return self._with_connection(_size)

    def close(self) -> None:
        self._idle.close()
        self._writer.close()


def open_sqlite(
    disk: Disk, path: str, migrations: Sequence[Migrations], epoch: bytes, cursor_key: bytes
) -> SqliteStore:
    """Opens or makes the database at `path` and brings its tables up to date.

    `epoch` and `cursor_key` are fresh random bytes, taken only if the database is new.
    """
    try:
        writer = _connect(disk, path)
        sets = (KERNEL, *migrations)
        try:
            schema = _prepare(writer, sets, epoch, cursor_key)
        except BaseException:
            writer.close()
            raise
    except apsw.Error as error:
        raise renamed(error, path) from error
    return SqliteStore(disk, path, writer, sets, schema)


def _connect(disk: Disk, path: str) -> apsw.Connection:
    connection = disk.open_database(path)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    # memdb, which the simulator uses, has no write-ahead log and answers "memory".
    if connection.pragma("journal_mode", "wal") not in ("wal", "memory"):
        raise Fatal(f"{path} does not take a write-ahead log: put the home on a local disk")
    connection.pragma("synchronous", "full")
    if connection.pragma("synchronous") != _SYNCHRONOUS_FULL:
        raise Fatal(f"{path} does not keep synchronous=full, without which a crash loses events")
    connection.pragma("cache_size", -CACHE_KIB)
    Checkpoints(connection, BUSY_TIMEOUT_MS)
    return connection


def _prepare(
    connection: apsw.Connection, sets: Sequence[Migrations], epoch: bytes, cursor_key: bytes
) -> Schema:
    connection.execute("begin immediate")
    try:
        schema = migrate(SqliteDatabase(connection), sets)
        for name, value in (("epoch", epoch), ("cursor_key", cursor_key)):
            connection.execute("insert or ignore into identity values (?, ?)", (name, value))
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:  # after some errors SQLite has rolled back by itself
            connection.execute("rollback")
        raise
    return schema


def _read(connection: apsw.Connection, work: Callable[[Reader], T]) -> T:
    cursor = connection.cursor()
    cursor.execute("begin")
    try:
        return work(SqliteReader(cursor))
    finally:
        cursor.execute("rollback")


def _size(connection: apsw.Connection) -> Size:
    pages, free_pages, page_bytes = (
        connection.pragma(name) for name in ("page_count", "freelist_count", "page_size")
    )
    used_bytes, room_bytes = pages * page_bytes, None
    with suppress(OSError):  # what is in memory has no files
        files = (connection.filename, connection.filename_wal)
        used_bytes = sum(os.stat(file).st_size for file in files)
        room_bytes = shutil.disk_usage(os.path.dirname(connection.filename)).free
    return Size(used_bytes, free_pages * page_bytes, room_bytes)


def renamed(error: apsw.Error, path: str) -> Fault:
    """What apsw raised, in the store contract's words."""
    match error:
        case apsw.BusyError() | apsw.LockedError() | apsw.InterruptError():
            return Unavailable(
                f"{path} is locked by another program ({error}); a node that serves tries again"
            )
        case _ if isinstance(error, apsw.FullError) or _extended(error) == _SHM_CAN_NOT_GROW:
            return Full(f"no room for {path} ({error}): {_DISK_FULL_HINT}")
        case apsw.ConstraintError() | apsw.MismatchError() | apsw.TooBigError():
            return Violation(f"{path} refused a change: {error}")
        case _:
            return Fatal(f"{path} failed ({error!r}): stop, check the disk, run `postbox verify`")


def _extended(error: apsw.Error) -> int:
    """SQLite's own number of what went wrong."""
    return int(getattr(error, "extendedresult", 0))


class SqliteReader:
    """See `contract.Reader`. The head is read first, and with it the snapshot begins."""

    turn = 0

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self.head = read_head(cursor)

    def page(
        self, lane: Lane, windows: Windows | None, after: int, limit: int, max_bytes: int
    ) -> Page:
        if windows is None:
            rows = self._cursor.execute(statements.LANE_PAGE[lane], (after, limit + 1))
        else:
            positions = self._positions(lane, windows, after, limit + 1)
            if not positions:
                return Page([], max(after, self.head), more=False)
            rows = self._cursor.execute(statements.ENTRIES_AT, (_integers(positions),))
        return cut_page(_entries(lane, rows), after, self.head, limit, max_bytes)

    def _positions(self, lane: Lane, windows: Windows, after: int, limit: int) -> list[int]:
        """The first `limit` positions in any of the windows, which may overlap. Each window is read
        only so far as it is needed."""
        sql = statements.WINDOW[lane]
        cursors = [self._cursor.connection.cursor() for _ in windows]
        try:
            each = [
                cursor.execute(sql, (window.stream, max(after, window.after), window.upto, limit))
                for cursor, window in zip(cursors, windows, strict=True)
            ]
            return [pos for (pos,), _ in islice(groupby(merge(*each)), limit)]
        finally:
            for cursor in cursors:
                cursor.close()

    def id_at(self, pos: int) -> bytes | None:
        return read_id(self._cursor, pos)

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        return find(self._cursor, keys)

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        return read_rows(self._cursor, table, keys)

    def query(self, query: Query, **params: Scalar) -> list[Row]:
        return list(self._cursor.execute(query.sqlite, params))


class SqliteTx:
    """See `contract.Tx`. One process has the home open, so nobody else ever writes entries."""

    is_next = True
    turn = 0

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self.head = self._new_head = read_head(cursor)

    def id_at(self, pos: int) -> bytes | None:
        return read_id(self._cursor, pos)

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        return find(self._cursor, keys)

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        return read_rows(self._cursor, table, keys)

    def last_seqs(self, streams: Collection[bytes]) -> dict[bytes, int]:
        if not streams:
            return {}
        array_of_streams = apsw.carray(tuple(streams))
        rows = self._cursor.execute(statements.LAST_SEQS, (array_of_streams,))
        return {stream: seq or 0 for stream, seq in rows}

    def look_up(self, wanted: Wanted) -> Known:
        rows = {table: self.rows(table, keys) for table, keys in wanted.rows.items()}
        return Known(self.find(wanted.entries), rows, self.last_seqs(wanted.streams))

    def apply(self, change: Change) -> None:
        execute = self._cursor.execute
        if change.appends:
            self._new_head = change.appends[-1].pos
        if change.removes:
            # The head carries the next position, a stream's newest number the next one: what is
            # left of them is kept until a later entry takes over.
            removes = _integers(change.removes)
            execute(statements.KEEP, (removes, self._new_head))
            execute(statements.REMOVE, (removes,))
        if change.blanks:
            execute(statements.BLANK, (_integers(change.blanks),))
        if change.appends:
            self._cursor.executemany(statements.APPEND, map(astuple, stored_appends(change)))
            execute(statements.SWEEP, (change.appends[-1].pos,))
        for table, rows in change.puts.items():
            check_storable(rows)
            self._cursor.executemany(statements.put(table), rows)
        for table, keys in change.drops.items():
            self._cursor.executemany(statements.drop(table), keys)


def read_head(cursor: apsw.Cursor) -> int:
    (head,) = next(cursor.execute(statements.HEAD))
    return head or 0


def read_id(cursor: apsw.Cursor, pos: int) -> bytes | None:
    row = cursor.execute(statements.ID_AT, (pos,)).fetchone()
    return None if row is None else row[0]


def find(cursor: apsw.Cursor, keys: Collection[EntryName]) -> dict[EntryName, Found]:
    ids_by_lane: dict[Lane, list[bytes]] = {}
    for lane, entry_id in keys:
        ids_by_lane.setdefault(lane, []).append(entry_id)
    found: dict[EntryName, Found] = {}
    for lane, ids in ids_by_lane.items():
        rows = cursor.execute(statements.FIND[lane], (apsw.carray(tuple(ids)),))
        found.update(((lane, entry_id), Found._make(row)) for entry_id, *row in rows)
    return found


def read_rows(cursor: apsw.Cursor, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
    read: dict[Key, Row | None] = dict.fromkeys(keys)
    if not read:
        return read
    bound = _bound(table, read)
    if bound is None:
        sql = statements.row(table)
        for key in read:
            read[key] = cursor.execute(sql, key).fetchone()
        return read
    for row in cursor.execute(statements.rows(table), (bound,)):
        read[row[: table.key]] = row
    return read


def _bound(table: Table, keys: Iterable[Key]) -> Any:
    """The keys as one array, or None where they cannot be: of two columns, or of mixed types."""
    if table.key != 1:
        return None
    values = tuple(key[0] for key in keys)
    match values[0]:
        case str() if all(isinstance(value, str) and "\0" not in value for value in values):
            return apsw.carray(values)
        case bytes() if all(isinstance(value, bytes) for value in values):
            return apsw.carray(values)
        case _:
            return None


def _entries(lane: Lane, rows: Iterable[Any]) -> Iterator[Entry]:
    # Column by column: a rebuild reads the whole log, and a call a row would be a fifth of that.
    for pos, stream, seq, entry_id, kind, flags, author, at_ms, body in rows:
        yield Entry(pos, lane, stream, seq, entry_id, kind, flags, author, at_ms, body)


def _integers(values: Iterable[int]) -> Any:
    return apsw.carray(array("q", values))
