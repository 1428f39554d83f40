"""What users are called, so that a device knows of whom it speaks before the host has said so."""

from __future__ import annotations

import hashlib
import re

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NIL = "00000000-0000-0000-0000-000000000000"


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None and text != _NIL


def user_uuid(name: str) -> str:
    """`name`: that the user signs in with (docs/protocol/clients.md, "What an event is called")."""
    return derived_uuid(b"postbox user\0" + name.encode())


def renewed_uuid(uuid: str) -> str:
    """Under which what was refused as `uuid` goes up again: the host would refuse that for ever."""
    return derived_uuid(b"postbox again\0" + uuid.encode())


def derived_uuid(what: bytes) -> str:
    """A uuid of version 8 (RFC 9562): it follows from what it names."""
    digest = bytearray(hashlib.sha256(what).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return text_of(bytes(digest))


def text_of(uuid: bytes) -> str:
    """Of its 16 bytes."""
    digits = uuid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
