"""What devices ask of a host and what they are answered, from bytes to values and back; sans-IO.

Events are taken out of a request as they stand in it: what one of them is, `events/incoming.py`
says, and one that is none spoils no other. docs/protocol/clients.md says what the messages mean.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from postbox.clients.events.kinds import MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from postbox.clients.ids import uuid_of
from postbox.errors import WireError
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import MAX_POS

SERVICE: Final = "postbox.v1.EventService"

SYNC: Final = "Sync"
SYNC_FROM_SERVER: Final = "SyncFromServer"
HISTORY: Final = "History"
RPCS: Final = (SYNC, SYNC_FROM_SERVER, HISTORY)

PATHS: Final = {rpc: f"/{SERVICE}/{rpc}" for rpc in RPCS}

MAX_NUMBER = MAX_POS - MAX_BATCH_EVENTS
"""Of the first event of a batch: those after it, and the next one, have room in a database."""

HISTORY_EVENTS, MAX_HISTORY_EVENTS = 50, 200
"""In a page for who names no limit, and for who names a larger one."""

_EVENTS = 1  # of SubmitEventInput in proto/postbox/v1/clients.proto
_MAX_OTHERS = 64  # fields of it, of which two are known today


class Malformed(WireError):
    """The request is no message of the protocol, or says what none may."""


class TooLarge(WireError):
    """The events are too many for one request, or too large together. Each of them may be good."""


class Batch(Struct, frozen=True):
    """A SubmitEventInput."""

    events: tuple[bytes, ...]
    first_number: int
    """0: the device does not count."""
    token: str
    """Of the last frame that the device has stored; empty: it says nothing of that."""


class Older(Struct, frozen=True):
    """A HistoryRequest."""

    conversation: bytes
    before_seq: int
    """0: from the newest on."""
    limit: int


def read_batch(message: bytes) -> Batch:
    """Raises Malformed, and TooLarge, but not for a single event: that is refused by itself, since
    else it would stay at the head of the device's queue for good."""
    try:
        events, other = _split(message)
        rest = pb.SubmitEventInput.from_binary(other)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"this is no SubmitEventInput: {error}") from error
    if rest.firstQueueNumber > MAX_NUMBER:
        raise Malformed(f"firstQueueNumber is at most {MAX_NUMBER}")
    if len(events) > 1 and len(message) > MAX_BATCH_BYTES:
        raise TooLarge(f"{len(message)} bytes at once: send at most {MAX_BATCH_BYTES}")
    return Batch(tuple(events), rest.firstQueueNumber, rest.resumeToken)


def _split(message: bytes) -> tuple[list[bytes], bytes]:
    """The events, and all else. Raises ValueError, and TooLarge: nothing is looked at behind what
    is too much, since a message may have a million fields, and that takes seconds."""
    events: list[bytes] = []
    others: list[bytes] = []
    for field in raw.fields(message):
        if (field.number, field.kind) == (_EVENTS, raw.BYTES):
            events.append(message[field.value : field.end])
        else:
            others.append(message[field.start : field.end])
        if len(events) > MAX_BATCH_EVENTS:
            raise TooLarge(f"more events at once than {MAX_BATCH_EVENTS}: send at most that many")
        if len(others) > _MAX_OTHERS:
            raise ValueError(f"it has more than {_MAX_OTHERS} fields beside its events")
    return events, b"".join(others)


def read_sync(message: bytes) -> pb.SyncFromServerRequest:
    """Raises Malformed."""
    try:
        return pb.SyncFromServerRequest.from_binary(message)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"this is no SyncFromServerRequest: {error}") from error


def read_history(message: bytes) -> Older:
    """Raises Malformed."""
    try:
        asked = pb.HistoryRequest.from_binary(message)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"this is no HistoryRequest: {error}") from error
    conversation = uuid_of(asked.conversationUuid)
    if conversation is None:
        raise Malformed("conversationUuid is no uuid")
    limit = min(asked.limit or HISTORY_EVENTS, MAX_HISTORY_EVENTS)
    return Older(conversation, asked.beforeSeq, limit)
