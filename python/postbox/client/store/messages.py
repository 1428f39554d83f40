"""The messages of a conversation, as its user sees them: what the stream brought, with what
waits in the queue on top.

Pages are read from the newest on: first what was sent here and has not come down, then by number.
What a page costs depends on its own length, not on how much there is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

import apsw
from msgspec.structs import replace

from postbox.client.core.overlay import message_made, overlaid_message
from postbox.client.facts import Message, Reaction, Row, State
from postbox.client.store import outbox
from postbox.client.store.names import ConversationNames, MessageNames, message_named
from postbox.client.store.rows import rows, value

_SELECT = """select m.uuid, m.local, m.seq, m.author, coalesce(nullif(p.display, ''), p.name, ''),
    coalesce(e.text, m.text), m.at_ms, coalesce(nullif(r.local, ''), m.reply_to), e.event,
    coalesce(e.extra, m.extra)
  from message m left join edit e on e.conversation = m.conversation and e.message = m.uuid
  left join person p on p.user = m.author left join message r on r.uuid = m.reply_to"""

PAGE = f"""{_SELECT} where m.conversation = ? and m.seq < ? order by m.seq desc limit ?"""
ONE = f"{_SELECT} where m.uuid = ?"

# What is said once more under its name may be in the base since long.
PENDING = f"""select {outbox.ROW} from outbox where standing < 3
  and conversation in (?, ?) and kind = 'sendingNewMessage' and number < ?
  and not exists (select 1 from message where message.local = outbox.local and message.local <> '')
  order by number desc limit ?"""

ON_TOP = f"""select {outbox.ROW} from outbox where standing < 3
  and target in (select value from carray(?)) order by number"""

MARKED = """select 1 from outbox where standing < 3 and target in (?, ?)
  and kind = 'readNewMessage' limit 1"""

REACTIONS = """select message, reaction, user from reaction where conversation = ?
  and message in (select value from carray(?)) and is_there order by message, reaction, user"""

MARKS = """select m.user, coalesce(w.read_seq, 0),
    max(coalesce(w.read_seq, 0), coalesce(w.delivered_seq, 0))
  from member m left join watermark w on w.conversation = m.conversation and w.user = m.user
  where m.conversation = ?"""

_SHOWN = "select coalesce(nullif(display, ''), name) from person where user = ?"

_NEWEST = 1 << 62  # beyond every number


class Reading(NamedTuple):
    """A look at the file: what is in it at one moment, for the user whose it is."""

    cursor: apsw.Cursor
    user: str


class Marks(NamedTuple):
    """How far the others have read a conversation, and how far it was delivered to them; each
    ascending."""

    others: int
    read: Sequence[int]
    delivered: Sequence[int]

    def read_by(self, seq: int) -> int:
        return self.others - bisect_left(self.read, seq)

    def delivered_to(self, seq: int) -> int:
        return self.others - bisect_left(self.delivered, seq)


class In(NamedTuple):
    """What a page's messages are told with."""

    names: ConversationNames
    read_seq: int  # of the user's own
    marks: Marks


def read_in(look: Reading, names: ConversationNames, read_seq: int) -> In:
    others = [row for row in rows(look.cursor, MARKS, (names.uuid,)) if row[0] != look.user]
    read, delivered = (sorted(row[at] for row in others) for at in (1, 2))
    return In(names, read_seq, Marks(len(others), read, delivered))


def messages_before(look: Reading, where: In, before: str, limit: int) -> list[Message]:
    """The newest first. `before`: a message that is one of them; empty: all are."""
    found = message_named(look.cursor, before) if before else None
    if before and (found is None or found.conversation not in where.names.both):
        return []
    return list(islice(_newest_first(look, where, found, limit), limit))


def _newest_first(
    look: Reading, where: In, before: MessageNames | None, size: int
) -> Iterator[Message]:
    if before is None or before.sender is not None:
        number = _NEWEST if before is None else _number(before)
        yield from _pending(look, where, number, size)
    yield from _base(look, where, before.seq if before and before.seq else _NEWEST, size)


def _number(names: MessageNames) -> int:
    assert names.sender is not None
    return names.sender.queued.number


