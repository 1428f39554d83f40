"""What the node keeps of guilds and invites: whose guild list has what, and who invited whom.

A guild is a group that lives on one host and may have members of others; a user's guild list is
kept by the user's own host. Users are in the form of `users.py`, hosts in that of
`trust/host_names.py`.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import astuple

from postbox.store.contract import Column, Query, Row, Table

GUILD = Table(
    "guild",
    (
        Column("user", "text"),
        Column("host", "text"),
        Column("guild", "text"),
        Column("name", "text"),
        Column("at_ms", "integer"),
    ),
    key=3,
)

INVITE = Table(
    "invite",
    (
        Column("direction", "text"),
        Column("host", "text"),
        Column("invite", "text"),
        Column("inviter", "text"),
        Column("user", "text"),
        Column("conversation", "text"),
        Column("name", "text"),
        Column("answer", "text"),
        Column("at_ms", "integer"),
    ),
    key=3,
)

QUOTA = Table(
    "quota",
    (
        Column("user", "text"),
        Column("host", "text"),
        Column("guilds", "integer"),
        Column("invites_ms", "integer"),
    ),
    key=2,
)
"""What a host has brought a user, because rules look rows up by key and can count nothing. The user
"" stands for all with whom the host never dealt."""

GUILD_CHANGES = Table(
    "guild_changes",
    (Column("user", "text"), Column("host", "text"), Column("until_ms", "integer")),
    key=2,
)
"""Until when what a host brought into a user's guild list, or renamed there, counts: each for a
while."""

_INVITE = 'direction, host, invite, inviter, "user", conversation, name, answer, at_ms'

GUILDS_OF = Query(
    "guilds_of",
    'select "user", host, guild, name, at_ms from guild where "user" = :user'
    ' order by "user", host, guild',
)

INVITES_TO = Query(
    "invites_to",
    f"select {_INVITE} from invite where direction = 'in' and answer = '' and \"user\" = :user"
    ' order by "user", at_ms, host, invite',
)
"""That wait for the user's answer, the oldest first."""

INVITES_BY = Query(
    "invites_by",
    f"select {_INVITE} from invite where direction = 'out' and inviter = :user"
    " order by inviter, at_ms, host, invite",
)
"""That the user made, with what became of them."""


class Direction(StrEnum):
    IN = "in"  # to a user of this node
    OUT = "out"  # by a user of this node


class Answer(StrEnum):
    NONE = ""
    ACCEPTED = "accepted"
    DECLINED = "declined"


class Guild(Struct, frozen=True, array_like=True):
    """A line of a user's guild list: a row of `guild`."""

    user: str
    host: str  # where the guild lives
    guild: str
    name: str
    at_ms: int  # since when it is in the list


class Invite(Struct, frozen=True, array_like=True):
    """A row of `invite`: into a conversation of two, on the inviter's host."""

    direction: Direction
    host: str  # of the other of the two
    invite: str  # its name, given by the inviter's host
    inviter: str
    user: str
    conversation: str
    name: str
    answer: Answer
    at_ms: int


class Quota(Struct, frozen=True, array_like=True):
    """A row of `quota`."""

    user: str
    host: str
    guilds: int = 0  # in the user's list
    invites_ms: int = 0  # until then the invites so far count, each for a while


def row_of(row: Guild | Invite | Quota) -> Row:
    return tuple(str(field) if isinstance(field, StrEnum) else field for field in astuple(row))


def guild_of(row: Row) -> Guild:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (str(user), str(host), str(guild), str(name), int(at_ms)):
            return Guild(user, host, guild, name, at_ms)
        case _:
            raise ValueError(f"not a row of the table {GUILD.name}: {row!r}")


def invite_of(row: Row) -> Invite:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (
            str(direction),
            str(host),
            str(invite),
            str(inviter),
            str(user),
            str(conversation),
            str(name),
            str(answer),
            int(at_ms),
        ):
            way, said = Direction(direction), Answer(answer)
            return Invite(way, host, invite, inviter, user, conversation, name, said, at_ms)
        case _:
            raise ValueError(f"not a row of the table {INVITE.name}: {row!r}")


def quota_of(user: str, host: str, row: Row | None) -> Quota:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case None:
            return Quota(user, host)
        case (str(), str(), int(guilds), int(invites_ms)):
            return Quota(user, host, guilds, invites_ms)
        case _:
            raise ValueError(f"not a row of the table {QUOTA.name}: {row!r}")
