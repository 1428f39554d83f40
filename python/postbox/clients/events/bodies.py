"""The bodies of entries: Events as they go to everybody, put together by the rules.

A body has the content, the conversation, the author and the author's claim of the time. What is the
entry's own (its id, its number, the host's time) and what is for one device alone is added when it
is sent, by `frames`. Ids are given as bytes, and are those of stored events and users.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.clients.events import fields
from postbox.clients.events.fields import time_field, uuid_field
from postbox.clients.ids import text_of
from postbox.clients.tables import Role
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import clients_pb as pb

# Of NewMessage and of MessageEdited, in proto/postbox/v1/clients.proto.
_NEW_MESSAGE_UUID, _NEW_MESSAGE_MESSAGE, _EDITED_UUID, _EDITED_MESSAGE = 2, 3, 1, 2


class Person(Struct, frozen=True, gc=False):
    """A user, as a conversation is told of it."""

    user: bytes
    name: str
    display: str = ""
    picture: bytes = b""  # SHA-256 of the image


def body(
    kind: int,
    content: bytes,
    *,
    author: bytes,
    conversation: bytes | None = None,
    client_ms: int | None = None,
) -> bytes:
    """`content`: the message of that kind, as the functions below give it."""
    return enveloped(bytes_field(kind, content), author, conversation, client_ms)


def enveloped(
    field: bytes, author: bytes, conversation: bytes | None, client_ms: int | None
) -> bytes:
    """As `body`, of the content with its tag: of a foreign one, which is passed on as it came."""
    parts = [field, _frequent(fields.AUTHOR, author)]
    if conversation is not None:
        parts.append(_frequent(fields.CONVERSATION, conversation))
    if client_ms is not None:
        parts.append(time_field(fields.CLIENT_TIME, client_ms))
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _frequent(number: int, uuid: bytes) -> bytes:
    """Kept: a batch is of few users and conversations."""
    return uuid_field(number, uuid)


# -- users -----------------------------------------------------------------------------------------


def picture_changed(user: bytes, sha256: bytes) -> bytes:
    """Without the image, which is kept once."""
    return pb.ProfilePictureChanged(userUuid=text_of(user), sha256=sha256).to_binary()


def display_name_changed(user: bytes, name: str) -> bytes:
    return pb.DisplayNameChanged(userUuid=text_of(user), newName=name).to_binary()


# -- conversations ---------------------------------------------------------------------------------


def conversation_created(conversation: bytes, name: str, members: Iterable[Person]) -> bytes:
    return pb.ConversationCreated(
        conversationUuid=text_of(conversation),
        name=name,
        members=[user_of(person) for person in members],
    ).to_binary()


def conversation_name_changed(conversation: bytes, name: str, author: bytes, at_ms: int) -> bytes:
    return pb.ConversationNameChanged(
        conversationUuid=text_of(conversation),
        newName=name,
        authorUuid=text_of(author),
        occuredAt=Timestamp(seconds=at_ms // 1_000, nanos=at_ms % 1_000 * 10**6),
    ).to_binary()


def member_joined(
    conversation: bytes, person: Person, role: Role, *, history: bool, added_by: bytes
) -> bytes:
    return pb.MemberJoined(
        conversationUuid=text_of(conversation),
        user=user_of(person),
        role=pb.Role(role),
        history=history,
        addedByUuid=text_of(added_by),
    ).to_binary()


def member_left(conversation: bytes, user: bytes, removed_by: bytes | None) -> bytes:
    """`removed_by`: None if the user left."""
    return pb.MemberLeft(
        conversationUuid=text_of(conversation),
        userUuid=text_of(user),
        removedByUuid="" if removed_by is None else text_of(removed_by),
    ).to_binary()


def user_of(person: Person) -> pb.User:
    return pb.User(
        uuid=text_of(person.user),
        name=person.name,
        displayName=person.display,
        pictureSha256=person.picture,
    )


# -- invites ---------------------------------------------------------------------------------------


def invite_decided(host: str, invite: str, accepted: bool) -> bytes:
    return pb.InviteDecided(host=host, invite=invite, accepted=accepted).to_binary()


# -- messages --------------------------------------------------------------------------------------


def message(conversation: bytes, text: str, reply_to: bytes | None, other: bytes) -> bytes:
    """`other`: fields of applications, as they came."""
    known = pb.Message(
        text=text,
        conversationUuid=_text_of_conversation(conversation),
        replyToUuid="" if reply_to is None else text_of(reply_to),
    )
    return known.to_binary() + other


@lru_cache(maxsize=4096)
def _text_of_conversation(conversation: bytes) -> str:
    return text_of(conversation)


def new_message(event: bytes, message: bytes) -> bytes:
    """`event`: its own id. `message`: as `message` gives it."""
    return uuid_field(_NEW_MESSAGE_UUID, event) + bytes_field(_NEW_MESSAGE_MESSAGE, message)


def message_edited(edited: bytes, message: bytes) -> bytes:
    return uuid_field(_EDITED_UUID, edited) + bytes_field(_EDITED_MESSAGE, message)


def message_deleted(deleted: bytes) -> bytes:
    return pb.MessageDeleted(uuid=text_of(deleted)).to_binary()


def reaction_added(message: bytes, reaction: str) -> bytes:
    return pb.ReactionAdded(uuid=text_of(message), reaction=reaction).to_binary()


def reaction_removed(message: bytes, reaction: str) -> bytes:
    return pb.ReactionRemoved(uuid=text_of(message), reaction=reaction).to_binary()


def read_new_message(message: bytes, seq: int) -> bytes:
    return pb.ReadNewMessage(uuid=text_of(message), upToSeq=seq).to_binary()


def delivered_up_to(seq: int) -> bytes:
    return pb.DeliveredUpTo(seq=seq).to_binary()
