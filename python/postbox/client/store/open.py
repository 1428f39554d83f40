"""Opens the file of a device: one process at a time, only its owner, nothing newer than this."""

from __future__ import annotations

from contextlib import ExitStack

import apsw

from postbox.client.errors import DatabaseInUse
from postbox.client.facts import Owner
from postbox.client.store import shadow
from postbox.client.store.faults import named
from postbox.client.store.schema import check_ours, load_steps, migrate
from postbox.client.store.store import Store
from postbox.errors import Fatal
from postbox.world import Disk

BUSY_TIMEOUT_MS = 5_000  # for another program that looks into the file: `sqlite3`, a backup
LOCK_SUFFIX = "-lock"
WAL_BYTES = 16 * 2**20  # that the write-ahead log keeps of its room once it was longer
CACHE_KIB = 16_384  # the index by uuid is hit at random: that of 100,000 messages has 6 MB
CHECKPOINT_PAGES = 1_000  # 4 MB of it, which are brought into the file then
_SYNCHRONOUS_FULL = 2


def open_store(disk: Disk, path: str, owner: Owner | None = None) -> Store:
    """The store in the file at `path`, which is made if it is not there. `owner`: as `claim`.

    Raises NoDatabase, BrokenDatabase, DatabaseInUse, AnotherOwner, SchemaTooNew, Full, Unavailable
    and Fatal; what is in the file stays as it is then.
    """
    with ExitStack() as stack, named(path):
        lock = _take_lock(stack, disk, path)
        writer = _connect(stack, disk, path)
        migrate(writer, path, load_steps())
        _drop_shadow(writer)
        reader = _connect(stack, disk, path)
        store = Store(path, lock, writer, reader)
        if owner is not None:
            store.claim(owner)
        stack.pop_all()
    return store


def _take_lock(stack: ExitStack, disk: Disk, path: str) -> apsw.Connection:
    """A database beside the file with nothing in it, held as long as the store is open: the system
    lets it go with the process, however that ends."""
    lock = disk.open_database(path + LOCK_SUFFIX)
    stack.callback(lock.close)
    try:
        lock.pragma("journal_mode", "memory")  # nothing is written, so no other file is needed
        lock.execute("begin exclusive")
    except apsw.BusyError:
        raise DatabaseInUse(
            f"{path} is open in another process, or twice in this one: stop the other, or give each"
            " a file and a device name of its own"
        ) from None
    return lock


def _connect(stack: ExitStack, disk: Disk, path: str) -> apsw.Connection:
    connection = disk.open_database(path)
    stack.callback(connection.close)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    check_ours(connection, path)
    # memdb, which the simulator uses, has no write-ahead log and answers "memory".
    if connection.pragma("journal_mode", "wal") not in ("wal", "memory"):
        raise Fatal(f"{path} does not take a write-ahead log: put it on a local disk")
    connection.pragma("synchronous", "full")
    if connection.pragma("synchronous") != _SYNCHRONOUS_FULL:
        raise Fatal(f"{path} does not keep synchronous=full, without which a crash loses messages")
    connection.pragma("journal_size_limit", WAL_BYTES)
    connection.pragma("cache_size", -CACHE_KIB)
    connection.wal_autocheckpoint(CHECKPOINT_PAGES)
    return connection


def _drop_shadow(writer: apsw.Connection) -> None:
    """That a crash left of a snapshot: it comes again, from the beginning."""
    cursor = writer.cursor()
    if shadow.is_there(cursor):
        cursor.execute("begin immediate")
        shadow.drop(cursor)
        cursor.execute("commit")
