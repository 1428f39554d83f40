"""The queue: what the user did, in order, each a row until the host has it and after.

A row is QUEUED until it is answered, then SENT or REFUSED; KEPT when the stream has brought it
(`taking_in`). All functions are given a cursor and write in a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, assert_never

import apsw
from msgspec import Struct
from msgspec.structs import replace

from postbox.client.core.ids import renewed_uuid
from postbox.client.core.outgoing import Outgoing, not_answering, not_based, renamed
from postbox.client.core.settle import Refused, Settlement, Stored
from postbox.client.errors import NotByItself, Unknown
from postbox.client.facts import Queued, Row, Standing, Waits, Why
from postbox.client.store.rows import rows, value

KEEP_MS = 30 * 86_400_000
"""That what the host has is kept, to be offered again if the host is put back: as old as a backup
that somebody goes back to may be."""

KEEP_ROWS = 10_000
"""At most: a bot that says a lot does not keep all of it for a month."""

COLUMNS = """number, local, kind, conversation, target, standing, made_ms, uuid, tries, tried_ms,
  last_error, code, detail, current"""

ROW = f"{COLUMNS}, sent_as, body"

_MAKE = """insert into outbox (local, sent_as, kind, conversation, target, body, made_ms)
  values (?1, ?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing"""

_RENAMED = "select local, sent_as from outbox where sent_as <> local"

_OLDEST = f"""select {ROW} from outbox where standing = 0 order by number limit ?"""

_SAID = ("sendingNewMessage", "")
"""Messages, and what is said in an application's own kinds: nobody loses them unasked."""

_ROW_BYTES = 8  # that a batch has for each event beside it: a tag and a length

# What was KEPT before a restore left an entry then, whatever is said of it now; and what the host
# still has of that is where it always was: nothing of it comes down.
_STORED = """update outbox set standing = iif(kept_ms > 0 and ?2, 3, 1), uuid = ?1, caught_up = 0,
    is_duplicate = iif(kept_ms > 0, is_duplicate, ?2),
    last_error = '' where sent_as = ?3 and standing = 0"""

_REFUSED = """update outbox set standing = 2, code = ?, detail = ?, current = ?, last_error = ''
  where sent_as = ? and standing = 0"""

_REFUSED_HERE = """update outbox set standing = 2, code = ?, detail = ?
  where local = ? and standing = 0"""

_REFUSED_BEFORE = "select local from outbox where standing = 2 and made_ms < ? order by number"

_TRIED = """update outbox set tries = tries + 1, tried_ms = ?, last_error = ?
  where local = ? and standing = 0"""

# What was made in or of something that is not with the host, itself first.
_ALL_OF_IT = f"""select {ROW} from outbox
  where standing in (0, 2) and standing < 3 and (local = ?1 or conversation = ?1 or target = ?1)
  order by number"""

_ABOVE = f"""select {COLUMNS} from outbox
  where local in (?, ?) and local <> ? and standing = 2 order by number"""

_AGAIN = """update outbox set standing = 0, sent_as = ?, body = ?, uuid = '', tries = 0,
    tried_ms = 0, last_error = '', code = '', detail = '', current = x'', is_duplicate = 0,
    caught_up = 0, kept_ms = 0
  where local = ?"""

_TARGET_GONE = ("UNKNOWN_TARGET", "DEPENDENCY_REFUSED")
"""Refused for another reason, a message may answer one that the host has and this device has not.
"""

# What makes a conversation stays, since its local uuid is another name of that; so does what the
# host knows by another name than this device.
_PRUNE = """delete from outbox
  where standing = 3 and kind <> 'conversationCreated' and sent_as = local and """
_PRUNE_OLD = f"{_PRUNE} kept_ms < ?"
_PRUNE_MANY = f"""{_PRUNE} number <= (select number from outbox where standing = 3
    order by number desc limit 1 offset ?)"""


class Batch(Struct, frozen=True):
    """`awaited`: the number of its first event, if the host counts from what it said last; 0: not
    known."""

    awaited: int
    rows: Sequence[Row]


def make(cursor: apsw.Cursor, made: Outgoing, now_ms: int) -> Queued:
    """What was made under the same local uuid before stands as it is."""
    values = (made.local, made.kind, made.conversation, made.target, made.body, now_ms)
    cursor.execute(_MAKE, values)
    queued = find(cursor, made.local)
    assert queued is not None
    return queued


def find(cursor: apsw.Cursor, local: str) -> Queued | None:
    sql = f"select {COLUMNS} from outbox where local = ?"
    return next(map(queued_of, rows(cursor, sql, (local,))), None)


def find_row(cursor: apsw.Cursor, local: str) -> Row | None:
    sql = f"select {ROW} from outbox where local = ?"
    return next(map(row_of, rows(cursor, sql, (local,))), None)


def row_of(columns: Sequence[Any]) -> Row:
    """Of ROW."""
    *queued, sent_as, body = columns
    return Row(queued_of(queued), body, sent_as=sent_as)


def queued_of(row: Sequence[Any]) -> Queued:
    queued = Queued(*row)
    return replace(queued, standing=Standing(queued.standing))


def batch(cursor: apsw.Cursor, max_events: int, max_bytes: int) -> Batch:
    """The oldest that wait, one at least if there is any. Their events say what the host knows
    things by."""
    found: list[Row] = []
    room_bytes, names = max_bytes, dict(rows(cursor, _RENAMED))
    for row in map(row_of, rows(cursor, _OLDEST, (max_events,))):
        row = replace(row, body=renamed(row.body, names)) if names else row
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


def dismiss(cursor: apsw.Cursor, local: str, *, whole: bool) -> list[Queued]:
    """What was refused, and all that was made of it: others are not the app's to end. Returns what
    is gone. Raises Unknown, and NotByItself if messages are in it, unless it is to go as a `whole`.
    """
    gone = [row.queued for row in _all_of(cursor, local)]
    said = [each for each in gone if each.kind in _SAID and each.local != local]
    if said and not whole:
        raise NotByItself(
            f"{len(said)} messages of this user are in the conversation {local}, which was refused:"
            f" again() tries it again, and them with it; dismiss(..., whole=True) drops all of it"
        )
    cursor.executemany("delete from outbox where local = ?", [(each.local,) for each in gone])
    return gone


def dismiss_refused(cursor: apsw.Cursor, before_ms: int) -> list[Queued]:
    """All that was made before that, each as a whole."""
    gone: list[Queued] = []
    for (local,) in rows(cursor, _REFUSED_BEFORE, (before_ms,)):
        if find(cursor, local) is not None:  # else it went with what it was in
            gone += dismiss(cursor, local, whole=True)
    return gone


def again(cursor: apsw.Cursor, local: str, is_here: Callable[[str], bool]) -> list[Queued]:
    """What was refused is to be sent once more, as something new; and so is all that was made of
    it, behind it and in order. `is_here`: whether there is such a message. Raises Unknown, and
    NotByItself if what it belongs to was refused."""
    several = _all_of(cursor, local)
    _check_above(cursor, next(row.queued for row in several if row.queued.local == local))
    for row in several:
        its = row.queued.local
        body = not_based(row.body) if its == local else row.body  # SUPERSEDED for ever, else
        if row.queued.code in _TARGET_GONE:
            body = not_answering(body, is_here)
        cursor.execute(_AGAIN, (renewed_uuid(row.sent_as), body, its))
    return [queued for row in several if (queued := find(cursor, row.queued.local)) is not None]


def _all_of(cursor: apsw.Cursor, local: str) -> list[Row]:
    queued = find(cursor, local)
    if queued is None or queued.standing is not Standing.REFUSED:
        what = "there is none here" if queued is None else f"it is {queued.standing.name}"
        raise Unknown(f"{local} is not refused: {what}. What was made ends by itself or not at all")
    return [row_of(columns) for columns in rows(cursor, _ALL_OF_IT, (local,))]


def _check_above(cursor: apsw.Cursor, queued: Queued) -> None:
    its = (queued.conversation, queued.target, queued.local)
    for above in map(queued_of, rows(cursor, _ABOVE, its)):
        is_room = above.kind == "conversationCreated"
        raise NotByItself(
            f"the {'conversation' if is_room else 'message'} that it belongs to was refused: try"
            f" that again, and this goes with it: again({above.local!r})"
        )


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
