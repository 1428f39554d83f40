"""Introductions as bytes: what proves a name, its key and its id, and what does not."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from nacl.signing import SigningKey

from postbox.core import Batch, Keys
from postbox.trust.authoring import Chau, HeyThere, Social, make_event
from postbox.trust.hello import (
    HELLO_BYTES,
    HELLO_WINDOW_MS,
    BadHello,
    Introduced,
    make_hello,
    read_hello,
)
from postbox.trust.keys import Identity, identity_of
from support.simulate import WALL_CLOCK_START_NS as NOW_NS

ANN, BOB = identity_of("ann", b"a" * 32), identity_of("bob", b"b" * 32)
MS = 10**6


def hello(**changes: object) -> bytes:
    """Ann's, with the event or its payload changed after it was signed."""
    event: dict[str, Any] = json.loads(make_hello(ANN, NOW_NS))
    for key, value in changes.items():
        holder = event if key in event else event["hey_there"]
        holder[key] = value
    return json.dumps(event).encode()


def hey_there(who: Identity, signer: Identity | None, **changes: str) -> bytes:
    fields = {"public_key": who.public_key_base64, "mesh_ip": "", "id": who.id, **changes}
    return make_event(HeyThere(from_=who.name, **fields), NOW_NS, signer).body


def test_what_a_node_says_of_itself_is_read_by_another() -> None:
    assert read_hello(make_hello(ANN, NOW_NS), NOW_NS) == Introduced("ann", ANN.public_key, ANN.id)
    body = make_hello(BOB, NOW_NS, mesh_ip="100.64.0.7")
    assert json.loads(body)["hey_there"]["MeshIP"] == "100.64.0.7"
    assert read_hello(body, NOW_NS) == Introduced("bob", BOB.public_key, BOB.id)


def test_an_introduction_is_an_event_as_naras_hey_theres_are() -> None:
    batch = Batch.decode([make_hello(ANN, NOW_NS)], NOW_NS)
    assert batch.introductions(Keys()) == [("ann", ANN.public_key)]


@pytest.mark.parametrize("off_ms", [-HELLO_WINDOW_MS, 0, HELLO_WINDOW_MS])
def test_it_is_good_for_half_a_minute_either_way(off_ms: int) -> None:
    assert read_hello(make_hello(ANN, NOW_NS), NOW_NS + off_ms * MS).name == "ann"


@pytest.mark.parametrize("off_ms", [-HELLO_WINDOW_MS - 1, HELLO_WINDOW_MS + 1, 10**9])
def test_it_is_not_good_for_longer(off_ms: int) -> None:
    with pytest.raises(BadHello, match="Compare the two clocks"):
        read_hello(make_hello(ANN, NOW_NS), NOW_NS + off_ms * MS)


def test_one_of_next_year_is_refused_by_the_rule_for_all_events() -> None:
    with pytest.raises(BadHello, match="future"):
        read_hello(make_hello(ANN, NOW_NS + 365 * 86_400 * 10**9), NOW_NS)


def test_a_naras_hey_there_introduces_its_name_without_an_id() -> None:
    """nara signs no id."""
    assert read_hello(hey_there(ANN, ANN), NOW_NS) == Introduced("ann", ANN.public_key, None)


