"""A zine: what happened lately, as one node hands it to another. Bytes to values and back.

Byte for byte as nara has it (gossip_zine.go): `{"from","created_at","events","signature"}`, the
signature over the same text as in an answer to a sync.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import msgspec

from postbox.core import Ledger
from postbox.mesh.decoding import decoded
from postbox.mesh.wire import Int64, event_array, events_in
from postbox.trust.authoring import go_json
from postbox.trust.keys import Identity
from postbox.trust.signatures import sign_digest

LATELY_NS = 300 * 10**9
"""What a zine tells of: nara's five minutes, which is as long as the longest pause between two."""
OWN_EVENTS, OWN_BYTES = 1_000, 2**20
"""The newest of these, in a zine of ours; nara has no limit. A thousand events of 300 bytes go over
a slow line (100 kB/s) in the 5 s that a nara waits, and cost a peer that knows them 5 ms."""
OWN_EVENTS_EACH = 100
"""Of one author. A ping to each of a dozen peers every minute, and all else besides, is less; ten
who flood leave room for nobody else, one does not."""
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
    """Of what the ledger has of the last five minutes, oldest first: hellos and goodbyes before all
    else, no author more than its part, and nothing that is dated ahead, which would be new in every
    zine until its time comes."""
    found = ledger.lately(
        since_ns=max(0, now_ns - LATELY_NS - 1),
        upto_ns=now_ns,
        most=OWN_EVENTS,
        most_each=OWN_EVENTS_EACH,
        most_bytes=OWN_BYTES,
    )
    bodies = found.bodies()
    created_at = now_ns // 10**9
    digest = found.digest(identity.name, created_at)
    head = go_json({"from": identity.name, "created_at": created_at})[:-1]
    signature = go_json(sign_digest(identity, digest))
    events = b"[" + b",".join(bodies) + b"]" if bodies else b"null"
    return Made(head + b',"events":' + events + b',"signature":' + signature + b"}", len(bodies))


def read_zine(body: bytes) -> Zine:
    """Raises WireError."""
    zine = decoded(_decoder(), body, "this is no zine")
    return Zine(zine.sender, zine.created_at, events_in(zine.events), zine.signature)


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
