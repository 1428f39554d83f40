"""What the clients' door keeps beside its entries, as tables and as values.

Everything of it follows from the entries, but for devices, their places and queues, refusals, and
the bytes of pictures: it is there so that rules can look up by key what they would have to search.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from postbox.clients.ids import ID_BYTES
from postbox.store.contract import Column, Query, Row, Table
from postbox.store.schema import Migrations

MIGRATIONS = Migrations("clients", "postbox.clients.migrations")

DEVICES_STREAM = b"devices"
"""Of what followers are told about devices."""

MAX_MEMBERS = 1_000
"""Of a conversation."""

MAX_CONVERSATIONS = 1_000
"""Of a user: their ids are one column."""

MAX_ADDED, MAX_ADDED_BY_ONE = 750, 250
"""Others add a user to no more while it is in so many: room is left for those that it creates. One
of them fills a third of that at most: a colleague with one for each project does not."""

MAX_PERIODS = 32
"""That are kept of one user in one conversation: what lay in earlier ones is not shown again."""

MAX_REACTIONS = 1_000
"""To a message, of all users: who begins with a conversation is told those to its newest messages,
and they are read at once. As many as a conversation has members."""

MAX_REFUSED = 100
"""That are remembered of a device: as many as a batch has events."""

MAX_DETAIL_CHARS = 200
"""Of a refusal that is remembered."""


BLOB, INTEGER, TEXT = "blob", "integer", "text"


def _table(name: str, key: int, /, **columns: str) -> Table:
    return Table(name, tuple(Column(*column) for column in columns.items()), key)


ACCOUNT = _table(
    "account",
    1,
    user=BLOB,
    name=TEXT,
    display=TEXT,
    picture=BLOB,
    name_event=BLOB,
    picture_event=BLOB,
    conversations=BLOB,
    at_ms=INTEGER,
)

DEVICE = _table(
    "device",
    2,
    user=BLOB,
    name=TEXT,
    id=BLOB,
    made_ms=INTEGER,
    seen_ms=INTEGER,
    revoked_ms=INTEGER,
)

DEVICE_PLACE = _table("device_place", 1, device=BLOB, acked_pos=INTEGER)
"""The device has everything up to there."""

QUEUE = _table("queue", 1, device=BLOB, next_number=INTEGER)

REFUSED = _table("refused", 1, device=BLOB, refusals=BLOB)

CONVERSATION = _table(
    "conversation",
    1,
    conversation=BLOB,
    name=TEXT,
    name_event=BLOB,
    members=INTEGER,
    owners=INTEGER,
    at_ms=INTEGER,
)

MEMBER = _table(
    "member",
    2,
    conversation=BLOB,
    user=BLOB,
    is_in=INTEGER,
    role=INTEGER,
    period=INTEGER,
    event=BLOB,
    added_by=BLOB,
)

ADDED = _table("added", 2, user=BLOB, added_by=BLOB, conversations=INTEGER)
"""In how many conversations a user is into which another one has brought it."""

PERIOD = _table(
    "period",
    3,
    user=BLOB,
    conversation=BLOB,
    number=INTEGER,
    joined=BLOB,
    left=BLOB,
    sees_all=INTEGER,
)

CHANGED_MESSAGE = _table(
    "changed_message", 1, message=BLOB, edit=BLOB, deletion=BLOB, reactions=INTEGER
)

REACTION = _table("reaction", 3, message=BLOB, user=BLOB, reaction=TEXT, event=BLOB)

WATERMARK = _table(
    "watermark", 3, conversation=BLOB, user=BLOB, kind=INTEGER, seq=INTEGER, event=BLOB
)

TOMB = _table("tomb", 1, id=BLOB, pos=INTEGER, at_ms=INTEGER)

PICTURE = _table("picture", 1, sha256=BLOB, png=BLOB)

PICTURE_USE = _table("picture_use", 1, sha256=BLOB, users=INTEGER)
"""How many users have it as theirs."""

TABLES = (
    ACCOUNT,
    DEVICE,
    DEVICE_PLACE,
    QUEUE,
    REFUSED,
    CONVERSATION,
    MEMBER,
    ADDED,
    PERIOD,
    CHANGED_MESSAGE,
    REACTION,
    WATERMARK,
    TOMB,
    PICTURE,
    PICTURE_USE,
)


class Role(IntEnum):
    """In a conversation, as on the wire."""

    MEMBER = 0
    OWNER = 1


class Account(Struct, frozen=True, array_like=True):
    """A user of this host who has signed in. `name_event` and `picture_event`: the newest change of
    each; empty before the first."""

    user: bytes
    name: str
    at_ms: int
    display: str = ""
    picture: bytes = b""  # SHA-256 of the image; empty: none
    name_event: bytes = b""
    picture_event: bytes = b""
    conversations: tuple[bytes, ...] = ()  # that the user is in, in the order of joining


class Device(Struct, frozen=True, array_like=True):
    """Of a user, who need not have an account: it can be revoked before it ever signed in."""

    user: bytes
    name: str
    id: bytes
    made_ms: int  # 0: it never signed in
    seen_ms: int
    revoked_ms: int = 0  # tokens issued up to then are refused; 0: never


class Refusal(Struct, frozen=True, array_like=True):
    event: bytes
    code: str
    detail: str


class Conversation(Struct, frozen=True, array_like=True):
    conversation: bytes
    name: str
    name_event: bytes  # the newest that gave it a name: its creation's at first
    members: int
    owners: int
    at_ms: int


class Member(Struct, frozen=True, array_like=True):
    """Of a user who is or was in a conversation. `period`: the number of the newest."""

    conversation: bytes
    user: bytes
    is_in: bool
    role: Role
    period: int
    event: bytes  # that made it so: of creating, joining, changing the role, or leaving
    added_by: bytes = b""  # the user who brought it in; empty: it created it, or is out


class Period(Struct, frozen=True, array_like=True):
    """From one joining to the leaving after it: the user sees what lies between."""

    user: bytes
    conversation: bytes
    number: int  # from 1 on
    joined: bytes  # the event
    left: bytes  # the event; empty while it lasts
    sees_all: bool  # and what was said before


class ChangedMessage(Struct, frozen=True, array_like=True):
    """Its newest edit, and its deletion; either may be empty. No row: it is as it was sent, and
    nobody has reacted to it."""

    message: bytes
    edit: bytes
    deletion: bytes = b""
    reactions: int = 0  # how many it has


class Reaction(Struct, frozen=True, array_like=True):
    message: bytes
    user: bytes
    reaction: str
    event: bytes  # that added it


class Watermark(Struct, frozen=True, array_like=True):
    """`kind`: of its events, as in `events/kinds.py`."""

    conversation: bytes
    user: bytes
    kind: int
    seq: int
    event: bytes


class Tomb(Struct, frozen=True, array_like=True):
    """Where an event was, or the one that stands for it, for devices whose cursor it is."""

    id: bytes
    pos: int
    at_ms: int


Value: TypeAlias = (
    Device | Conversation | Member | Period | ChangedMessage | Reaction | Watermark | Tomb
)
"""A row whose columns are its fields."""

T = TypeVar("T", bound=Value)


def read_row(kind: type[T], row: Row) -> T:
    """Raises ValueError for a row that is none of ours."""
    return msgspec.convert(row, kind, strict=False)  # which takes 0 and 1 for booleans


def row_of(value: Value) -> Row:
    return tuple([int(field) if isinstance(field, int) else field for field in astuple(value)])


def account_of(row: Row) -> Account:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (user, name, display, picture, name_event, picture_event, bytes(packed), at_ms):
            conversations = unpacked(packed)
            fields = (user, name, at_ms, display, picture, name_event, picture_event, conversations)
            return msgspec.convert(fields, Account)
        case _:
            raise ValueError(f"not a row of the table {ACCOUNT.name}: {row!r}")


def account_row(account: Account) -> Row:
    return (
        account.user,
        account.name,
        account.display,
        account.picture,
        account.name_event,
        account.picture_event,
        b"".join(account.conversations),
        account.at_ms,
    )


def unpacked(ids: bytes) -> tuple[bytes, ...]:
    """Of a column that has ids of 16 bytes."""
    if len(ids) % ID_BYTES:
        raise ValueError(f"{len(ids)} bytes are not ids of {ID_BYTES} bytes")
    return tuple([ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)])


def refusals_in(row: Row | None) -> tuple[Refusal, ...]:
    """The oldest first. Raises ValueError for a row that is none of ours."""
    match row:
        case None:
            return ()
        case (bytes(), bytes(packed)):
            return msgspec.msgpack.decode(packed, type=tuple[Refusal, ...])
        case _:
            raise ValueError(f"not a row of the table {REFUSED.name}: {row!r}")


def refused_row(device: bytes, before: Row | None, refusal: Refusal) -> Row:
    """Behind those from before, of which the oldest goes if there are too many. They are not read:
    what is refused may come as fast as what is stored. Raises ValueError as `refusals_in` does."""
    match before:
        case None:
            known = []
        case (bytes(), bytes(packed)):
            known = msgspec.msgpack.decode(packed, type=list[msgspec.Raw])
        case _:
            raise ValueError(f"not a row of the table {REFUSED.name}: {before!r}")
    kept = [*known[1 - MAX_REFUSED :], _shortened(refusal)]
    return (device, msgspec.msgpack.encode(kept))


def _shortened(refusal: Refusal) -> Refusal:
    return Refusal(refusal.event, refusal.code, refusal.detail[:MAX_DETAIL_CHARS])


MEMBERS_OF = Query(
    "members_of_conversation",
    'select conversation, "user", is_in, role, period, event, added_by from member'
    ' where conversation = :conversation and is_in = 1 order by "user"',
)

DEVICES_OF = Query(
    "devices_of_user",
    'select "user", name, id, made_ms, seen_ms, revoked_ms from device where "user" = :user'
    " order by name",
)

ALL_DEVICES = Query(
    "all_devices",
    'select a.name, d."user", d.name, d.id, d.made_ms, d.seen_ms, d.revoked_ms'
    ' from device d left join account a on a."user" = d."user"',
)
"""Each after the name that its user signs in with, which is null if the user never did."""

OLD_TOMBS = Query(
    "old_tombs", "select id from tomb where at_ms < :before_ms order by at_ms limit :limit"
)
