"""Connections to PostgreSQL: how they are opened, and what each is told before anything else.

A writer's connection holds the sequencer, for which all processes of the node wait, so that nothing
may keep it for long: not a process that was stopped (`idle_ms`), nor one whose machine is gone
(`silence_ms`). Both kinds of connection go to a server that is no standby, since what was committed
must be there for the next read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any, NoReturn

import psycopg
from msgspec import Struct
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGconn

from postbox.errors import Fatal, Unavailable
from postbox.store.contract import Row, Scalar, Snapshot
from postbox.store.postgres import statements
from postbox.store.postgres.arrays import DUMPERS
from postbox.store.postgres.exchange import Exchange, Statement
from postbox.world import Disk, cut

OLDEST_VERSION = 130_000  # before it, one time limit is for all statements of a message together
_LOCK = int.from_bytes(b"post") << 32  # our advisory locks: this, and the number of the schema


class Role(Enum):
    WRITER = "writer"
    READER = "reader"
    LISTENER = "listener"
    LEASES = "leases"


_WRITING = (Role.WRITER, Role.LEASES)


class Patience(Struct, frozen=True):
    """How long is waited for what, before the store is Unavailable."""

    connect_s: int = 10
    idle_ms: int = 5_000  # for this process to go on with its transaction: its work takes 0.1 s
    lock_ms: int = 20_000  # for our turn to write: some that stood still one after another
    statement_ms: int = 60_000  # the longest is a page of a big log from a cold disk: seconds
    silence_ms: int = 15_000  # of the other side, until the connection counts as lost


# A prepared statement is planned once, whatever the tables hold by then: see `statements`.
PLANNER = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",  # would be for plans that seem dear, which is how `off` above makes them look
}


class Session:
    """One connection, used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection, role: Role, schema: int) -> None:
        self._connection = connection
        self._role = role
        self._rows = connection.cursor(binary=True)
        self._messages = connection.cursor()
        self._exchange = Exchange(connection)
        self._warnings: list[str] = []
        connection.add_notice_handler(self._take_notice)
        self._has_first = False  # not before there are tables
        self.unchecked: Callable[[Snapshot], None] | None = None
        """What its first transaction has to be held against."""
        self.take_turn = statements.take_turn(_LOCK | schema)
        self.channel = f"postbox_{schema}"
        self.messages_channel = f"{self.channel}_messages"
        self.schema = schema

    def _take_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "a warning without a text")

    @property
    def is_open(self) -> bool:
        return not self._connection.closed

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        """One statement, prepared at its first time."""
        return self._rows.execute(sql, parameters, prepare=True)

    def rows_together(self, asked: Sequence[Statement]) -> list[list[tuple[Any, ...]]]:
        """The rows of each, for one message there and one back."""
        if not asked:
            return []
        return [self._exchange.rows(answer) for answer in self._exchange.ask(asked)]

    def query(self, sql: str, parameters: Mapping[str, Scalar | list[str]] = {}) -> list[Row]:
        return self._rows.execute(sql, parameters).fetchall()

    @contextmanager
    def copy(self, sql: str, types: Sequence[int]) -> Iterator[psycopg.Copy]:
        """Rows in binary form, out or in. `types`: PostgreSQL's numbers of the columns'."""
        with self._messages.copy(sql) as copy:
            copy.set_types(types)
            yield copy

    def begin(self) -> list[Any]:
        """In one message; returns what a transaction of this role asks first."""
        writes = self._role is Role.WRITER
        if not self._has_first:
            first = statements.FIRST_WRITING if writes else statements.FIRST_READING
            self.send(f"prepare first as {first}")
            self._has_first = True
        return self.send(f"{self.take_turn if writes else statements.BEGIN_READING}; execute first")

    def send(self, message: str) -> list[Any]:
        """Statements without parameters, in one message; the first row of the last, if it has any.

        Raises Unavailable if the server warned, as it does of a commit that it did not wait for."""
        self._warnings.clear()
        cursor = self._messages.execute(message)
        cursor.set_result(-1)
        if self._warnings:
            self._give_up(self._warnings[0])
        return list(cursor.fetchone() or ()) if cursor.description else []

    def commit(self, changes: Sequence[Statement] = ()) -> None:
        """And what it commits, in one message. No time limit of ours ends the wait for a standby,
        after which a commit is done, and said to be, with no more than a warning."""
        self._warnings.clear()
        *_, commit = self._exchange.ask((*changes, Statement("commit")))
        if self._warnings:
            self._give_up(self._warnings[0])
        if (answer := commit.command_status or b"") != b"COMMIT":
            self._give_up(f"it answered the commit with {answer.decode()}")

    def _give_up(self, warning: str) -> NoReturn:
        self.close()
        raise Unavailable(f"the server did not all that it was told to: {warning}")

    def roll_back(self) -> None:
        """If there is a transaction. After it the session is idle, or closed if that failed."""
        if self._connection.info.transaction_status is TransactionStatus.IDLE:
            return
        # psycopg forgets all that is prepared when something is undone, if it prepared any itself.
        self._has_first = False
        self._exchange.forget()
        try:
            self._messages.execute("rollback; deallocate all")
        except psycopg.Error:
            self.close()

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def backend(self) -> int:
        """The number of the server's process at the other end."""
        return self._connection.info.backend_pid

    def take_notifications(self) -> list[tuple[int, bytes]]:
        """All that have come, without waiting: the backends that sent them, and what they say."""
        server, taken = self._connection.pgconn, []
        server.consume_input()
        while (told := server.notifies()) is not None:
            taken.append((told.be_pid, told.extra))
        return taken

    @property
    def wire(self) -> PGconn:
        """For who asks and does not wait."""
        return self._connection.pgconn

    def shut_down(self) -> None:
        """From any thread: who waits for an answer here gets none."""
        with suppress(OSError, psycopg.Error):  # it is closed already
            cut(self._connection.fileno())

    def close(self) -> None:
        self._connection.close()


