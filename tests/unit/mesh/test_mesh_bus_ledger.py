"""What is asked for and answered by MQTT, byte for byte as nara writes it."""

from __future__ import annotations

import json

import pytest

from postbox.core import Batch, verdict_names
from postbox.errors import WireError
from postbox.mesh.bus.ledger_messages import (
    MAX_SUBJECTS,
    REQUEST_BYTES,
    decode_request,
    decode_response,
    encode_request,
    encode_responses,
    partition,
)
from postbox.trust.authoring import Social, make_event
from support.mesh import ANN, NARA, NOW_NS, tease

VECTORS = json.loads((NARA / "vectors.json").read_text())


SAID = (
    b'{"From":"a","Events":[{"ID":"","Timestamp":%s,"Type":"tease","Actor":"a","Target":"b",'
    b'"Reason":"","Witness":""}]}'
)


def vector(number: int) -> bytes:
    """A social event by nara's own code."""
    return json.dumps(VECTORS["events"][number], ensure_ascii=False).encode()


def test_a_request_is_written_as_nara_writes_it() -> None:
    assert encode_request("me", ["ann", "b<c>"]) == (
        rb'{"From":"me","Subjects":["ann","b\u003cc\u003e"]}'
    )


def test_a_response_is_written_as_nara_writes_it() -> None:
    [payload] = encode_responses("me", [vector(0)])
    assert payload == (
        b'{"From":"me","Events":[{"ID":"5c6811eb19a168e7dcd57cf3d434f912",'
        b'"Timestamp":1768780000123456789,"Type":"tease","Actor":"alice","Target":"bob",'
        b'"Reason":"high-restarts","Witness":"","Signature":""}]}'
    )
    assert list(encode_responses("me", [])) == [b'{"From":"me","Events":null}']


def test_an_event_that_went_through_a_response_has_the_id_that_it_had() -> None:
    bodies = [vector(0), vector(1), tease(7)]
    (payload,) = encode_responses("me", bodies)
    sender, events, names = decode_response(payload)
    assert (sender, names) == ("me", {"alice", "bob", "ann", "carol"} & names | {"ann"})
    assert [json.loads(one)["id"] for one in events] == [json.loads(one)["id"] for one in bodies]
    batch = Batch.decode(events, NOW_NS)
    assert [verdict_names[code] for code in batch.verdicts] == ["ok", "ok", "ok"]
    assert all("sig" not in json.loads(one) for one in events), "hearsay"


def test_a_long_answer_is_several_messages_and_loses_nothing() -> None:
    bodies = [tease(number) for number in range(5_000)]
    payloads = list(encode_responses("me", bodies))
    assert len(payloads) > 2
    assert max(map(len, payloads)) < 400_000
    ids = [json.loads(one)["id"] for payload in payloads for one in decode_response(payload).events]
    assert ids == [json.loads(body)["id"] for body in bodies]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"From":1}',
        b'{"From":""}',
        b'{"From":"a:b","Subjects":[]}',
        b'{"From":"a/b","Subjects":[]}',
        b'{"From":"+","Subjects":[]}',
        b'{"From":"#","Subjects":[]}',
        b'{"From":"a","Subjects":[1]}',
        b'{"From":"a","Subjects":{}}',
        b'{"From":"\xff"}',
        b"[" * 100_000,
        b" " * (REQUEST_BYTES + 1),
    ],
)
def test_what_is_no_request_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_request(payload)


def test_a_request_is_read_as_far_as_it_makes_sense() -> None:
    assert decode_request(b'{"From":"a"}') == ("a", [])
    assert decode_request(b'{"From":"a","Subjects":null,"X":1}') == ("a", [])
    assert decode_request(b'{"From":"a","Subjects":["b","b:c","b",""," "]}') == ("a", ["b"])
    many = encode_request("a", [f"n{number}" for number in range(MAX_SUBJECTS + 1)])
    assert len(decode_request(many).subjects) == MAX_SUBJECTS


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"From":"","Events":[]}',
        b'{"From":"a","Events":{}}',
        b'{"From":"a","Events":[{}]}',
        b'{"From":"a","Events":[{"ID":"","Timestamp":1,"Type":"tease","Actor":"b"}]}',
        SAID % b"1.5",
        SAID % b"9999999999999999999",
    ],
)
def test_what_is_no_response_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_response(payload)


def test_an_event_that_makes_no_sense_costs_its_neighbours_nothing() -> None:
    good = b'{"ID":"","Timestamp":1,"Type":"tease","Actor":"a","Target":"b","Reason":"",'
    bad = good.replace(b"tease", b"bad").replace(b'"a"', b'"a:b"')
    end = b'"Witness":""}'
    payload = b'{"From":"a","Events":[' + good + end + b"," + bad + end + b"]}"
    batch = Batch.decode(decode_response(payload).events, NOW_NS)
    ok, refused = (verdict_names[code] for code in batch.verdicts)
    assert (ok, refused != "ok") == ("ok", True)


def test_nobody_can_give_an_event_the_id_of_another() -> None:
    known = make_event(
        Social(type="tease", actor="ann", target="bob", reason="random"), NOW_NS, ANN
    )
    payload = (
        b'{"From":"a","Events":[{"ID":"%s","Timestamp":1,"Type":"tease","Actor":"ann",'
        b'"Target":"cat","Reason":"","Witness":""}]}' % known.id.encode()
    )
    [event] = decode_response(payload).events
    assert json.loads(event)["id"] != known.id


@pytest.mark.parametrize(
    ("subjects", "count", "parts"),
    [
        ([], 3, [[]]),
        (["ann"], 5, [["ann"]]),
        (["ann", "bob"], 0, [["ann", "bob"]]),
        (["ann", "bob"], -1, [["ann", "bob"]]),
        # nara's table: h = (h * 31 + rune) mod n
        (["a", "b", "c", "d"], 2, [["b", "d"], ["a", "c"]]),
        (["ann", "bob", "cat", "é", "日本"], 3, [["cat", "日本"], ["bob"], ["ann", "é"]]),
    ],
)
def test_subjects_are_parted_as_nara_parts_them(
    subjects: list[str], count: int, parts: list[list[str]]
) -> None:
    assert partition(subjects, count) == parts
