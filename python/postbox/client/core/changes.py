"""What may change in what a device knows: the vocabulary between a stream and a store.

A frame comes to a list of these, in order; a store does each, and all of a frame in one commit with
the frame's place. Which events are news is decided before: a store compares no numbers but those of
messages' registers (below). Uuids are texts in lower case, times are milliseconds since 1970, and
`local` is what this device itself called an event of its own, empty for what others made.

What becomes of a message is a register each: its text, whether it is deleted, whether a user's
reaction is there. Of each the change with the greatest `seq` counts, in whatever order they come:
History brings old ones behind newer ones. So a store keeps what changes a message that it does not
have, and a deleted message does not come back.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where a device is on its stream. `epoch`: of the host's log, in hexadecimal."""

    token: str = ""
    uuid: str = ""
    epoch: str = ""


# -- a snapshot ------------------------------------------------------------------------------------


class SnapshotBegan(Struct, frozen=True, tag=True):
    """What follows goes into tables of its own, empty ones, until SnapshotEnded. `code`: why."""

    epoch: str
    code: str


class SnapshotEnded(Struct, frozen=True, tag=True):
    """Those take the place of what the device had. Its queue stays."""


class SnapshotDropped(Struct, frozen=True, tag=True):
    """It was cut off: those are gone, and the device has what it had."""


# -- the queue -------------------------------------------------------------------------------------


class KeptAgain(Struct, frozen=True, tag=True):
    """The host was put back: what it answered lately may be gone. All that it took (SENT, KEPT) is
    to be sent again (QUEUED), in the order in which it was made. Behind it come the Settled of what
    the snapshot told of, which are KEPT at once."""


class Settled(Struct, frozen=True, tag=True):
    """An event of this device's own is stored, and the base has what it does: its row, whatever its
    state, is KEPT."""

    local: str
    uuid: str


class CaughtUp(Struct, frozen=True, tag=True):
    """There is no more for now. At the second one behind its answer a row that is still SENT will
    not be told of any more, and what it does is in the base, if anywhere: it is KEPT. If its answer
    said `duplicate` and no Settled ever told of it, it changed nothing, and left nothing with the
    host: KeptAgain passes it over, for it would be judged anew, by what is there then. Not so
    messages, conversations and what is an application's, which always leave an entry."""


# -- users -----------------------------------------------------------------------------------------


class UserMet(Struct, frozen=True, tag=True):
    """As a conversation tells of it. `name`: that it signs in with; `picture`: SHA-256."""

    user: str
    name: str
    display_name: str
    picture: bytes


class DisplayNameChanged(Struct, frozen=True, tag=True):
    user: str
    display_name: str
    event: str


class PictureChanged(Struct, frozen=True, tag=True):
    """`png`: empty though there is a `sha256`: it was replaced since, and is not shown."""

    user: str
    sha256: bytes
    png: bytes
    event: str


# -- conversations ---------------------------------------------------------------------------------


class ConversationBegun(Struct, frozen=True, tag=True):
    """The user came in. What the device had of it is gone; what it is like comes next."""

    conversation: str


class ConversationMade(Struct, frozen=True, tag=True):
    """It is there, under that name. What the device has of it already stays."""

    conversation: str
    name: str
    local: str
    at_ms: int


class ConversationRenamed(Struct, frozen=True, tag=True):
    conversation: str
    name: str
    event: str


class ConversationForgotten(Struct, frozen=True, tag=True):
    """The user is out. `by`: who removed it; empty: it left."""

    conversation: str
    by: str


class MemberCame(Struct, frozen=True, tag=True):
    """Or changed its role."""

    conversation: str
    user: str
    is_owner: bool


class MemberWent(Struct, frozen=True, tag=True):
    conversation: str
    user: str


class ReadUpTo(Struct, frozen=True, tag=True):
    """It only grows."""

    conversation: str
    user: str
    seq: int


class DeliveredUpTo(Struct, frozen=True, tag=True):
    """It only grows."""

    conversation: str
    user: str
    seq: int


class Reached(Struct, frozen=True, tag=True):
    """The newest number that the device has of a conversation."""

    conversation: str
    seq: int


class HoleFound(Struct, frozen=True, tag=True):
    """The numbers between the two are missing: they are asked for by History, and the stream goes
    on. `before` is the number that came."""

    conversation: str
    after: int
    before: int


# -- messages --------------------------------------------------------------------------------------


class MessageCame(Struct, frozen=True, tag=True):
    """Unless the device has it, or knows it as deleted. `extra`: fields of the message that are an
    application's, as they came. `is_backfill`: from before the device was there to see it."""

    conversation: str
    message: str
    seq: int
    author: str
    text: str
    reply_to: str
    at_ms: int
    claimed_ms: int | None
    local: str
    is_backfill: bool
    extra: bytes = b""


class MessageEdited(Struct, frozen=True, tag=True):
    """`event`: what the next edit is based on."""

    conversation: str
    message: str
    text: str
    seq: int
    event: str
    at_ms: int
    extra: bytes = b""


class MessageDeleted(Struct, frozen=True, tag=True):
    conversation: str
    message: str
    seq: int


class ReactionAdded(Struct, frozen=True, tag=True):
    conversation: str
    message: str
    user: str
    reaction: str
    seq: int


class ReactionRemoved(Struct, frozen=True, tag=True):
    conversation: str
    message: str
    user: str
    reaction: str
    seq: int


class NumberErased(Struct, frozen=True, tag=True):
    """The number's event is gone for good: a message that was deleted, an edit that was replaced
    (`why`). Of what the device has of it nothing may stay but the number."""

    conversation: str
    event: str
    seq: int
    why: str


class ForeignCame(Struct, frozen=True, tag=True):
    """A kind of an application, or one that this device is too old for. `body`: the Event, as it
    came. `conversation`: empty: it is among the user's own devices."""

    conversation: str
    event: str
    seq: int
    author: str
    body: bytes
    at_ms: int
    local: str
    is_backfill: bool


# -- guilds and invites ----------------------------------------------------------------------------


class GuildEntered(Struct, frozen=True, tag=True):
    """Or got another name."""

    host: str
    guild: str
    name: str


class GuildExited(Struct, frozen=True, tag=True):
    host: str
    guild: str
    reason: str


class InviteCame(Struct, frozen=True, tag=True):
    host: str
    invite: str
    inviter: str
    conversation: str
    name: str


class InviteDecided(Struct, frozen=True, tag=True):
    """It waits for no answer any more."""

    host: str
    invite: str
    accepted: bool


Change: TypeAlias = (
    SnapshotBegan
    | SnapshotEnded
    | SnapshotDropped
    | KeptAgain
    | Settled
    | CaughtUp
    | UserMet
    | DisplayNameChanged
    | PictureChanged
    | ConversationBegun
    | ConversationMade
    | ConversationRenamed
    | ConversationForgotten
    | MemberCame
    | MemberWent
    | ReadUpTo
    | DeliveredUpTo
    | Reached
    | HoleFound
    | MessageCame
    | MessageEdited
    | MessageDeleted
    | ReactionAdded
    | ReactionRemoved
    | NumberErased
    | ForeignCame
    | GuildEntered
    | GuildExited
    | InviteCame
    | InviteDecided
)


# -- what passes -----------------------------------------------------------------------------------


class Typing(Struct, frozen=True, tag=True):
    """True for `ttl_ms` from now unless it comes again; 0: over."""

    conversation: str
    user: str
    ttl_ms: int


class Connected(Struct, frozen=True, tag=True):
    """As Typing."""

    user: str
    ttl_ms: int


Passing: TypeAlias = Typing | Connected
"""Stored nowhere."""
