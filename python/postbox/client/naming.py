"""By what an app names things: the values that it was given, their keys, or uuids."""

from __future__ import annotations

from typing import TypeAlias

from postbox.client.core.ids import is_uuid, user_uuid
from postbox.client.facts import Conversation, Message
from postbox.client.shelf import Shelf

Named: TypeAlias = Conversation | str
NamedMessage: TypeAlias = Message | str


def key_of(named: Named | NamedMessage) -> str:
    return named if isinstance(named, str) else named.key


def uuid_of(user: str) -> str:
    """`user`: a uuid, or the name that it signs in with."""
    return user if is_uuid(user) else user_uuid(user)


async def answered_key(shelf: Shelf, named: NamedMessage) -> str:
    """Of what a message answers; of one that is not on this device what it was called, since the
    host may have it. Raises the faults of the store."""
    if not isinstance(named, str) or not named:
        return key_of(named)
    name = named.lower() if is_uuid(named) else named
    keys = await shelf.read(lambda store: store.keys((), (name,)))
    return keys.get(name, named)
