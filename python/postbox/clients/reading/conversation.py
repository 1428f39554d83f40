"""What a conversation is like, told in events: for who begins with it, as a snapshot or on joining.

Everything is told that a device would know which had lived through it, up to a position: what is
beyond it comes on the stream, and finds the state that it was made for, or one that has it already.
Names, members, watermarks and reactions are such that it may be told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from postbox.clients.events import bodies, frames
from postbox.clients.events.bodies import Person
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import conversation_stream, text_of, user_stream
from postbox.clients.reading.windows import Period, Viewer
from postbox.clients.tables import (
    ACCOUNT,
    CONVERSATION,
    MEMBER,
    MEMBERS_OF,
    Conversation,
    Member,
    read_row,
)
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Entry, Lane, Query, Reader, Row

RECENT_MESSAGES = 50
"""Of a conversation: a screen or two. What came before is asked for (`history`)."""

_LOOKED_THROUGH = 2_000
"""Entries that are looked through for them, whoever adds and removes reactions all day."""

ENTRY = "e.pos, e.stream, e.seq, e.id, e.kind, e.flags, e.author, e.at_ms, e.body"

_MESSAGES = f"""with message as (
    select pos, id from (
      select pos, id, kind, body is not null as is_there from entry
      where lane = 4 and %s order by %s pos desc limit {_LOOKED_THROUGH}) looked
    where is_there and (kind = 7 or kind >= 64) order by pos desc limit %s)"""

# The planner of SQLite is told the way; PostgreSQL looks each up by itself.
RECENT = Query(
    "recent_messages",
    _MESSAGES % ("stream = :stream and pos > :after and pos <= :upto", "", ":limit")
    + f""" select {ENTRY} from message m cross join entry e on e.pos = m.pos
  union all select {ENTRY} from message m cross join changed_message c on c.message = m.id
    cross join entry e indexed by entry_id_4 on e.lane = 4 and e.id = c.edit
    where e.body is not null and e.pos <= :upto
  union all select {ENTRY} from message m cross join reaction r on r.message = m.id
    cross join entry e indexed by entry_id_4 on e.lane = 4 and e.id = r.event
    where e.body is not null and e.pos <= :upto
  order by 1""",
    postgres=_MESSAGES
    % (
        "(stream, pos) > (%(stream)s, %(after)s) and (stream, pos) <= (%(stream)s, %(upto)s)",
        "stream desc,",
        "%(limit)s",
    )
    + f""" select {ENTRY} from message m
    cross join lateral (select * from entry where pos = m.pos offset 0) e
  union all select {ENTRY} from message m
    cross join lateral (select edit from changed_message where message = m.id offset 0) c
    cross join lateral (select * from entry where lane = 4
      and id >= c.edit and id <= c.edit order by id limit 1) e
    where e.body is not null and e.pos <= %(upto)s
  union all select {ENTRY} from message m
    cross join lateral (select event from reaction where message = m.id offset 0) r
    cross join lateral (select * from entry where lane = 4
      and id >= r.event and id <= r.event order by id limit 1) e
    where e.body is not null and e.pos <= %(upto)s
  order by 1""",
)
"""The newest messages, what they were edited to, and the reactions to them."""

WATERMARKS = Query(
    "watermark_entries",
    f"""select {ENTRY} from watermark w cross join entry e indexed by entry_id_4
    on e.lane = 4 and e.id = w.event where w.conversation = :conversation
    and e.stream in (:stream, :own) and e.pos <= :upto order by e.pos""",
    postgres=f"""select {ENTRY} from watermark w
    cross join lateral (select * from entry where lane = 4
      and id >= w.event and id <= w.event order by id limit 1) e
    where w.conversation = %(conversation)s
    and e.stream in (%(stream)s, %(own)s) and e.pos <= %(upto)s order by e.pos""",
)
"""In large conversations they lie in each user's stream, and are nobody else's."""

NEWEST = Query(
    "newest_numbered",
    f"""select {ENTRY} from entry e indexed by entry_number where e.stream = :stream
    and e.seq is not null and e.lane = 4 and e.pos <= :upto order by e.seq desc limit 1""",
    postgres=f"""select {ENTRY} from entry e where (e.stream, e.seq) >= (%(stream)s, 1)
    and (e.stream, e.seq) <= (%(stream)s, 9223372036854775807) and e.seq is not null
    and e.lane + 0 = 4 and e.pos <= %(upto)s order by e.stream desc, e.seq desc limit 1""",
)
"""`lane + 0`: an index by position would have to look through the whole stream."""


class Face(NamedTuple):
    """What a user shows of itself: the first columns of its account. `picture`: SHA-256."""

    user: bytes
    name: str
    display: str
    picture: bytes
    name_event: bytes
    picture_event: bytes


class State(Struct, frozen=True):
    """`events`: Events without a mark. `people`: whom they name."""

    events: Sequence[bytes]
    newest_seq: int  # of them
    message_bytes: int
    people: Sequence[Face]


def read_state(
    viewer: Viewer, period: Period, upto: int, messages: int, reader: Reader
) -> State | None:
    """Up to that position, with so many messages at most. None: the period has ended, and what the
    conversation is like is none of the viewer's business any more."""
    row = reader.rows(MEMBER, [(period.conversation, viewer.user)])
    if not _lasts(period, row[period.conversation, viewer.user]):
        return None
    conversation = _conversation(period.conversation, reader)
    members = read_members(period.conversation, reader)
    people = read_faces([member.user for member in members], reader)
    events = [*_names(conversation), *_members(members, people)]
    marks = read_watermarks(viewer, period.conversation, upto, reader)
    events += [for_device(entry, viewer) for entry in marks]
    recent = _recent(period, upto, messages, reader)
    events += [for_device(entry, viewer) for entry in recent]
    newest_seq = max((entry.seq or 0 for entry in recent), default=0)
    size = sum(len(entry.body or b"") for entry in recent)
    return State(events, newest_seq, size, list(people.values()))


