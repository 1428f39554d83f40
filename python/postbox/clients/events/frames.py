"""What goes down to devices, as bytes: entries as Events, and the frames that carry them.

Messages of protobuf concatenate, and two halves of a message that stands in a oneof are merged. So
the Event of an entry is what is stored, with fields put behind it: those that everybody gets, which
are made once, then those of the one device or the one frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from postbox.clients.events import fields
from postbox.clients.events.fields import time_field, uuid_field
from postbox.clients.events.kinds import FIRST_FOREIGN, Kind
from postbox.clients.ids import NIL, author_of, conversation_of
from postbox.rpc.fields import bytes_field, varint_field
from postbox.store.contract import Entry

# Contents of an Event, in proto/postbox/v1/clients.proto.
_ERASED, _SNAPSHOT_BEGIN, _SNAPSHOT_END, _CAUGHT_UP = 17, 27, 28, 29
_TYPING, _CONNECTED = 24, 25
# Of Erased, SnapshotBegin and CaughtUp, NewMessage, ProfilePictureChanged, HistoryPage.
_WHY, _EPOCH, _CODE, _TEMPORARY_UUID, _PNG = 1, 1, 2, 1, 2
_PAGE_EVENTS, _PAGE_MORE = 1, 2
# Of UserIsTyping, UserIsConnected.
_TYPING_CONVERSATION, _TYPING_USER, _TYPING_TTL, _CONNECTED_USER, _CONNECTED_TTL = 1, 2, 3, 1, 2

_WHY_ERASED: dict[int, str] = {Kind.NEW_MESSAGE: "deleted", Kind.MESSAGE_EDITED: "edited"}

BACKFILL = varint_field(fields.BACKFILL, 1)
"""Behind an event that is part of a snapshot, or from before the user joined."""

MAX_FRAME_EVENTS = 100
MAX_FRAME_BYTES = 256 * 2**10
"""Of the events of a frame that has several: no more of them than make the frame itself count for
nothing, and few enough that a slow device gets its first in a moment."""


class Sent(Struct, frozen=True, gc=False):
    """An Event on its way to a device."""

    place: int
    """Who has it, and all before it, has everything up to this position of the log."""
    event: bytes
    packed: bytes
    """What stands before it in a frame of several."""
    previous: bytes
    """The field by which the next frame names it; empty: it moves no cursor, and none does."""


def sent(place: int, event: bytes, uuid: bytes = b"") -> Sent:
    """`uuid`: of an event that moves cursors."""
    packed = bytes_field(fields.EVENTS, event)
    return Sent(place, event, packed[: len(packed) - len(event)], previous(uuid) if uuid else b"")


def previous(uuid: bytes) -> bytes:
    """The field of a frame that comes behind that event."""
    return uuid_field(fields.PREVIOUS, uuid)


def token(text: str) -> bytes:
    """The field of a frame with which the device has everything up to that cursor."""
    return bytes_field(fields.TOKEN, text.encode())


def stored(entry: Entry) -> bytes:
    """The Event of an entry, as everybody gets it; pictures without their bytes."""
    parts = [
        entry.body if entry.body is not None else _erased(entry),
        uuid_field(fields.UUID, entry.id),
    ]
    if entry.seq is not None:
        parts.append(varint_field(fields.SEQ, entry.seq))
    parts.append(server_time(entry.at_ms))
    return b"".join(parts)


def named(content: bytes, uuid: bytes) -> bytes:
    """An Event that says what is stored under that uuid, in other words."""
    return content + uuid_field(fields.UUID, uuid)


def state(kind: Kind, content: bytes, conversation: bytes | None = None) -> bytes:
    """An Event that nobody made: it says how things are."""
    event = bytes_field(kind, content)
    return event if conversation is None else event + uuid_field(fields.CONVERSATION, conversation)


def own_fields(entry: Entry) -> bytes:
    """What is added to its Event for the device that made it."""
    author = author_of(entry.author)
    if author.local == NIL:
        return b""
    field = uuid_field(fields.CLIENT_UUID, author.local)
    if entry.kind == Kind.NEW_MESSAGE and entry.body is not None:
        field += bytes_field(Kind.NEW_MESSAGE, uuid_field(_TEMPORARY_UUID, author.local))
    return field


def png_image(png: bytes) -> bytes:
    """What is added to a ProfilePictureChanged."""
    return bytes_field(Kind.PROFILE_PICTURE_CHANGED, bytes_field(_PNG, png))


def server_time(at_ms: int) -> bytes:
    return time_field(fields.SERVER_TIME, at_ms)


def frame(events: Sequence[Sent], own: bytes) -> bytes:
    """`own`: the frame's fields, its token and what came before it."""
    if len(events) == 1:
        return events[0].event + own
    parts: list[bytes] = []
    for each in events:
        parts.append(each.packed)
        parts.append(each.event)
    parts.append(own)
    return b"".join(parts)


def snapshot_begin(epoch: bytes, code: str) -> bytes:
    begin = bytes_field(_EPOCH, epoch) + bytes_field(_CODE, code.encode())
    return bytes_field(_SNAPSHOT_BEGIN, begin)


def snapshot_end(newest: bytes) -> bytes:
    """`newest`: the event that is the device's cursor from now on; empty: there is none."""
    end = bytes_field(_SNAPSHOT_END, b"")
    return named(end, newest) if newest else end


def caught_up(epoch: bytes) -> bytes:
    return bytes_field(_CAUGHT_UP, bytes_field(_EPOCH, epoch))


def typing(conversation: bytes, user: bytes, ttl_ms: int) -> bytes:
    """0: it is over."""
    who = uuid_field(_TYPING_CONVERSATION, conversation) + uuid_field(_TYPING_USER, user)
    return bytes_field(_TYPING, who + (varint_field(_TYPING_TTL, ttl_ms) if ttl_ms else b""))


def connected(user: bytes, ttl_ms: int) -> bytes:
    who = uuid_field(_CONNECTED_USER, user)
    return bytes_field(_CONNECTED, who + varint_field(_CONNECTED_TTL, ttl_ms))


def history_page(events: Sequence[bytes], has_more: bool) -> bytes:
    """A HistoryPage."""
    parts = [bytes_field(_PAGE_EVENTS, event) for event in events]
    return b"".join(parts) + (varint_field(_PAGE_MORE, 1) if has_more else b"")


def _erased(entry: Entry) -> bytes:
    """In place of a body that is gone."""
    why = "deleted" if entry.kind >= FIRST_FOREIGN else _WHY_ERASED.get(entry.kind, "erased")
    event = bytes_field(_ERASED, bytes_field(_WHY, why.encode()))
    event += uuid_field(fields.AUTHOR, author_of(entry.author).user)
    conversation = conversation_of(entry.stream)
    return event if conversation is None else event + uuid_field(fields.CONVERSATION, conversation)
