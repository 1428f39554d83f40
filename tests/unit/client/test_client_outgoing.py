"""What a client's user does, as the host reads it: both refuse the same, so nothing is promised to
the user that every host would refuse for its form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protobuf import Oneof

from postbox.client.core import forms
from postbox.client.core import outgoing as out
from postbox.client.core.acts import (
    Act,
    AddMember,
    AddReaction,
    CreateConversation,
    EditMessage,
    Foreign,
    RenameConversation,
    SendMessage,
    SetDisplayName,
    SetPicture,
)
from postbox.client.core.backoff import LONGEST_S, SHORTEST_S, Backoff
from postbox.client.core.forms import NoSuchAct
from postbox.client.core.ids import user_uuid
from postbox.client.core.outgoing import act_of, batch_of, outgoing, typing
from postbox.clients.events import kinds
from postbox.clients.events.incoming import Typing
from postbox.clients.events.wire import read_event
from postbox.clients.ids import text_of, user_id
from postbox.event import NAME_MAX
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Reason

LOCAL, ROOM, MESSAGE = (f"11111111-0000-4000-8000-00000000000{at}" for at in (1, 2, 3))
ANN = user_id("ann")

# Near the limits, and with characters that some place or other forbids.
TEXTS = st.text(st.sampled_from("aé \n\x7f\u200d:👍"), max_size=5) | st.builds(
    lambda char, count: char * count,
    st.sampled_from("aé"),
    st.sampled_from([32, 33, 64, 65, 256, 257]),
)
REFERENCES = st.sampled_from([ROOM, MESSAGE, MESSAGE.upper(), ""])
EXTRA = st.sampled_from([b"", bytes_field(64, b"x"), bytes_field(9, b"x"), b"\xff"])
ACTS: st.SearchStrategy[Act] = st.one_of(
    st.builds(CreateConversation, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)),
    st.builds(RenameConversation, REFERENCES, TEXTS, REFERENCES),
    st.builds(AddMember, st.just(ROOM), TEXTS | REFERENCES, st.booleans(), st.booleans()),
    st.builds(SendMessage, REFERENCES, TEXTS, REFERENCES, EXTRA),
    st.builds(EditMessage, st.just(ROOM), REFERENCES, TEXTS, REFERENCES, EXTRA),
    st.builds(AddReaction, st.just(ROOM), REFERENCES, TEXTS),
    st.builds(SetDisplayName, TEXTS, REFERENCES),
    st.builds(SetPicture, st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF"])),
    st.builds(Foreign, REFERENCES, EXTRA),
)


@settings(max_examples=300)
@given(ACTS)
def test_what_is_taken_here_has_a_form_for_the_host_and_can_be_read_back(act: Act) -> None:
    try:
        made = outgoing(act, LOCAL, 1_767_225_601_000)
    except NoSuchAct:
        return
    incoming = read_event(made.body, ANN)
    assert not isinstance(incoming.content, Reason), incoming.content
    assert incoming.client_uuid == LOCAL
    assert act_of(made.body) == act


@settings(max_examples=300)
@given(TEXTS)
def test_what_the_host_would_refuse_is_refused_here_and_nothing_else(text: str) -> None:
    user = pb.MemberJoined(conversationUuid=ROOM, user=pb.User(name=text))
    said: list[tuple[Act, Any]] = [
        (SetDisplayName(text), Oneof("displayNameChanged", pb.DisplayNameChanged(newName=text))),
        (AddReaction(ROOM, MESSAGE, text), Oneof("reactionAdded", reaction_of(text))),
        (AddMember(ROOM, text), Oneof("memberJoined", user)),
    ]
    for act, content in said:
        event = pb.Event(uuid=LOCAL, conversationUuid=ROOM, content=content)
        is_refused = isinstance(read_event(event.to_binary(), ANN).content, Reason)
        assert is_taken(act) is not is_refused


def reaction_of(text: str) -> pb.ReactionAdded:
    return pb.ReactionAdded(uuid=MESSAGE, reaction=text)


def is_taken(act: Act) -> bool:
    try:
        outgoing(act, LOCAL, 0)
    except NoSuchAct:
        return False
    return True


def test_the_limits_are_the_hosts() -> None:
    for name in ("MAX_EVENT_BYTES", "MAX_PICTURE_BYTES", "MAX_NAME_CHARS", "MAX_REACTION_BYTES"):
        assert getattr(forms, name) == getattr(kinds, name)
    assert forms.MAX_FIRST_MEMBERS == kinds.MAX_FIRST_MEMBERS
    assert forms.FIRST_FOREIGN == kinds.FIRST_FOREIGN
    assert forms.MAX_USER_CHARS == NAME_MAX
    assert (out.MAX_BATCH_EVENTS, out.MAX_BATCH_BYTES) == (
        kinds.MAX_BATCH_EVENTS,
        kinds.MAX_BATCH_BYTES,
    )


def test_half_of_a_surrogate_pair_is_refused() -> None:
    for act in (SendMessage(ROOM, "\ud83d"), SetDisplayName("\ud83d"), AddMember(ROOM, "\ud83d")):
        assert not is_taken(act)


def test_an_event_is_as_large_as_a_host_takes_it_but_for_the_picture() -> None:
    most = forms.MAX_EVENT_BYTES
    text = max(size for size in range(most - 300, most) if is_taken(SendMessage(ROOM, "x" * size)))
    body = outgoing(SendMessage(ROOM, "x" * text), LOCAL, 0).body
    assert most - 3 < len(body) <= most
    png = b"\x89PNG\r\n\x1a\n".ljust(forms.MAX_PICTURE_BYTES, b"x")
    assert is_taken(SetPicture(png))
    assert not is_taken(SetPicture(png + b"x"))


def test_more_members_than_a_conversation_begins_with_are_refused() -> None:
    names = tuple(f"user{at}" for at in range(forms.MAX_FIRST_MEMBERS + 1))
    assert is_taken(CreateConversation("", names[1:]))
    assert not is_taken(CreateConversation("", names))


def test_a_user_is_called_as_the_host_calls_it() -> None:
    assert user_uuid("ann") == text_of(user_id("ann"))


def test_a_batch_has_the_events_as_they_are_the_number_and_the_token() -> None:
    bodies = [outgoing(SetDisplayName(name), LOCAL, 0).body for name in "ab"]
    batch = pb.SubmitEventInput.from_binary(batch_of(bodies, 300, "token"))
    assert [event.to_binary() for event in batch.events] == bodies
    assert (batch.firstQueueNumber, batch.resumeToken) == (300, "token")
    assert pb.SubmitEventInput.from_binary(batch_of([], 0, "")) == pb.SubmitEventInput()


@pytest.mark.parametrize("is_over", [True, False])
def test_typing_is_no_row_and_has_no_uuid(is_over: bool) -> None:
    [event] = pb.SubmitEventInput.from_binary(typing(ROOM, is_over)).events
    incoming = read_event(event.to_binary(), ANN)
    assert incoming.is_transitory
    assert incoming.content == Typing(is_over)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_a_wait_is_between_the_shortest_and_three_times_the_last(draws: list[float]) -> None:
    drawn = iter(draws)
    backoff, last_s = Backoff(lambda: next(drawn)), SHORTEST_S
    for _ in draws:
        next_s = backoff.next_s()
        assert SHORTEST_S <= next_s <= min(LONGEST_S, 3 * last_s)
        last_s = next_s
