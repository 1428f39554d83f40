"""Connections for applications: to the node's database, for transactions of their own.

On SQLite they take turns with the node's writer, so a transaction that is left open keeps the node
from writing: it waits for `BUSY_TIMEOUT_MS`, and again. What they commit is as durable as what the
node does. Whose tables they may touch is theirs and those that say so (`draft`, `handled`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from postbox.store.open import is_url
from postbox.world import Disk

if TYPE_CHECKING:
    import apsw
    import psycopg

Connection: TypeAlias = "apsw.Connection | psycopg.Connection[Any]"

T = TypeVar("T")

APPLICATION_NAME = "postbox application"


def open_for_application(disk: Disk, database: str) -> Connection:
    """In autocommit mode, as both libraries then agree: nothing is open before `begin`. To be
    closed by whoever asked for it."""
    if is_url(database):
        return disk.connect_database(_conninfo(database))
    from postbox.store.sqlite.checkpoints import Checkpoints
    from postbox.store.sqlite.driver import BUSY_TIMEOUT_MS

    connection = disk.open_database(database)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("synchronous", "full")
    Checkpoints(connection, BUSY_TIMEOUT_MS)
    return connection


def in_transaction(connection: Connection, work: Callable[[], T]) -> T:
    """`work` in a transaction that is committed if it returns, and rolled back if it raises. One
    that writes takes its turn at once, so that it never meets another one in the middle."""
    server = _on_server(connection)
    if server is not None:
        with server.transaction():
            return work()
    return _in_turn(cast("apsw.Connection", connection), work)


def execute(connection: Connection, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
    """One statement with `?` for parameters; its rows. Raises as the connection's library does, and
    TypeError for what is a connection of neither."""
    server = _on_server(connection)
    if server is not None:
        cursor = server.execute(sql.replace("?", "%s").encode(), parameters)
        return cursor.fetchall() if cursor.description else []
    return list(cast("apsw.Connection", connection).execute(sql, tuple(parameters)))


def _in_turn(connection: apsw.Connection, work: Callable[[], T]) -> T:
    connection.execute("begin immediate")
    try:
        result = work()
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:  # after some errors SQLite has rolled back by itself
            connection.execute("rollback")
        raise
    return result


def _on_server(connection: object) -> psycopg.Connection[Any] | None:
    """None: it is apsw's. Neither library is loaded for the answer."""
    kinds = type(connection).__mro__
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in kinds}
    if ("psycopg", "Connection") in names:
        return cast("psycopg.Connection[Any]", connection)
    if ("apsw", "Connection") in names:
        return None
    raise TypeError(
        f"{kinds[0].__module__}.{kinds[0].__name__} cannot post: it takes an apsw.Connection or a"
        " psycopg.Connection to the node's database. (Python's own sqlite3 in one process with the"
        " node would undo its locks.)"
    )


def _conninfo(url: str) -> str:
    from psycopg.conninfo import make_conninfo

    return make_conninfo(url, application_name=APPLICATION_NAME, target_session_attrs="read-write")
