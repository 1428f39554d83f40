"""Asking for what was missed by MQTT, as nara does it: requests and responses, and which subjects
are asked of whom. Bytes in, values out.

Social events only, in nara's older form, which leaves out who signed and how. So what comes this
way is hearsay, whoever sent it; its id is computed again from what is left, and comes out as it
was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from postbox.errors import WireError
from postbox.event import is_name
from postbox.mesh import reading
from postbox.mesh.bus.topics import is_level
from postbox.mesh.decoding import decoded
from postbox.mesh.reading import read_event
from postbox.trust.authoring import Social, go_json, make_event

MAX_SUBJECTS = 2_000
"""In one request: a mesh of nara has some fifty names, and each costs a look-up."""
REQUEST_BYTES = 256 * 2**10
RESPONSE_BYTES = 256 * 2**10
"""As much as we send in one message, about a thousand events. The next message has the next ones,
which a nara takes just as well, and a bus is not held up by."""

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Request(Struct):
    sender: str = msgspec.field(name="From")
    subjects: list[str] | None = msgspec.field(name="Subjects", default=None)


class _Social(Struct, rename="pascal"):
    """All eight keys are always there. Who has less to say costs us less than it costs them."""

    id: str = msgspec.field(name="ID")
    timestamp: Int64  # Unix nanoseconds
    type: str
    actor: str
    target: str
    reason: str
    witness: str
    signature: str = ""


class _Response(Struct):
    sender: str = msgspec.field(name="From")
    events: list[_Social] | None = msgspec.field(name="Events", default=None)


class Request(NamedTuple):
    sender: str
    subjects: list[str]


class Response(NamedTuple):
    """`events`: as they stand in a log, unsigned. `names`: whom they are about."""

    sender: str
    events: list[bytes]
    names: set[str]


_REQUEST = msgspec.json.Decoder(_Request)
_RESPONSE = msgspec.json.Decoder(_Response)


def encode_request(sender: str, subjects: Sequence[str]) -> bytes:
    return go_json(_Request(sender, list(subjects)))


def decode_request(payload: bytes) -> Request:
    """Raises WireError."""
    if len(payload) > REQUEST_BYTES:
        raise WireError(f"a ledger request of {len(payload)} bytes: at most {REQUEST_BYTES}")
    request = decoded(_REQUEST, payload, "this is no ledger request")
    if not is_level(request.sender):
        raise WireError(f"{request.sender[:80]!r} cannot be asked back: no name that a topic holds")
    subjects = list(dict.fromkeys(request.subjects or ()))[:MAX_SUBJECTS]
    return Request(request.sender, [name for name in subjects if is_name(name)])


def encode_responses(sender: str, bodies: Sequence[bytes]) -> Iterator[bytes]:
    """Of stored social events; one message at least, as a nara answers with none."""
    events, size_bytes, count = [], 0, 0
    for body in bodies:
        events.append(_legacy(body))
        size_bytes += len(body)
        if size_bytes >= RESPONSE_BYTES:
            yield go_json(_Response(sender, events))
            events, size_bytes, count = [], 0, count + 1
    if events or not count:
        yield go_json(_Response(sender, events or None))


def _legacy(body: bytes) -> _Social:
    event = read_event(body)
    said = event.payload
    assert isinstance(said, reading.Social), "only social events are asked for"
    return _Social(
        event.id, event.ts_ns, said.type, said.actor, said.target, said.reason, said.witness
    )


def decode_response(payload: bytes) -> Response:
    """Raises WireError. Takes a second for the largest of messages."""
    response = decoded(_RESPONSE, payload, "this is no ledger response")
    if not is_name(response.sender):
        raise WireError(f"{response.sender[:80]!r} cannot be a name")
    events = response.events or ()
    names = {name for one in events for name in (one.actor, one.target) if is_name(name)}
    return Response(response.sender, [_event_of(one) for one in events], names)


def _event_of(said: _Social) -> bytes:
    social = Social(
        type=said.type,
        actor=said.actor,
        target=said.target,
        reason=said.reason,
        witness=said.witness,
    )
    return make_event(social, said.timestamp, None).body


def partition(subjects: Sequence[str], count: int) -> list[list[str]]:
    """Into so many parts at most, by nara's hash: whoever asks parts them the same way. Some may be
    empty."""
    count = max(1, min(count, len(subjects)))
    parts: list[list[str]] = [[] for _ in range(count)]
    for subject in subjects:
        at = 0
        for char in subject:
            at = (at * 31 + ord(char)) % count
        parts[at].append(subject)
    return parts
