"""What the queue makes of the base: what a user did is seen at once, on top of what the stream
said.

All of it is a function of both, so there is no second copy that could be left behind: when a row is
KEPT, the base has it; when it is REFUSED, it is undone by not being there. The rows given are those
that concern the thing, in the order of making; which of them count is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

from postbox.client.facts import Conversation, Invite, Member, Message, Profile, Row


def message_made(row: Row, author: str, author_name: str) -> Message:
    """Of a row that sends one, and that the base does not have."""
    raise NotImplementedError


def overlaid_message(message: Message, rows: Sequence[Row], user: str) -> Message | None:
    """`user`: whose device it is. None: the user deleted it."""
    raise NotImplementedError


def conversation_made(row: Row) -> Conversation:
    """Of a row that makes one, and that the base does not have."""
    raise NotImplementedError


def overlaid_conversation(
    conversation: Conversation, rows: Sequence[Row], user: str
) -> Conversation | None:
    """None: the user left it."""
    raise NotImplementedError


def overlaid_members(members: Sequence[Member], rows: Sequence[Row]) -> list[Member]:
    raise NotImplementedError


def overlaid_profile(profile: Profile, rows: Sequence[Row]) -> Profile:
    raise NotImplementedError


def overlaid_invite(invite: Invite, rows: Sequence[Row]) -> Invite:
    raise NotImplementedError
