"""What goes down is put together from bytes; a device reads it as one message."""

from __future__ import annotations

import pytest

from postbox.clients.events import bodies, frames
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import Author, conversation_stream, text_of, user_stream
from postbox.clients.reading.history import _stretches
from postbox.clients.reading.windows import Period, view_of
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import MAX_POS, Entry, Lane, Window

USER, DEVICE, LOCAL, CONVERSATION, EVENT = [bytes([number]) * 16 for number in range(1, 6)]
AT_MS = 1_795_219_200_123


def entry(kind: int = Kind.NEW_MESSAGE, body: bytes | None = b"", seq: int | None = 7) -> Entry:
    author = Author(USER, DEVICE, LOCAL).packed()
    stream = conversation_stream(CONVERSATION)
    return Entry(9, Lane.CLIENTS, stream, seq, EVENT, kind, 0, author, AT_MS, body)


def message_body() -> bytes:
    message = bodies.message(CONVERSATION, "hello", None, b"")
    field = bytes_field(Kind.NEW_MESSAGE, bodies.new_message(EVENT, message))
    return bodies.enveloped(field, USER, CONVERSATION, 1_000)


def test_an_entry_and_what_one_device_is_told_besides_are_one_event() -> None:
    stored = entry(body=message_body())
    event = pb.Event.from_binary(frames.stored(stored) + frames.own_fields(stored))
    assert event.content is not None
    assert isinstance(event.content.value, pb.NewMessage)
    assert event.content.value.uuid == event.uuid == text_of(EVENT)
    assert event.content.value.coreDataTemporaryUuid == event.clientUuid == text_of(LOCAL)
    assert event.content.value.message is not None
    assert event.content.value.message.text == "hello"
    assert (event.conversationSeq, event.conversationUuid) == (7, text_of(CONVERSATION))
    assert event.serverTime is not None
    assert (event.serverTime.seconds, event.serverTime.nanos) == (AT_MS // 1_000, 123_000_000)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Kind.NEW_MESSAGE, "deleted"),
        (Kind.MESSAGE_EDITED, "edited"),
        (Kind.MEMBER_JOINED, "erased"),
        (64, "deleted"),
    ],
)
def test_what_was_erased_keeps_its_number_and_says_why(kind: int, why: str) -> None:
    gone = entry(kind, body=None)
    event = pb.Event.from_binary(frames.stored(gone) + frames.own_fields(gone))
    assert event.content is not None
    assert isinstance(event.content.value, pb.Erased)
    assert event.content.value.why == why
    assert (event.uuid, event.conversationSeq) == (text_of(EVENT), 7)
    assert (event.conversationUuid, event.authorUuid) == (text_of(CONVERSATION), text_of(USER))


def test_a_frame_of_several_has_them_in_order_and_the_fields_are_its_own() -> None:
    stored = frames.stored(entry(body=message_body()))
    several = [frames.sent(number, stored, EVENT) for number in range(3)]
    fields = frames.token("token") + frames.previous(LOCAL)
    one = pb.Event.from_binary(frames.frame(several[:1], fields))
    assert (one.uuid, one.resumeToken, one.previousUuid) == (
        text_of(EVENT),
        "token",
        text_of(LOCAL),
    )
    many = pb.Event.from_binary(frames.frame(several, fields))
    assert [event.uuid for event in many.events] == [text_of(EVENT)] * 3
    assert (many.uuid, many.resumeToken, many.content) == ("", "token", None)


def period(number: int, joined: int, left: int = MAX_POS, *, sees_all: bool = False) -> Period:
    is_open = left == MAX_POS
    return Period(CONVERSATION, number, sees_all, EVENT, joined, False, is_open, left)


def test_a_view_has_the_users_own_stream_and_each_period_that_is_not_over_before_it() -> None:
    periods = [period(1, 10, 20), period(2, 30)]
    stream = conversation_stream(CONVERSATION)
    view = view_of(USER, periods, 15, 40)
    assert list(view.windows) == [
        Window(user_stream(USER)),
        Window(stream, 9, 20),
        Window(stream, 29, MAX_POS),
    ]
    assert list(view.joins) == [30]
    assert view.clipped(15, 25) == [Window(user_stream(USER), 0, 25), Window(stream, 9, 20)]
    assert len(view_of(USER, periods, 20, 40).windows) == 2


@pytest.mark.parametrize(
    ("periods", "seen"),
    [
        ([period(1, 10)], [(9, MAX_POS)]),
        ([period(1, 10, 20), period(2, 30)], [(29, MAX_POS), (9, 20)]),
        ([period(1, 10, 20), period(2, 30, sees_all=True)], [(0, MAX_POS)]),
        ([period(1, 10, 20, sees_all=True), period(2, 30)], [(29, MAX_POS), (0, 20)]),
        ([], []),
    ],
)
def test_what_is_shown_of_older_times_is_what_any_period_shows(
    periods: list[Period], seen: list[tuple[int, int]]
) -> None:
    assert _stretches(periods) == seen
