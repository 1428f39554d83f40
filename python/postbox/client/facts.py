"""What an app is told, as values: conversations, messages with their states, people, and what still
waits in the queue. They are what was true when they were asked for, and never change.

What was made here and what the host stored are called by texts. A *uuid* is the host's, the same on
all devices; a *local* uuid is what this device called something of its own: it has that at once and
keeps it for good. Whoever names a message or a conversation may use either.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from msgspec import Struct


class State(Enum):
    """How far a message of the user's own has come; of others', READ or DELIVERED: whether the user
    has read it. Whatever else the user does is SENDING, SENT or FAILED."""

    SENDING = "sending"  # in the queue
    SENT = "sent"  # the host has it for good
    DELIVERED = "delivered"  # every other member has it, on one device at least
    READ = "read"  # every other member has read it
    FAILED = "failed"  # the host refused it: `code` says why


class Profile(Struct, frozen=True):
    """A user, as far as it is known: of who has left everything perhaps the uuid alone."""

    user: str
    name: str  # that it signs in with
    display: str
    picture_sha256: bytes
    picture: bytes  # PNG; empty: none, or not known
    name_change: str = ""  # the event that gave it its display name, if it is known
    picture_change: str = ""

    @property
    def shown(self) -> str:
        return self.display or self.name


class Member(Struct, frozen=True):
    conversation: str
    user: str
    name: str
    display: str
    is_owner: bool
    read_seq: int  # has read up to here
    delivered_seq: int
    is_pending: bool = False  # that it is in, or its role, is still in the queue

    @property
    def shown(self) -> str:
        return self.display or self.name


class Reaction(Struct, frozen=True):
    reaction: str
    users: Sequence[str]  # in order of their uuids


class Message(Struct, frozen=True):
    uuid: str  # empty while the host has not named it
    local: str  # empty: not of this device
    conversation: str  # its key
    seq: int  # in its conversation; 0 while it is not known
    author: str
    author_name: str  # as it is shown
    text: str
    state: State
    at_ms: int  # the host's time; until it is known, that of this device
    reply_to: str = ""  # the key of that message, or the uuid of one that is not here
    is_edited: bool = False
    reactions: Sequence[Reaction] = ()
    delivered_to: int = 0  # other members
    read_by: int = 0
    others: int = 0  # so many there are
    code: str = ""  # of a refusal
    detail: str = ""
    is_pending: bool = False  # an edit, a deletion or a reaction of it is still in the queue
    change: str = ""  # the last event that changed its text, that of the message itself included
    extra: bytes = b""  # its fields that are an application's, as they came

    @property
    def key(self) -> str:
        """The same from the moment that it was made or came, for good."""
        return self.local or self.uuid


class Custom(Struct, frozen=True):
    """An event of a kind that is an application's own."""

    uuid: str  # empty while the host has not named it
    local: str  # empty: not of this device
    conversation: str  # by its key; empty: for the user's own devices
    seq: int  # in its conversation; 0 while it is not known, or there is none
    author: str
    number: int  # of the field that it is
    value: bytes
    state: State  # SENDING, SENT or FAILED
    at_ms: int
    code: str = ""  # of a refusal
    detail: str = ""

    @property
    def key(self) -> str:
        return self.local or self.uuid


class Conversation(Struct, frozen=True):
    uuid: str
    local: str  # empty: not made on this device, or long ago
    name: str
    state: State  # of making it
    unread: int  # messages of others; at most UNREAD_AT_MOST
    read_seq: int  # the user has read up to here
    newest_seq: int  # of its newest event
    newest_ms: int  # when something was last said
    newest: Message | None
    is_owner: bool
    members: int
    has_older: bool  # the host may have messages from before the oldest that is here
    oldest_seq: int  # all from this number on are here
    code: str = ""
    detail: str = ""
    is_pending: bool = False  # a name that the user gave it is still in the queue
    change: str = ""  # the last event that named it

    @property
    def key(self) -> str:
        return self.local or self.uuid


UNREAD_AT_MOST = 1_000
"""Who has more is told so many: a bot that never reads must not make each look at a list count
everything that was ever said."""


class Guild(Struct, frozen=True):
    host: str
    guild: str
    name: str


class Invite(Struct, frozen=True):
    host: str
    invite: str
    inviter: str
    conversation: str
    name: str
    answer: bool | None = None  # what the user decided, while that is still in the queue


class Standing(Enum):
    """Of a row of the queue. Stored as a number: never renumber."""

    QUEUED = 0  # the host has not answered
    SENT = 1  # answered; it has not come down yet
    REFUSED = 2
    KEPT = 3  # in what the stream said: kept to be offered again after a restore of the host


class Queued(Struct, frozen=True):
    """Something that the user did."""

    number: int  # here, in order of making
    local: str
    kind: str  # as the content of its event is called
    conversation: str
    target: str  # the message, user, guild or invite that it is about
    standing: Standing
    made_ms: int
    uuid: str = ""  # the host's, from the answer on
    tries: int = 0
    tried_ms: int = 0
    last_error: str = ""  # of the last try, if that failed: a code and what was said
    code: str = ""  # of a refusal
    detail: str = ""
    current: bytes = b""  # with SUPERSEDED: the event that counts


class Waits(Enum):
    ITS_TURN = "its turn"  # there is something in front of it
    THE_HOST = "the host"  # it is the next to be sent, or on its way
    THE_STREAM = "the stream"  # answered; what was stored has to come down
    THE_APP = "the app"  # refused: to be dismissed, or tried again
    NOTHING = "nothing"  # it is done


class Why(Struct, frozen=True):
    """Why something is still here."""

    queued: Queued
    waits_for: Waits
    ahead: int  # rows of the queue in front of it


class Owner(Struct, frozen=True):
    """Whose file it is."""

    user: str  # uuid
    device: str  # name
    host: str = ""  # of whose users the user is; empty: not said, and not looked at
    name: str = ""  # that the user signs in with


class Row(Struct, frozen=True):
    """A row of the queue, with the event that goes up."""

    queued: Queued
    body: bytes  # an Event as `SubmitEventInput` has it
    target_seq: int = 0  # the number of the message that it is about, if that is known
    sent_as: str = ""  # the uuid of that event, which the host is told
