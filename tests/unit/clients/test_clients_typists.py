"""Who types, and what waits to be told of it, as plain values: what ends it, what is told as one,
and that nothing of it grows with what devices say."""

from __future__ import annotations

from postbox.clients.ids import conversation_stream, event_id
from postbox.clients.live.mailbox import MAX_SUBJECTS, Mailbox, Subject
from postbox.clients.live.presence import CONNECTED_S, Presence
from postbox.clients.live.typists import (
    MAX_TYPISTS,
    MAX_WAITING,
    MAX_WAITING_OF_DEVICE,
    MERGED_S,
    TYPING_S,
    Spoken,
    Typists,
)
from postbox.clients.live.words import (
    Connected,
    Held,
    Opened,
    Spent,
    Types,
    Word,
    messages_of,
    read_message,
)
from postbox.store.contract import MAX_MESSAGE_BYTES

ANN, PHONE, TABLET = b"a" * 16, b"p" * 16, b"t" * 16
ROOM = b"r" * 16
STREAM = conversation_stream(ROOM)
SUBJECT = Subject(STREAM, ANN)


def named(number: int) -> bytes:
    return number.to_bytes(16, "big")


def say(
    typists: Typists, now_s: float, conversation: bytes = ROOM, *, is_over: bool = False
) -> list[Subject | None]:
    """What is to be told of it, now."""
    typists.hear(Spoken(ANN, PHONE, conversation, is_over))
    return [typists.settle(each, STREAM, now_s) for each in typists.due(now_s, 100)]


def test_what_is_said_within_three_seconds_is_told_as_one_and_the_newest_of_it() -> None:
    typists = Typists()
    assert say(typists, 0) == [SUBJECT]
    assert say(typists, 1) == say(typists, 2.9, is_over=True) == []
    assert typists.left_ms(SUBJECT, 2.9) == 1_000 * (TYPING_S - 2.9), "it was not told yet"
    assert [each.is_over for each in typists.due(MERGED_S, 100)] == [True]


def test_that_it_is_over_is_told_of_who_is_known_to_type_by_that_device_alone() -> None:
    typists = Typists()
    assert say(typists, 0, is_over=True) == [None]
    typists.type(SUBJECT, TABLET, TYPING_S, 0)
    assert say(typists, 1, is_over=True) == [None]
    assert typists.gone(PHONE) == []
    assert typists.gone(TABLET) == [SUBJECT]
    assert typists.left_ms(SUBJECT, 1) == 0


def test_what_others_say_lasts_no_longer_than_what_devices_say_here() -> None:
    typists = Typists()
    typists.type(SUBJECT, PHONE, 1e9, 0)
    assert typists.left_ms(SUBJECT, 0) == 1_000 * TYPING_S
    typists.forget(TYPING_S)
    assert len(typists) == 0


def test_a_message_takes_away_what_was_said_before_and_the_wait_for_what_is_said_next() -> None:
    typists = Typists()
    local = b"l" * 16
    for conversation, name in ((ROOM, ROOM), (event_id(PHONE, local), local)):
        stream = conversation_stream(conversation)
        spoken = Spoken(ANN, PHONE, name, is_over=False)
        typists.hear(spoken)
        typists.wrote(stream, conversation, ANN, PHONE)
        assert not typists.is_waiting
        assert typists.settle(spoken, stream, 0) is None, "the message came while it was looked up"
    assert say(typists, 0) == [SUBJECT]
    typists.wrote(STREAM, ROOM, ANN, PHONE)
    assert typists.left_ms(SUBJECT, 0) == 0
    assert say(typists, 0.5) == [SUBJECT]


