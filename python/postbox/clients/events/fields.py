"""The fields of an Event that are no content, by number, and how ids and times are written in any
message of the protocol. What goes down is put together from bytes: nothing is parsed to be sent.
"""

from __future__ import annotations

from typing import Final

from postbox.clients.ids import text_of
from postbox.rpc.fields import bytes_field, varint_field

# As in proto/postbox/v1/clients.proto.
UUID: Final = 1
CLIENT_UUID: Final = 40
CONVERSATION: Final = 41
SEQ: Final = 42
AUTHOR: Final = 43
SERVER_TIME: Final = 44
CLIENT_TIME: Final = 45
TOKEN: Final = 46
PREVIOUS: Final = 47
DUPLICATE: Final = 48
BACKFILL: Final = 49
EVENTS: Final = 51

_SECONDS, _NANOS = 1, 2  # of a Timestamp
_UNSIGNED = 2**64 - 1


def uuid_field(number: int, uuid: bytes) -> bytes:
    return bytes_field(number, text_of(uuid).encode())


def time_field(number: int, ms: int) -> bytes:
    """`ms`: since 1970, and also before."""
    seconds, rest_ms = divmod(ms, 1_000)
    stamp = varint_field(_SECONDS, seconds & _UNSIGNED) + varint_field(_NANOS, rest_ms * 10**6)
    return bytes_field(number, stamp)
