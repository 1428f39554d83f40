"""Golden values: what nara's own code made, made again, and read the same."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postbox.event import Service
from postbox.trust.authoring import (
    Chau,
    Checkpoint,
    HeyThere,
    Observation,
    Payload,
    Ping,
    Seen,
    Social,
    attestation_of,
    content_of,
    go_float,
    id_of,
    make_event,
    signable_digest,
    with_voters,
)
from postbox.trust.keys import Identity, identity_from_text
from postbox.trust.signatures import (
    is_signature,
    is_signed_digest,
    request_headers,
    request_message,
    response_headers,
    response_message,
    sign_digest,
)
from support.answer_digest import answer_digest

DATA = Path(__file__).parents[1] / "data/nara"
VECTORS = json.loads((DATA / "vectors.json").read_bytes())
EVENTS = list(zip(VECTORS["events"], VECTORS["content_strings"], strict=True))
NARAS: dict[str, Identity] = {
    one["name"]: identity_from_text(one["name"], one["soul"]) for one in VECTORS["identities"]
}
PAYLOADS: dict[str, tuple[str, type[Payload]]] = {
    "social": ("social", Social),
    "ping": ("ping", Ping),
    "observation": ("observation", Observation),
    "hey-there": ("hey_there", HeyThere),
    "chau": ("chau", Chau),
    "seen": ("seen", Seen),
    "checkpoint": ("checkpoint", Checkpoint),
}
SERVICES = {service.wire_name: service for service in Service}


def payload_of(event: dict[str, Any]) -> Payload:
    key, payload = PAYLOADS[event["svc"]]
    return msgspec.convert(event[key], payload)


golden_events = pytest.mark.parametrize(
    ("event", "content"),
    EVENTS,
    ids=[f"{at}-{event['svc']}" for at, (event, _) in enumerate(EVENTS)],
)


@golden_events
def test_content_strings_and_ids_are_naras(event: dict[str, Any], content: str) -> None:
    assert content_of(payload_of(event)) == content
    assert id_of(event["ts"], SERVICES[event["svc"]], content) == event["id"]


@golden_events
def test_an_event_made_here_is_the_one_that_nara_made(event: dict[str, Any], content: str) -> None:
    made = make_event(payload_of(event), event["ts"], NARAS.get(event.get("emitter", "")))
    assert made.id == event["id"]
    assert json.loads(made.body) == event
    assert list(json.loads(made.body)) == list(event)  # the order of the keys, too


@golden_events
def test_naras_signatures_verify(event: dict[str, Any], content: str) -> None:
    if "sig" not in event:
        assert event["svc"] in ("observation", "checkpoint")
        return
    service, emitter = SERVICES[event["svc"]], event["emitter"]
    digest = signable_digest(event["id"], event["ts"], service, emitter, content)
    signature = base64.b64decode(event["sig"])
    assert is_signature(NARAS[emitter].public_key, digest, signature)
    other = signable_digest(event["id"], event["ts"] + 1, service, emitter, content)
    assert not is_signature(NARAS[emitter].public_key, other, signature)


@pytest.mark.parametrize("version", [1, 2])
def test_voters_sign_what_naras_voters_signed(version: int) -> None:
    events = [event for event, _ in EVENTS if event["svc"] == "checkpoint"]
    payload = payload_of(events[version - 1])
    assert isinstance(payload, Checkpoint)
    assert payload.version == version
    bare = msgspec.structs.replace(payload, voter_ids=(), signatures=())
    assert with_voters(bare, [NARAS["alice"], NARAS["bob"]]) == payload
    for voter, signature in zip(NARAS.values(), payload.signatures, strict=True):
        message = attestation_of(payload, voter.id)
        assert is_signature(voter.public_key, message, base64.b64decode(signature))


def test_every_event_of_the_history_is_written_as_go_wrote_it() -> None:
    encode = _encoder()
    count = 0
    with gzip.open(DATA / "history.jsonl.gz") as lines:
        for line in lines:
            event = msgspec.json.decode(line)
            payload = payload_of(event)
            assert id_of(event["ts"], SERVICES[event["svc"]], content_of(payload)) == event["id"]
            assert encode(event, payload) == line.rstrip(b"\n")
            count += 1
    assert count == 80_000


def _encoder() -> Any:
    """The writer with the signature given: the history's secret keys are not ours."""
    from postbox.trust import authoring

    def encode(event: dict[str, Any], payload: Payload) -> bytes:
        service = SERVICES[event["svc"]]
        signature, emitter = event.get("sig", ""), event.get("emitter", "")
        return authoring._encode(event["id"], event["ts"], service, emitter, signature, payload)

    return encode