def test_what_devices_say_without_end_is_bounded() -> None:
    typists = Typists()
    for number in range(20 * MAX_WAITING_OF_DEVICE):
        typists.hear(Spoken(ANN, PHONE, named(number), is_over=False))
    assert len(typists.due(0, 10**6)) == MAX_WAITING_OF_DEVICE
    for number in range(MAX_WAITING + 100):
        typists.hear(Spoken(ANN, named(number), ROOM, is_over=False))
    assert len(typists.due(0, 10**6)) == MAX_WAITING_OF_DEVICE + MAX_WAITING - 1
    for number in range(MAX_TYPISTS + 100):
        typists.type(Subject(STREAM, named(number)), PHONE, TYPING_S, 0)
    assert len(typists) == MAX_TYPISTS
    assert typists.left_ms(Subject(STREAM, named(0)), 0) == 0, "the one that is over first"


def test_a_mailbox_that_nobody_empties_keeps_the_newest_and_no_more() -> None:
    frames = {Subject(STREAM, named(number)): named(number) for number in range(2 * MAX_SUBJECTS)}
    box = Mailbox(ANN, PHONE, frames.get, lambda _: None)
    box.see(frozenset([STREAM]))
    for subject in frames:
        box.put(subject)
    assert box.take() == list(frames.values())[MAX_SUBJECTS:]
    assert box.take() == []


def test_of_a_conversation_that_a_device_is_not_shown_any_more_it_is_told_nothing() -> None:
    grown: list[Mailbox] = []
    box = Mailbox(ANN, PHONE, lambda _: b"frame", grown.append)
    box.see(frozenset([STREAM]))
    box.put(SUBJECT)
    box.see(frozenset())
    assert box.take() == []
    assert grown == [box], "it sees less now, of which there is nothing to tell"


def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    presence = Presence()
    presence.connect(ANN, 0)
    presence.place(ANN, ROOM)
    presence.connect(ANN, 60)
    presence.forget(CONNECTED_S)
    assert presence.left_ms(ANN, CONNECTED_S) == 60_000
    assert list(presence.places(ANN)) == [ROOM]
    presence.forget(60 + CONNECTED_S)
    assert presence.left_ms(ANN, 60 + CONNECTED_S) == 0
    presence.place(ANN, ROOM)
    assert list(presence.places(ANN)) == [], "what is read late of who has gone is not kept"


def test_who_is_in_a_conversation_is_found_by_it_until_it_moves_or_goes() -> None:
    """So that who opens a stream is told by what it is shown, however many are connected."""
    bob, other = b"b" * 16, b"o" * 16
    presence = Presence()
    for user in (ANN, bob):
        presence.connect(user, 0)
        presence.place(user, ROOM)
    assert presence.there(ROOM) == {ANN, bob}
    presence.place(bob, ROOM + other)
    presence.moved(ANN)
    assert (presence.there(ROOM), presence.there(other)) == ({bob}, {bob})
    presence.forget(CONNECTED_S)
    presence.place(ANN, ROOM)
    assert not presence.there(ROOM)
    assert not presence.there(other)


def test_words_fit_in_messages_and_come_out_as_they_went_in() -> None:
    words: list[Word] = [
        *[Connected(named(number)) for number in range(1_000)],
        *[Types(STREAM, named(number), PHONE, 10_000) for number in range(500)],
        *[Opened(named(number), number) for number in range(100)],
        *[Held(named(number), number, 2**40) for number in range(100)],
        *[Spent(named(number), 2**20) for number in range(100)],
    ]
    messages = list(messages_of(b"sender_8", words))
    assert max(map(len, messages)) <= MAX_MESSAGE_BYTES
    assert len(messages) < 20
    read = [read_message(message) for message in messages]
    assert {each.sender for each in read if each is not None} == {b"sender_8"}
    assert [word for each in read if each is not None for word in each.words] == words


def test_a_word_that_is_not_known_spoils_no_other_one() -> None:
    (message,) = messages_of(b"sender_8", [Connected(ANN), Opened(PHONE, 1)])
    newer = message.replace(b"connected", b"upgradedX")
    assert read_message(newer) == (b"sender_8", [Opened(PHONE, 1)])
    for broken in (b"", b"\xc1", b"text", message[:-1], b"\x92\xc4\x01a\x01"):
        assert read_message(broken) is None
