"""What devices send up, from bytes to values: every member of every message, right and wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protobuf import Oneof
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.clients.events.checks import INVALID, PNG_SIGNATURE, TOO_LARGE, UNKNOWN_KIND
from postbox.clients.events.incoming import (
    AddMember,
    AnswerInvite,
    Content,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    Foreign,
    Incoming,
    React,
    Read,
    RemoveMember,
    RenameConversation,
    SendMessage,
    SetDisplayName,
    SetPicture,
    Typing,
    Unreact,
)
from postbox.clients.events.kinds import MAX_EVENT_BYTES, MAX_PICTURE_BYTES
from postbox.clients.events.wire import read_event
from postbox.clients.ids import device_id, event_id, text_of, user_id
from postbox.clients.tables import Role
from postbox.rpc.fields import bytes_field, varint_field
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Reason

ANN, BOB = user_id("ann"), user_id("bob")
PHONE = device_id(ANN, "phone")
LOCAL, CONVERSATION, MESSAGE = (event_id(PHONE, bytes([i]) * 16) for i in (1, 2, 3))
UUID, TALK, SAID = text_of(LOCAL), text_of(CONVERSATION), text_of(MESSAGE)
PNG = PNG_SIGNATURE + b"pixels"
NO_UUIDS = ("no uuid", SAID[:-1], SAID.replace("-", ""), "{" + SAID + "}", SAID.replace("-", "_"))


def event(kind: str, value: Any, **envelope: Any) -> bytes:
    members = {"uuid": UUID, "conversationUuid": TALK, **envelope}
    return pb.Event(content=Oneof(field=kind, value=value), **members).to_binary()  # type: ignore[arg-type]


def said(text: str = "hello", **members: Any) -> pb.SendingNewMessage:
    return pb.SendingNewMessage(message=pb.Message(text=text, **members))


def sent(message: pb.SendingNewMessage | None = None, **envelope: Any) -> bytes:
    return event("sendingNewMessage", message or said(), **envelope)


def read(body: bytes) -> Incoming:
    return read_event(body, ANN)


def reason_of(body: bytes) -> Reason:
    content = read(body).content
    assert isinstance(content, Reason), content
    return content


GOOD: list[tuple[str, Any, Content | Typing]] = [
    ("sendingNewMessage", said(), SendMessage("hello", None)),
    ("sendingNewMessage", said(replyToUuid=SAID), SendMessage("hello", MESSAGE)),
    ("readNewMessage", pb.ReadNewMessage(uuid=SAID), Read(MESSAGE)),
    (
        "messageEdited",
        pb.MessageEdited(uuid=SAID, message=pb.Message(text="\n\tnew\0")),
        EditMessage(MESSAGE, "\n\tnew\0", None),
    ),
    ("messageDeleted", pb.MessageDeleted(uuid=SAID), DeleteMessage(MESSAGE)),
    ("reactionAdded", pb.ReactionAdded(uuid=SAID, reaction="👩‍🚀"), React(MESSAGE, "👩‍🚀")),
    ("reactionRemoved", pb.ReactionRemoved(uuid=SAID, reaction="+1"), Unreact(MESSAGE, "+1")),
    ("userIsTyping", pb.UserIsTyping(conversationUuid=TALK), Typing(is_over=False)),
    ("userIsTyping", pb.UserIsTyping(isOver=True), Typing(is_over=True)),
    ("displayNameChanged", pb.DisplayNameChanged(newName="Ann Ö"), SetDisplayName("Ann Ö")),
    (
        "displayNameChanged",
        pb.DisplayNameChanged(userUuid=text_of(ANN).upper()),
        SetDisplayName(""),
    ),
    (
        "profilePictureChanged",
        pb.ProfilePictureChanged(pngImage=PNG),
        SetPicture(hashlib.sha256(PNG).digest(), PNG),
    ),
    ("profilePictureChanged", pb.ProfilePictureChanged(), SetPicture(b"", b"")),
    (
        "conversationNameChanged",
        pb.ConversationNameChanged(newName="n" * 256, authorUuid=text_of(ANN)),
        RenameConversation("n" * 256),
    ),
    (
        "memberJoined",
        pb.MemberJoined(user=pb.User(name="bob"), role=pb.Role.OWNER, history=True),
        AddMember(BOB, Role.OWNER, True),
    ),
    (
        "memberJoined",
        pb.MemberJoined(conversationUuid=TALK, user=pb.User(uuid=text_of(BOB), name="bob")),
        AddMember(BOB, Role.MEMBER, False),
    ),
    ("memberLeft", pb.MemberLeft(), RemoveMember(ANN)),
    ("memberLeft", pb.MemberLeft(userUuid=text_of(BOB)), RemoveMember(BOB)),
    (
        "inviteDecided",
        pb.InviteDecided(host="b.example", invite="i-1", accepted=True),
        AnswerInvite("b.example", "i-1", True),
    ),
]


@pytest.mark.parametrize(("kind", "value", "content"), GOOD, ids=lambda it: type(it).__name__)
def test_an_event_says_what_its_kind_says(kind: str, value: Any, content: Content | Typing) -> None:
    incoming = read(event(kind, value))
    assert incoming.content == content
    assert (incoming.client_uuid, incoming.local) == (UUID, LOCAL)
    assert incoming.conversation == CONVERSATION


def test_a_new_conversation_has_its_members_once_and_is_named_by_its_event() -> None:
    users = [pb.User(name="bob"), pb.User(uuid=text_of(BOB)), pb.User(name="ann")]
    created = pb.ConversationCreated(name="", members=users)
    for named in ("", UUID):
        incoming = read(event("conversationCreated", created, conversationUuid=named))
        assert incoming.content == CreateConversation("", (BOB,))
        assert incoming.conversation is None


def test_the_envelope_carries_what_the_change_is_based_on_and_the_authors_time() -> None:
    incoming = read(
        sent(
            basedOnUuid=SAID,
            authorUuid=text_of(ANN),
            clientTime=Timestamp(seconds=-2, nanos=999_999_999),
        )
    )
    assert (incoming.based_on, incoming.client_ms) == (MESSAGE, -1_001)
    assert read(sent()).client_ms is None


def test_who_knows_no_envelope_says_conversation_time_and_uuid_in_the_content() -> None:
    """As the specification's own messages have them."""
    local = pb.SendingNewMessage(
        coredataLocalUuid=UUID, message=pb.Message(text="hi", conversationUuid=TALK)
    )
    incoming = read(sent(local, uuid="", conversationUuid=""))
    assert (incoming.client_uuid, incoming.local, incoming.conversation) == (
        UUID,
        LOCAL,
        CONVERSATION,
    )
    renamed = pb.ConversationNameChanged(
        conversationUuid=TALK, newName="x", occuredAt=Timestamp(seconds=7, nanos=9_000_000)
    )
    incoming = read(event("conversationNameChanged", renamed, conversationUuid=""))
    assert (incoming.conversation, incoming.client_ms) == (CONVERSATION, 7_009)


