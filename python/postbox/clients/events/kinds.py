"""Which number is what: the fields of Event that are its content, which are the kinds of entries.

A kind is the number of its field in proto/postbox/v1/clients.proto, so what is stored says what it
is without being read. Kinds from 64 on are applications' own.
"""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """Of the entries of the lane CLIENTS that postbox makes and reads."""

    MEMBERSHIP = 1
    """Never sent: from here on the user sees other conversations than before. It stands in the
    user's stream, right before what changed that, and is the id of the conversation."""
    PROFILE_PICTURE_CHANGED = 2
    CONVERSATION_NAME_CHANGED = 3
    READ_NEW_MESSAGE = 6
    NEW_MESSAGE = 7
    DISPLAY_NAME_CHANGED = 8
    CONVERSATION_CREATED = 9
    MEMBER_JOINED = 10
    MEMBER_LEFT = 11
    MESSAGE_EDITED = 12
    MESSAGE_DELETED = 13
    REACTION_ADDED = 14
    REACTION_REMOVED = 15
    DELIVERED_UP_TO = 16
    GUILD_ENTERED = 18
    GUILD_EXITED = 19
    INVITE_RECEIVED = 20
    INVITE_DECIDED = 21
    DEVICE = 40
    """Never sent: a device was registered or revoked. In the stream `DEVICES_STREAM`."""

    __hash__ = int.__hash__


FIRST_FOREIGN = 64
"""From this number on a content that is not known here is an application's: stored, passed on."""

NUMBERED = frozenset(
    {
        Kind.CONVERSATION_NAME_CHANGED,
        Kind.NEW_MESSAGE,
        Kind.CONVERSATION_CREATED,
        Kind.MEMBER_JOINED,
        Kind.MEMBER_LEFT,
        Kind.MESSAGE_EDITED,
        Kind.MESSAGE_DELETED,
        Kind.REACTION_ADDED,
        Kind.REACTION_REMOVED,
    }
)
"""Those that have a number in their conversation, as all foreign ones have."""

WATERMARKS = frozenset({Kind.READ_NEW_MESSAGE, Kind.DELIVERED_UP_TO})
"""A newer one of a user's takes the place of the one before."""

IS_COPY = 1
"""A flag of an entry: it is the copy, in a conversation, of what one of its members changed of its
profile; the entry itself is in the user's stream."""

MAX_EVENT_BYTES = 64 * 2**10
"""Of an event as a device sends it, without the bytes of a picture."""

MAX_PICTURE_BYTES = 64 * 2**10
MAX_BATCH_EVENTS = 100
MAX_BATCH_BYTES = 2**20
"""Of the events that are sent at once: a batch is one commit."""

MAX_NAME_CHARS = 256  # as in the tables
MAX_REACTION_BYTES = 64
"""The longest emoji sequences in use have 35 bytes in UTF-8; in the table it is 64 characters."""

MAX_FIRST_MEMBERS = 100
"""That a conversation is created with, beside who creates it: each is an entry of the decision."""


def is_numbered(kind: int) -> bool:
    return kind in NUMBERED or kind >= FIRST_FOREIGN
