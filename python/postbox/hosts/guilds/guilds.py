"""Reads guild lists and invites."""

from __future__ import annotations

from functools import partial

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
    return await store.read(partial(_guilds, str(user)))


async def invites_to(store: StoreRunner, user: User) -> list[Invite]:
    """That wait for the user's answer, the oldest first."""
    return await store.read(partial(_invites, INVITES_TO, str(user)))


async def invites_by(store: StoreRunner, user: User) -> list[Invite]:
    """That the user made, with what became of them, the oldest first."""
    return await store.read(partial(_invites, INVITES_BY, str(user)))


def _guilds(user: str, snapshot: Reader) -> list[Guild]:
    return [guild_of(row) for row in snapshot.query(GUILDS_OF, user=user)]


def _invites(query: Query, user: str, snapshot: Reader) -> list[Invite]:
    return [invite_of(row) for row in snapshot.query(query, user=user)]
