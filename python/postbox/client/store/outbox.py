"""The queue: what the user did, in order, each a row until the host has it and after.

A row is QUEUED until it is answered, then SENT or REFUSED; KEPT when the stream has brought it
(`taking_in`). All functions are given a cursor and write in a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, assert_never

import apsw
from msgspec import Struct
from msgspec.structs import replace

from postbox.client.core.outgoing import Outgoing
from postbox.client.core.settle import Refused, Settlement, Stored
from postbox.client.errors import Unknown
from postbox.client.facts import Queued, Row, Standing, Waits, Why
from postbox.client.store.rows import rows, value

KEEP_MS = 30 * 86_400_000
"""That what the host has is kept, to be offered again if the host is put back: as old as a backup
that somebody goes back to may be."""

KEEP_ROWS = 10_000
"""At most: a bot that says a lot does not keep all of it for a month."""

COLUMNS = """number, local, kind, conversation, target, standing, made_ms, uuid, tries, tried_ms,
  last_error, code, detail, current"""

_MAKE = """insert into outbox (local, kind, conversation, target, body, made_ms)
  values (?, ?, ?, ?, ?, ?) on conflict do nothing"""

_OLDEST = f"""select {COLUMNS}, body from outbox where standing = 0 order by number limit ?"""

_ROW_BYTES = 8  # that a batch has for each event beside it: a tag and a length

# What was KEPT before a restore left an entry then, whatever is said of it now.
_STORED = """update outbox set standing = 1, uuid = ?, caught_up = 0,
    is_duplicate = iif(kept_ms > 0, is_duplicate, ?),
    last_error = '' where local = ? and standing = 0"""

_REFUSED = """update outbox set standing = 2, code = ?, detail = ?, current = ?, last_error = ''
  where local = ? and standing = 0"""

_REFUSED_HERE = """update outbox set standing = 2, code = ?, detail = ?
  where local = ? and standing = 0"""

_TRIED = """update outbox set tries = tries + 1, tried_ms = ?, last_error = ?
  where local = ? and standing = 0"""

# What makes a conversation stays, since its local uuid is another name of that.
_PRUNE = "delete from outbox where standing = 3 and kind <> 'conversationCreated' and "
_PRUNE_OLD = f"{_PRUNE} kept_ms < ?"
_PRUNE_MANY = f"""{_PRUNE} number <= (select number from outbox where standing = 3
    order by number desc limit 1 offset ?)"""


class Batch(Struct, frozen=True):
    """`awaited`: the number of its first event, if the host counts from what it said last; 0: not
    known."""

    awaited: int
    rows: Sequence[Row]


def make(cursor: apsw.Cursor, made: Iterable[Outgoing], now_ms: int) -> list[Queued]:
    """What was made under the same local uuid before stands as it is."""
    found = []
    for each in made:
        values = (each.local, each.kind, each.conversation, each.target, each.body, now_ms)
        cursor.execute(_MAKE, values)
        if (queued := find(cursor, each.local)) is not None:
            found.append(queued)
    return found


def find(cursor: apsw.Cursor, local: str) -> Queued | None:
    sql = f"select {COLUMNS} from outbox where local = ?"
    return next(map(queued_of, rows(cursor, sql, (local,))), None)


def find_row(cursor: apsw.Cursor, local: str) -> Row | None:
    sql = f"select {COLUMNS}, body from outbox where local = ?"
    return next(map(row_of, rows(cursor, sql, (local,))), None)


def row_of(columns: Sequence[Any]) -> Row:
    """Of COLUMNS and the body."""
    *queued, body = columns
    return Row(queued_of(queued), body)


def queued_of(row: Sequence[Any]) -> Queued:
    queued = Queued(*row)
    return replace(queued, standing=Standing(queued.standing))


def batch(cursor: apsw.Cursor, max_events: int, max_bytes: int) -> Batch:
    """The oldest that wait, one at least if there is any."""
    found: list[Row] = []
    room_bytes = max_bytes
    for row in map(row_of, rows(cursor, _OLDEST, (max_events,))):
        room_bytes -= len(row.body) + _ROW_BYTES
        if found and room_bytes < 0:
            break
        found.append(row)
    return Batch(value(cursor, "select awaited from place"), found)


def settle(cursor: apsw.Cursor, settlements: Iterable[Settlement]) -> None:
    """Whatever the stream has said of a row meanwhile stands."""
    for each in settlements:
        match each:
            case Stored(local, uuid, is_duplicate):
                cursor.execute(_STORED, (uuid, is_duplicate, local))
            case Refused(local, code, detail, current):
                cursor.execute(_REFUSED, (code, detail, current, local))
            case _ as never:
                assert_never(never)


def refuse(cursor: apsw.Cursor, local: str, code: str, detail: str) -> None:
    cursor.execute(_REFUSED_HERE, (code, detail, local))


def tried(cursor: apsw.Cursor, offered: Iterable[str], error: str, now_ms: int) -> None:
    """These were offered, and there was no answer. `error`: a code, and what was said."""
    cursor.executemany(_TRIED, ((now_ms, error, local) for local in offered))


def dismiss(cursor: apsw.Cursor, local: str) -> Row:
    """What was refused: others are not the app's to end. Raises Unknown."""
    row = find_row(cursor, local)
    if row is None or row.queued.standing is not Standing.REFUSED:
        what = "there is none here" if row is None else f"it is {row.queued.standing.name}"
        raise Unknown(f"{local} is not refused: {what}. What was made ends by itself or not at all")
    cursor.execute("delete from outbox where local = ?", (local,))
    return row


def prune(cursor: apsw.Cursor, now_ms: int) -> None:
    cursor.execute(_PRUNE_OLD, (now_ms - KEEP_MS,))
    cursor.execute(_PRUNE_MANY, (KEEP_ROWS,))


def waiting(cursor: apsw.Cursor) -> int:
    return int(value(cursor, "select count(*) from outbox where standing = 0"))


def unfinished(cursor: apsw.Cursor, after: int, limit: int) -> list[Queued]:
    """QUEUED, SENT and REFUSED ones, in order."""
    sql = f"""select {COLUMNS} from outbox where standing < 3 and number > ?
      order by number limit ?"""
    return list(map(queued_of, rows(cursor, sql, (after, limit))))


def why(cursor: apsw.Cursor, local: str) -> Why | None:
    queued = find(cursor, local)
    if queued is None:
        return None
    sql = "select count(*) from outbox where standing = 0 and number < ?"
    ahead = value(cursor, sql, (queued.number,))
    match queued.standing:
        case Standing.QUEUED:
            return Why(queued, Waits.ITS_TURN if ahead else Waits.THE_HOST, ahead)
        case Standing.SENT:
            return Why(queued, Waits.THE_STREAM, 0)
        case Standing.REFUSED:
            return Why(queued, Waits.THE_APP, 0)
        case Standing.KEPT:
            return Why(queued, Waits.NOTHING, 0)
        case _ as never:
            assert_never(never)
