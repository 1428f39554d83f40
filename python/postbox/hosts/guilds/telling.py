"""What a user's devices are told of the user's guilds and invites.

An entry tells of a change, in the decision that makes it: neither is ever without the other.

How such an entry looks, and who reads it, another door knows: a node hands its `Tell` over.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from postbox.rpc.postbox.v1.clients_pb import (
    GuildEntered,
    GuildExited,
    InviteDecided,
    InviteReceived,
)
from postbox.rules import NewEntry

News: TypeAlias = GuildEntered | GuildExited | InviteReceived | InviteDecided


class Tell(Protocol):
    """Pure."""

    def __call__(self, user: str, news: News, cause: bytes, at_ms: int) -> NewEntry:
        """`user`: of this node, by the name that it signs in with here. `cause`: the id of what
        brought the news; no two of one user have the same at the same time."""
        ...


def entries(
    tell: Tell | None, user: str, news: News | None, cause: bytes, at_ms: int
) -> tuple[NewEntry, ...]:
    """`user`: name@host, of this node. Without a `Tell`, and without news, nobody is told."""
    if tell is None or news is None:
        return ()
    return (tell(user.partition("@")[0], news, cause, at_ms),)
