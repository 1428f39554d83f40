"""What the bodies of `POST /api/sync` mean: bytes in, values out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postbox.config.kinds import MAX_TOLD_URL, Url
from postbox.core import Ledger
from postbox.errors import WireError
from postbox.mesh.wire import (
    MODES,
    About,
    Draw,
    Mode,
    Ping,
    SyncRequest,
    decode_answer,
    decode_ping,
    decode_request,
    encode_request,
    mode_of,
    select,
)

LEGACY_FIELDS = ("since_time", "slice_index", "slice_total", "max_events")
NUMBERS = (*LEGACY_FIELDS, "sample_size", "page_size", "limit")

JSON = "application/json"


def request(**fields: Any) -> SyncRequest:
    return decode_request(json.dumps({"from": "ann", **fields}).encode())


def test_a_request_as_nara_sends_it_is_read_with_its_nulls() -> None:
    body = b'{"from":"a","services":null,"subjects":null,"mode":"sample","sample_size":5000}'
    read = decode_request(body)
    assert (read.sender, read.services, read.subjects) == ("a", None, None)
    assert (mode_of(read), read.sample_size) == ("sample", 5000)


def test_every_field_may_be_null_but_from() -> None:
    nulls = dict.fromkeys((*NUMBERS, "services", "subjects", "mode", "cursor"))
    assert mode_of(request(**nulls)) == "recent"
    with pytest.raises(WireError, match="from is required"):
        decode_request(b'{"from":null,"mode":"page"}')


@pytest.mark.parametrize("body", [b"{}", b'{"from":""}', b'{"mode":"page"}', b'{"From":"ann"}'])
def test_a_request_of_nobody_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="from is required"):
        decode_request(body)


def test_unknown_keys_are_left_alone() -> None:
    assert request(mode="page", colour="red", nested={"a": [1]}).mode == "page"


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_what_it_says(mode: str) -> None:
    assert mode_of(request(mode=mode)) == mode


@pytest.mark.parametrize("mode", [None, ""])
def test_an_omitted_mode_is_recent(mode: str | None) -> None:
    assert mode_of(request() if mode is None else request(mode=mode)) == "recent"
    assert mode_of(request(limit=5, page_size=5, sample_size=5, cursor="1")) == "recent"


@pytest.mark.parametrize("field", LEGACY_FIELDS)
@pytest.mark.parametrize("value", [0, 1, -1])
def test_each_field_of_the_older_kind_makes_a_request_of_the_older_kind(
    field: str, value: int
) -> None:
    assert mode_of(request(**{field: value})) == "legacy"
    assert mode_of(request(**{field: value}, mode="page")) == "page"


@pytest.mark.parametrize("mode", ["pages", "PAGE", "legacy", "reconcile", " page", "x" * 10_000])
def test_another_mode_is_refused_with_the_modes_there_are(mode: str) -> None:
    with pytest.raises(WireError, match="use sample, page, recent") as refused:
        request(mode=mode)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_numbers_are_taken_to_the_bounds_of_64_bits(field: str, value: int) -> None:
    assert getattr(request(**{field: value}), field) == value


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30, 1.5, "5", True, [5]])
def test_and_not_beyond_them_or_as_anything_else(field: str, value: object) -> None:
    with pytest.raises(WireError, match="no sync request"):
        request(**{field: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"from": 5},
        {"services": "social"},
        {"services": ["social", 7]},
        {"subjects": {"a": 1}},
        {"subjects": [None]},
        {"mode": 5},
        {"cursor": 1700000000000000000},
        {"services": ["social"] * 10_001},
    ],
)
def test_a_field_of_another_type_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="no sync request"):
        decode_request(json.dumps({"from": "ann", **fields}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b"NaN",
        b'{"from":"a"} {}',
        b'{"from":"\xff"}',
        b"\xff\xfe",
        b'{"from":"a","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="no sync request"):
        decode_request(body)


def test_what_is_sent_names_what_is_asked_and_the_two_filters() -> None:
    asked = SyncRequest(sender="ann", mode="page", page_size=5_000)
    assert encode_request(asked) == (
        b'{"from":"ann","services":null,"subjects":null,"mode":"page","page_size":5000}'
    )
    assert decode_request(encode_request(asked)) == asked


def test_an_answer_s_events_stay_the_bytes_they_came_as() -> None:
    event = b'{ "id" :"x",\n "ts": 1.50 }'
    answer = decode_answer(b'{"from":"bob","ts":7,"events":[' + event + b'],"sig":"c2ln"}\n', JSON)
    assert answer.events is not None
    assert [bytes(one) for one in answer.events] == [event]
    assert (answer.sender, answer.ts, answer.next_cursor, answer.sig) == ("bob", 7, None, "c2ln")


def test_an_empty_answer_has_null_or_no_events() -> None:
    for body in (b'{"from":"b","ts":1,"events":null}', b'{"from":"b","ts":1}'):
        assert decode_answer(body, JSON).events == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"from":"b"}',
        b'{"from":"b","ts":"1"}',
        b'{"from":"b","ts":9223372036854775808}',
        b'{"from":"b","ts":1,"events":{}}',
        b'{"from":"b","ts":1,"events":[}',
        b'{"from":"b","ts":1,"next_cursor":5}',
        b'{"from":"b","ts":1,"sig":null}',
        b'{"from":"b","ts":1,"events":[' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(WireError, match="answer is none"):
        decode_answer(body, JSON)


@pytest.mark.parametrize("mode", ["sample", "page", "recent", "legacy"])
@pytest.mark.parametrize("size", [None, 0, -1, 1, 2**63 - 1, -(2**63)])
def test_every_size_is_answered_by_an_empty_ledger(mode: Mode, size: int | None) -> None:
    asked = SyncRequest(
        sender="a",
        mode=None if mode == "legacy" else mode,
        sample_size=size,
        page_size=size,
        limit=size,
    )
    if mode == "legacy":
        asked.since_time = asked.slice_index = asked.slice_total = asked.max_events = size
        asked.since_time = 0 if size is None else size
    found = select(Ledger(10, bytes(16)), asked, Draw(bytes(16), 1, "me", "a"))
    assert (mode_of(asked), len(found), found.next_cursor) == (mode, 0, None)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9223372036854775808", "0x10", "1 "])
def test_a_cursor_that_is_none_is_refused_with_what_to_do(cursor: str) -> None:
    asked = SyncRequest(sender="a", mode="page", cursor=cursor)
    with pytest.raises(WireError, match="send next_cursor back as it came"):
        select(Ledger(10, bytes(16)), asked, Draw(bytes(16), 1, "me", "a"))


# -- what a node says of itself -------------------------------------------------------------------


def test_every_url_that_the_configuration_takes_for_ours_can_be_read_in_our_ping() -> None:
    """Else no postbox would meet us, and none of our own lines would say why."""
    for url in ("", "https://box.example.org", "https://a.example/".ljust(MAX_TOLD_URL, "~")):
        told = About("1", list(MODES), str(Url().read(url, Path())), "short", 0)
        ping = Ping(sender="ann", public_key="", postbox=told)
        assert decode_ping(msgspec.json.encode(ping)).postbox == told
    for url in (
        "https://bücher.example",
        "https://a.example/ü",
        "https://a.example/".ljust(201, "~"),
    ):
        with pytest.raises(ValueError, match="no peer could read it"):
            Url().read(url, Path())
