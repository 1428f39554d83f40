"""What hosts say to each other, from bytes to values and back; sans-IO, for either side.

What is signed or kept is taken as it stood in the message: a token binds the bytes of a field as
they were sent, and an event is stored as it came. An `Any` is a type's name and bytes, and is never
unpacked here. docs/protocol/hosts.md says what the messages mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from postbox.errors import WireError
from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.bodies import LOST, REFUSED
from postbox.hosts.links.place import NOWHERE, Place
from postbox.hosts.tables import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import hosts_pb as pb

POSTBOX_SERVICE: Final = "postbox.v1.PostboxService"
AUTH_SERVICE: Final = "auth.v1.AuthService"

SERVICES: Final = (POSTBOX_SERVICE, AUTH_SERVICE)

SYNC: Final = "Sync"
POST_EVENT: Final = "PostEvent"
POST_EVENTS: Final = "PostEvents"
ACK: Final = "Ack"
GET_KEY: Final = "GetKey"
RPCS: Final = (SYNC, POST_EVENT, POST_EVENTS, ACK)

PATHS: Final = {
    **{rpc: f"/{POSTBOX_SERVICE}/{rpc}" for rpc in RPCS},
    GET_KEY: f"/{AUTH_SERVICE}/{GET_KEY}",
}

STRICT, FOLLOW = "strict", "follow"
CAPABILITIES: Final = (STRICT, POST_EVENTS, ACK, FOLLOW)
"""What a host of ours can do beyond the specification, as its list of keys says."""

MAX_REQUEST_BYTES = 3 * 2**19
"""With a token and names around it, and in base64, as JSON has it."""

EPOCH_BYTES = 16
MAX_NUMBER = 2**63 - 1
"""Of a link's event: what a database has room for."""

# Of the messages in proto/postbox/v1/hosts.proto, as far as their fields are told apart here.
_ASKER, _POSTED = 1, 2
_TOKEN, _HOST = 1, 2
_EVENTS = 1


class Malformed(WireError):
    """The request is no message of the protocol, or says what none may."""


class Asked(Struct, frozen=True):
    """A SyncRequest: who asks, and how far the link to it has come there."""

    token: str
    host: str
    """As it was written; not known to be a name at all."""
    bound: bytes
    """What a token for Sync or Ack binds: the fields besides token and host."""
    ack: Place | None
    follow: bool
    refused: pb.Refusal | None


class Post(Struct, frozen=True):
    """A PostEventRequest, or a PostEventsRequest: `events` is a PostboxEvent, or an Events."""

    asked: Asked
    events: bytes
    """What its token binds."""


def digest(bound: bytes) -> bytes:
    """Of what a token binds: its claim `bh`."""
    return hashlib.sha256(bound).digest()


# -- what is asked of us ------------------------------------------------------------------------


def read_asked(message: bytes) -> Asked:
    """A SyncRequest. Raises Malformed."""
    try:
        request = pb.SyncRequest.from_binary(message)
        for number in (_TOKEN, _HOST):
            raw.only(message, number)
        bound = raw.without(message, (_TOKEN, _HOST))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"this is no SyncRequest: {error}") from error
    ack = None if request.ack is None else place_in(request.ack)
    return Asked(request.token, request.host, bound, ack, request.follow, request.refused)


def read_ack(message: bytes) -> Asked:
    """An AckRequest. Raises Malformed."""
    return read_asked(_part(message, _ASKER))


def read_post(message: bytes) -> Post:
    """A PostEventRequest or a PostEventsRequest; its events are not looked at. Raises Malformed."""
    asked = read_asked(_part(message, _ASKER))
    return Post(asked, _part(message, _POSTED))


def read_events(message: bytes) -> tuple[Arrived, ...]:
    """The `events` of a PostEventsRequest. Raises Malformed."""
    if len(message) > MAX_BATCH_BYTES:
        raise Malformed(f"the events have {len(message)} bytes: at most {MAX_BATCH_BYTES} at once")
    try:
        bodies = raw.each(message, _EVENTS)
    except ValueError as error:
        raise Malformed(f"this is no Events: {error}") from error
    if not 0 < len(bodies) <= MAX_BATCH_EVENTS:
        raise Malformed(f"there are {len(bodies)} events: 1 to {MAX_BATCH_EVENTS} at once")
    return tuple([read_event(body) for body in bodies])