@pytest.mark.parametrize("uuid", ["", "no uuid" * 100, UUID])
def test_typing_needs_no_uuid(uuid: str) -> None:
    incoming = read(event("userIsTyping", pb.UserIsTyping(), uuid=uuid))
    assert (incoming.content, incoming.is_transitory) == (Typing(False), True)
    assert incoming.client_uuid == (UUID if uuid == UUID else "")


def test_what_was_meant_to_be_typing_is_refused_and_has_no_place_in_the_queue() -> None:
    incoming = read(event("userIsTyping", pb.UserIsTyping(), uuid="", conversationUuid=""))
    assert isinstance(incoming.content, Reason)
    assert incoming.is_transitory
    assert not read(sent(said(""))).is_transitory


@pytest.mark.parametrize("kind", ["messageDeleted", "readNewMessage", "reactionAdded"])
def test_what_names_a_message_needs_no_conversation(kind: str) -> None:
    values = {
        "messageDeleted": pb.MessageDeleted(uuid=SAID),
        "readNewMessage": pb.ReadNewMessage(uuid=SAID),
        "reactionAdded": pb.ReactionAdded(uuid=SAID, reaction="+1"),
    }
    incoming = read(event(kind, values[kind], conversationUuid=""))
    assert incoming.conversation is None
    assert not isinstance(incoming.content, Reason)


# -- what is refused -----------------------------------------------------------------------------

