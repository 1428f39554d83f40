"""The store on PostgreSQL, through psycopg: one connection that writes, a few that read.

Several processes may have the same database open. Who writes holds the sequencer, an advisory lock,
from before it reads the head until its commit is done: so positions are dense and come in the order
of commits, which a `bigserial` does not give. A connection that failed is given up and another one
opened at the next call; a commit whose answer was lost is Unavailable, perhaps committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeAlias, TypeVar

import psycopg
from psycopg.types.numeric import Int8

from postbox.errors import Unavailable
from postbox.store.contract import Expect, Identity, News, Size, Snapshot, Tx
from postbox.store.idle import Idle
from postbox.store.postgres import statements
from postbox.store.postgres.exchange import Statement
from postbox.store.postgres.faults import renamed
from postbox.store.postgres.integrity import find_damage, taken_bytes
from postbox.store.postgres.leases import PostgresLeases
from postbox.store.postgres.listening import PostgresHearing, PostgresListening, telling
from postbox.store.postgres.news import KEPT_TURNS, SWEEP_COMMITS, packed
from postbox.store.postgres.session import Patience, Role, Session, open_session, shown
from postbox.store.postgres.tables import PostgresDatabase
from postbox.store.postgres.transaction import PostgresReader, PostgresTx
from postbox.store.schema import KERNEL, Migrations, Schema, identity_of, migrate
from postbox.world import Disk

T = TypeVar("T")
Connect: TypeAlias = Callable[[Role], Session]


class PostgresStore:
    """See `contract.Store`."""

    def __init__(
        self,
        connect: Connect,
        where: str,
        writer: Session,
        sets: Sequence[Migrations],
        schema: Schema,
    ) -> None:
        self._connect = connect
        self._where = where
        self._sets = sets
        self._schema = schema
        self._idle: Idle[Session] = Idle()
        self._writer = writer
        self._is_settled = False  # everything that this process may have committed before is safe
        self._turn = -1  # the last one drawn by this connection
        self._commits = 0
        self._expect: Expect = lambda: _as_it_is

    @property
    def shared(self) -> PostgresStore:
        return self

    def guard(self, expect: Expect) -> None:
        self._expect = expect

    def _guarded(self, role: Role) -> Session:
        check = self._expect()
        session = self._connect(role)
        session.unchecked = check
        return session

    def write(self, work: Callable[[Tx], T]) -> T:
        tx: PostgresTx | None = None
        try:
            tx = self._begin()
            _check(self._writer, tx)
            result = work(tx)
            if tx.failure is not None:
                raise tx.failure
            self._commit(tx)
        except BaseException as error:
            self._writer.roll_back()
            cause = error if tx is None else tx.failure or error  # not what came of it later
            if isinstance(cause, psycopg.Error):
                raise renamed(cause, self._where) from cause
            raise
        return result

    def _begin(self) -> PostgresTx:
        if self._writer.is_open:
            try:
                return self._transaction(self._writer.begin())
            except psycopg.Error:
                self._writer.roll_back()
                if self._writer.is_open:
                    raise
        self._is_settled, self._turn = False, -1
        self._writer = self._guarded(Role.WRITER)
        return self._transaction(self._writer.begin())

    def _transaction(self, begun: Sequence[int]) -> PostgresTx:
        turn, head, has_keepers = begun
        is_next = turn == self._turn + 1
        self._turn = turn
        return PostgresTx(self._writer, turn, head, is_next, bool(has_keepers))

    def _commit(self, tx: PostgresTx) -> None:
        first = () if self._is_settled else (Statement(statements.SETTLE),)
        self._writer.commit((*first, *tx.take_queued(), *self._news(tx)))
        self._is_settled = True

    def _news(self, tx: PostgresTx) -> Iterator[Statement]:
        if not tx.changes:
            return
        told = (Int8(tx.turn), Int8(tx.new_head), packed(tx.changes))
        yield Statement(statements.TELL, told)
        yield Statement(statements.notify(self._writer.channel, tx.new_head))
        self._commits += 1
        if self._commits % SWEEP_COMMITS == 1:  # the first one too: processes may live for short
            upto = Int8(tx.turn - KEPT_TURNS)
            yield Statement(statements.SWEEP_NEWS, (upto, Int8(tx.turn)))

    def read(self, work: Callable[[PostgresReader], T]) -> T:
        with self._reading() as (session, reader):
            result = work(reader)
            session.send("commit")
            return result

    @contextmanager
    def _reading(self) -> Iterator[tuple[Session, PostgresReader]]:
        try:
            session, (head, turn) = self._begin_reading()
            try:
                reader = PostgresReader(session, head, turn)
                _check(session, reader)
                yield session, reader
            finally:
                session.roll_back()
                if session.is_open:
                    self._idle.keep(session)
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def _begin_reading(self) -> tuple[Session, list[int]]:
        while (session := self._idle.take()) is not None:
            try:
                return session, session.begin()
            except (psycopg.Error, Unavailable):  # from before the server started anew, perhaps
                session.close()
        session = self._guarded(Role.READER)
        try:
            return session, session.begin()
        except BaseException:
            session.close()
            raise

    def identity(self) -> Identity:
        return self.read(partial(identity_of, self._schema))

    def news(self, since: int, after: int, limit: int) -> list[News]:
        return self.read(lambda reader: reader.news(since, after, limit))

    def listen(self) -> PostgresListening:
        try:
            session = self._connect(Role.LISTENER)
            return PostgresListening(session, lambda: self._writer.backend, self._where)
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def tell(self, messages: Sequence[bytes]) -> None:
        with self._reading() as (session, _):
            session.send(f"{telling(session, messages)}; commit")

    def hear(self) -> PostgresHearing:
        try:
            return PostgresHearing(self._connect(Role.LISTENER), self._where)
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def link_leases(self, holder: bytes, idle_ms: int) -> PostgresLeases:
        try:
            return PostgresLeases(self._connect(Role.LEASES), self._where, holder, idle_ms)
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def check(self) -> list[str]:
        """By a connection of its own, without the limits and the plans of the others."""
        try:
            with closing(self._connect(Role.READER)) as session:
                return find_damage(session, self._sets)
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def size(self) -> Size:
        return Size(self.read(partial(taken_bytes, self._sets)), free_bytes=None, room_bytes=None)

    def interrupt(self) -> None:
        self._writer.shut_down()

    def close(self) -> None:
        self._idle.close()
        self._writer.close()


def _as_it_is(snapshot: Snapshot) -> None:
    """What is expected of a log of which nothing is known."""


def _check(session: Session, snapshot: Snapshot) -> None:
    if session.unchecked is not None:
        session.unchecked(snapshot)
        session.unchecked = None


def open_postgres(
    disk: Disk,
    url: str,
    migrations: Sequence[Migrations],
    epoch: bytes,
    cursor_key: bytes,
    patience: Patience = Patience(),  # noqa: B008  (a frozen Struct)
) -> PostgresStore:
    """Opens the database at `url`, which must be there, and brings its tables up to date.

    The tables lie in the first schema of the `search_path`. `epoch` and `cursor_key` are fresh
    random bytes, taken only if the database is new. Raises as `write` does, and SchemaTooNew.
    """
    where = shown(url)
    connect = partial(_connect, disk, url, patience)
    try:
        writer = connect(Role.WRITER)
        sets = (KERNEL, *migrations)
        try:
            schema = _prepare(writer, sets, epoch, cursor_key)
        except BaseException:
            writer.close()
            raise
    except psycopg.Error as error:
        raise renamed(error, where) from error
    return PostgresStore(connect, where, writer, sets, schema)


def _connect(disk: Disk, url: str, patience: Patience, role: Role) -> Session:
    return open_session(disk, url, role, patience)


def _prepare(
    session: Session, sets: Sequence[Migrations], epoch: bytes, cursor_key: bytes
) -> Schema:
    session.send(f"{session.take_turn}; {statements.NO_TIME_LIMIT}")
    schema = migrate(PostgresDatabase(session), sets)
    for name, value in (("epoch", epoch), ("cursor_key", cursor_key)):
        session.rows("insert into identity values (%s, %s) on conflict do nothing", (name, value))
    session.commit()
    return schema
