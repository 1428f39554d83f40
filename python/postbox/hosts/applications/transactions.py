"""Runs an application's handler inside a transaction on the node's database, once.

Its effect, whatever tables it writes, is committed together with a row of `handled`. Who finds that
row, or the reader's place beyond the event, has nothing to do. Synchronous: called in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from postbox.store.application import (
    Connection,
    execute,
    in_transaction,
    open_for_application,
)
from postbox.store.idle import Idle
from postbox.world import Disk

_NOTE = (
    "insert into handled (reader, pos) values (?, ?) on conflict (reader, pos) do nothing"
    " returning pos"
)
_FORGET = "delete from handled where reader = ? and pos = ?"
_IS_OPEN = (
    "select 1 from outbox o where o.reader = ? and (o.acknowledged < ? or exists"
    " (select 1 from dead d where d.reader = o.reader and d.pos = ? and d.is_revived = 1))"
)


class Transactions:
    def __init__(self, disk: Disk, database: str) -> None:
        self._disk = disk
        self._database = database
        self._idle: Idle[Connection] = Idle()

    def run(self, reader: str, pos: int, handler: Callable[[Connection], None]) -> None:
        """Raises what the handler does, and then nothing of it is there."""
        connection = self._idle.take() or open_for_application(self._disk, self._database)
        try:
            in_transaction(connection, partial(_once, connection, reader, pos, handler))
        except BaseException:
            connection.close()  # in whatever state it was left
            raise
        self._idle.keep(connection)

    def close(self) -> None:
        self._idle.close()


def _once(
    connection: Connection, reader: str, pos: int, handler: Callable[[Connection], None]
) -> None:
    """The row first: who comes second waits for the first to commit or roll back. If there is none,
    it may be because the event was acknowledged meanwhile, which drops the row."""
    if not execute(connection, _NOTE, (reader, pos)):
        return
    if execute(connection, _IS_OPEN, (reader, pos, pos)):
        handler(connection)
    else:
        execute(connection, _FORGET, (reader, pos))
