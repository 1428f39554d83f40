"""Two doors in outline, and drafts for them.

The mesh reads one row a draft and appends one entry without a number, with bodies of 200 to 300
bytes and random ids; the toy chat of the tests reads three rows and numbers its entries.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from postbox.rules import Decision, EntryKey, NewEntry, Payer, Reason, RowKey, Rules, State
from postbox.store.contract import Change, Column, Found, Lane, Table, Tx
from postbox.store.schema import Migrations
from support.toy_chat import MIGRATIONS as CHAT_MIGRATIONS
from support.toy_chat import ChatDraft, ToyChat

SIGNERS = 32
KEY = Table("bench_key", (Column("name", "blob"), Column("key", "blob")), key=1)
MESH_MIGRATIONS = Migrations("bench", "kernel_bench.migrations")
NOW_MS = 1_763_700_000_000


class BenchDraft(Struct, frozen=True, gc=False):
    id: bytes
    payer: Payer
    signer: bytes
    at_ms: int
    body: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.body)


class BenchRules:
    lane = Lane.MESH
    tables = (KEY,)

    def needs(self, draft: BenchDraft, state: State) -> Iterable[RowKey | EntryKey]:
        return (RowKey(KEY, (draft.signer,)),)

    def decide(self, draft: BenchDraft, state: State, at_ms: int) -> Decision:
        if state[KEY, (draft.signer,)] is None:
            return Decision(refuse=Reason("unknown key"))
        entry = NewEntry(
            Lane.MESH, b"mesh", draft.id, 3, draft.signer, draft.at_ms, draft.body, flags=2
        )
        return Decision((entry,))

    def replaces(self, draft: BenchDraft, stored: Found) -> bool:
        return False


class Door(NamedTuple):
    """`before`: drafts that make what the others need."""

    migrations: Migrations
    rules: Rules[Any]
    drafts: Sequence[Any]
    before: Sequence[Any] = ()


def mesh(payers: int, count: int, prefix: str = "peer") -> Door:
    drafts = [
        BenchDraft(
            os.urandom(16),
            Payer("peer", f"{prefix}-{at % payers}"),
            f"signer-{at % SIGNERS}".encode(),
            NOW_MS + at,
            os.urandom(200 + at % 100),
        )
        for at in range(count)
    ]
    return Door(MESH_MIGRATIONS, BenchRules(), drafts)


def put_keys(tx: Tx) -> None:
    tx.apply(Change(puts={KEY: [(f"signer-{at}".encode(), bytes(32)) for at in range(SIGNERS)]}))


def chat(payers: int, count: int, prefix: str = "user") -> Door:
    """Each payer sends to a chat of its own. `prefix`: processes on one database have their own."""
    users = [f"{prefix}-{at}" for at in range(payers)]
    creates = [ChatDraft(os.urandom(16), "create", user.encode(), user) for user in users]
    sends = [
        ChatDraft(os.urandom(16), "send", user.encode(), user, "x" * 250)
        for user in (users[at % payers] for at in range(count))
    ]
    return Door(CHAT_MIGRATIONS, ToyChat(), sends, creates)


DOORS = {"mesh": mesh, "chat": chat}
