"""What trust keeps: the key of each name, which name each voter id belongs to, who waits for the
operator, and how many names strangers brought."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from postbox.store.contract import Column, Query, Row, Table
from postbox.store.schema import Migrations

MIGRATIONS = Migrations("trust", "postbox.trust.migrations")

STREAM = b"keys"
"""The stream, in the node's lane, of every change of a key and of who waits."""

KIND_KEY = 1
"""The kind of entry that carries a whole `KnownKey`. Its name, if it waited, waits no more."""

KIND_WAITS = 2
"""The kind of entry that carries a whole `WaitingName`."""

KIND_REFUSED = 3
"""The kind of entry whose body is a name, in UTF-8, that waits no more."""

KEY_BYTES = 32

KEY = Table(
    "key",
    (
        Column("name", "text"),
        Column("key", "blob"),
        Column("id", "text"),
        Column("old", "blob"),
        Column("source", "text"),
        Column("at_ms", "integer"),
        Column("dropped", "integer"),
    ),
    key=1,
)

VOTER = Table("voter", (Column("id", "text"), Column("name", "text")), key=1)
"""An id that the operator gave stays its name's for ever, also after the name got another one: it
cannot come to name somebody else. Votes under the former id are not counted any more. What a
name only claims is not here (`KnownKey.voter_id`)."""

PLACE = Table("place", (Column("url", "text"), Column("name", "text")), key=1)
"""Who was met first at a URL of the operator's. It speaks for that name and for no other: else
whoever is there could take one name after the other (`rules.configured_draft`)."""

WAITING = Table(
    "waiting",
    (
        Column("name", "text"),
        Column("key", "blob"),
        Column("id", "text"),
        Column("address", "text"),
        Column("at_ms", "integer"),
    ),
    key=1,
)

TALLY = Table("tally", (Column("what", "text"), Column("count", "integer")), key=1)
"""A count is a row, because rules look rows up by key and can count nothing."""

ALL_WAITING = Query(
    "all_waiting", 'select name, "key", id, address, at_ms from waiting order by at_ms, name'
)

ALL_KEYS = Query(
    "all_keys", 'select name, "key", id, old, source, at_ms, dropped from "key" order by name'
)


class Source(StrEnum):
    """How a key came to us."""

    OWN = "own"  # the node's own, from its key file
    OPERATOR = "operator"  # trust add, trust import
    HEY_THERE = "hey-there"  # a self-signed one in a file that the operator imports
    ANSWER = "answer"  # a self-signed hey-there in a known peer's answer
    PROOF = "proof"  # signed with the key it replaces
    INTRODUCTION = "introduction"  # its owner's hey-there, brought here, or given for ours
    PING = "ping"  # said at its owner's own address, when we asked there
    ADMITTED = "admitted"  # an introduction that waited until the operator admitted it
    CONFIGURED = "configured"  # proved at a URL that the operator configured


class Group(StrEnum):
    """Names that strangers can add to, and so bounded."""

    TOLD = "told"
    INTRODUCED = "introduced"
    WAITING = "waiting"


LIMITS = {Group.TOLD: 1_000, Group.INTRODUCED: 1_000, Group.WAITING: 1_000}
"""Names in each group at most. Whoever may bring names could else mint them without end, each with
a key and an entry that are kept for ever; beyond this the operator adds them. A mesh of nara has
some fifty names."""


def group_of(source: Source) -> Group | None:
    """What a name with a key from there counts as. None: the operator vouches, as often as he
    likes."""
    match source:
        case Source.ANSWER:
            return Group.TOLD
        case Source.INTRODUCTION | Source.PING:
            return Group.INTRODUCED
        case Source.OWN | Source.OPERATOR | Source.HEY_THERE | Source.PROOF | Source.ADMITTED:
            return None
        case Source.CONFIGURED:
            return None


def is_vouched(source: Source) -> bool:
    """Whether the operator stands behind a key from there, by his word or by the URL that he gave.
    One that is not may be another's: it was first to come, and gives way to one that is."""
    return group_of(source) is None


_CLAIMS_ITS_ID = frozenset((Source.INTRODUCTION, Source.CONFIGURED))


class KnownKey(msgspec.Struct, frozen=True):
    """A row of `key`; as JSON (bytes in base64) it is the body of the entry that made it."""

    name: str
    key: bytes
    id: str | None  # given by the operator, or claimed: see `voter_id`
    old: tuple[bytes, ...]  # newest first
    source: Source
    at_ms: int
    dropped: int = 0
    """Keys that it had, that nobody had vouched for, and that do not count any more. What is stored
    as theirs is looked at again (`mesh.ledger`), after a crash too."""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """What this name's events may be signed with, the current key first."""
        return (self.key, *self.old)

    @property
    def voter_id(self) -> str | None:
        """What this name's votes are counted under. An id in an introduction is only a claim that
        nobody can check, until the operator gives it."""
        return None if self.source in _CLAIMS_ITS_ID else self.id


def row_of(known: KnownKey) -> Row:
    old = b"".join(known.old)
    source = str(known.source)
    return (known.name, known.key, known.id, old, source, known.at_ms, known.dropped)


def known_key(row: Row) -> KnownKey:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (
            str(name),
            bytes(key),
            str() | None as voter,
            bytes(old),
            str(source),
            int(at_ms),
            int(dropped),
        ):
            keys = tuple(old[at : at + KEY_BYTES] for at in range(0, len(old), KEY_BYTES))
            return KnownKey(name, key, voter, keys, Source(source), at_ms, dropped)
        case _:
            raise ValueError(f"not a row of the table {KEY.name}: {row!r}")


class WaitingName(msgspec.Struct, frozen=True):
    """A row of `waiting`; as JSON it is the body of the entry that made it."""

    name: str
    key: bytes
    id: str | None
    address: str  # from where it was brought, which need not be where `name` lives
    at_ms: int


def waiting_row(waiting: WaitingName) -> Row:
    return (waiting.name, waiting.key, waiting.id, waiting.address, waiting.at_ms)


def waiting_name(row: Row) -> WaitingName:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (str(name), bytes(key), str() | None as voter, str(address), int(at_ms)):
            return WaitingName(name, key, voter, address, at_ms)
        case _:
            raise ValueError(f"not a row of the table {WAITING.name}: {row!r}")


def count_of(row: Row | None) -> int:
    """What a row of `tally` says; no row says none. Raises ValueError for a row that is none of
    ours."""
    match row:
        case None:
            return 0
        case (str(), int(count)):
            return count
        case _:
            raise ValueError(f"not a row of the table {TALLY.name}: {row!r}")
