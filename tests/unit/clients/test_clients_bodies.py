"""Bodies as the rules put them together, read as a device reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.clients.events import bodies
from postbox.clients.events.bodies import Person
from postbox.clients.events.incoming import Foreign, SendMessage
from postbox.clients.events.kinds import Kind
from postbox.clients.events.wire import read_event
from postbox.clients.ids import text_of, user_id
from postbox.clients.tables import Role
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb

ANN, BOB, TALK, SAID, EDIT = (user_id(name) for name in ("ann", "bob", "talk", "said", "edit"))
SHA256 = bytes(range(32))
BOB_AS_TOLD = Person(BOB, "bob", "Bob", SHA256)
BOB_IN_FULL = pb.User(uuid=text_of(BOB), name="bob", displayName="Bob", pictureSha256=SHA256)
MESSAGE = bodies.message(TALK, "hi", SAID, b"")

CONTENTS: list[tuple[Kind, bytes, Any]] = [
    (
        Kind.PROFILE_PICTURE_CHANGED,
        bodies.picture_changed(ANN, SHA256),
        pb.ProfilePictureChanged(userUuid=text_of(ANN), sha256=SHA256),
    ),
    (
        Kind.DISPLAY_NAME_CHANGED,
        bodies.display_name_changed(ANN, "Ann"),
        pb.DisplayNameChanged(userUuid=text_of(ANN), newName="Ann"),
    ),
    (
        Kind.CONVERSATION_CREATED,
        bodies.conversation_created(TALK, "talk", [BOB_AS_TOLD]),
        pb.ConversationCreated(conversationUuid=text_of(TALK), name="talk", members=[BOB_IN_FULL]),
    ),
    (
        Kind.CONVERSATION_NAME_CHANGED,
        bodies.conversation_name_changed(TALK, "new", ANN, 1_002),
        pb.ConversationNameChanged(
            conversationUuid=text_of(TALK),
            newName="new",
            authorUuid=text_of(ANN),
            occuredAt=Timestamp(seconds=1, nanos=2_000_000),
        ),
    ),
    (
        Kind.MEMBER_JOINED,
        bodies.member_joined(TALK, BOB_AS_TOLD, Role.OWNER, history=True, added_by=ANN),
        pb.MemberJoined(
            conversationUuid=text_of(TALK),
            user=BOB_IN_FULL,
            role=pb.Role.OWNER,
            history=True,
            addedByUuid=text_of(ANN),
        ),
    ),
    (
        Kind.MEMBER_LEFT,
        bodies.member_left(TALK, BOB, ANN),
        pb.MemberLeft(
            conversationUuid=text_of(TALK), userUuid=text_of(BOB), removedByUuid=text_of(ANN)
        ),
    ),
    (
        Kind.MEMBER_LEFT,
        bodies.member_left(TALK, BOB, None),
        pb.MemberLeft(conversationUuid=text_of(TALK), userUuid=text_of(BOB)),
    ),
    (
        Kind.NEW_MESSAGE,
        bodies.new_message(EDIT, MESSAGE),
        pb.NewMessage(
            uuid=text_of(EDIT),
            message=pb.Message(
                text="hi", conversationUuid=text_of(TALK), replyToUuid=text_of(SAID)
            ),
        ),
    ),
    (
        Kind.MESSAGE_EDITED,
        bodies.message_edited(SAID, bodies.message(TALK, "hi", None, b"")),
        pb.MessageEdited(
            uuid=text_of(SAID), message=pb.Message(text="hi", conversationUuid=text_of(TALK))
        ),
    ),
    (
        Kind.MESSAGE_DELETED,
        bodies.message_deleted(SAID),
        pb.MessageDeleted(uuid=text_of(SAID)),
    ),
    (
        Kind.REACTION_ADDED,
        bodies.reaction_added(SAID, "👍"),
        pb.ReactionAdded(uuid=text_of(SAID), reaction="👍"),
    ),
    (
        Kind.REACTION_REMOVED,
        bodies.reaction_removed(SAID, "👍"),
        pb.ReactionRemoved(uuid=text_of(SAID), reaction="👍"),
    ),
    (
        Kind.READ_NEW_MESSAGE,
        bodies.read_new_message(SAID, 5),
        pb.ReadNewMessage(uuid=text_of(SAID), upToSeq=5),
    ),
    (Kind.DELIVERED_UP_TO, bodies.delivered_up_to(5), pb.DeliveredUpTo(seq=5)),
]


@pytest.mark.parametrize(("kind", "content", "meant"), CONTENTS, ids=lambda it: str(it)[:40])
def test_a_body_is_an_event_with_that_content(kind: Kind, content: bytes, meant: Any) -> None:
    body = bodies.body(kind, content, author=ANN, conversation=TALK, client_ms=-1)
    event = pb.Event.from_binary(body)
    assert event.content is not None
    assert event.content.value == meant
    [oneof] = pb.Event.desc().oneofs
    assert {field.name: field.number for field in oneof.fields}[event.content.field] == kind
    assert (event.authorUuid, event.conversationUuid) == (text_of(ANN), text_of(TALK))
    assert event.clientTime == Timestamp(seconds=-1, nanos=999_000_000)


def test_a_body_without_conversation_or_time_says_nothing_of_them() -> None:
    content = bodies.display_name_changed(ANN, "")
    event = pb.Event.from_binary(bodies.body(Kind.DISPLAY_NAME_CHANGED, content, author=ANN))
    assert (event.conversationUuid, event.clientTime) == ("", None)


FIELDS = st.lists(
    st.builds(bytes_field, st.integers(64, 2**29 - 1), st.binary(max_size=20)), max_size=4
).map(b"".join)


@given(FIELDS, st.text(min_size=1))
def test_applications_fields_of_a_message_go_on_as_they_came(other: bytes, text: str) -> None:
    message = pb.Message(text=text).to_binary() + other
    up = pb.Event(uuid=text_of(EDIT), conversationUuid=text_of(TALK)).to_binary()
    up += bytes_field(4, bytes_field(2, message))
    content = read_event(up, ANN).content
    assert isinstance(content, SendMessage)
    down = bodies.message(TALK, content.text, content.reply_to, content.other)
    again = pb.Message.from_binary(down)
    assert (again.text, again.conversationUuid) == (text, text_of(TALK))
    again.text = again.conversationUuid = ""
    same = pb.Message.from_binary(other)
    assert again.to_binary() == same.to_binary()


@given(st.integers(64, 2**29 - 1), st.binary(max_size=100))
def test_a_foreign_content_goes_on_as_it_came(number: int, value: bytes) -> None:
    field = bytes_field(number, value)
    up = pb.Event(uuid=text_of(EDIT), conversationUuid=text_of(TALK)).to_binary() + field
    content = read_event(up, ANN).content
    assert content == Foreign(number, field)
    down = bodies.enveloped(field, ANN, TALK, None)
    event = pb.Event.from_binary(down)
    assert event.content is None
    assert field in event.to_binary()  # as a device that does not know it stores it
