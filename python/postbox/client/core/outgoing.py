"""The events that go up: what a user did as the bytes that wait in the queue, and back again.

The bytes are all that is kept of an act: what they say can be read from them at any time, by a
newer version, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace
from protobuf import Oneof
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.client.core import acts
from postbox.client.core.forms import FIRST_FOREIGN, MAX_EVENT_BYTES, NoSuchAct, check
from postbox.client.core.ids import is_uuid, user_uuid
from postbox.rpc.fields import bytes_field, fields, varint_field, without
from postbox.rpc.postbox.v1 import clients_pb as pb

MAX_BATCH_EVENTS = 100
MAX_BATCH_BYTES = 2**20
"""What a host takes at once."""

_KNOWN_OF_MESSAGE = frozenset(field.number for field in pb.Message.desc().fields)
_KNOWN_OF_EVENT = frozenset(field.number for field in pb.Event.desc().fields)
_REFERRING = ("conversation", "message", "reply_to", "based_on")  # of an act, to other events
_EVENTS, _FIRST_NUMBER, _TOKEN = 1, 2, 3  # of a SubmitEventInput


class Outgoing(Struct, frozen=True):
    """A row of the queue. `kind`: as the content is called in clients.proto, "" of a foreign one.
    `conversation`: that it is in; of one that it makes, its own local uuid. `target`: the message,
    user or invite that it is about. `body`: the Event, as a SubmitEventInput has it."""

    local: str
    kind: str
    conversation: str
    target: str
    body: bytes


def outgoing(act: acts.Act, local: str, now_ms: int) -> Outgoing:
    """`local`: a new uuid. Raises NoSuchAct."""
    check(act)
    return _outgoing(act, local, _timestamp(now_ms))


def _outgoing(act: acts.Act, local: str, at: Timestamp | None) -> Outgoing:
    conversation = getattr(act, "conversation", "")
    event = pb.Event(
        uuid=local,
        clientTime=at,
        conversationUuid=conversation,
        basedOnUuid=getattr(act, "based_on", ""),
    )
    if isinstance(act, acts.Foreign):
        body = event.to_binary() + act.field
        return Outgoing(local, "", conversation, "", _bounded(body, 0))
    event.content = content = _content(act, local)
    png_bytes = len(act.png) if isinstance(act, acts.SetPicture) else 0
    body = _bounded(event.to_binary(), png_bytes)
    if isinstance(act, acts.CreateConversation):
        conversation = local
    return Outgoing(local, content.field, conversation, _target(act), body)


def _bounded(body: bytes, png_bytes: int) -> bytes:
    size = len(body) - png_bytes
    if size > MAX_EVENT_BYTES:
        raise NoSuchAct(f"this makes an event of {size:,} bytes: at most {MAX_EVENT_BYTES:,}")
    return body


def _target(act: acts.Act) -> str:
    match act:
        case acts.AddMember(_, user):
            return user if is_uuid(user) else user_uuid(user)
        case acts.RemoveMember(_, user):
            return user
        case acts.AnswerInvite(_, invite):
            return invite
        case _:
            return getattr(act, "message", "")


def _content(act: acts.OfMessage | acts.OfPeople, local: str) -> Any:
    """A Oneof of Event; its many kinds have no common type."""
    match act:
        case acts.SendMessage(conversation, text, reply_to, extra):
            message = _message(conversation, text, reply_to, extra)
            sent = pb.SendingNewMessage(coredataLocalUuid=local, message=message)
            return Oneof("sendingNewMessage", sent)
        case acts.EditMessage(conversation, message, text, _, extra):
            written = _message(conversation, text, "", extra)
            return Oneof("messageEdited", pb.MessageEdited(uuid=message, message=written))
        case acts.DeleteMessage(_, message):
            return Oneof("messageDeleted", pb.MessageDeleted(uuid=message))
        case acts.AddReaction(_, message, reaction):
            return Oneof("reactionAdded", pb.ReactionAdded(uuid=message, reaction=reaction))
        case acts.RemoveReaction(_, message, reaction):
            return Oneof("reactionRemoved", pb.ReactionRemoved(uuid=message, reaction=reaction))
        case acts.Read(_, message):
            return Oneof("readNewMessage", pb.ReadNewMessage(uuid=message))
        case _:
            return _content_of_people(act)


def _content_of_people(act: acts.OfPeople) -> Any:
    match act:
        case acts.CreateConversation(name, members):
            users = [_user(member) for member in members]
            return Oneof("conversationCreated", pb.ConversationCreated(name=name, members=users))
        case acts.RenameConversation(conversation, name):
            changed = pb.ConversationNameChanged(conversationUuid=conversation, newName=name)
            return Oneof("conversationNameChanged", changed)
        case acts.AddMember(conversation, user, is_owner, history):
            role = pb.Role.OWNER if is_owner else pb.Role.MEMBER
            joined = pb.MemberJoined(
                conversationUuid=conversation, user=_user(user), role=role, history=history
            )
            return Oneof("memberJoined", joined)
        case acts.RemoveMember(conversation, user):
            left = pb.MemberLeft(conversationUuid=conversation, userUuid=user)
            return Oneof("memberLeft", left)
        case acts.SetDisplayName(name):
            return Oneof("displayNameChanged", pb.DisplayNameChanged(newName=name))
        case acts.SetPicture(png):
            return Oneof("profilePictureChanged", pb.ProfilePictureChanged(pngImage=png))
        case acts.AnswerInvite(host, invite, accepted):
            decided = pb.InviteDecided(host=host, invite=invite, accepted=accepted)
            return Oneof("inviteDecided", decided)
        case _ as never:
            assert_never(never)


def _message(conversation: str, text: str, reply_to: str, extra: bytes) -> pb.Message:
    message = pb.Message(text=text, conversationUuid=conversation, replyToUuid=reply_to)
    return pb.Message.from_binary(message.to_binary() + extra) if extra else message


def _user(member: str) -> pb.User:
    return pb.User(uuid=member) if is_uuid(member) else pb.User(name=member)


def _timestamp(at_ms: int) -> Timestamp:
    return Timestamp(seconds=at_ms // 1_000, nanos=at_ms % 1_000 * 10**6)


# -- and back ----------------------------------------------------------------------------------


def act_of(body: bytes) -> acts.Act:
    """What a row's bytes say."""
    event = pb.Event.from_binary(body)
    conversation, based_on = event.conversationUuid, event.basedOnUuid
    if event.content is None:
        return acts.Foreign(conversation, foreign_of(body))
    match event.content.value:
        case pb.SendingNewMessage(message=pb.Message() as said):
            return acts.SendMessage(conversation, said.text, said.replyToUuid, extra_of(said))
        case pb.MessageEdited(uuid=message, message=pb.Message() as said):
            return acts.EditMessage(conversation, message, said.text, based_on, extra_of(said))
        case pb.MessageDeleted(uuid=message):
            return acts.DeleteMessage(conversation, message)
        case pb.ReactionAdded(uuid=message, reaction=reaction):
            return acts.AddReaction(conversation, message, reaction)
        case pb.ReactionRemoved(uuid=message, reaction=reaction):
            return acts.RemoveReaction(conversation, message, reaction)
        case pb.ReadNewMessage(uuid=message):
            return acts.Read(conversation, message)
        case pb.ProfilePictureChanged(pngImage=png):
            return acts.SetPicture(png, based_on)
        case pb.DisplayNameChanged(newName=name):
            return acts.SetDisplayName(name, based_on)
        case pb.InviteDecided(host=host, invite=invite, accepted=accepted):
            return acts.AnswerInvite(host, invite, accepted)
        case _ as value:
            return _act_of_conversation(conversation, based_on, value)


