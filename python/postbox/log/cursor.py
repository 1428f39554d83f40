"""Cursors: the only form in which a place in the log leaves the node.

Opaque text: version, kind, form of the place, epoch, the node's mark, place, MAC, in URL-safe
base64 without padding. The MAC's key lies in the database, goes with it into every copy and
outlives an epoch: so a cursor from before a restore is told apart from one that somebody made up,
and the key's mark tells another node's. What is wrong with a cursor is a value with a code, because
a reader has to do different things about it. Clients match the code, and never the text:

| code                 | what it means                                        | the reader     |
|----------------------|------------------------------------------------------|----------------|
| cursor_malformed     | no cursor at all                                     | starts anew    |
| cursor_other_version | of a postbox that writes them in another way         | starts anew    |
| cursor_foreign       | another node made it, or nobody                      | starts anew    |
| cursor_tampered      | a part of it is ours                                 | starts anew    |
| cursor_other_kind    | ours, for another kind of request                    | sends it there |
| cursor_other_epoch   | ours, from before the log was restored               | starts over    |
| cursor_ahead         | ours, but the log, put back unnoticed, ends before   | starts over    |
| cursor_too_old       | ours, but what came next is not kept for this reader | starts over    |

They are looked for in this order. To start anew is to have nothing yet. Who starts over has
something: it takes a snapshot instead, and after `other_epoch` and `ahead` offers again what it
sent lately, which may have been lost here. Places are compared in one way only: a reader at `pos`
has everything up to `pos`, and gets what is strictly beyond.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

from postbox.rules import Reason
from postbox.store.contract import Identity

VERSION = 1
MAC_BYTES = 16  # a forger gets one try a request: 2^-128 is far more than enough
MARK_BYTES = 4  # only names the mistake: two nodes are alike once in four thousand million
_HEAD = struct.Struct(f">BBB16s{MARK_BYTES}s")  # version, kind, form of the place, epoch, mark
_POSITION = struct.Struct(">Q")
_MOMENT = struct.Struct(">Q16s")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_MAX_TEXT = 128  # the longest valid one is 84 characters


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
    """`code` for programs, `text` for people. Codes are part of the protocol: never change one."""

    MALFORMED = (
        "cursor_malformed",
        "this is no cursor: send back exactly what was given out, or start without one",
    )
    OTHER_VERSION = (
        "cursor_other_version",
        "this cursor was made by another version of postbox: start without one",
    )
    FOREIGN = (
        "cursor_foreign",
        "this cursor was not made by this node: send it to the one that did, or start without one",
    )
    TAMPERED = (
        "cursor_tampered",
        "this cursor was changed: send back exactly what was given out, or start without one",
    )
    OTHER_KIND = (
        "cursor_other_kind",
        "this cursor belongs to another kind of request: send it there, or start without one",
    )
    OTHER_EPOCH = (
        "cursor_other_epoch",
        "the log was restored since this cursor was made: start over, without one",
    )
    AHEAD = (
        "cursor_ahead",
        "the log does not reach as far as this cursor, so it was put back: start over, without one",
    )
    TOO_OLD = (
        "cursor_too_old",
        "what came after this cursor is not kept any more: start over, without one",
    )

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text

    @property
    def reason(self) -> Reason:
        return Reason(self.code, self.text)


def write_cursor(kind: CursorKind, place: Place, identity: Identity) -> str:
    match place:
        case Position(pos):
            form, packed = 1, _POSITION.pack(pos)
        case Moment(ts_ns, id):
            form, packed = 2, _MOMENT.pack(ts_ns, id)
    data = _HEAD.pack(VERSION, kind, form, identity.epoch, log_mark(identity)) + packed
    return _text(data + _mac(data, identity))


class PositionWriter:
    """Writes cursors of positions for one door, as `write_cursor` does: for who gives out one with
    each thing that it sends."""

    def __init__(self, kind: CursorKind, identity: Identity) -> None:
        self._start = _HEAD.pack(VERSION, kind, 1, identity.epoch, log_mark(identity))
        self._begun = _begun_mac(identity)
        self._begun.update(self._start)

    def write(self, pos: int) -> str:
        packed = _POSITION.pack(pos)
        mac = self._begun.copy()
        mac.update(packed)
        return _text(self._start + packed + mac.digest())


def read_cursor(
    text: str, kind: CursorKind, identity: Identity, *, head: int, floor: int = 0
) -> Place | CursorProblem:
    """The place that `write_cursor` was given, or the first thing that is wrong.

    `head`: the last position given out, as the store says. The tail's would not do: another process
    of the node may have given the cursor out, and be ahead of this one. `floor`: entries up to it
    may have been removed for this reader; a cursor at the floor itself has them all. (A moment is
    before or after nothing here: what is kept by time, the reader's door knows.)
    """
    raw = _decoded(text)
    if raw is None or len(raw) < 1:
        return CursorProblem.MALFORMED
    if raw[0] != VERSION:
        return CursorProblem.OTHER_VERSION
    data, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if len(data) < _HEAD.size:
        return CursorProblem.MALFORMED
    _, its_kind, form, epoch, mark = _HEAD.unpack_from(data)
    if not hmac.compare_digest(mac, _mac(data, identity)):
        return CursorProblem.TAMPERED if mark == log_mark(identity) else CursorProblem.FOREIGN
    if its_kind != kind:
        return CursorProblem.OTHER_KIND
    if epoch != identity.epoch:
        return CursorProblem.OTHER_EPOCH
    packed = data[_HEAD.size :]
    if form != 1:
        return Moment(*_MOMENT.unpack(packed))
    return _bounded(Position(*_POSITION.unpack(packed)), head, floor)


def _bounded(place: Position, head: int, floor: int) -> Position | CursorProblem:
    if place.pos > head:
        return CursorProblem.AHEAD
    return CursorProblem.TOO_OLD if place.pos < floor else place


def _mac(data: bytes, identity: Identity) -> bytes:
    mac = _begun_mac(identity)
    mac.update(data)
    return mac.digest()


def _begun_mac(identity: Identity) -> hashlib.blake2b:
    key = identity.cursor_key
    return hashlib.blake2b(key=key, digest_size=MAC_BYTES, person=b"postbox cursor")


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=").translate(_URL_SAFE).decode()


def log_mark(identity: Identity) -> bytes:
    """Names the key, and tells nothing of it."""
    key = identity.cursor_key
    return hashlib.blake2b(key=key, digest_size=MARK_BYTES, person=b"postbox mark").digest()


def _decoded(text: str) -> bytes | None:
    """None unless it is the one spelling of its bytes."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text else None
