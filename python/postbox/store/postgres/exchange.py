"""Several statements in one message to the server, and their answers in one back.

All of it is made before any of it is sent, and then it goes at once. For a server that has done one
statement of a message and waits for the next counts itself as busy, and none of its limits ends
that: a process that were stopped just there would keep the sequencer for as long. psycopg's own
pipeline sends each statement as it is made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg import abc
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult


class Statement(NamedTuple):
    """Prepared at its first time and kept, if it has parameters: then its text may not vary."""

    sql: str
    parameters: Sequence[object] = ()


class _Key(NamedTuple):
    """What is prepared."""

    sql: bytes
    types: tuple[int, ...]


class _Packed(NamedTuple):
    key: _Key
    values: Sequence[Buffer | None]
    formats: Sequence[Format]


class Exchange:
    """Of one connection."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._prepared: dict[_Key, bytes] = {}  # with their names
        self._numbers = count()

    def forget(self) -> None:
        """The server dropped all that was prepared."""
        self._prepared.clear()

    def ask(self, statements: Sequence[Statement]) -> list[PGresult]:
        """The answer to each. Raises the psycopg.Error of the first that failed: those behind it
        were not done, what was done before it is the transaction's to undo."""
        transformer = Transformer(self._connection)
        packed = [_packed(transformer, each) for each in statements]
        wire = self._connection.pgconn
        wire.enter_pipeline_mode()
        fresh = self._send(wire, packed)
        answers = self._connection.wait(_answers(wire))
        if wire.status != ConnStatus.BAD:
            wire.exit_pipeline_mode()
        for answer in answers:
            if answer.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(answer)
        self._prepared.update(fresh)
        done = [answer for answer in answers if answer.command_status]  # not: it was prepared
        if len(done) < len(statements):
            raise psycopg.OperationalError("the connection ended amid an answer")
        return done

    def _send(self, wire: PGconn, packed: Sequence[_Packed]) -> dict[_Key, bytes]:
        """What is prepared by it, under names never used before: who knows what is left of those
        in a message that failed."""
        fresh: dict[_Key, bytes] = {}
        for key, values, formats in packed:
            if not values:
                wire.send_query_params(key.sql, (), result_format=Format.BINARY)
                continue
            name = self._prepared.get(key) or fresh.get(key)
            if name is None:
                fresh[key] = name = b"postbox_%d" % next(self._numbers)
                wire.send_prepare(name, *key)
            wire.send_query_prepared(name, values, formats, Format.BINARY)
        wire.pipeline_sync()
        return fresh

    def rows(self, answer: PGresult) -> list[tuple[Any, ...]]:
        transformer = Transformer(self._connection)
        transformer.set_pgresult(answer)
        return transformer.load_rows(0, answer.ntuples, tuple)


def _packed(transformer: abc.Transformer, statement: Statement) -> _Packed:
    sql, parameters = statement
    values = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
    text = _numbered(sql) if parameters else sql.encode()
    key = _Key(text, tuple(transformer.types or ()))
    return _Packed(key, values, tuple(transformer.formats or ()))


@cache
def _numbered(sql: str) -> bytes:
    """With its parameters as the server takes them."""
    numbers = count(1)
    return re.sub("%s", lambda _: f"${next(numbers)}", sql).encode()


def _answers(wire: PGconn) -> PQGen[list[PGresult]]:
    """Those that come until the end of the message, or of the connection."""
    yield from send(wire)
    answers: list[PGresult] = []
    try:
        while results := (yield from fetch_many(wire)):
            if results[0].status == ExecStatus.PIPELINE_SYNC:
                break
            answers += results
    except psycopg.OperationalError:
        if all(answer.status != ExecStatus.FATAL_ERROR for answer in answers):
            raise
        # The server said why before it ended the connection.
    return answers