UUID_MEMBERS: list[Callable[[str], bytes]] = [
    lambda text: sent(conversationUuid=text),
    lambda text: sent(basedOnUuid=text),
    lambda text: sent(authorUuid=text),
    lambda text: sent(said(conversationUuid=text)),
    lambda text: sent(said(replyToUuid=text)),
    lambda text: sent(pb.SendingNewMessage(coredataLocalUuid=text, message=said().message)),
    lambda text: event("readNewMessage", pb.ReadNewMessage(uuid=text)),
    lambda text: event("messageDeleted", pb.MessageDeleted(uuid=text)),
    lambda text: event("messageEdited", pb.MessageEdited(uuid=text, message=said().message)),
    lambda text: event("reactionAdded", pb.ReactionAdded(uuid=text, reaction="x")),
    lambda text: event("reactionRemoved", pb.ReactionRemoved(uuid=text, reaction="x")),
    lambda text: event("displayNameChanged", pb.DisplayNameChanged(userUuid=text)),
    lambda text: event("profilePictureChanged", pb.ProfilePictureChanged(userUuid=text)),
    lambda text: event(
        "conversationNameChanged", pb.ConversationNameChanged(conversationUuid=text)
    ),
    lambda text: event("conversationNameChanged", pb.ConversationNameChanged(authorUuid=text)),
    lambda text: event("conversationCreated", pb.ConversationCreated(conversationUuid=text)),
    lambda text: event("conversationCreated", pb.ConversationCreated(members=[pb.User(uuid=text)])),
    lambda text: event(
        "memberJoined", pb.MemberJoined(conversationUuid=text, user=pb.User(name="bob"))
    ),
    lambda text: event("memberJoined", pb.MemberJoined(user=pb.User(uuid=text))),
    lambda text: event("memberLeft", pb.MemberLeft(conversationUuid=text)),
    lambda text: event("memberLeft", pb.MemberLeft(userUuid=text)),
    lambda text: event("userIsTyping", pb.UserIsTyping(conversationUuid=text)),
    lambda text: event("userIsTyping", pb.UserIsTyping(userUuid=text)),
]


@pytest.mark.parametrize("text", [*NO_UUIDS, text_of(bytes(16)), "٣" * 36, " " * 36])
def test_a_member_that_must_be_a_uuid_is_refused_if_it_is_none(text: str) -> None:
    for made in UUID_MEMBERS:
        assert reason_of(made(text)).code == INVALID
        assert read(made(text)).local == LOCAL


def test_nobody_speaks_for_another() -> None:
    bob = text_of(BOB)
    for body in (
        sent(authorUuid=bob),
        event("displayNameChanged", pb.DisplayNameChanged(userUuid=bob, newName="x")),
        event("profilePictureChanged", pb.ProfilePictureChanged(userUuid=bob)),
        event("conversationNameChanged", pb.ConversationNameChanged(authorUuid=bob)),
        event("userIsTyping", pb.UserIsTyping(userUuid=bob)),
    ):
        assert "not the user whose device this is" in reason_of(body).text


BAD: list[tuple[str, str, Any]] = [
    (INVALID, "sendingNewMessage", pb.SendingNewMessage()),
    (INVALID, "sendingNewMessage", said("")),
    (INVALID, "messageEdited", pb.MessageEdited(uuid=SAID)),
    (INVALID, "messageEdited", pb.MessageEdited(message=said().message)),
    (INVALID, "messageDeleted", pb.MessageDeleted()),
    (INVALID, "readNewMessage", pb.ReadNewMessage()),
    (INVALID, "reactionAdded", pb.ReactionAdded(uuid=SAID)),
    (INVALID, "reactionAdded", pb.ReactionAdded(uuid=SAID, reaction=" ")),
    (INVALID, "reactionAdded", pb.ReactionAdded(uuid=SAID, reaction="a\0b")),
    (INVALID, "reactionRemoved", pb.ReactionRemoved(uuid=SAID, reaction="é" * 33)),
    (INVALID, "displayNameChanged", pb.DisplayNameChanged(newName="n" * 257)),
    (INVALID, "displayNameChanged", pb.DisplayNameChanged(newName="a\x85b")),
    (INVALID, "conversationNameChanged", pb.ConversationNameChanged(newName="two\nlines")),
    (INVALID, "conversationNameChanged", pb.ConversationNameChanged(newName="nul\0")),
    (INVALID, "profilePictureChanged", pb.ProfilePictureChanged(pngImage=b"GIF89a")),
    (
        TOO_LARGE,
        "profilePictureChanged",
        pb.ProfilePictureChanged(pngImage=PNG.ljust(MAX_PICTURE_BYTES + 1)),
    ),
    (INVALID, "memberJoined", pb.MemberJoined()),
    (INVALID, "memberJoined", pb.MemberJoined(user=pb.User())),
    (INVALID, "memberJoined", pb.MemberJoined(user=pb.User(name="a:b"))),
    (INVALID, "memberJoined", pb.MemberJoined(user=pb.User(name="n" * 65))),
    (INVALID, "memberJoined", pb.MemberJoined(user=pb.User(name="ann", uuid=text_of(BOB)))),
    (INVALID, "memberJoined", pb.MemberJoined.from_binary(b"\x12\x05\x12\x03bob\x18\x02")),
    (INVALID, "inviteDecided", pb.InviteDecided(host="b.example")),
    (INVALID, "inviteDecided", pb.InviteDecided(invite="i")),
    (INVALID, "inviteDecided", pb.InviteDecided(host="b\nc", invite="i")),
    (INVALID, "inviteDecided", pb.InviteDecided(host="b", invite="i" * 257)),
    (UNKNOWN_KIND, "sentNewMessage", pb.SentNewMessage(uuid=SAID)),
    (UNKNOWN_KIND, "newMessage", pb.NewMessage(uuid=SAID)),
    (UNKNOWN_KIND, "deliveredUpTo", pb.DeliveredUpTo(seq=1)),
    (UNKNOWN_KIND, "erased", pb.Erased()),
    (UNKNOWN_KIND, "guildEntered", pb.GuildEntered()),
    (UNKNOWN_KIND, "guildExited", pb.GuildExited()),
    (UNKNOWN_KIND, "inviteReceived", pb.InviteReceived()),
    (UNKNOWN_KIND, "userIsConnected", pb.UserIsConnected()),
    (UNKNOWN_KIND, "eventRefused", pb.EventRefused()),
    (UNKNOWN_KIND, "snapshotBegin", pb.SnapshotBegin()),
    (UNKNOWN_KIND, "snapshotEnd", pb.SnapshotEnd()),
    (UNKNOWN_KIND, "caughtUp", pb.CaughtUp()),
    (UNKNOWN_KIND, "goAway", pb.GoAway()),
]


