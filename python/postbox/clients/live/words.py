"""What the processes of a node tell each other of their devices, from values to messages and back;
sans-IO.

A word that this process does not know, as one of a newer version, is passed over: none of them is
needed for what devices are promised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from postbox.store.contract import MAX_MESSAGE_BYTES

SENDER_BYTES = 8
_ENVELOPE_BYTES = 32  # the sender, and what says how many words there are


class Types(Struct, frozen=True, array_like=True, tag="types"):
    """`ttl_ms` 0: not any more."""

    stream: bytes
    user: bytes
    device: bytes
    ttl_ms: int


class Connected(Struct, frozen=True, array_like=True, tag="connected"):
    user: bytes


class Opened(Struct, frozen=True, array_like=True, tag="opened"):
    """The device has opened a stream, the one of this number in that process."""

    device: bytes
    number: int


class Held(Struct, frozen=True, array_like=True, tag="held"):
    """The device has a stream, since so long: said by a process that may not have been heard, or
    not have heard, for a while."""

    device: bytes
    number: int
    age_ms: int


class Spent(Struct, frozen=True, array_like=True, tag="spent"):
    """So many events of the device."""

    device: bytes
    events: int


Word: TypeAlias = Types | Connected | Opened | Held | Spent


class Message(NamedTuple):
    sender: bytes
    words: list[Word]


class _Packed(Struct, array_like=True):
    sender: bytes
    words: list[msgspec.Raw]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_word: msgspec.msgpack.Decoder[Word] = msgspec.msgpack.Decoder(Word)


def messages_of(sender: bytes, words: Iterable[Word]) -> Iterator[bytes]:
    """As few as there must be."""
    packed: list[msgspec.Raw] = []
    room = MAX_MESSAGE_BYTES - _ENVELOPE_BYTES
    for word in words:
        raw = msgspec.Raw(_encode(word))
        if packed and len(raw) > room:
            yield _encode(_Packed(sender, packed))
            packed, room = [], MAX_MESSAGE_BYTES - _ENVELOPE_BYTES
        packed.append(raw)
        room -= len(raw)
    if packed:
        yield _encode(_Packed(sender, packed))


def read_message(message: bytes) -> Message | None:
    """None: it is none."""
    try:
        packed = _decode(message)
    except msgspec.DecodeError:
        return None
    return Message(packed.sender, list(_known(packed.words)))


def _known(words: Iterable[msgspec.Raw]) -> Iterator[Word]:
    for raw in words:
        try:
            yield _decode_word.decode(raw)
        except msgspec.DecodeError:
            continue
