"""Reads guild lists and invites."""

from __future__ import annotations

from collections.abc import Iterator

from postbox.hosts.guilds.tables import (
    GUILDS_OF,
    INVITES_BY,
    INVITES_TO,
    Guild,
    Invite,
    guild_of,
    invite_of,
)
from postbox.hosts.guilds.users import User
from postbox.store.contract import Query, Reader
from postbox.store.runner import StoreRunner


async def guilds_of(store: StoreRunner, user: User) -> list[Guild]:
    """The user's guild list, by host and name."""
    return await store.read(lambda reader: list(read_guilds(str(user), reader)))


async def invites_to(store: StoreRunner, user: User) -> list[Invite]:
    """That wait for the user's answer, the oldest first."""
    return await store.read(lambda reader: list(read_invites_to(str(user), reader)))


async def invites_by(store: StoreRunner, user: User) -> list[Invite]:
    """That the user made, with what became of them, the oldest first."""
    return await store.read(lambda reader: list(_invites(INVITES_BY, str(user), reader)))


def read_guilds(user: str, reader: Reader) -> Iterator[Guild]:
    return map(guild_of, reader.query(GUILDS_OF, user=user))


def read_invites_to(user: str, reader: Reader) -> Iterator[Invite]:
    return _invites(INVITES_TO, user, reader)


def _invites(query: Query, user: str, reader: Reader) -> Iterator[Invite]:
    return map(invite_of, reader.query(query, user=user))
