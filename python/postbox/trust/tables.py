"""What trust keeps: the key of each name, and which name each voter id belongs to."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from postbox.store.contract import Column, Query, Row, Table
from postbox.store.schema import Migrations

MIGRATIONS = Migrations("trust", "postbox.trust.migrations")

STREAM = b"keys"
"""The stream, in the node's lane, of every change of a key."""

KIND_KEY = 1
"""The kind of entry that carries a whole `KnownKey`."""

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
    ),
    key=1,
)

VOTER = Table("voter", (Column("id", "text"), Column("name", "text")), key=1)
"""An id stays its name's for ever, also after the name got another one: it can never come to name
somebody else. Votes under the former id are not counted any more."""

ALL_KEYS = Query("all_keys", 'select name, "key", id, old, source, at_ms from "key" order by name')


class Source(StrEnum):
    """How a key came to us."""

    OWN = "own"  # the node's own, from its key file
    OPERATOR = "operator"  # trust add, trust import
    HEY_THERE = "hey-there"  # a self-signed one in a file that the operator imports
    ANSWER = "answer"  # a self-signed hey-there in a known peer's answer
    PROOF = "proof"  # signed with the key it replaces


class KnownKey(msgspec.Struct, frozen=True):
    """A row of `key`; as JSON (bytes in base64) it is the body of the entry that made it."""

    name: str
    key: bytes
    id: str | None
    old: tuple[bytes, ...]  # newest first
    source: Source
    at_ms: int

    @property
    def keys(self) -> tuple[bytes, ...]:
        """What this name's events may be signed with, the current key first."""
        return (self.key, *self.old)


def row_of(known: KnownKey) -> Row:
    old = b"".join(known.old)
    return (known.name, known.key, known.id, old, str(known.source), known.at_ms)


def known_key(row: Row) -> KnownKey:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (str(name), bytes(key), str() | None as voter, bytes(old), str(source), int(at_ms)):
            keys = tuple(old[at : at + KEY_BYTES] for at in range(0, len(old), KEY_BYTES))
            return KnownKey(name, key, voter, keys, Source(source), at_ms)
        case _:
            raise ValueError(f"not a row of the table {KEY.name}: {row!r}")
