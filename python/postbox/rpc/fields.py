"""The fields of a serialised protobuf message, as they stand there: for who signs, hashes or keeps
bytes, which decoding and encoding again may change. What the fields mean is `protobuf`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BYTES = 10


class Field(NamedTuple):
    number: int
    kind: int
    """Its wire type."""
    start: int
    """Where its tag begins."""
    value: int
    """Where its value begins; behind its length, if it has one."""
    end: int


def fields(message: bytes) -> Iterator[Field]:
    """The fields of the message itself, in their order; what is inside of them is not looked at.
    Raises ValueError for what is no message, and for groups, which proto3 does not have."""
    at = 0
    while at < len(message):
        tag, value = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, end = _varint(message, value)
        elif kind == BYTES:
            length, value = _varint(message, value)
            end = value + length
        elif kind in _FIXED_BYTES:
            end = value + _FIXED_BYTES[kind]
        else:
            raise ValueError(f"there is no wire type {kind}")
        if not number or end > len(message):
            raise ValueError("a field without a number, or one that ends beyond the message")
        yield Field(number, kind, at, value, end)
        at = end


def only(message: bytes, number: int) -> bytes:
    """The value of that field, which holds bytes; empty if it is not there. Raises ValueError if it
    is there twice: who merges the two reads something else than who takes one of them."""
    found = [field for field in fields(message) if field.number == number]
    if len(found) > 1:
        raise ValueError(f"field {number} is there {len(found)} times")
    if found and found[0].kind != BYTES:
        raise ValueError(f"field {number} holds no bytes")
    return message[found[0].value : found[0].end] if found else b""


def each(message: bytes, number: int) -> list[bytes]:
    """The values of that field, which holds bytes, in their order; others are passed over. Raises
    ValueError."""
    tag, at, found = number << 3 | BYTES, 0, []
    while at < len(message) and message[at] == tag < 0x80:  # a list of thousands has nothing else
        length, at = _varint(message, at + 1)
        if at + length > len(message):
            raise ValueError("a field that ends beyond the message")
        found.append(message[at : at + length])
        at += length
    rest = message[at:]
    found += [rest[f.value : f.end] for f in fields(rest) if (f.number, f.kind) == (number, BYTES)]
    return found


def without(message: bytes, numbers: Iterable[int]) -> bytes:
    """The message less these fields, the others as they are."""
    left_out = frozenset(numbers)
    kept = [message[f.start : f.end] for f in fields(message) if f.number not in left_out]
    return b"".join(kept)


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes, a text or a message."""
    return b"%b%b%b" % (varint(number << 3 | BYTES), varint(len(value)), value)


def varint_field(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


@lru_cache(maxsize=4096)
def varint(value: int) -> bytes:
    """Kept, since tags, lengths and the time of a posting come again and again."""
    if 0x4000 <= value < 0x200000:  # the numbers of a link, which do not
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Its value, and where it ends."""
    if at < len(message) and message[at] < 0x80:  # nearly all
        return message[at], at + 1
    value = 0
    for shift, byte in enumerate(message[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError("a number that does not end")
