"""JSON becomes the protobuf that it stands for, and back; an Any is opaque in both."""

from __future__ import annotations

import json

import pytest
from protobuf.wkt import Any

from postbox.hosts.serving.codecs import CODECS
from postbox.rpc.codecs import Encoded
from postbox.rpc.postbox.v1.hosts_pb import (
    Place,
    PostboxEvent,
    PostEventRequest,
    PostReply,
    SyncRequest,
)

RAW, JSON = CODECS
CONTENT = Any(type_url="type.googleapis.com/nobody.knows.This", value=b"\xfb\xff\xfe")
POSTED = PostEventRequest(
    sync_request=SyncRequest(token="t", host="h"), event=PostboxEvent(event=CONTENT, seq=3)
)


@pytest.mark.parametrize("value", ["+//+", "-__-", "-__-=", "+//+=="])
@pytest.mark.parametrize("name", ["typeUrl", "type_url"])
def test_an_event_in_json_is_a_type_and_bytes_in_base64(name: str, value: str) -> None:
    document = {
        "syncRequest": {"token": "t", "host": "h"},
        "event": {"event": {name: CONTENT.type_url, "value": value}, "seq": "3"},
        "unheardOf": [1, {"a": None}],
    }
    assert JSON.decode(json.dumps(document).encode(), PostEventRequest) == POSTED.to_binary()


def test_an_event_of_a_stream_is_written_as_it_is_read() -> None:
    kept = PostboxEvent(event=CONTENT, epoch=b"e" * 16, seq=2**60).to_binary()
    tree = json.loads(JSON.encode(Encoded(PostboxEvent, kept)))
    assert tree["event"] == {"typeUrl": CONTENT.type_url, "value": "+//+"}
    assert tree["seq"] == str(2**60)
    again = JSON.decode(json.dumps({"event": tree}).encode(), PostEventRequest)
    assert PostEventRequest.from_binary(again).event == PostboxEvent.from_binary(kept)


def test_an_answer_is_written_in_json() -> None:
    reply = PostReply(received=Place(epoch=b"\0" * 3, seq=1))
    assert json.loads(JSON.encode(reply)) == {"received": {"epoch": "AAAA", "seq": "1"}}


def test_protobuf_is_handed_on_as_it_came() -> None:
    assert RAW.decode(bytearray(b"\xff\x00"), PostEventRequest) == b"\xff\x00"
    assert RAW.encode(Encoded(PostEventRequest, b"kept")) == b"kept"
    assert RAW.encode(POSTED) == POSTED.to_binary()


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "no UTF-8": b'{"token": "\xff"}',
    "too deep": b'{"event":' * 20_000,
    "too deep where nothing is": b'{"a":' + b"[" * 100_000,
    "an event that is a text": b'{"event": "x"}',
    "content that is a text": b'{"event": {"event": "x"}}',
    "content with the fields of its message": b'{"event": {"event": {"@type": "a/b", "x": 1}}}',
    "a value that is no base64": b'{"event": {"event": {"value": "a!b"}}}',
    "a value of one character": b'{"event": {"event": {"value": "a"}}}',
    "a value that is a number": b'{"event": {"event": {"value": 5}}}',
    "a number that is a list": b'{"event": {"seq": []}}',
    "a number that is too large": b'{"event": {"seq": "99999999999999999999999"}}',
    "a number of a million digits": b'{"event": {"seq": ' + b"9" * 1_000_000 + b"}}",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_json_of_the_message_is_refused(what: str) -> None:
    with pytest.raises(ValueError):
        JSON.decode(HOSTILE[what], PostEventRequest)