def open_session(disk: Disk, url: str, role: Role, patience: Patience) -> Session:
    """Raises psycopg.Error, and Fatal for a database that cannot hold a log."""
    connection = disk.connect_database(_conninfo(url, role, patience))
    try:
        for kind, dumper in DUMPERS.items():
            connection.adapters.register_dumper(kind, dumper)
        connection.prepared_max = None  # there are as many statements as there are tables
        return Session(connection, role, _prepare(connection, role, patience))
    except BaseException:
        connection.close()
        raise


def _conninfo(url: str, role: Role, patience: Patience) -> str:
    """What the URL says itself goes before all of this but where to write."""
    silence_s = max(1, patience.silence_ms // 1_000)
    defaults: dict[str, str | int] = {
        "connect_timeout": patience.connect_s,
        "application_name": f"postbox {role.value}",
        "tcp_user_timeout": patience.silence_ms,
        "keepalives_idle": max(1, silence_s // 3),
        "keepalives_interval": max(1, silence_s // 3),
        "keepalives_count": 2,
    }
    settings = {
        "client_encoding": "utf8",
        "target_session_attrs": "read-write" if role in _WRITING else "primary",
    }
    given: dict[str, Any] = conninfo_to_dict(url)
    return make_conninfo("", **(defaults | given | settings))


def _prepare(connection: psycopg.Connection, role: Role, patience: Patience) -> int:
    """Sets up the session; returns the number of the schema that holds the tables."""
    limits = {
        "idle_in_transaction_session_timeout": patience.idle_ms,
        "lock_timeout": patience.lock_ms,
        "statement_timeout": patience.statement_ms,
        "tcp_user_timeout": patience.silence_ms,
        "tcp_keepalives_idle": max(1, patience.silence_ms // 3_000),
        "tcp_keepalives_interval": max(1, patience.silence_ms // 3_000),
        "tcp_keepalives_count": 2,
    }
    settings = {name: str(value) for name, value in (PLANNER | limits).items()}
    durable = "select set_config('synchronous_commit', 'on', false)"
    with connection.cursor() as cursor:
        each = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        cursor.execute(f"select {each}", [word for pair in settings.items() for word in pair])
        if role is Role.WRITER:
            # What waits for a disk is the operator's to choose; `off` is none for a log.
            cursor.execute(f"{durable} where current_setting('synchronous_commit') = 'off'")
        cursor.execute(
            "select current_schema()::regnamespace::oid::bigint, current_setting('server_encoding')"
        )
        schema, encoding = cursor.fetchone() or (None, "")
    _check(connection, schema, encoding)
    assert isinstance(schema, int)
    return schema


def _check(connection: psycopg.Connection, schema: int | None, encoding: str) -> None:
    name, version = connection.info.dbname, connection.info.server_version
    if version < OLDEST_VERSION:
        raise Fatal(
            f"the server of {name} is PostgreSQL {version // 10_000}: 13 at least is needed"
        )
    if encoding != "UTF8":
        raise Fatal(f"the database {name} is in {encoding}: make one with `encoding 'UTF8'`")
    if schema is None:
        raise Fatal(f"no schema of the search_path is in the database {name}: make it there first")


def shown(url: str) -> str:
    """The URL as it may be told: without the password and all other parameters."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # whose text may have the password in it
        raise Fatal(
            "the URL of the database is none: write postgresql://USER@HOST:PORT/NAME,"
            " and what is special in a name or a password as %XX"
        ) from None
    user = f"{parts['user']}@" if parts.get("user") else ""
    host, port = parts.get("host") or "", parts.get("port")
    return f"postgresql://{user}{host}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"
