"""What a user may do.

An act names messages and conversations by the host's uuid, or by the local uuid of an event of this
device's own that may still be in the queue. `based_on`: the last change of the same thing that the
user knew of; the act is refused where there is a newer one.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class CreateConversation(Struct, frozen=True, tag=True):
    """`members`: beside the user; names, or uuids."""

    name: str
    members: tuple[str, ...] = ()


class RenameConversation(Struct, frozen=True, tag=True):
    conversation: str
    name: str
    based_on: str = ""


class AddMember(Struct, frozen=True, tag=True):
    """Or changes the role of who is in. `user`: a name, or a uuid."""

    conversation: str
    user: str
    is_owner: bool = False
    history: bool = False


class RemoveMember(Struct, frozen=True, tag=True):
    """`user`: a uuid; empty: the user itself leaves."""

    conversation: str
    user: str = ""


class SendMessage(Struct, frozen=True, tag=True):
    """`extra`: fields of the message that are the application's, from 64 on."""

    conversation: str
    text: str
    reply_to: str = ""
    extra: bytes = b""


class EditMessage(Struct, frozen=True, tag=True):
    conversation: str
    message: str
    text: str
    based_on: str = ""
    extra: bytes = b""


class DeleteMessage(Struct, frozen=True, tag=True):
    conversation: str
    message: str


class AddReaction(Struct, frozen=True, tag=True):
    conversation: str
    message: str
    reaction: str


class RemoveReaction(Struct, frozen=True, tag=True):
    conversation: str
    message: str
    reaction: str


class Read(Struct, frozen=True, tag=True):
    """Everything up to that message."""

    conversation: str
    message: str


class SetDisplayName(Struct, frozen=True, tag=True):
    name: str
    based_on: str = ""


class SetPicture(Struct, frozen=True, tag=True):
    """A PNG; empty: none."""

    png: bytes
    based_on: str = ""


class AnswerInvite(Struct, frozen=True, tag=True):
    host: str
    invite: str
    accepted: bool


class Foreign(Struct, frozen=True, tag=True):
    """A kind of an application: the one field of an Event that it is, tag and all."""

    conversation: str
    field: bytes


OfMessage: TypeAlias = (
    SendMessage | EditMessage | DeleteMessage | AddReaction | RemoveReaction | Read
)
OfPeople: TypeAlias = (
    CreateConversation
    | RenameConversation
    | AddMember
    | RemoveMember
    | SetDisplayName
    | SetPicture
    | AnswerInvite
)
Act: TypeAlias = OfMessage | OfPeople | Foreign
