"""Leases on PostgreSQL: a session advisory lock for each, and a row that says how it was left.

The lock is the lease: one session has it, and it goes with the session. Which may go before its
process has noticed: so the row says whether the last holder left by itself. Otherwise whoever comes
next waits, as long as the last one may still be at it (`log/leases.py`). A row that another server
wrote, or the same one before it started anew, says nothing: what was written after it may be lost.
"""

from __future__ import annotations

from typing import assert_never
from zlib import crc32

import psycopg
from psycopg.pq import ExecStatus

from postbox.errors import Unavailable
from postbox.store.contract import LeaseStep
from postbox.store.postgres.faults import renamed
from postbox.store.postgres.session import Session

_ENDS_IDLE_SESSIONS = 140_000  # before it a process that stands still keeps its leases
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class PostgresLeases:
    """See `contract.LeaseLink`. Closes the session if it cannot be set up."""

    def __init__(self, session: Session, where: str, holder: bytes, idle_ms: int) -> None:
        self._session = session
        self._wire = session.wire
        self._where = where
        self._holder = f"decode('{holder.hex()}', 'hex')"
        self._answer = False
        self._failure: psycopg.Error | None = None
        try:
            # On the disk before a lease is used. Standbys need not have it, since they would not
            # believe it; and one that is away must not hold up what this node would do alone.
            session.send("set synchronous_commit = local")
            if self._wire.server_version >= _ENDS_IDLE_SESSIONS:
                session.send(f"set idle_session_timeout = {idle_ms}")
        except BaseException:
            session.close()
            raise

    def fileno(self) -> int:
        return self._wire.socket

    def ask(self, step: LeaseStep, name: str = "") -> None:
        self._answer, self._failure = False, None
        try:
            self._wire.send_query(self._statement(step, name).encode())
            # A few hundred bytes after the last were answered: there is room for them at once.
            is_sent = self._wire.flush() == 0
        except psycopg.Error as error:
            raise renamed(error, self._where) from error
        if not is_sent:
            raise Unavailable(f"{self._where} does not take what it is sent: it is tried again")

    def answer(self) -> bool | None:
        try:
            self._wire.consume_input()
            while not self._wire.is_busy():
                if self._take_result():
                    return self._answer
        except psycopg.Error as error:
            raise renamed(error, self._where) from error
        return None

    def _take_result(self) -> bool:
        """One of a message; True after the last, when an error is raised: nothing is left over."""
        result = self._wire.get_result()
        if result is None:
            if self._failure is not None:
                raise self._failure
            return True
        if result.status not in _DONE:
            self._failure = psycopg.errors.error_from_result(result)
        elif result.ntuples:
            self._answer = result.get_value(0, 0) == b"t"
        return False

    def close(self) -> None:
        self._session.close()

    def _statement(self, step: LeaseStep, name: str) -> str:
        key = f"{_signed(self._session.schema)}, {_signed(crc32(f'postbox lease {name}'.encode()))}"
        match step:
            case LeaseStep.LOCK:
                return f"select pg_try_advisory_lock({key})"
            case LeaseStep.CLAIM:
                return self._take(name, f"coalesce(({self._is_over(name)}), true)")
            case LeaseStep.SEIZE:
                return self._take(name, "true")
            case LeaseStep.LEAVE:
                return (
                    f"begin; update lease set is_released = true where name = '{name}'; commit;"
                    f" select pg_advisory_unlock({key})"
                )
            case LeaseStep.UNLOCK:
                return f"select pg_advisory_unlock({key})"
            case LeaseStep.BEAT:
                return "select true"
            case _:
                assert_never(step)

    def _is_over(self, name: str) -> str:
        """Nothing if nobody ever had it."""
        return (
            f"select server = pg_postmaster_start_time() and (is_released or holder ="
            f" {self._holder}) from lease where name = '{name}'"
        )

    def _take(self, name: str, may: str) -> str:
        """In a message after the lock's: its snapshot has what the last holder left."""
        return f"""with answer as (select {may} as is_ours), taken as (
            insert into lease
            select '{name}', {self._holder}, pg_postmaster_start_time(), false
            from answer where is_ours
            on conflict (name) do update set
              holder = excluded.holder, server = excluded.server, is_released = false)
          select is_ours from answer"""


def _signed(number: int) -> int:
    """Advisory locks with two keys, which are others than those with one, take signed numbers."""
    return int.from_bytes(number.to_bytes(4, "big"), "big", signed=True)