def test_text_is_escaped_as_go_escapes_it() -> None:
    reason = '<&>\u2028\u2029"\\/\b\f\n\r\t\x00\x1b\x7fé𝄞'
    made = make_event(Social(type="tease", actor="a", target="b", reason=reason), 1, None)
    escaped = rb"\u003c\u0026\u003e\u2028\u2029\"\\/\b\f\n\r\t\u0000\u001b" + "\x7fé𝄞".encode()
    assert made.body.endswith(b'"reason":"' + escaped + b'"}}')


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (42.0, "42"), (42.5, "42.5"), (1e6, "1000000"), (0.1, "0.1"), (-2.5, "-2.5"),
        (100.0, "100"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.25e22, "1.25e+22"),
        (0.00001, "0.00001"), (1e-6, "0.000001"), (1e-7, "1e-7"), (-1.5e-9, "-1.5e-9"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (123456789012345680.0, "123456789012345680"), (12.72857142857143, "12.72857142857143"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_go_writes_them(number: float, text: str) -> None:
    assert go_float(number) == text


def test_the_answers_digest_and_signature_are_naras() -> None:
    golden = VECTORS["sync_response"]
    ids = [event["id"] for event, _ in EVENTS]
    digest = answer_digest(golden["from"], golden["ts"], ids)
    assert digest.hex() == golden["digest"]
    assert sign_digest(NARAS[golden["from"]], digest) == golden["sig"]
    assert is_signed_digest(NARAS[golden["from"]].public_key, digest, golden["sig"])


def test_the_signature_in_an_empty_answer_is_over_no_ids() -> None:
    empty = json.loads(VECTORS["empty_response_json"])
    digest = answer_digest(empty["from"], empty["ts"], [])
    assert sign_digest(NARAS[empty["from"]], digest) == empty["sig"]


def test_the_sample_of_a_nara_is_signed_by_the_first_in_the_list() -> None:
    answer = json.loads(gzip.decompress((DATA / "sample-response.json.gz").read_bytes()))
    key = base64.b64decode(json.loads((DATA / "naras.json").read_bytes())[0]["PublicKey"])
    digest = answer_digest(
        answer["from"], answer["ts"], [event["id"] for event in answer["events"]]
    )
    assert len(answer["events"]) == 5_000
    assert is_signed_digest(key, digest, answer["sig"])


def test_the_headers_of_a_request_are_naras() -> None:
    golden = VECTORS["mesh_request"]
    headers = request_headers(NARAS["bob"], "POST", "/events/sync", 1768780001234)
    message = request_message("bob", 1768780001234, "POST", "/events/sync")
    assert message.decode() == golden["message"]
    assert headers == {
        "X-Nara-Name": "bob",
        "X-Nara-Timestamp": "1768780001234",
        "X-Nara-Signature": golden["sig"],
    }


def test_the_headers_of_an_answer_are_naras() -> None:
    golden = VECTORS["mesh_response"]
    body = golden["body"].encode()
    ts_ms = int(golden["message"].removeprefix("alice")[:13])
    assert response_message("alice", ts_ms, body).decode() == golden["message"]
    headers = response_headers(NARAS["alice"], body, ts_ms)
    assert headers["X-Nara-Name"] == "alice"
    assert headers["X-Nara-Timestamp"] == str(ts_ms)
    assert headers["X-Nara-Signature"] == golden["sig"]
