"""What hosts say to each other is read as it was sent, or refused; nothing in between."""

from __future__ import annotations

import pytest
from protobuf.wkt import Any

from postbox.hosts import wire
from postbox.hosts.links.bodies import LOST, label, number
from postbox.hosts.links.place import Place
from postbox.hosts.tables import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from postbox.rpc import fields as raw
from postbox.rpc.postbox.v1 import hosts_pb as pb

EPOCH = b"e" * 16
CONTENT = Any(type_url="type.googleapis.com/a.B", value=b"\x08\x01")


def event(seq: int = 1, **more: object) -> bytes:
    return pb.PostboxEvent(
        **{"event": CONTENT, "epoch": EPOCH, "seq": seq, "first": 1, **more}  # type: ignore[arg-type]
    ).to_binary()


def test_a_post_is_read_with_the_bytes_that_its_token_binds() -> None:
    asked = wire.signed(wire.asking(), "a.b.c", "a.example")
    posted = event() + b"\xf8\x7f\x05"  # with a field that nobody knows
    post = wire.read_post(wire.post_request(asked, posted))
    assert (post.asked.token, post.asked.host) == ("a.b.c", "a.example")
    assert post.events == posted
    assert wire.read_event(post.events).body == posted


def test_what_a_token_for_sync_binds_is_all_but_the_token_and_the_name() -> None:
    place = Place(EPOCH, 7)
    refused = pb.Refusal(seq=8, code="no", text="why")
    bound = wire.asking(place, follow=True, refused=refused)
    asked = wire.read_asked(wire.signed(bound, "t", "h"))
    assert (asked.ack, asked.follow, asked.bound) == (place, True, bound)
    assert asked.refused == refused
    assert wire.read_asked(bound + wire.signed(b"", "t", "h")).bound == bound
    assert wire.read_asked(wire.signed(b"", "t", "h")).bound == b""
    assert wire.read_ack(wire.ack_request(wire.signed(bound, "t", "h"))) == asked


def test_a_stored_event_is_sent_with_its_number_and_read_with_it() -> None:
    stored = pb.PostboxEvent(event=CONTENT, id=b"i" * 16, at_ms=5).to_binary()
    sent = stored + label(EPOCH, 200, b"f" * 16) + number(300)
    read = wire.read_event(sent)
    assert (read.seq, read.first, read.epoch, read.before) == (300, 200, EPOCH, b"f" * 16)
    assert (read.type_url, read.value, read.upto) == (CONTENT.type_url, CONTENT.value, 0)
    assert wire.read_event(stored + label(EPOCH, 1, b"") + number(1)).before == b""


def test_events_come_together_in_their_order_and_as_they_were_sent() -> None:
    bodies = [event(seq) for seq in (1, 2, 3)]
    assert [one.body for one in wire.read_events(wire.events_of(bodies))] == bodies


def test_a_tombstone_is_for_the_numbers_up_to_its_last() -> None:
    grave = pb.Tombstone(upto=9, reason=LOST)
    read = wire.read_event(event(4, event=None, tombstone=grave))
    assert (read.seq, read.upto, read.reason, read.type_url) == (4, 9, LOST, "")


def test_a_sign_of_life_is_none_among_events() -> None:
    body = pb.PostboxEvent(alive=True).to_binary()
    streamed = wire.read_streamed(body)
    assert isinstance(streamed, pb.PostboxEvent)
    assert streamed.alive
    with pytest.raises(wire.Malformed, match="sign of life"):
        wire.read_event(body)


TWICE = raw.bytes_field(2, b"x")

