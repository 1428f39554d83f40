"""What a user does, and the event that says it: the bytes that wait in the queue and go up.

An act names messages and conversations by the host's uuid, or by the local uuid of an event of this
device's own that may still be in the queue. What a host would refuse for its form is refused here,
before it is promised to the user.
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


Act: TypeAlias = (
    CreateConversation
    | RenameConversation
    | AddMember
    | RemoveMember
    | SendMessage
    | EditMessage
    | DeleteMessage
    | AddReaction
    | RemoveReaction
    | Read
    | SetDisplayName
    | SetPicture
    | AnswerInvite
    | Foreign
)


class Outgoing(Struct, frozen=True):
    """A row of the queue. `kind`: as the content is called in clients.proto, "" of a foreign one.
    `conversation`: that it is in; of one that it makes, its own local uuid. `target`: the message,
    user or invite that it is about. `body`: the Event, as a SubmitEventInput has it."""

    local: str
    kind: str
    conversation: str
    target: str
    body: bytes


class NoSuchAct(ValueError):
    """It has a form that every host would refuse. The text says what is wrong with it."""


def outgoing(act: Act, local: str, now_ms: int) -> Outgoing:
    """`local`: a new uuid. Raises NoSuchAct."""
    raise NotImplementedError


def act_of(body: bytes) -> Act:
    """What a row's bytes say."""
    raise NotImplementedError


def batch_of(bodies: list[bytes], number: int, token: str) -> bytes:
    """A SubmitEventInput."""
    raise NotImplementedError


def typing(conversation: str, is_over: bool) -> bytes:
    """A SubmitEventInput that says it; no row of a queue."""
    raise NotImplementedError
