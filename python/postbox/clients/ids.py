"""What users, devices and events are called, and the streams that are theirs.

An id has 16 bytes and is a uuid of version 8. It follows from what it names: so a user, a device
and an event have the same id on every process of a host, before and after a restore, and whoever
offers the same event again offers it under the same id.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

ID_BYTES = 16
NIL = bytes(ID_BYTES)
UUID_CHARS = 36  # 8-4-4-4-12

_CONVERSATION, _USER = b"c/", b"u/"


def user_id(name: str) -> bytes:
    """`name`: that the user signs in with here, without a host."""
    return _uuid(b"postbox user\0" + name.encode())


def device_id(user: bytes, name: str) -> bytes:
    return _uuid(b"postbox device\0" + user + name.encode())


def event_id(device: bytes, local: bytes) -> bytes:
    """`local`: the uuid that the device gave the event. A conversation's id is that of the event
    that created it."""
    return _uuid(b"postbox client event" + device + local)


def copy_id(event: bytes, conversation: bytes) -> bytes:
    """Of an event's copy in a conversation."""
    return _uuid(b"postbox copy\0" + event + conversation)


def derived_id(purpose: str, *parts: bytes) -> bytes:
    """Of an entry that the host itself makes: once, of what it follows from."""
    return _uuid(b"postbox " + purpose.encode() + b"\0" + b"".join(parts))


def _uuid(what: bytes) -> bytes:
    digest = bytearray(hashlib.sha256(what).digest()[:ID_BYTES])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8: free in form
    digest[8] = digest[8] & 0x3F | 0x80  # the variant of all uuids
    return bytes(digest)


def uuid_of(text: str) -> bytes | None:
    """None: it is no uuid, or one of nothing but zeros."""
    digits = text.replace("-", "")
    if len(text) != UUID_CHARS or len(digits) != 2 * ID_BYTES:
        return None
    if not text[8] == text[13] == text[18] == text[23] == "-":
        return None
    try:
        found = bytes.fromhex(digits)
    except ValueError:
        return None
    return found if len(found) == ID_BYTES and found != NIL else None  # it passes over spaces


def text_of(uuid: bytes) -> str:
    digits = uuid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def conversation_stream(conversation: bytes) -> bytes:
    return _CONVERSATION + conversation


def user_stream(user: bytes) -> bytes:
    return _USER + user


def conversation_of(stream: bytes) -> bytes | None:
    """None: the stream is a user's."""
    return stream[2:] if stream.startswith(_CONVERSATION) else None


class Author(NamedTuple):
    """Who made an event: the `author` of its entry. A host that made it itself, as it makes what it
    knows of deliveries, has no device and no local uuid."""

    user: bytes
    device: bytes = NIL
    local: bytes = NIL

    def packed(self) -> bytes:
        return self.user + self.device + self.local


def author_of(packed: bytes) -> Author:
    end = 2 * ID_BYTES
    return Author(packed[:ID_BYTES], packed[ID_BYTES:end], packed[end:])
