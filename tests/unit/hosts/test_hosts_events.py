"""Typed events: messages, what travels, and JSON."""

from __future__ import annotations

import json

import pytest
from protobuf import Message
from protobuf.wkt.google.protobuf.any_pb import Any

from postbox.hosts.applications.events import (
    MAX_VALUE_BYTES,
    BadEvent,
    Event,
    event_of,
    from_json,
    to_json,
    type_name,
    type_url_of,
    unpacked,
)
from postbox.rpc.postbox.v1.hosts_pb import DirectInvite, GuildJoined, GuildLeft, InviteAnswered

JOINED = "type.googleapis.com/postbox.v1.GuildJoined"
DEEP = b"[" * 100_000 + b"]" * 100_000


def test_what_is_no_event_is_refused_with_what_is_one() -> None:
    with pytest.raises(TypeError, match=r"GuildJoined\(\.\.\.\), or an Event\(.*: str"):
        event_of("hello")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"its value \(bytes\): \(str, str\)"):
        Event("x/shop.Order", "text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\(bytes, bytes\)"):
        Event(b"x/shop.Order", b"")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "name", "fields"),
    [
        (
            GuildJoined(user="u", guild="g", name="n"),
            "GuildJoined",
            {"user": "u", "guild": "g", "name": "n"},
        ),
        (
            GuildLeft(user="u", guild="g", reason="left"),
            "GuildLeft",
            {"user": "u", "guild": "g", "reason": "left"},
        ),
        (
            DirectInvite(invite="i", inviter="a", user="u", conversation="c", name="n"),
            "DirectInvite",
            {"invite": "i", "inviter": "a", "user": "u", "conversation": "c", "name": "n"},
        ),
        (
            InviteAnswered(invite="i"),
            "InviteAnswered",
            {"invite": "i", "accepted": False},
        ),
    ],
)
def test_a_registered_type_goes_to_json_and_back(
    message: Message, name: str, fields: dict[str, object]
) -> None:
    event = event_of(message)
    assert event.type_url == f"type.googleapis.com/postbox.v1.{name}"
    assert unpacked(event.type_url, event.value) == message == event.message
    text = to_json(event.type_url, event.value)
    assert text is not None
    assert json.loads(text) == fields
    assert from_json(event.type_url, text) == event.value


def test_an_unknown_type_carries_the_documents_own_bytes() -> None:
    url = type_url_of("shop.Order")
    document = b'{ "b": 1,\n "a": [1.50, "\xc3\xa9"] }'
    assert from_json(url, document) == document
    assert to_json(url, document) == b'{"b":1,"a":[1.50,"\xc3\xa9"]}'


@pytest.mark.parametrize("value", [b"\xff", b"", b"{", DEEP, b"NaN", b"\x00"])
def test_bytes_that_are_no_json_are_shown_as_none(value: bytes) -> None:
    assert to_json("type.googleapis.com/shop.Order", value) is None
    if value:
        assert to_json(JOINED, value) is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"nope",
        b"[]",
        b"1",
        b"null",
        b'{"user": 1}',
        b'{"usr": "u"}',
        b'{"user": "u"} x',
        b"\xff\xfe",
        DEEP,
        b'{"user": ' + DEEP + b"}",
        b'{"unknown": ' + DEEP + b"}",
    ],
)
def test_a_document_that_does_not_fit_its_type_is_refused_in_words(document: bytes) -> None:
    with pytest.raises(BadEvent) as caught:
        from_json(JOINED, document)
    assert str(caught.value)


def test_a_field_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(BadEvent, match="has: user, guild, name"):
        from_json(JOINED, b'{"usr": "u"}')


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "x/", "x" * 300, "é\x7f"])
def test_what_names_no_type_is_refused(name: str) -> None:
    with pytest.raises(BadEvent):
        type_url_of(name)


def test_a_type_url_stays_as_it_is_and_what_is_before_its_slash_means_nothing() -> None:
    assert type_url_of("example.org/x/a.B") == "example.org/x/a.B"
    assert type_name("example.org/x/a.B") == "a.B" == type_name("a.B")


def test_a_type_of_ours_that_is_mistyped_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadEvent, match=r"no postbox\.v1\.GuildJoin: .*postbox\.v1\.GuildJoined"):
        type_url_of("postbox.v1.GuildJoin")


def test_what_an_application_posts_is_checked_before_it_is_stored() -> None:
    with pytest.raises(BadEvent, match="too large"):
        event_of(Event(type_url_of("a.B"), bytes(MAX_VALUE_BYTES + 1)))
    with pytest.raises(BadEvent, match="the bytes are no"):
        event_of(Any(type_url=JOINED, value=b"\xff"))
    with pytest.raises(BadEvent, match="can be made of this"):
        event_of(GuildJoined(user="\ud800"))
    assert event_of(Any(type_url="a/b", value=b"1")) == Event("a/b", b"1")
