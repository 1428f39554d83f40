"""Reads what a device sends up: from the bytes of an Event to a value that rules can judge.

Everything that can be said of an event without looking at what is stored is said here: it has a
form, sizes and names are within their limits, and it claims nobody else's authorship. What does not
hold is no error: it is in the value, as the reason for which the event is refused.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias, assert_never

from postbox.clients.events.checks import (
    INVALID,
    TOO_LARGE,
    UNKNOWN_KIND,
    BadEvent,
    check_applications,
    check_own,
    check_png,
    fields_in,
    milliseconds_in,
    name_in,
    printable_in,
    reaction_in,
    user_in,
    uuid_if_any,
    uuid_in,
)
from postbox.clients.events.fields import UUID
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
from postbox.clients.events.kinds import (
    FIRST_FOREIGN,
    MAX_EVENT_BYTES,
    MAX_FIRST_MEMBERS,
    MAX_PICTURE_BYTES,
)
from postbox.clients.ids import ID_BYTES, NIL, uuid_of
from postbox.clients.tables import Role
from postbox.rpc.fields import fields
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rules import Reason

MAX_INVITE_CHARS = 256  # as in the hosts' tables, as is the next
MAX_HOST_CHARS = 300

_KNOWN = frozenset(field.number for field in pb.Event.desc().fields)


def read_event(body: bytes, author: bytes) -> Incoming:
    """Of an Event as it came; `author`: the user whose device sent it. Raises nothing: what is
    wrong is in what it gives."""
    if len(body) > MAX_EVENT_BYTES + MAX_PICTURE_BYTES:
        return _too_large(body)
    try:
        event = pb.Event.from_binary(body)
    except (ValueError, RecursionError) as error:
        return _unnamed(body, f"this is no Event: {error}")
    value = event.content and event.content.value
    uuid = event.uuid
    if not uuid and isinstance(value, pb.SendingNewMessage):
        uuid = value.coredataLocalUuid
    local, is_transitory = uuid_of(uuid), isinstance(value, pb.UserIsTyping)
    if local is None:
        if not is_transitory:
            text = "`uuid` must be a uuid in 36 characters that the device gives no other event"
            return _unnamed(body, text)
        uuid, local = "", NIL
    try:
        return _Reading(event, body, local, author).incoming(uuid)
    except BadEvent as bad:
        return Incoming(uuid, local, bad.reason, len(body), is_transitory=is_transitory)


def _too_large(body: bytes) -> Incoming:
    """Of more than any event may have nothing is looked at but its uuid, where that stands first,
    as by its number it does: a million small members would take seconds."""
    text = f"the event has {len(body):,} bytes: at most {MAX_EVENT_BYTES:,}"
    try:
        first = next(fields(body))
        uuid = body[first.value : first.end].decode() if first.number == UUID else ""
    except ValueError:
        uuid = ""
    local = uuid_of(uuid)
    if local is None:
        return _unnamed(body, text, TOO_LARGE)
    return Incoming(uuid, local, Reason(TOO_LARGE, text), len(body))


def _unnamed(body: bytes, text: str, code: str = INVALID) -> Incoming:
    local = hashlib.sha256(body).digest()[:ID_BYTES]
    return Incoming("", local, Reason(code, text), len(body))


_OfMessage: TypeAlias = (
    pb.ReadNewMessage | pb.MessageDeleted | pb.ReactionAdded | pb.ReactionRemoved
)
_OfConversation: TypeAlias = (
    pb.ConversationNameChanged | pb.ConversationCreated | pb.MemberJoined | pb.MemberLeft
)
_OfUser: TypeAlias = pb.DisplayNameChanged | pb.ProfilePictureChanged | pb.InviteDecided


class _Reading:
    """Of one Event. Its methods raise BadEvent."""

    def __init__(self, event: pb.Event, body: bytes, local: bytes, author: bytes) -> None:
        self._event = event
        self._body = body
        self._local = local
        self._author = author
        self._conversation: bytes | None = None

    def incoming(self, uuid: str) -> Incoming:
        event, size_bytes = self._event, len(self._body)
        check_own("authorUuid", event.authorUuid, self._author)
        self._talks_about(event.conversationUuid)
        content = self._content()
        image_bytes = len(content.png) if isinstance(content, SetPicture) else 0
        if size_bytes - image_bytes > MAX_EVENT_BYTES:
            text = f"the event has {size_bytes - image_bytes:,} bytes: at most {MAX_EVENT_BYTES:,}"
            raise BadEvent(text, TOO_LARGE)
        based_on = uuid_if_any("basedOnUuid", event.basedOnUuid)
        return Incoming(
            uuid,
            self._local,
            content,
            size_bytes,
            self._conversation,
            based_on,
            self._client_ms(),
            isinstance(content, Typing),
        )

    def _content(self) -> Content | Typing:
        event = self._event
        if event.events:
            raise BadEvent("events in an event go from the host to a device only", UNKNOWN_KIND)
        if event.content is None:
            return self._foreign()
        match event.content.value:
            case pb.SendingNewMessage() as sent:
                return self._sent(sent)
            case pb.MessageEdited() as edited:
                return self._edited(edited)
            case pb.UserIsTyping() as typing:
                return self._typing(typing)
            case (
                pb.ReadNewMessage()
                | pb.MessageDeleted()
                | pb.ReactionAdded()
                | pb.ReactionRemoved()
            ) as value:
                return self._of_message(value)
            case (
                pb.ConversationNameChanged()
                | pb.ConversationCreated()
                | pb.MemberJoined()
                | pb.MemberLeft()
            ) as value:
                return self._of_conversation(value)
            case (
                pb.DisplayNameChanged() | pb.ProfilePictureChanged() | pb.InviteDecided()
            ) as value:
                return self._of_user(value)
            case _:
                text = f"`{event.content.field}` goes from the host to a device only"
                raise BadEvent(text, UNKNOWN_KIND)

    # -- messages ----------------------------------------------------------------------------

    def _sent(self, sent: pb.SendingNewMessage) -> SendMessage:
        given = sent.coredataLocalUuid
        if given and uuid_of(given) != self._local:
            raise BadEvent("`coredataLocalUuid` and `uuid` are two: an event has one")
        content = SendMessage(*self._message("sendingNewMessage.message", sent.message))
        self._needs_conversation()
        return content

    def _edited(self, edited: pb.MessageEdited) -> EditMessage:
        message = uuid_in("messageEdited.uuid", edited.uuid)
        return EditMessage(message, *self._message("messageEdited.message", edited.message))

    def _message(self, what: str, message: pb.Message | None) -> tuple[str, bytes | None, bytes]:
        if message is None:
            raise BadEvent(f"`{what}` is not there")
        self._talks_about(message.conversationUuid)
        text, reply_to = message.text, uuid_if_any(f"{what}.replyToUuid", message.replyToUuid)
        message.text = message.conversationUuid = message.replyToUuid = ""
        other = message.to_binary()  # what is left is what this host does not know
        if other:
            check_applications(what, other)
        elif not text:
            raise BadEvent(f"`{what}` has no text")
        return text, reply_to, other

    def _of_message(self, value: _OfMessage) -> Read | DeleteMessage | React | Unreact:
        assert self._event.content is not None
        message = uuid_in(f"{self._event.content.field}.uuid", value.uuid)
        match value:
            case pb.ReadNewMessage():
                return Read(message)
            case pb.MessageDeleted():
                return DeleteMessage(message)
            case pb.ReactionAdded():
                return React(message, reaction_in(value.reaction))
            case pb.ReactionRemoved():
                return Unreact(message, reaction_in(value.reaction))
            case _ as never:
                assert_never(never)

    def _typing(self, typing: pb.UserIsTyping) -> Typing:
        check_own("userIsTyping.userUuid", typing.userUuid, self._author)
        self._talks_about(typing.conversationUuid)
        self._needs_conversation()
        return Typing(typing.isOver)

    # -- conversations -----------------------------------------------------------------------

    def _of_conversation(
        self, value: _OfConversation
    ) -> RenameConversation | CreateConversation | AddMember | RemoveMember:
        self._talks_about(value.conversationUuid)
        if isinstance(value, pb.ConversationCreated):
            return self._created(value)
        self._needs_conversation()
        match value:
            case pb.ConversationNameChanged():
                check_own("conversationNameChanged.authorUuid", value.authorUuid, self._author)
                return RenameConversation(name_in("conversationNameChanged.newName", value.newName))
            case pb.MemberJoined():
                return _joined(value)
            case pb.MemberLeft():
                user = uuid_if_any("memberLeft.userUuid", value.userUuid)
                return RemoveMember(self._author if user is None else user)
            case _ as never:
                assert_never(never)

    def _created(self, created: pb.ConversationCreated) -> CreateConversation:
        if self._conversation not in (None, self._local):
            raise BadEvent("the event's `uuid` names the conversation: leave the others empty")
        self._conversation = None
        if len(created.members) > MAX_FIRST_MEMBERS:
            most = f"at most {MAX_FIRST_MEMBERS} members at first, and others join"
            raise BadEvent(f"a conversation is created with {most}")
        users = {
            user_in("conversationCreated.members", user): user.name or user.uuid
            for user in created.members
        }
        users.pop(self._author, None)
        name = name_in("conversationCreated.name", created.name)
        return CreateConversation(name, tuple(users), tuple(users.values()))

    # -- users -------------------------------------------------------------------------------

    def _of_user(self, value: _OfUser) -> SetDisplayName | SetPicture | AnswerInvite:
        match value:
            case pb.DisplayNameChanged():
                check_own("displayNameChanged.userUuid", value.userUuid, self._author)
                return SetDisplayName(name_in("displayNameChanged.newName", value.newName))
            case pb.ProfilePictureChanged(pngImage=png):
                check_own("profilePictureChanged.userUuid", value.userUuid, self._author)
                if not png:
                    return SetPicture(b"", b"")
                check_png("profilePictureChanged.pngImage", png)
                return SetPicture(hashlib.sha256(png).digest(), png)
            case pb.InviteDecided():
                host = printable_in("inviteDecided.host", value.host, MAX_HOST_CHARS)
                invite = printable_in("inviteDecided.invite", value.invite, MAX_INVITE_CHARS)
                return AnswerInvite(host, invite, value.accepted)
            case _ as never:
                assert_never(never)

    # -- what is the same for all --------------------------------------------------------------

    def _foreign(self) -> Foreign:
        found = fields_in(self._body)
        numbers = {field.number for field in found} - _KNOWN
        kinds = [number for number in numbers if number >= FIRST_FOREIGN]
        if not numbers:
            raise BadEvent(
                "the event has no content that can be read: it needs one, and no more, of those in"
                " docs/protocol/clients.md, in JSON with each value as its field has it"
            )
        if not kinds:
            text = f"this host knows no field {min(numbers)}: the device is newer than it"
            raise BadEvent(text, UNKNOWN_KIND)
        if len(kinds) > 1:
            raise BadEvent(
                f"fields {min(kinds)} and {max(kinds)} are two contents: an event has one"
            )
        parts = [self._body[field.start : field.end] for field in found if field.number in kinds]
        return Foreign(kinds[0], b"".join(parts))

    def _talks_about(self, text: str) -> None:
        """What names the conversation may stand in several places, and is the same in all."""
        named = uuid_if_any("conversationUuid", text)
        if self._conversation is None:
            self._conversation = named
        elif named not in (None, self._conversation):
            raise BadEvent("the event has two `conversationUuid`, and they are not the same")

    def _needs_conversation(self) -> None:
        if self._conversation is None:
            raise BadEvent("`conversationUuid` is empty: say where the event belongs")

    def _client_ms(self) -> int | None:
        event = self._event
        time = event.clientTime
        if time is None and event.content is not None:
            value = event.content.value  # where those say it who know no envelope
            time = value.occuredAt if isinstance(value, pb.ConversationNameChanged) else None
        return None if time is None else milliseconds_in("clientTime", time)


def _joined(joined: pb.MemberJoined) -> AddMember:
    user = user_in("memberJoined.user", joined.user)
    try:
        role = Role(joined.role)
    except ValueError as error:
        raise BadEvent("`memberJoined.role` is neither MEMBER nor OWNER") from error
    return AddMember(user, role, joined.history)