@pytest.mark.parametrize(("code", "kind", "value"), BAD, ids=lambda it: str(it)[:60])
def test_what_breaks_a_limit_or_goes_the_wrong_way_is_refused_under_its_uuid(
    code: str, kind: str, value: Any
) -> None:
    body = event(kind, value)
    assert reason_of(body).code == code
    assert (read(body).client_uuid, read(body).local) == (UUID, LOCAL)


def test_every_kind_is_read_or_refused_here() -> None:
    """A new one in the .proto must be given a place."""
    tried = {kind for kind, *_ in GOOD} | {kind for _, kind, _ in BAD} | {"conversationCreated"}
    [content] = pb.Event.desc().oneofs
    assert tried == {field.name for field in content.fields}


@pytest.mark.parametrize("kind", ["sendingNewMessage", "conversationNameChanged", "memberLeft"])
def test_what_belongs_to_a_conversation_names_it_and_but_one(kind: str) -> None:
    values = {
        "sendingNewMessage": said(),
        "conversationNameChanged": pb.ConversationNameChanged(),
        "memberLeft": pb.MemberLeft(),
    }
    body = event(kind, values[kind], conversationUuid="")
    assert "`conversationUuid` is empty" in reason_of(body).text
    two = sent(said(conversationUuid=SAID))
    assert "two `conversationUuid`" in reason_of(two).text


def test_a_new_conversation_takes_no_name_but_its_events_and_no_crowd() -> None:
    created = pb.ConversationCreated()
    assert reason_of(event("conversationCreated", created)).code == INVALID
    crowd = pb.ConversationCreated(members=[pb.User(name=f"u{i}") for i in range(101)])
    body = event("conversationCreated", crowd, conversationUuid="")
    assert "at most 100" in reason_of(body).text


def test_an_event_with_two_uuids_of_its_own_is_refused() -> None:
    two = pb.SendingNewMessage(coredataLocalUuid=SAID, message=pb.Message(text="hi"))
    assert reason_of(sent(two)).code == INVALID


@pytest.mark.parametrize("time", [(2**40, 0), (-(2**40), 0), (0, -1), (0, 10**9)])
def test_a_time_beyond_the_calendar_is_refused(time: tuple[int, int]) -> None:
    seconds, nanos = time
    body = sent(clientTime=Timestamp(seconds=seconds, nanos=nanos))
    assert "clientTime" in reason_of(body).text


def test_sizes_are_counted_without_the_picture() -> None:
    picture = pb.ProfilePictureChanged(pngImage=PNG.ljust(MAX_PICTURE_BYTES))
    assert isinstance(read(event("profilePictureChanged", picture)).content, SetPicture)
    room = MAX_EVENT_BYTES - len(sent(said("x" * 60_000))) + 60_000
    assert isinstance(read(sent(said("x" * room))).content, SendMessage)
    assert reason_of(sent(said("x" * (room + 1)))).code == TOO_LARGE


