"""PostboxEvents put together from their fields. Messages of protobuf concatenate: what is stored
when an event is posted, and what its number is sent with, are the two halves of one message.
`wire` reads them.
"""

from __future__ import annotations

from postbox.rpc.fields import bytes_field, varint_field

REFUSED = "refused"
"""The reason of a tombstone in whose place was an event that the receiver itself did not take."""
LOST = "lost"
"""Of one whose numbers have no event any more: the receiver misses something."""

# Of a PostboxEvent in proto/postbox/v1/hosts.proto; of an Any; of a Tombstone.
_EVENT, _ID, _EPOCH, _SEQ, _FIRST, _AT_MS, _TOMBSTONE, _BEFORE = 1, 16, 17, 18, 19, 20, 21, 24
_TYPE_URL, _VALUE = 1, 2
_UPTO, _REASON = 1, 2


def content(event_id: bytes, type_url: str, value: bytes, at_ms: int) -> bytes:
    """An event without its number, as it is stored."""
    any_ = bytes_field(_TYPE_URL, type_url.encode()) + bytes_field(_VALUE, value)
    named = bytes_field(_EVENT, any_) + bytes_field(_ID, event_id)
    return named + varint_field(_AT_MS, at_ms)


def label(epoch: bytes, first: int, before: bytes) -> bytes:
    """What all numbers of an epoch are sent with. `before`: empty if there is no epoch before."""
    fields = bytes_field(_EPOCH, epoch) + varint_field(_FIRST, first)
    return fields + bytes_field(_BEFORE, before) if before else fields


def number(seq: int) -> bytes:
    return varint_field(_SEQ, seq)


def tombstone(seq: int, upto: int, reason: str) -> bytes:
    """Instead of an event and its number."""
    grave = varint_field(_UPTO, upto) + bytes_field(_REASON, reason.encode())
    return number(seq) + bytes_field(_TOMBSTONE, grave)
