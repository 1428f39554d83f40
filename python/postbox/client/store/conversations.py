"""The conversations of a user, the one in which something was said last first.

One in which something waits to be sent counts as spoken in when that was made, so it is in front,
too; and one that this device is still making is there like the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import NamedTuple

import apsw
from msgspec.structs import replace

from postbox.client.core.overlay import conversation_made, overlaid_conversation
from postbox.client.facts import UNREAD_AT_MOST, Conversation, Row, State
from postbox.client.store import outbox
from postbox.client.store.messages import In, Reading, messages_before, read_in
from postbox.client.store.names import ConversationNames, conversation_named
from postbox.client.store.rows import row, rows, value

ONE = """select c.name, c.change, c.newest_ms, c.reached, coalesce(c.floor, c.reached + 1),
    c.is_whole, coalesce(m.is_owner, 0), coalesce(w.read_seq, 0)
  from conversation c left join member m on m.conversation = c.uuid and m.user = :user
  left join watermark w on w.conversation = c.uuid and w.user = :user where c.uuid = :uuid"""

MEMBERS = "select count(*) from member where conversation = ?"

NEWEST = """select newest_ms, uuid from conversation where (newest_ms, uuid) < (?, ?)
  order by newest_ms desc, uuid desc limit ?"""

NEWEST_OF = "select newest_ms from conversation where uuid = ?"

# What was refused moves nothing to the front.
PENDING = """select conversation, max(made_ms) from outbox where standing < 3 and (
    kind = 'conversationCreated' or kind = 'sendingNewMessage' and standing < 2)
  group by conversation"""

UNREAD = f"""select count(*) from (select 1 from message
  where conversation = ? and seq > ? and is_own = 0 limit {UNREAD_AT_MOST})"""

BEHIND = """select c.uuid from conversation c
  left join watermark w on w.conversation = c.uuid and w.user = ?
  where c.reached > coalesce(w.read_seq, 0)"""

ON_TOP = f"""select {outbox.ROW} from outbox where standing < 3
  and conversation in (?, ?) and kind in ('conversationNameChanged', 'memberJoined', 'memberLeft')
  order by number"""

READS = f"""select {outbox.ROW}, coalesce(
    (select seq from message where message.uuid = target),
    (select seq from message where message.local = target and message.local <> ''), 0)
  from outbox where standing < 3 and conversation in (?, ?) and kind = 'readNewMessage'
  order by number desc limit 20"""
"""The last few: who reads goes forward."""

_LAST = (1 << 62, "")


class At(NamedTuple):
    """A conversation's place in the list."""

    newest_ms: int
    name: str


def conversations_before(look: Reading, before: str, limit: int) -> list[Conversation]:
    """`before`: a conversation; empty: from the first on."""
    pending = _pending(look.cursor)
    end = _place(look.cursor, before, pending) if before else At(*_LAST)
    if end is None:
        return []
    return list(islice(_shown(look, pending, end, limit), limit))


def _shown(look: Reading, pending: dict[str, At], end: At, size: int) -> Iterator[Conversation]:
    """Less those that the user leaves."""
    ahead = sorted((at for at in pending.values() if at < end), reverse=True)
    for at in merge(ahead, _base(look.cursor, pending, end, size), reverse=True):
        names = conversation_named(look.cursor, at.name)
        found = None if names is None else read_conversation(look, names)
        if found is not None:
            yield found


def _base(cursor: apsw.Cursor, pending: dict[str, At], end: At, size: int) -> Iterator[At]:
    while True:
        found = [At(*each) for each in rows(cursor, NEWEST, (*end, size))]
        yield from (at for at in found if at.name not in pending)
        if len(found) < size:
            return
        end = found[-1]


def _pending(cursor: apsw.Cursor) -> dict[str, At]:
    """By what they are called: the uuid, where the base has it."""
    found: dict[str, At] = {}
    for name, made_ms in rows(cursor, PENDING):
        names = conversation_named(cursor, name)
        if names is not None:
            name = names.uuid or names.local
            found[name] = max(found.get(name, At(0, name)), _spoken_in(cursor, names, made_ms))
    return found


def _spoken_in(cursor: apsw.Cursor, names: ConversationNames, made_ms: int) -> At:
    newest_ms = value(cursor, NEWEST_OF, (names.uuid,), 0)
    return At(max(made_ms, newest_ms), names.uuid or names.local)


def _place(cursor: apsw.Cursor, name: str, pending: dict[str, At]) -> At | None:
    names = conversation_named(cursor, name)
    if names is None:
        return None
    return pending.get(names.uuid or names.local) or _spoken_in(cursor, names, 0)


def read_conversation(look: Reading, names: ConversationNames) -> Conversation | None:
    """None: the user leaves it, or is in it no more."""
    shown = _overlaid(look, names)
    if shown is None:
        return None
    newest = messages_before(look, read_in(look, names, shown.read_seq), "", 1)
    unread = _unread(look, names.uuid, shown.read_seq)
    return replace(shown, unread=unread, newest=newest[0] if newest else None)


def _overlaid(look: Reading, names: ConversationNames) -> Conversation | None:
    """But for what is said in it."""
    base = _told(look, names) if names.maker is None else conversation_made(names.maker, look.user)
    if base is None:
        return None
    on_top = _on_top(look.cursor, names)
    return overlaid_conversation(base, on_top, look.user) if on_top else base


def _told(look: Reading, names: ConversationNames) -> Conversation | None:
    its = {"uuid": names.uuid, "user": look.user}
    found = row(look.cursor, ONE, its)
    if found is None:
        return None
    name, change, newest_ms, reached, floor, is_whole, is_owner, read_seq = found
    return Conversation(
        uuid=names.uuid,
        local=names.local,
        name=name,
        state=State.SENT,
        unread=0,
        read_seq=read_seq,
        newest_seq=reached,
        newest_ms=newest_ms,
        newest=None,
        is_owner=bool(is_owner),
        members=value(look.cursor, MEMBERS, (names.uuid,)),
        has_older=not is_whole and floor > 1,
        oldest_seq=floor,
        change=change,
    )


def _on_top(cursor: apsw.Cursor, names: ConversationNames) -> list[Row]:
    found = [outbox.row_of(each) for each in rows(cursor, ON_TOP, names.both)]
    for *columns, seq in rows(cursor, READS, names.both):
        found.append(replace(outbox.row_of(columns), target_seq=seq))
    return sorted(found, key=lambda row: row.queued.number)


def read_whereabouts(look: Reading, name: str) -> In | None:
    """What messages of that conversation are told with."""
    names = conversation_named(look.cursor, name)
    shown = None if names is None else _overlaid(look, names)
    return None if names is None or shown is None else read_in(look, names, shown.read_seq)


def read_unread(look: Reading) -> dict[str, int]:
    """Of each conversation that has any, by its key."""
    found = {}
    for (uuid,) in rows(look.cursor, BEHIND, (look.user,)):
        names = conversation_named(look.cursor, uuid)
        shown = None if names is None else _overlaid(look, names)
        count = 0 if shown is None else _unread(look, uuid, shown.read_seq)
        if count and shown is not None:
            found[shown.key] = count
    return found


def _unread(look: Reading, uuid: str, read_seq: int) -> int:
    return int(value(look.cursor, UNREAD, (uuid, read_seq)))