BROKEN = [
    b"\xff",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\x01\xff",  # a uuid that is no UTF-8
    b"\x22\x06\x12\x04\x0a\x02\xc3\x28",  # and a text
    b"\x22\x07\x12\x05\x0a\x03\xed\xa0\x80",  # half a surrogate pair
    b"\x00",
]


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = bytes_field(51, body)
    return body


@pytest.mark.parametrize("body", [b"", *BROKEN, nested(5_000)], ids=lambda it: repr(it[:9]))
def test_what_has_no_uuid_to_be_called_by_is_refused_under_its_bytes(body: bytes) -> None:
    incoming = read(body)
    assert isinstance(incoming.content, Reason)
    assert (incoming.client_uuid, incoming.local) == ("", hashlib.sha256(body).digest()[:16])


@pytest.mark.parametrize("uuid", ["", "12", text_of(bytes(16)), *NO_UUIDS])
def test_a_uuid_that_is_none_is_not_what_the_event_is_called_by(uuid: str) -> None:
    incoming = read(sent(uuid=uuid))
    assert incoming.client_uuid == ""
    assert len(incoming.local) == 16
    assert incoming.local != read(sent(said("other"), uuid=uuid)).local


def test_events_in_an_event_are_refused() -> None:
    body = pb.Event(uuid=UUID, events=[pb.Event.from_binary(sent())]).to_binary()
    assert reason_of(body).code == UNKNOWN_KIND


# -- what this host does not know ----------------------------------------------------------------

ENVELOPE = pb.Event(uuid=UUID, conversationUuid=TALK).to_binary()


def test_a_kind_of_an_application_is_kept_as_it_came() -> None:
    field = bytes_field(64, b"\xff whatever")
    incoming = read(field + ENVELOPE + field)
    assert incoming.content == Foreign(64, field + field)
    last = varint_field(2**29 - 1, 2**64 - 1)
    assert read(ENVELOPE + last).content == Foreign(2**29 - 1, last)
    own = read(pb.Event(uuid=UUID).to_binary() + field)
    assert (own.content, own.conversation) == (Foreign(64, field), None)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (INVALID, ENVELOPE),
        (UNKNOWN_KIND, ENVELOPE + bytes_field(31, b"newer")),
        (UNKNOWN_KIND, ENVELOPE + bytes_field(63, b"newer")),
        (INVALID, ENVELOPE + bytes_field(64, b"") + bytes_field(65, b"")),
        (INVALID, ENVELOPE + b"\x83\x04\x84\x04"),  # a group
        (TOO_LARGE, ENVELOPE + bytes_field(64, bytes(MAX_EVENT_BYTES))),
    ],
)
def test_an_event_has_one_content_that_this_host_knows_or_passes_on(code: str, body: bytes) -> None:
    assert reason_of(body).code == code
    assert read(body).local == LOCAL


def message_with(field: bytes, text: str = "hi") -> bytes:
    message = pb.Message(text=text).to_binary() + field
    return ENVELOPE + bytes_field(4, bytes_field(2, message))


def test_applications_fields_of_a_message_are_kept_and_others_are_not_lost_unseen() -> None:
    field = bytes_field(64, b"\xfe") + varint_field(1_000, 7)
    assert read(message_with(field)).content == SendMessage("hi", None, field)
    assert read(message_with(field, text="")).content == SendMessage("", None, field)
    assert "field 4" in reason_of(message_with(field + bytes_field(4, b"attached"))).text


# -- whatever comes --------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_reading_raises_nothing_whatever_the_bytes(body: bytes) -> None:
    for tried in (body, ENVELOPE + body, ENVELOPE + bytes_field(4, body)):
        incoming = read(tried)
        assert len(incoming.local) == 16 or isinstance(incoming.content, Typing)
        assert incoming.size_bytes == len(tried)


FIELDS = st.one_of(
    st.builds(bytes_field, st.integers(1, 70), st.binary(max_size=40)),
    st.builds(varint_field, st.integers(1, 70), st.integers(0, 2**64 - 1)),
    st.builds(
        lambda number, inner: bytes_field(number, bytes_field(*inner)),
        st.integers(1, 70),
        st.tuples(st.integers(1, 9), st.binary(max_size=40)),
    ),
)


@given(st.lists(FIELDS, max_size=6).map(b"".join))
def test_reading_raises_nothing_whatever_the_fields(body: bytes) -> None:
    read(ENVELOPE + body)
    read(body)


@given(st.text(max_size=300))
def test_a_text_that_is_taken_comes_back_as_it_was(text: str) -> None:
    content = read(sent(said(text))).content
    if text:
        assert content == SendMessage(text, None)
    else:
        assert isinstance(content, Reason)