def read_event(body: bytes) -> Arrived:
    """A PostboxEvent with a number or without (0), which is an event or a tombstone. Raises
    Malformed."""
    event = _event(body)
    if event.alive:
        raise Malformed("a sign of life is no event")
    content, upto, reason = event.event, 0, ""
    if event.tombstone is not None:
        upto, reason = event.tombstone.upto, event.tombstone.reason
        content = None
        if not 0 < event.seq <= upto <= MAX_NUMBER or reason not in (REFUSED, LOST):
            raise Malformed("a tombstone is for numbers up to its `upto`, refused or lost")
    elif content is None:
        raise Malformed("there is no event in it, and no tombstone")
    if event.seq:
        _require_numbered(event)
    return Arrived(
        body=body,
        epoch=event.epoch,
        seq=event.seq,
        first=event.first,
        before=event.before,
        upto=upto,
        reason=reason,
        type_url="" if content is None else content.type_url,
        value=b"" if content is None else content.value,
    )


def read_streamed(body: bytes) -> Arrived | pb.PostboxEvent:
    """What comes on the stream of a Sync: as `read_event`, or a sign of life. Raises Malformed."""
    event = _event(body)
    return event if event.alive else read_event(body)


def place_in(place: pb.Place) -> Place:
    """Raises Malformed."""
    if place == pb.Place():
        return NOWHERE
    if len(place.epoch) != EPOCH_BYTES or place.seq > MAX_NUMBER:
        raise Malformed(f"a place is an epoch of {EPOCH_BYTES} bytes and a number")
    return Place(place.epoch, place.seq)


def _event(body: bytes) -> pb.PostboxEvent:
    if len(body) > MAX_EVENT_BYTES:
        raise Malformed(f"an event has {len(body)} bytes: at most {MAX_EVENT_BYTES}")
    try:
        return pb.PostboxEvent.from_binary(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"this is no PostboxEvent: {error}") from error


def _require_numbered(event: pb.PostboxEvent) -> None:
    if len(event.epoch) != EPOCH_BYTES or len(event.before) not in (0, EPOCH_BYTES):
        raise Malformed(f"an epoch has {EPOCH_BYTES} bytes")
    if not 0 < event.first <= event.seq <= MAX_NUMBER:
        raise Malformed("`first` is the first number of the epoch, and so from 1 to `seq`")


def _part(message: bytes, number: int) -> bytes:
    try:
        return raw.only(message, number)
    except ValueError as error:
        raise Malformed(f"this is no message of the protocol: {error}") from error


# -- what we ask, and answer --------------------------------------------------------------------


def asking(
    ack: Place | None = None, *, follow: bool = False, refused: pb.Refusal | None = None
) -> bytes:
    """A SyncRequest without token and host: what a token for Sync or Ack binds."""
    place = None if ack is None else pb.Place(epoch=ack.epoch, seq=ack.seq)
    return pb.SyncRequest(ack=place, follow=follow, refused=refused).to_binary()


def signed(asking: bytes, token: str, host: str) -> bytes:
    """A SyncRequest. `host`: the asker."""
    return pb.SyncRequest(token=token, host=host).to_binary() + asking


def ack_request(asked: bytes) -> bytes:
    return raw.bytes_field(_ASKER, asked)


def post_request(asked: bytes, events: bytes) -> bytes:
    """A PostEventRequest if `events` is a PostboxEvent, a PostEventsRequest if it is an Events:
    which of them they are is not to be seen in the bytes. The token binds `events`."""
    return raw.bytes_field(_ASKER, asked) + raw.bytes_field(_POSTED, events)


def events_of(bodies: Iterable[bytes]) -> bytes:
    """An Events."""
    return b"".join([raw.bytes_field(_EVENTS, body) for body in bodies])


def place_of(place: Place) -> pb.Place:
    return pb.Place(epoch=place.epoch, seq=place.seq)
