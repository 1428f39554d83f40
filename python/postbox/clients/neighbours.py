"""What another door of the node has of a user, and the user's devices show: guilds and invites.

What changes there becomes an entry of the user's stream, in the decision that changes it: `tell` is
handed over to that door. What is so now is part of a snapshot, and is read with it. An answer to an
invite is the user's own event, whose effects there are part of its decision
(docs/decisions/0036-guilds-on-a-users-stream.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from postbox.clients.events import bodies, frames
from postbox.clients.events.kinds import Kind
from postbox.clients.ids import Author, derived_id, user_id, user_stream
from postbox.clients.rules import answers
from postbox.rpc.postbox.v1.clients_pb import (
    GuildEntered,
    GuildExited,
    InviteDecided,
    InviteReceived,
)
from postbox.rules import NewEntry
from postbox.store.contract import Lane, Reader

News: TypeAlias = GuildEntered | GuildExited | InviteReceived | InviteDecided

_KINDS: dict[type[News], Kind] = {
    GuildEntered: Kind.GUILD_ENTERED,
    GuildExited: Kind.GUILD_EXITED,
    InviteReceived: Kind.INVITE_RECEIVED,
    InviteDecided: Kind.INVITE_DECIDED,
}


class Neighbour(answers.Neighbour, Protocol):
    """The other door."""

    def news(self, reader: Reader, user: str) -> Sequence[News]:
        """All that the user, by the name that it signs in with, has there now."""
        ...


def tell(user: str, news: News, cause: bytes, at_ms: int) -> NewEntry:
    """The entry by which the devices of a user learn of it, whether or not the user ever signed in.

    The time is part of its id: a log that was put back and is told the same again gives it another
    one, and no device takes it for the place in the log where it was before.
    """
    who = user_id(user)
    new_id = derived_id("news", who, cause, at_ms.to_bytes(8, "big"))
    kind = _KINDS[type(news)]
    body = bodies.body(kind, news.to_binary(), author=who)
    return NewEntry(Lane.CLIENTS, user_stream(who), new_id, kind, Author(who).packed(), at_ms, body)


def told(neighbour: Neighbour, reader: Reader, user: str) -> Sequence[bytes]:
    """For a snapshot: Events."""
    found = neighbour.news(reader, user)
    return [frames.state(_KINDS[type(news)], news.to_binary()) for news in found]