MALFORMED = {
    "no protobuf": b"\xff",
    "a field that ends beyond the message": b"\x0a\xff\xff\xff\xff\x0f",
    "a length of 4 GiB": b"\x0a\xff\xff\xff\xff\x0fabc",
    "a varint without end": b"\x0a" + b"\xff" * 20,
    "a group": b"\x0b\x0c",
    "field 0": b"\x00\x01",
    "a token that is a number": b"\x08\x01",
    "a token that is no UTF-8": raw.bytes_field(1, b"\xff\xfe"),
    "two names": TWICE + TWICE,
    "a place with an epoch of 15 bytes": pb.SyncRequest(ack=pb.Place(epoch=b"e" * 15)).to_binary(),
    "a place beyond all numbers": pb.SyncRequest(ack=pb.Place(epoch=EPOCH, seq=2**63)).to_binary(),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_refused(what: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_asked(MALFORMED[what])


@pytest.mark.parametrize("what", ["no protobuf", "a group", "two names"])
def test_a_malformed_post_is_refused(what: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_post(MALFORMED[what])


BAD_EVENTS = {
    "empty": b"",
    "cut off": event()[:-1],
    "too large": event(event=Any(value=b"x" * MAX_EVENT_BYTES)),
    "an event inside of which nothing fits": raw.bytes_field(1, b"\xff"),
    "nested too deep": raw.bytes_field(1, b"\x0b" * 5_000),
    "an epoch of 17 bytes": event(epoch=b"e" * 17),
    "an epoch before of 3 bytes": event(before=b"abc"),
    "no first number": event(first=0),
    "a first number after its own": event(seq=3, first=4),
    "a number beyond all numbers": event(seq=2**64 - 1),
    "a tombstone that ends before it begins": event(
        4, event=None, tombstone=pb.Tombstone(upto=3, reason="lost")
    ),
    "a tombstone without end": event(
        4, event=None, tombstone=pb.Tombstone(upto=2**64 - 1, reason="lost")
    ),
    "a tombstone for a reason of its own": event(
        4, event=None, tombstone=pb.Tombstone(upto=4, reason="tired")
    ),
    "a tombstone without a number": event(
        0, event=None, tombstone=pb.Tombstone(upto=3, reason="lost")
    ),
    "neither event nor tombstone": event(event=None),
}


@pytest.mark.parametrize("what", BAD_EVENTS)
def test_a_malformed_event_is_refused(what: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_event(BAD_EVENTS[what])


def test_too_many_events_and_too_large_batches_are_refused() -> None:
    one = event()
    with pytest.raises(wire.Malformed, match="1 to 1000"):
        wire.read_events(wire.events_of([one] * (MAX_BATCH_EVENTS + 1)))
    with pytest.raises(wire.Malformed, match="1 to 1000"):
        wire.read_events(b"")
    with pytest.raises(wire.Malformed, match="at most 1048576"):
        wire.read_events(b"x" * (MAX_BATCH_BYTES + 1))


def test_fields_are_told_apart_whatever_their_types_are() -> None:
    message = b"".join(
        (
            raw.varint_field(1, 2**64 - 1),
            b"\x11" + b"8" * 8,
            raw.bytes_field(3, b"abc"),
            b"\x25" + b"4" * 4,
            raw.bytes_field(5_000, b""),
        )
    )
    assert [field.number for field in raw.fields(message)] == [1, 2, 3, 4, 5_000]
    assert raw.only(message, 3) == b"abc"
    assert raw.only(message, 6) == b""
    assert raw.without(message, (1, 2, 4, 5_000)) == raw.bytes_field(3, b"abc")


def test_the_values_of_a_field_are_those_of_its_number_and_type_alone() -> None:
    values = [b"", b"a", b"b" * 200, b"c" * 20_000]
    listed = b"".join(raw.bytes_field(1, value) for value in values)
    assert raw.each(listed, 1) == values
    others = raw.varint_field(1, 7) + raw.bytes_field(2, b"x")
    assert raw.each(others + listed + others + listed, 1) == values * 2
    assert raw.each(raw.bytes_field(300, b"x") * 2, 300) == [b"x"] * 2
    for end in range(1, len(listed)):
        with_part = listed[:end]
        try:
            assert raw.each(with_part, 1) == values[: len(raw.each(with_part, 1))]
        except ValueError:
            continue
        assert any(
            with_part == b"".join(raw.bytes_field(1, v) for v in values[:n]) for n in (1, 2, 3)
        )
