"""What a batch looks at: as statements that go in one message, and what the rows of each mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from postbox.store.change import is_storable
from postbox.store.contract import EntryName, Found, Key, Known, Lane, Row, Table, Wanted
from postbox.store.postgres import statements
from postbox.store.postgres.arrays import blobs, sets
from postbox.store.postgres.exchange import Statement
from postbox.store.postgres.session import Session


class _Question(NamedTuple):
    statement: Statement
    take: Callable[[Sequence[Any]], None]  # puts its rows where they belong


def look_up(session: Session, wanted: Wanted) -> Known:
    rows: dict[Table, dict[Key, Row | None]] = {
        table: dict.fromkeys(keys) for table, keys in wanted.rows.items()
    }
    known = Known({}, rows, dict.fromkeys(wanted.streams, 0))
    questions = list(_questions(wanted, known))
    answers = session.rows_together([question.statement for question in questions])
    for question, answer in zip(questions, answers, strict=True):
        question.take(answer)
    return known


def _questions(wanted: Wanted, known: Known) -> Iterator[_Question]:
    ids_by_lane: dict[Lane, list[bytes]] = {}
    for lane, entry_id in wanted.entries:
        ids_by_lane.setdefault(lane, []).append(entry_id)
    for lane, ids in ids_by_lane.items():
        statement = Statement(statements.FIND[lane], (blobs(ids),))
        yield _Question(statement, partial(_take_found, lane, known.entries))
    for table, read in known.rows.items():
        if storable := [key for key in read if is_storable(key)]:
            sought = sets(statements.key_types(table), storable)
            yield _Question(
                Statement(statements.rows(table), sought), partial(_take_rows, table.key, read)
            )
    if wanted.streams:
        streams = blobs(tuple(wanted.streams))
        yield _Question(
            Statement(statements.LAST_SEQS, (streams,)), partial(_take_seqs, known.last_seqs)
        )


def _take_found(lane: Lane, found: dict[EntryName, Found], rows: Sequence[Any]) -> None:
    found.update(((lane, entry_id), Found._make(row)) for entry_id, *row in rows)


def _take_rows(key: int, read: dict[Key, Row | None], rows: Sequence[Any]) -> None:
    for row in rows:
        read[row[:key]] = row


def _take_seqs(last_seqs: dict[bytes, int], rows: Sequence[Any]) -> None:
    last_seqs.update((stream, seq or 0) for stream, seq in rows)


def find(session: Session, keys: Collection[EntryName]) -> dict[EntryName, Found]:
    return look_up(session, Wanted(keys, {}, ())).entries


def read_rows(session: Session, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
    return look_up(session, Wanted((), {table: keys}, ())).rows[table]


def last_seqs(session: Session, streams: Collection[bytes]) -> dict[bytes, int]:
    return look_up(session, Wanted((), {}, streams)).last_seqs