def _pending(look: Reading, where: In, number: int, size: int) -> Iterator[Message]:
    author_name = _shown(look, look.user)
    while True:
        found = rows(look.cursor, PENDING, (*where.names.both, number, size))
        senders = [outbox.row_of(each) for each in found]
        yield from _overlaid(look, [_made(look, where, row, author_name) for row in senders])
        if len(senders) < size:
            return
        number = senders[-1].queued.number


def _base(look: Reading, where: In, seq: int, size: int) -> Iterator[Message]:
    while True:
        found = rows(look.cursor, PAGE, (where.names.uuid, seq, size))
        yield from _overlaid(look, _told(look, where, found))
        if len(found) < size:
            return
        seq = found[-1][2]


def read_message(look: Reading, where: In, names: MessageNames) -> Message | None:
    if names.sender is not None:
        messages = [_made(look, where, names.sender, _shown(look, look.user))]
    else:
        messages = _told(look, where, rows(look.cursor, ONE, (names.uuid,)))
    return next(_overlaid(look, messages), None)


def is_marked(look: Reading, message: Message) -> bool:
    """That it was read is in the queue."""
    its = (message.uuid or message.local, message.local or message.uuid)
    return value(look.cursor, MARKED, its) is not None


def _made(look: Reading, where: In, row: Row, author_name: str) -> Message:
    """`conversation`: as an app knows it, even if the row names it otherwise."""
    made = message_made(row, look.user, author_name)
    return replace(made, conversation=where.names.key)


def _told(look: Reading, where: In, found: Sequence[tuple[Any, ...]]) -> list[Message]:
    reactions = _reactions(look, where, [row[0] for row in found])
    return [_message(look, where, row, reactions.get(row[0], ())) for row in found]


def _message(
    look: Reading, where: In, row: Sequence[Any], reactions: Sequence[Reaction]
) -> Message:
    uuid, local, seq, author, author_name, text, at_ms, reply_to, edit, extra = row
    message = Message(
        uuid=uuid,
        local=local,
        conversation=where.names.key,
        seq=seq,
        author=author,
        author_name=author_name,
        text=text,
        state=State.READ if seq <= where.read_seq else State.DELIVERED,
        at_ms=at_ms,
        reply_to=reply_to,
        is_edited=edit is not None,
        reactions=reactions,
        others=where.marks.others,
        change=edit or uuid,
        extra=extra,
    )
    return _with_state(message, where.marks) if author == look.user else message


def _with_state(message: Message, marks: Marks) -> Message:
    """Of the user's own."""
    read_by, delivered_to = marks.read_by(message.seq), marks.delivered_to(message.seq)
    state = State.SENT
    if marks.others and delivered_to == marks.others:
        state = State.READ if read_by == marks.others else State.DELIVERED
    return replace(message, state=state, read_by=read_by, delivered_to=delivered_to)


def _reactions(look: Reading, where: In, uuids: Sequence[str]) -> dict[str, list[Reaction]]:
    if not uuids:
        return {}
    found: dict[str, list[Reaction]] = {}
    told = rows(look.cursor, REACTIONS, (where.names.uuid, apsw.carray(tuple(uuids))))
    for (message, reaction), users in groupby(told, key=lambda row: row[:2]):
        each = Reaction(reaction, tuple(user for _, _, user in users))
        found.setdefault(message, []).append(each)
    return found


def _overlaid(look: Reading, messages: Sequence[Message]) -> Iterator[Message]:
    """Less those that the user deletes."""
    on_top = _on_top(look, messages)
    for message in messages:
        its = [*on_top.get(message.uuid, ()), *on_top.get(message.local, ())]
        its.sort(key=lambda row: row.queued.number)
        shown = overlaid_message(message, its, look.user) if its else message
        if shown is not None:
            yield shown


def _on_top(look: Reading, messages: Iterable[Message]) -> dict[str, list[Row]]:
    names = tuple(name for each in messages for name in (each.uuid, each.local) if name)
    found: dict[str, list[Row]] = {}
    if names:
        for columns in rows(look.cursor, ON_TOP, (apsw.carray(names),)):
            row = outbox.row_of(columns)
            found.setdefault(row.queued.target, []).append(row)
    return found


def _shown(look: Reading, user: str) -> str:
    return str(value(look.cursor, _SHOWN, (user,), ""))