def read_members(conversation: bytes, reader: Reader) -> list[Member]:
    rows = reader.query(MEMBERS_OF, conversation=conversation)
    return [read_row(Member, row) for row in rows]


def read_faces(users: Iterable[bytes], reader: Reader) -> dict[bytes, Face]:
    rows = reader.rows(ACCOUNT, [(user,) for user in users])
    faces = [Face._make(row[: len(Face._fields)]) for row in rows.values() if row is not None]
    return {face.user: face for face in faces}


def read_watermarks(viewer: Viewer, conversation: bytes, upto: int, reader: Reader) -> list[Entry]:
    rows = reader.query(
        WATERMARKS,
        conversation=conversation,
        stream=conversation_stream(conversation),
        own=user_stream(viewer.user),
        upto=upto,
    )
    return entries_of(rows)


def read_newest(conversation: bytes, upto: int, reader: Reader) -> list[Entry]:
    """The entry with the greatest number: what comes next has the one after it."""
    rows = reader.query(NEWEST, stream=conversation_stream(conversation), upto=upto)
    return entries_of(rows)


def for_device(entry: Entry, viewer: Viewer) -> bytes:
    event = frames.stored(entry)
    is_own = entry.author[16:32] == viewer.device
    return event + frames.own_fields(entry) if is_own else event


def entries_of(rows: Iterable[Row]) -> list[Entry]:
    return [Entry(row[0], Lane.CLIENTS, *row[1:]) for row in rows]  # type: ignore[arg-type]


def _lasts(period: Period, row: Row | None) -> bool:
    if row is None:
        return False
    member = read_row(Member, row)
    return member.is_in and member.period == period.number


def _conversation(conversation: bytes, reader: Reader) -> Conversation:
    row = reader.rows(CONVERSATION, [(conversation,)])[conversation,]
    assert row is not None, "a conversation that has a member is there"
    return read_row(Conversation, row)


def _names(conversation: Conversation) -> Iterator[bytes]:
    """Its creation; and its name, if it has another one since."""
    its, name = conversation.conversation, conversation.name
    created = bodies.conversation_created(its, name, ())
    event = frames.state(Kind.CONVERSATION_CREATED, created, its)
    yield frames.named(event, its) + frames.server_time(conversation.at_ms)
    if conversation.name_event != its:
        changed = pb.ConversationNameChanged(conversationUuid=text_of(its), newName=name)
        event = frames.state(Kind.CONVERSATION_NAME_CHANGED, changed.to_binary(), its)
        yield frames.named(event, conversation.name_event)


def _members(members: Iterable[Member], people: dict[bytes, Face]) -> Iterator[bytes]:
    for member in members:
        face = people.get(member.user)
        if face is not None:
            person = Person(face.user, face.name, face.display, face.picture)
            its, user = member.conversation, bodies.user_of(person)
            joined = pb.MemberJoined(
                conversationUuid=text_of(its), user=user, role=pb.Role(member.role)
            )
            yield frames.state(Kind.MEMBER_JOINED, joined.to_binary(), its)


def _recent(period: Period, upto: int, messages: int, reader: Reader) -> list[Entry]:
    after = 0 if period.sees_all else period.joined_pos
    rows = reader.query(
        RECENT,
        stream=conversation_stream(period.conversation),
        after=after,
        upto=upto,
        limit=messages,
    )
    return entries_of(rows)
