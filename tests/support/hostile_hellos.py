"""Introductions that introduce nobody, each with the answer to it and a part of its text."""

from __future__ import annotations

import base64
import json
from typing import Any

from postbox.trust.authoring import Chau, HeyThere, make_event
from postbox.trust.hello import HELLO_BYTES, make_hello
from postbox.trust.keys import Identity, identity_of
from support.asking import BODY
from support.mesh import ANN, BOB, CAT, MALLORY, NOW_NS, tease


def hey_there(by: Identity = MALLORY, **changed: Any) -> bytes:
    """A good one, signed now, but for what is `changed`."""
    at_ns, signer = changed.pop("at_ns", NOW_NS), changed.pop("signer", by)
    good: dict[str, Any] = {
        "from_": by.name,
        "public_key": by.public_key_base64,
        "mesh_ip": "",
        "id": by.id,
    }
    return make_event(HeyThere(**(good | changed)), at_ns, signer).body


def in_hello(by: Identity) -> str:
    """The signature that goes with a name, its key and its id."""
    return str(json.loads(make_hello(by, NOW_NS))["hey_there"]["Signature"])


ANOTHER_ANN = identity_of("ann", b"another".ljust(32, b"."))
GOODBYE = Chau(from_="mallory", public_key=MALLORY.public_key_base64, id=MALLORY.id)
NO_HELLO = "this is no hey-there event with its emitter and its emitter's signature"
BAD_HELLO = "this is no good hey-there event: "

HELLOS: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, BAD_HELLO + "not_json"),
    "no JSON": (b"hello", 400, BAD_HELLO + "not_json"),
    "an array": (b"[]", 400, BAD_HELLO + "missing"),
    "an object": (b"{}", 400, BAD_HELLO + "missing"),
    "two of them": (2 * make_hello(MALLORY, NOW_NS), 400, BAD_HELLO + "not_json"),
    "a sync request": (BODY, 400, BAD_HELLO + "missing"),
    "100 levels": (b"[" * 100 + b"]" * 100, 400, BAD_HELLO + "too_deep"),
    "a tease": (tease(0), 400, NO_HELLO),
    "a goodbye": (make_event(GOODBYE, NOW_NS, MALLORY).body, 400, NO_HELLO),
    "unsigned": (hey_there(signer=None), 400, NO_HELLO),
    "another's key inside": (
        hey_there(public_key=ANN.public_key_base64),
        400,
        BAD_HELLO + "bad_signature",
    ),
    "another emitter": (hey_there(MALLORY, signer=CAT), 400, BAD_HELLO + "wrong_emitter"),
    "a weak key": (
        hey_there(public_key=base64.b64encode(bytes(32)).decode()),
        400,
        BAD_HELLO + "weak_key",
    ),
    "a key of 31 bytes": (
        hey_there(public_key=base64.b64encode(bytes(31)).decode()),
        400,
        BAD_HELLO + "bad_base64",
    ),
    "no key": (hey_there(public_key=""), 400, BAD_HELLO + "bad_payload"),
    "a name with a colon": (hey_there(from_="a:b"), 400, BAD_HELLO + "bad_name"),
    "a name of 65 letters": (hey_there(from_="a" * 65), 400, BAD_HELLO + "bad_name"),
    "one changed letter": (
        make_hello(MALLORY, NOW_NS).replace(b'"MeshIP":""', b'"MeshIP":"10.0.0.1"'),
        400,
        BAD_HELLO + "id_mismatch",
    ),
    "31 s old": (hey_there(at_ns=NOW_NS - 31 * 10**9), 400, "31 s off"),
    "31 s ahead": (hey_there(at_ns=NOW_NS + 31 * 10**9), 400, "Compare the two clocks"),
    "an hour ahead": (hey_there(at_ns=NOW_NS + 3600 * 10**9), 400, BAD_HELLO + "future"),
    "an id with a colon": (hey_there(id="a:b", signature="AAAA"), 400, "cannot be an id"),
    "an id of 65 letters": (hey_there(id="a" * 65, signature="AAAA"), 400, "cannot be an id"),
    "Bob's id": (hey_there(id=BOB.id, signature=in_hello(MALLORY)), 400, "beside the id"),
    "Bob's id with Bob's signature": (
        hey_there(id=BOB.id, signature=in_hello(BOB)),
        400,
        "beside the id is not by this key, or over another id",
    ),
    "a signature of zeros beside the id": (
        hey_there(signature=base64.b64encode(bytes(64)).decode()),
        400,
        "beside the id",
    ),
    "words beside the id": (hey_there(signature="mine!"), 400, "beside the id"),
    "Ann's name with another key": (make_hello(ANOTHER_ANN, NOW_NS), 403, "another key"),
    "5 KB": (
        make_hello(MALLORY, NOW_NS).replace(b'"ts":', b'"x":"' + b"x" * 5_000 + b'","ts":'),
        413,
        f"larger than {HELLO_BYTES} bytes",
    ),
    "3 MB": (b"x" * 3_000_000, 413, f"larger than {HELLO_BYTES} bytes"),
}
