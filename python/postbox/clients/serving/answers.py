"""The answer to a device's queue, as bytes: `events[i]` says what became of `events[i]`."""

from __future__ import annotations

from collections.abc import Sequence

from postbox.clients.events import fields
from postbox.clients.events.fields import time_field
from postbox.clients.ids import text_of
from postbox.rpc.fields import bytes_field, varint_field
from postbox.rules import Reason

# Contents of an Event, in proto/postbox/v1/clients.proto.
_SENT_NEW_MESSAGE, _EVENT_REFUSED = 5, 26
# Of SentNewMessage, EventRefused and SubmitEventOutput.
_SENT_UUID, _CODE, _DETAIL, _CURRENT = 1, 1, 2, 3
_EVENTS, _NEXT_NUMBER, _SERVER_TIME = 1, 2, 3

_IS_DUPLICATE = varint_field(fields.DUPLICATE, 1)


def taken(event: bytes, client_uuid: str, *, is_message: bool, is_duplicate: bool) -> bytes:
    """It is stored, under that id: an Event."""
    uuid = text_of(event).encode()
    answer = bytes_field(fields.UUID, uuid) + _client_uuid(client_uuid)
    if is_message:
        answer += bytes_field(_SENT_NEW_MESSAGE, bytes_field(_SENT_UUID, uuid))
    return answer + _IS_DUPLICATE if is_duplicate else answer


def refused(client_uuid: str, reason: Reason, current: bytes | None = None) -> bytes:
    """`current`: the Event that it did not know of."""
    said = bytes_field(_CODE, reason.code.encode()) + bytes_field(_DETAIL, reason.text.encode())
    if current is not None:
        said += bytes_field(_CURRENT, current)
    return _client_uuid(client_uuid) + bytes_field(_EVENT_REFUSED, said)


def passed_on(client_uuid: str) -> bytes:
    """It was transitory."""
    return _client_uuid(client_uuid)


def output(events: Sequence[bytes], next_number: int, now_ms: int) -> bytes:
    """A SubmitEventOutput. `next_number` 0: the device does not count."""
    parts = [bytes_field(_EVENTS, event) for event in events]
    if next_number:
        parts.append(varint_field(_NEXT_NUMBER, next_number))
    parts.append(time_field(_SERVER_TIME, now_ms))
    return b"".join(parts)


def _client_uuid(text: str) -> bytes:
    return bytes_field(fields.CLIENT_UUID, text.encode()) if text else b""
