"""What a device sends up, as values that rules can judge.

An event that has no form is a value as well, with the reason in place of its content, since it is
settled like any other: refused, remembered, and out of the way of what is behind it in the device's
queue. A uuid by which a device names a conversation or a message may be the stored event's id, or
the local uuid of an event that the same device made: which of them is for the rules to find out.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from postbox.clients.tables import Role
from postbox.rules import Reason


class SetDisplayName(Struct, frozen=True, gc=False):
    name: str  # may be empty


class SetPicture(Struct, frozen=True, gc=False):
    sha256: bytes  # empty: none
    png: bytes


class RenameConversation(Struct, frozen=True, gc=False):
    name: str  # may be empty


class CreateConversation(Struct, frozen=True):
    name: str
    members: tuple[bytes, ...]  # users beside the author, each once
    called: tuple[str, ...] = ()
    """The same, as the device calls them: by name or by uuid."""


class AddMember(Struct, frozen=True, gc=False):
    """Or changes the role of who is in."""

    user: bytes
    role: Role
    history: bool


class RemoveMember(Struct, frozen=True, gc=False):
    user: bytes  # the author itself, to leave


class SendMessage(Struct, frozen=True, gc=False):
    text: str
    reply_to: bytes | None
    other: bytes = b""
    """Fields of applications that are in the Message, as they came."""


class EditMessage(Struct, frozen=True, gc=False):
    message: bytes
    text: str
    reply_to: bytes | None
    other: bytes = b""


class DeleteMessage(Struct, frozen=True, gc=False):
    message: bytes


class React(Struct, frozen=True, gc=False):
    message: bytes
    reaction: str


class Unreact(Struct, frozen=True, gc=False):
    message: bytes
    reaction: str


class Read(Struct, frozen=True, gc=False):
    """Everything up to that message."""

    message: bytes


class Delivered(Struct, frozen=True, gc=False):
    """The host's own: it comes from no device, but of what devices say they have."""

    seq: int


class AnswerInvite(Struct, frozen=True, gc=False):
    host: str
    invite: str
    is_accepted: bool


class Foreign(Struct, frozen=True, gc=False):
    """An application's: the whole field, as it came. Without a conversation it is for the user's
    own devices."""

    kind: int
    field: bytes


class Typing(Struct, frozen=True, gc=False):
    """Transitory: it never reaches the rules, and needs no uuid."""

    is_over: bool


Content: TypeAlias = (
    SetDisplayName
    | SetPicture
    | RenameConversation
    | CreateConversation
    | AddMember
    | RemoveMember
    | SendMessage
    | EditMessage
    | DeleteMessage
    | React
    | Unreact
    | Read
    | Delivered
    | AnswerInvite
    | Foreign
)


class Incoming(Struct, frozen=True):
    """An event as a device sent it."""

    client_uuid: str
    """As the device wrote it, for the answer; empty if that was no uuid."""
    local: bytes
    """The same as 16 bytes. Of an event without one they follow from its bytes, so that it is
    refused once, however often it comes. Of a transitory one without a uuid all are zero."""
    content: Content | Typing | Reason
    """A Reason: it is none, and refused for that."""
    size_bytes: int
    conversation: bytes | None = None
    """None: it names none. Where there must be one, there is."""
    based_on: bytes | None = None
    client_ms: int | None = None
    """The author's claim; in milliseconds since 1970."""
    is_transitory: bool = False
    """Typing, or meant to be: it has no place in the queue, whatever becomes of it."""
