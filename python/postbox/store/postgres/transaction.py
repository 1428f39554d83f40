"""What a write and a read see of the database: `contract.Tx` and `contract.Reader`.

What a write changes goes to the server with its commit, or before the next that it reads. A
transaction that met an error is lost, whatever its caller makes of that: `failure` keeps the error,
so that nobody takes it for something else later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from msgspec.structs import astuple
from psycopg.types.numeric import Int8

from postbox.store.change import check_storable, is_storable, stored_appends
from postbox.store.contract import (
    Change,
    Entry,
    EntryName,
    Found,
    Key,
    Known,
    Lane,
    News,
    Page,
    Query,
    Row,
    Scalar,
    Table,
    Wanted,
    Windows,
)
from postbox.store.paging import cut_page
from postbox.store.postgres import statements
from postbox.store.postgres.arrays import integers, sets
from postbox.store.postgres.exchange import Statement
from postbox.store.postgres.looking_up import find, last_seqs, look_up, read_rows
from postbox.store.postgres.news import MOST_ENTRIES, unpacked
from postbox.store.postgres.session import Session


class PostgresReader:
    """See `contract.Reader`. The head is read first, and with it the snapshot begins."""

    def __init__(self, session: Session, head: int, turn: int) -> None:
        self._session = session
        self.head = head
        self.turn = turn

    def page(
        self, lane: Lane, windows: Windows | None, after: int, limit: int, max_bytes: int
    ) -> Page:
        count = Int8(limit + 1)
        if windows is None:
            asked = (Int8(after), count, Int8(max_bytes))
            rows = self._session.rows(statements.LANE_PAGE[lane], asked)
        elif windows:
            stretches = [(each.stream, max(after, each.after), each.upto) for each in windows]
            asked_sets = sets(("blob", "integer", "integer"), stretches)
            sql = statements.WINDOWS_PAGE[lane]
            rows = self._session.rows(sql, (*asked_sets, count, count, Int8(max_bytes)))
        else:
            return Page([], max(after, self.head), more=False)
        return cut_page((_entry(lane, row) for row in rows), after, self.head, limit, max_bytes)

    def id_at(self, pos: int) -> bytes | None:
        return read_id(self._session, pos)

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        return find(self._session, keys)

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        return read_rows(self._session, table, keys)

    def news(self, since: int, after: int, limit: int) -> list[News]:
        """See `contract.Shared.news`."""
        told: list[tuple[int, int, bytes | None]] = []
        for turn, head, data in self._session.rows(statements.NEWS, (Int8(since), Int8(limit + 1))):
            if told and told[-1][0] > since and head > after + MOST_ENTRIES:
                break  # enough for once, and at least one
            told.append((turn, head, data))
        upto = told[-1][1] if told else after
        rows = self._session.rows(statements.STRETCH, (Int8(after), Int8(upto)))
        entries = deque(_entry(Lane(lane), (pos, *rest)) for pos, lane, *rest in rows)
        return [unpacked(turn, head, data, _taken(entries, head)) for turn, head, data in told]

    def query(self, query: Query, **params: Scalar) -> list[Row]:
        return self._session.query(statements.named(query), params)


class PostgresTx:
    """See `contract.Tx`."""

    def __init__(
        self, session: Session, turn: int, head: int, is_next: bool, has_keepers: bool
    ) -> None:
        self._session = session
        self._has_keepers = has_keepers
        self.turn = turn
        self.head = head
        self.is_next = is_next
        self.new_head = head
        self.changes: list[Change] = []
        self._queued: list[Statement] = []  # of changes that the server was not told yet
        self.failure: psycopg.Error | None = None

    def id_at(self, pos: int) -> bytes | None:
        with self._reading() as session:
            return read_id(session, pos)

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        with self._reading() as session:
            return find(session, keys)

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        with self._reading() as session:
            return read_rows(session, table, keys)

    def last_seqs(self, streams: Collection[bytes]) -> dict[bytes, int]:
        with self._reading() as session:
            return last_seqs(session, streams)

    def look_up(self, wanted: Wanted) -> Known:
        with self._reading() as session:
            return look_up(session, wanted)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """After all that was changed. Notes the first error of the transaction."""
        try:
            self._session.rows_together(self.take_queued())
            yield self._session
        except psycopg.Error as error:
            self.failure = self.failure or error
            raise

    def take_queued(self) -> list[Statement]:
        queued, self._queued = self._queued, []
        return queued

    def apply(self, change: Change) -> None:
        if change.is_empty():
            return
        head = change.appends[-1].pos if change.appends else self.new_head
        has_keepers = self._has_keepers or bool(change.removes)
        self._queued += list(_told(change, head, has_keepers))  # or nothing, if a value is unfit
        self.changes.append(change)
        self.new_head, self._has_keepers = head, has_keepers


def _told(change: Change, head: int, has_keepers: bool) -> Iterator[Statement]:
    """`head`: the log's after it."""
    if change.removes:
        removes = integers(change.removes)
        yield Statement(statements.KEEP, (removes, Int8(head)))
        yield Statement(statements.REMOVE, (removes,))
    if change.blanks:
        yield Statement(statements.BLANK, (integers(change.blanks),))
    if change.appends:
        rows = map(astuple, stored_appends(change))
        yield Statement(statements.APPEND, sets(statements.ENTRY_TYPES, rows))
        if has_keepers:
            yield Statement(statements.SWEEP, (Int8(head),))
    for table, puts in change.puts.items():
        if puts:
            check_storable(puts)
            last = {row[: table.key]: row for row in puts}.values()
            yield Statement(statements.put(table), sets(statements.types(table), last))
    for table, keys in change.drops.items():
        if sought := [key for key in keys if is_storable(key)]:
            yield Statement(statements.drop(table), sets(statements.key_types(table), sought))


def read_id(session: Session, pos: int) -> bytes | None:
    row = session.rows(statements.ID_AT, (Int8(pos),)).fetchone()
    return None if row is None else row[0]


def _taken(entries: deque[Entry], upto: int) -> list[Entry]:
    """Off the front: those up to a position."""
    taken = []
    while entries and entries[0].pos <= upto:
        taken.append(entries.popleft())
    return taken


def _entry(lane: Lane, row: Sequence[Any]) -> Entry:
    return Entry(row[0], lane, *row[1:])
