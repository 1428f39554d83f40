"""What the log keeps of its durable readers: one row a reader, and one a dead letter.

Both tables are followed, so that who waits in one process is woken by what another one changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from postbox.store.contract import MAX_POS, Column, Lane, Query, Row, Table

MAX_READER_CHARS = 300  # a domain is at most 253, and a port and a prefix go with it
MAX_ERROR_CHARS = 1_000  # may be a stranger's words
MAX_STREAMS_BYTES = 65_536  # in one row, which every acknowledgement writes

OUTBOX = Table(
    "outbox",
    (
        Column("reader", "text"),
        Column("lane", "integer"),
        Column("streams", "blob"),
        Column("acknowledged", "integer"),
        Column("attempts", "integer"),
        Column("failing_since_ms", "integer"),
        Column("retry_ms", "integer"),
        Column("error", "text"),
    ),
    key=1,
    followed=True,
)

DEAD = Table(
    "dead",
    (
        Column("reader", "text"),
        Column("pos", "integer"),
        Column("lane", "integer"),
        Column("stream", "blob"),
        Column("id", "blob"),
        Column("buried_ms", "integer"),
        Column("attempts", "integer"),
        Column("error", "text"),
        Column("is_revived", "integer"),
    ),
    key=2,
    followed=True,
)


READERS = Query(
    "durable_readers",
    "select reader, lane, streams, acknowledged, attempts, failing_since_ms, retry_ms, error"
    " from outbox order by reader",
)

_LETTER = "d.reader, d.pos, d.lane, d.stream, d.id, d.buried_ms, d.attempts, d.error, d.is_revived"

DEAD_LETTERS = Query(
    "dead_letters",
    f"select {_LETTER} from dead d where (d.reader, d.pos) > (:reader, :pos)"
    " order by d.reader, d.pos limit :limit",
)

FIRST_REVIVED = Query(
    "first_revived",
    f"select {_LETTER} from dead d cross join entry e on e.pos = d.pos and e.lane = d.lane"
    " where d.reader = :reader and d.is_revived = 1 order by d.pos limit 1",
    postgres=f"select {_LETTER} from dead d"
    " cross join lateral (select lane from entry where pos = d.pos offset 0) e"
    " where d.reader = %(reader)s and d.is_revived = 1 and e.lane = d.lane"
    " order by d.reader, d.pos limit 1",
)
"""One whose entry was removed since is passed over."""

BACKLOG: dict[Lane, Query] = {
    lane: Query(
        f"backlog_{lane.name.lower()}",
        "select count(*), min(at_ms) from (select at_ms from entry"
        f" where lane = {lane:d} and stream = :stream and pos > :after"
        " order by pos limit :limit) e",
        postgres="select count(*), min(at_ms) from (select at_ms from entry"
        f" where lane = {lane:d} and (stream, pos) > (%(stream)s, %(after)s)"
        f" and (stream, pos) <= (%(stream)s, {MAX_POS})"
        " order by stream, pos limit %(limit)s) e",
    )
    for lane in Lane
    if lane is not Lane.MESH
}


class DurableReader(Struct, frozen=True, array_like=True):
    """A row of `outbox`. The last four are about the first entry that it is not done with."""

    name: str
    lane: Lane
    streams: tuple[bytes, ...]
    acknowledged: int  # done with every entry up to this position
    attempts: int = 0  # that failed
    failing_since_ms: int = 0  # when the first of them did; 0: none
    retry_ms: int = 0  # not to be tried before; 0: now
    error: str = ""  # how the last one failed


class DeadLetter(Struct, frozen=True, array_like=True):
    """A row of `dead`. The entry itself stays in the log, until its door removes it."""

    reader: str
    pos: int
    lane: Lane
    stream: bytes
    id: bytes
    buried_ms: int
    attempts: int
    error: str
    is_revived: bool  # waits to be tried again, before all that the reader is not done with


def packed_streams(streams: Sequence[bytes]) -> bytes:
    return msgspec.msgpack.encode(streams)


def reader_row(reader: DurableReader) -> Row:
    name, lane, streams, *rest = astuple(reader)
    return (name, int(lane), packed_streams(streams), *rest)


def durable_reader(row: Row) -> DurableReader:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (name, lane, bytes(streams), *rest):
            fields = (name, lane, msgspec.msgpack.decode(streams), *rest)
            return msgspec.convert(fields, DurableReader)
        case _:
            raise ValueError(f"not a row of the table {OUTBOX.name}: {row!r}")


def letter_row(letter: DeadLetter) -> Row:
    return tuple(int(field) if isinstance(field, int) else field for field in astuple(letter))


def dead_letter(row: Row) -> DeadLetter:
    """Raises ValueError for a row that is none of ours."""
    *fields, is_revived = row
    return msgspec.convert((*fields, bool(is_revived)), DeadLetter)