def test_an_introduction_can_be_made_from_the_words_of_the_page() -> None:
    """By PyNaCl and hashlib alone, without a word of ours."""
    key = SigningKey(b"s" * 32)
    public = bytes(key.verify_key)
    public_text = base64.b64encode(public).decode()
    content = f"hey_there:zo\u00eb:{public_text}:"
    event_id = hashlib.sha256(f"{NOW_NS}:hey-there:{content}".encode()).hexdigest()[:32]
    digest = hashlib.sha256(f"{event_id}:{NOW_NS}:hey-there:zo\u00eb:{content}".encode()).digest()
    id_message = b"postbox: this id goes with this key" + b"\0" + public + "zo\u00eb:z-1".encode()

    def said(message: bytes) -> str:
        return base64.b64encode(key.sign(message).signature).decode()

    for spoken_id, signature, introduced_id in (
        ("z-1", said(id_message), "z-1"),
        ("z-1", "", None),
    ):
        hey_there = {
            "From": "zo\u00eb",
            "PublicKey": public_text,
            "MeshIP": "",
            "ID": spoken_id,
            "Signature": signature,
        }
        event = {
            "id": event_id,
            "ts": NOW_NS,
            "svc": "hey-there",
            "emitter": "zo\u00eb",
            "sig": said(digest),
            "hey_there": hey_there,
        }
        body = json.dumps(event).encode()
        assert read_hello(body, NOW_NS) == Introduced("zo\u00eb", public, introduced_id)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "not_json"),
    "no object": (lambda: b"[]", "missing"),
    "two of them": (lambda: make_hello(ANN, NOW_NS) * 2, "not_json"),
    "a list with one": (lambda: b"[" + make_hello(ANN, NOW_NS) + b"]", "missing"),
    "a long one": (lambda: make_hello(ANN, NOW_NS) + b" " * HELLO_BYTES, "at most 4096 bytes"),
    "an unsigned one": (lambda: hey_there(ANN, None), "emitter's signature"),
    "one without an emitter": (lambda: hello(emitter=""), "emitter's signature"),
    "one without a signature": (lambda: hello(sig=""), "emitter's signature"),
    "one with another's signature": (lambda: hey_there(ANN, BOB), "wrong_emitter"),
    "one signed with another key": (
        lambda: hey_there(ANN, identity_of("ann", b"?" * 32)),
        "bad_signature",
    ),
    "one with another key put in": (lambda: hello(PublicKey=BOB.public_key_base64), "id_mismatch"),
    "one with another name put in": (lambda: hello(From="bob", emitter="bob"), "id_mismatch"),
    "one with another time put in": (lambda: hello(ts=NOW_NS + 1), "id_mismatch"),
    "one with another address put in": (lambda: hello(MeshIP="100.64.0.9"), "id_mismatch"),
    "one with another event id": (lambda: hello(id="0" * 32), "id_mismatch"),
    "one with a second time": (
        lambda: make_hello(ANN, 1).replace(b'{"id"', f'{{"ts":{NOW_NS},"id"'.encode(), 1),
        "duplicate_key",
    ),
    "one with a second, miscased id": (lambda: hello(Id="other"), "miscased|duplicate"),
    "a weak key": (
        lambda: hey_there(ANN, ANN, public_key=base64.b64encode(bytes(32)).decode()),
        "weak_key",
    ),
    "a short key": (
        lambda: hey_there(ANN, ANN, public_key=base64.b64encode(bytes(31)).decode()),
        "bad_base64",
    ),
    "no key": (lambda: hey_there(ANN, ANN, public_key=""), "bad_payload"),
    "a name with a colon": (lambda: hello(From="a:b", emitter="a:b"), "bad_name"),
    "a name of 65 letters": (lambda: hello(From="a" * 65, emitter="a" * 65), "bad_name"),
    "a chau": (
        lambda: (
            make_event(
                Chau(from_="ann", public_key=ANN.public_key_base64, id=ANN.id), NOW_NS, ANN
            ).body
        ),
        "no hey-there event",
    ),
    "another event": (
        lambda: (
            make_event(
                Social(type="tease", actor="ann", target="bob", reason="random"), NOW_NS, ANN
            ).body
        ),
        "no hey-there event",
    ),
    "one with the id of another put in": (lambda: hello(ID=BOB.id), "over another id"),
    "one with no id left in": (lambda: hello(ID=""), "cannot be an id"),
    "an id that is none": (lambda: hello(ID="a b"), "cannot be an id"),
    "an id's signature that is no base64": (lambda: hello(Signature="!"), "not by this key"),
    "an id's signature by another": (
        lambda: hello(Signature=json.loads(make_hello(BOB, NOW_NS))["hey_there"]["Signature"]),
        "not by this key",
    ),
    "the event's signature in place of the id's": (
        lambda: hello(Signature=json.loads(make_hello(ANN, NOW_NS))["sig"]),
        "not by this key",
    ),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
def test_nobody_is_introduced_by(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(BadHello, match=reason) as caught:
        read_hello(make(), NOW_NS)
    assert len(str(caught.value)) < 300


def test_the_longest_introduction_fits() -> None:
    longest = identity_of("\U0001f98a" * 64, b"l" * 32)
    body = make_hello(longest, NOW_NS, mesh_ip="fd7a:115c:a1e0:ab12:4843:cd96:6258:b240")
    escaped = json.dumps(json.loads(body)).encode()  # as a writer that knows ASCII only
    assert len(body) < len(escaped) <= HELLO_BYTES
    assert read_hello(escaped, NOW_NS).name == longest.name
