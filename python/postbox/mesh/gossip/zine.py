"""A zine: what happened lately, as one node hands it to another. Bytes to values and back.

Byte for byte as nara has it (gossip_zine.go): `{"from","created_at","events","signature"}`, the
signature over the same text as in an answer to a sync.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec

from postbox.core import Ledger
from postbox.mesh.decoding import decoded
from postbox.mesh.wire import Int64, event_array, events_in
from postbox.trust.authoring import go_json
from postbox.trust.keys import Identity
from postbox.trust.signatures import answer_digest, sign_digest

LATELY_NS = 300 * 10**9
"""What a zine tells of: nara's five minutes, which is as long as the longest pause between two."""
OWN_EVENTS, OWN_BYTES = 1_000, 2**20
"""The newest of these, in a zine of ours; nara has no limit. A thousand events of 300 bytes go over
a slow line (100 kB/s) in the 5 s that a nara waits, and cost a peer that knows them 5 ms."""
MAX_BYTES = 4 * 2**20
"""Of a zine by others: what HTTP bodies may have here."""


class Zine(NamedTuple):
    """As it says of itself: nothing is verified. `created_at`: Unix seconds."""

    sender: str
    created_at: int
    events: list[bytes]
    signature: str


class Made(NamedTuple):
    body: bytes
    events: int


def make_zine(identity: Identity, ledger: Ledger, now_ns: int) -> Made:
    """Of what the ledger has of the last five minutes, oldest first."""
    told = _lately(ledger, now_ns - LATELY_NS)
    created_at = now_ns // 10**9
    digest = answer_digest(identity.name, created_at, (event_id.hex() for event_id, _ in told))
    bodies = [body for _, body in told]
    head = go_json({"from": identity.name, "created_at": created_at})[:-1]
    signature = go_json(sign_digest(identity, digest))
    events = b"[" + b",".join(bodies) + b"]" if bodies else b"null"
    return Made(head + b',"events":' + events + b',"signature":' + signature + b"}", len(bodies))


def read_zine(body: bytes) -> Zine:
    """Raises WireError."""
    zine = decoded(_decoder(), body, "this is no zine")
    return Zine(zine.sender, zine.created_at, events_in(zine.events), zine.signature)


def _lately(ledger: Ledger, since_ns: int) -> list[tuple[bytes, bytes]]:
    """(id, body), oldest first; the newest, if there are too many."""
    found = ledger.page(str(max(0, since_ns - 1)), OWN_EVENTS, (), ())
    if found.next_cursor is None:
        told = list(zip(found.ids(), found.bodies(), strict=True))
    else:
        found = ledger.recent(OWN_EVENTS, (), ())
        told = list(zip(found.ids(), found.bodies(), strict=True))[::-1]
    sizes = accumulate(len(body) for _, body in reversed(told))
    fitting = sum(size <= OWN_BYTES for size in sizes)
    return told[len(told) - fitting :]


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    zine = msgspec.defstruct(
        "JsonZine",
        [
            ("sender", str),
            ("created_at", Int64),
            ("events", event_array() | None, None),
            ("signature", str, ""),
        ],
        rename={"sender": "from"},
    )
    return msgspec.json.Decoder(zine)
