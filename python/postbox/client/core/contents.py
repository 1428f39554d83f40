"""What the content of a stored event changes, whatever was known before it."""

from __future__ import annotations

from collections.abc import Iterator

from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.client.core.changes import (
    Change,
    ConversationMade,
    ConversationRenamed,
    DeliveredUpTo,
    DisplayNameChanged,
    ForeignCame,
    GuildEntered,
    GuildExited,
    InviteCame,
    InviteDecided,
    MemberCame,
    MemberWent,
    MessageCame,
    MessageDeleted,
    MessageEdited,
    NumberErased,
    PictureChanged,
    ReactionAdded,
    ReactionRemoved,
    ReadUpTo,
    UserMet,
)
from postbox.client.core.outgoing import extra_of
from postbox.rpc.postbox.v1 import clients_pb as pb


def of_event(event: pb.Event) -> Iterator[Change]:
    """All of it. What goes up only, or stands in answers only, changes nothing here."""
    yield from of_message(event)
    if event.content is not None:
        yield from _of_conversation(event, event.content.value)
        yield from _of_user(event.content.value, event.uuid)


def of_message(event: pb.Event) -> Iterator[Change]:
    """As far as it is about messages; a kind that is not known counts as one."""
    its, seq, author = event.conversationUuid, event.conversationSeq, event.authorUuid
    match event.content and event.content.value:
        case None:
            yield _foreign(event)
        case pb.NewMessage(message=pb.Message() as said) as came:
            yield _came(event, came.coreDataTemporaryUuid or event.clientUuid, said)
        case pb.MessageEdited(uuid=message, message=pb.Message() as said):
            at_ms, extra = ms_of(event.serverTime) or 0, extra_of(said)
            yield MessageEdited(its, message, said.text, seq, event.uuid, at_ms, extra)
        case pb.MessageDeleted(uuid=message):
            yield MessageDeleted(its, message, seq)
        case pb.ReactionAdded(uuid=message, reaction=reaction):
            yield ReactionAdded(its, message, author, reaction, seq)
        case pb.ReactionRemoved(uuid=message, reaction=reaction):
            yield ReactionRemoved(its, message, author, reaction, seq)
        case pb.Erased(why=why):
            yield NumberErased(its, event.uuid, seq, why)
        case _:
            pass


def _came(event: pb.Event, local: str, said: pb.Message) -> MessageCame:
    return MessageCame(
        conversation=event.conversationUuid,
        message=event.uuid,
        seq=event.conversationSeq,
        author=event.authorUuid,
        text=said.text,
        reply_to=said.replyToUuid,
        at_ms=ms_of(event.serverTime) or 0,
        claimed_ms=ms_of(event.clientTime),
        local=local.lower(),
        is_backfill=event.backfill,
        extra=extra_of(said),
    )


def _foreign(event: pb.Event) -> ForeignCame:
    return ForeignCame(
        conversation=event.conversationUuid,
        event=event.uuid,
        seq=event.conversationSeq,
        author=event.authorUuid,
        body=event.to_binary(),
        at_ms=ms_of(event.serverTime) or 0,
        local=event.clientUuid.lower(),
        is_backfill=event.backfill,
    )


def _of_conversation(event: pb.Event, value: object) -> Iterator[Change]:
    its, author = event.conversationUuid, event.authorUuid
    match value:
        case pb.ConversationCreated(name=name, members=members):
            local, at_ms = event.clientUuid.lower(), ms_of(event.serverTime) or 0
            yield ConversationMade(its, name, local, at_ms)
            for user in members:
                yield _met(user)
                yield MemberCame(its, user.uuid, is_owner=user.uuid == author)
        case pb.ConversationNameChanged(newName=name):
            yield ConversationRenamed(its, name, event.uuid)
        case pb.MemberJoined(user=pb.User() as user, role=role):
            yield _met(user)
            yield MemberCame(its, user.uuid, is_owner=role == pb.Role.OWNER)
        case pb.MemberLeft(userUuid=user_uuid):
            yield MemberWent(its, user_uuid)
        case pb.ReadNewMessage(upToSeq=seq):
            yield ReadUpTo(its, author, seq)
        case pb.DeliveredUpTo(seq=seq):
            yield DeliveredUpTo(its, author, seq)
        case _:
            pass


def _met(user: pb.User) -> UserMet:
    return UserMet(user.uuid, user.name, user.displayName, user.pictureSha256)


def _of_user(value: object, event: str) -> Iterator[Change]:
    match value:
        case pb.DisplayNameChanged(userUuid=user, newName=name):
            yield DisplayNameChanged(user, name, event)
        case pb.ProfilePictureChanged(userUuid=user, sha256=sha256, pngImage=png):
            yield PictureChanged(user, sha256, png, event)
        case pb.GuildEntered(host=host, guild=guild, name=name):
            yield GuildEntered(host, guild, name)
        case pb.GuildExited(host=host, guild=guild, reason=reason):
            yield GuildExited(host, guild, reason)
        case pb.InviteReceived() as came:
            yield InviteCame(came.host, came.invite, came.inviter, came.conversation, came.name)
        case pb.InviteDecided(host=host, invite=invite, accepted=accepted):
            yield InviteDecided(host, invite, accepted)
        case _:
            pass


def ms_of(time: Timestamp | None) -> int | None:
    return None if time is None else time.seconds * 1_000 + time.nanos // 10**6
