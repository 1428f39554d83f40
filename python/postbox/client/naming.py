"""By what an app names things: the values that it was given, their keys, or uuids."""

from __future__ import annotations

from typing import TypeAlias

from postbox.client.core.ids import is_uuid, user_uuid
from postbox.client.facts import Conversation, Message

Named: TypeAlias = Conversation | str
NamedMessage: TypeAlias = Message | str


def key_of(named: Named | NamedMessage) -> str:
    return named if isinstance(named, str) else named.key


def uuid_of(user: str) -> str:
    """`user`: a uuid, or the name that it signs in with."""
    return user if is_uuid(user) else user_uuid(user)
