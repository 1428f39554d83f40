"""Cursors: the only form in which a place in the log leaves the node.

Opaque text: version, kind, epoch, place, MAC, in URL-safe base64 without padding. The MAC's key
lies in the database and outlives an epoch, so that a cursor from before a restore is told apart
from one that somebody made up. What is wrong with a cursor is a value, with a name for each case,
because a reader has to do different things about them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

from postbox.store.contract import Identity

VERSION = 1
MAC_BYTES = 16  # a forger gets one try a request: 2^-128 is far more than enough
_HEAD = struct.Struct(">BBB16s")  # version, kind, form of the place, epoch
_POSITION = struct.Struct(">Q")
_MOMENT = struct.Struct(">Q16s")
_MAX_TEXT = 128  # the longest valid one is 79 characters


class CursorKind(IntEnum):
    """Which door gave it out: a cursor of one means nothing to another. Never renumber."""

    LOG = 1
    MESH = 2
    HOSTS = 3
    CLIENTS = 4


class Position(NamedTuple):
    pos: int


class Moment(NamedTuple):
    """A place in the order (time, id): unlike a position the same on every node."""

    ts_ns: int
    id: bytes


Place: TypeAlias = Position | Moment


class CursorProblem(Enum):
    MALFORMED = "this is no cursor: send back exactly what was given out, or start without one"
    TAMPERED = "this cursor was not made by this node: start without one"
    OTHER_VERSION = "this cursor was made by another version: start without one"
    OTHER_KIND = "this cursor belongs to another kind of request"
    OTHER_EPOCH = "the log was restored since this cursor was made: start over"


def write_cursor(kind: CursorKind, place: Place, identity: Identity) -> str:
    match place:
        case Position(pos):
            form, packed = 1, _POSITION.pack(pos)
        case Moment(ts_ns, id):
            form, packed = 2, _MOMENT.pack(ts_ns, id)
    data = _HEAD.pack(VERSION, kind, form, identity.epoch) + packed
    return base64.urlsafe_b64encode(data + _mac(data, identity)).rstrip(b"=").decode()


def read_cursor(text: str, kind: CursorKind, identity: Identity) -> Place | CursorProblem:
    """The place that `write_cursor` was given, or what is wrong."""
    raw = _decoded(text)
    if raw is None or len(raw) < 1:
        return CursorProblem.MALFORMED
    if raw[0] != VERSION:
        return CursorProblem.OTHER_VERSION
    data, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if len(data) < _HEAD.size:
        return CursorProblem.MALFORMED
    if not hmac.compare_digest(mac, _mac(data, identity)):
        return CursorProblem.TAMPERED
    _, its_kind, form, epoch = _HEAD.unpack_from(data)
    if its_kind != kind:
        return CursorProblem.OTHER_KIND
    if epoch != identity.epoch:
        return CursorProblem.OTHER_EPOCH
    packed = data[_HEAD.size :]
    return Position(*_POSITION.unpack(packed)) if form == 1 else Moment(*_MOMENT.unpack(packed))


def _mac(data: bytes, identity: Identity) -> bytes:
    key = identity.cursor_key
    return hashlib.blake2b(data, key=key, digest_size=MAC_BYTES, person=b"postbox cursor").digest()


def _decoded(text: str) -> bytes | None:
    """None unless it is the one spelling of its bytes."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text else None