def _act_of_conversation(conversation: str, based_on: str, value: object) -> acts.Act:
    match value:
        case pb.ConversationCreated(name=name, members=members):
            return acts.CreateConversation(name, tuple(user.uuid or user.name for user in members))
        case pb.ConversationNameChanged(newName=name):
            return acts.RenameConversation(conversation, name, based_on)
        case pb.MemberJoined(user=pb.User() as user, role=role, history=history):
            return acts.AddMember(
                conversation, user.uuid or user.name, role == pb.Role.OWNER, history
            )
        case pb.MemberLeft(userUuid=user):
            return acts.RemoveMember(conversation, user)
        case _:
            raise ValueError(f"a row of the queue says {type(value).__name__}, which no user does")


def foreign_of(event: bytes) -> bytes:
    """Its fields that are an application's, or a newer host's."""
    return without(event, _KNOWN_OF_EVENT)


def custom_of(event: bytes) -> tuple[int, bytes] | None:
    """The number and the value of the field that is an application's; None: there is none."""
    foreign = foreign_of(event)
    found = [each for each in fields(foreign) if each.number >= FIRST_FOREIGN]
    return (found[-1].number, foreign[found[-1].value : found[-1].end]) if found else None


def extra_of(message: pb.Message) -> bytes:
    """Its fields that are an application's, or a newer host's."""
    return without(message.to_binary(), _KNOWN_OF_MESSAGE)


def renamed(body: bytes, names: Mapping[str, str]) -> bytes:
    """The same event, where it and what it refers to are called otherwise."""
    event, act = pb.Event.from_binary(body), act_of(body)
    referred = {field: getattr(act, field, "") for field in _REFERRING}
    new = {field: names[name] for field, name in referred.items() if name in names}
    act, uuid = replace(act, **new), names.get(event.uuid, event.uuid)
    return _outgoing(act, uuid, event.clientTime).body


def not_based(body: bytes) -> bytes:
    """The same event, whatever was changed meanwhile."""
    event, act = pb.Event.from_binary(body), act_of(body)
    if not event.basedOnUuid:
        return body
    return _outgoing(replace(act, based_on=""), event.uuid, event.clientTime).body


def not_answering(body: bytes, is_here: Callable[[str], bool]) -> bytes:
    """The same event; of a message that answers one that is not here, without saying so."""
    event, act = pb.Event.from_binary(body), act_of(body)
    if not isinstance(act, acts.SendMessage) or not act.reply_to or is_here(act.reply_to):
        return body
    return _outgoing(replace(act, reply_to=""), event.uuid, event.clientTime).body


# -- requests ----------------------------------------------------------------------------------


def batch_of(bodies: Sequence[bytes], number: int, token: str) -> bytes:
    """A SubmitEventInput. `number`: of the first; 0: without numbers. `token`: of the last frame
    that the device has committed."""
    parts = [bytes_field(_EVENTS, body) for body in bodies]
    if number:
        parts.append(varint_field(_FIRST_NUMBER, number))
    if token:
        parts.append(bytes_field(_TOKEN, token.encode()))
    return b"".join(parts)


def typing(conversation: str, is_over: bool) -> bytes:
    """A SubmitEventInput that says it; no row of a queue."""
    said = pb.UserIsTyping(conversationUuid=conversation, isOver=is_over)
    content: Oneof[Literal["userIsTyping"], pb.UserIsTyping] = Oneof("userIsTyping", said)
    return batch_of([pb.Event(content=content, conversationUuid=conversation).to_binary()], 0, "")
