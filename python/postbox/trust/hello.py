"""What a node shows to introduce itself: its own hey-there, signed just now with the key in it.

The body of `POST /api/hello`, and of the answer to it. It proves who has the key of a name, and
nothing about who brings it or from where: whoever was greeted can pass it on for as long as it is
fresh, which makes known what is true.

nara's signature of a hey-there leaves the id out, so that whoever passes one on could put another
one's id into it. Here the field `Signature`, which nara leaves empty, holds a second one by the
same key, over name, key and id. Without it the id counts for nothing; a false one spoils all.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from postbox.core import Batch, Keys, verdict_names
from postbox.errors import WireError
from postbox.event import is_name
from postbox.trust.authoring import HeyThere, make_event
from postbox.trust.keys import Identity
from postbox.trust.signatures import is_signed_digest, sign_digest

HELLO_WINDOW_MS = 30_000
"""How far its time may be from ours, either way; so long it can be passed on."""

HELLO_BYTES = 4096
"""No hey-there is longer: three names of 64 characters, escaped, and what is of fixed length."""

_ID_DOMAIN = b"postbox: this id goes with this key\0"


class BadHello(WireError):
    """An introduction that introduces nobody; the text says why."""


class Introduced(NamedTuple):
    name: str
    key: bytes  # 32 bytes, not a weak one
    voter_id: str | None  # what the owner of the key claims as its id: nobody can check that


class _Body(msgspec.Struct):
    hey_there: HeyThere


def make_hello(identity: Identity, now_ns: int, mesh_ip: str = "") -> bytes:
    """The node's own introduction, good for 30 s from `now_ns` on."""
    payload = HeyThere(
        from_=identity.name,
        public_key=identity.public_key_base64,
        mesh_ip=mesh_ip,
        id=identity.id,
        signature=sign_digest(
            identity, _id_message(identity.name, identity.public_key, identity.id)
        ),
    )
    return make_event(payload, now_ns, identity).body


def read_hello(body: bytes, now_ns: int) -> Introduced:
    """Who introduces itself. Raises BadHello."""
    if len(body) > HELLO_BYTES:
        raise BadHello(f"an introduction is at most {HELLO_BYTES} bytes, not {len(body)}")
    batch = Batch.decode([body], now_ns)
    batch.verify(Keys())  # a stranger's: it proves itself, or nothing does
    (verdict,) = batch.verdicts
    if verdict:
        raise BadHello(f"this is no good hey-there event: {verdict_names[verdict]}")
    claims = batch.introductions(Keys())
    if not claims:
        raise BadHello("this is no hey-there event with its emitter and its emitter's signature")
    ((name, key),) = claims
    ((_, _, at_ns, *_),) = batch.accepted()
    off_ms = abs(now_ns - at_ns) // 1_000_000
    if off_ms > HELLO_WINDOW_MS:
        raise BadHello(
            f"this hey-there is {off_ms // 1000} s off: it must be signed within"
            f" {HELLO_WINDOW_MS // 1000} s of this node's time. Compare the two clocks"
        )
    return Introduced(name, key, _voter_id(body, name, key))


def _voter_id(body: bytes, name: str, key: bytes) -> str | None:
    try:
        hey_there = msgspec.json.decode(body, type=_Body).hey_there
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadHello(f"this hey-there is not complete: {error}") from error
    if not hey_there.signature:
        return None
    if not is_name(hey_there.id):
        raise BadHello(f"{hey_there.id[:80]!r} cannot be an id")
    if not is_signed_digest(key, _id_message(name, key, hey_there.id), hey_there.signature):
        raise BadHello("the signature beside the id is not by this key, or over another id")
    return hey_there.id


def _id_message(name: str, key: bytes, voter_id: str) -> bytes:
    """Names and ids hold no colon. No other message that nodes sign begins with this domain."""
    return _ID_DOMAIN + key + f"{name}:{voter_id}".encode()
