"""Drafts a second through admission on SQLite, FULL, in a real file.

`python benches/kernel_bench.py [DIRECTORY]`. The rules are the mesh's in outline: one row read a
draft, one entry without a number, bodies of 200 to 300 bytes, random ids. Each figure is the best
of three runs of about 80,000 drafts, since the machine may be shared; beside it is the yardstick:
the same look-ups and inserts by apsw alone, in batches of the same size, in the same minute.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio
from msgspec import Struct

from postbox.log.admission import Admission
from postbox.log.tail import open_tail
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Reason, RowKey, State
from postbox.store.contract import Change, Column, Entry, Found, Lane, Table, Tx
from postbox.store.open import open_store
from postbox.store.schema import Migrations
from postbox.store.sqlite.driver import open_sqlite
from postbox.world import FileDisk, system_world

DRAFTS = 80_000
SIGNERS = 32
KEY = Table("bench_key", (Column("name", "blob"), Column("key", "blob")), key=1)
MIGRATIONS = Migrations("bench", "bench_migrations")


class BenchDraft(Struct, frozen=True):
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


class Setting(NamedTuple):
    submitters: int
    chunk: int
    payers: int
    batch: int  # what admission's batches come to


def make_drafts(payers: int) -> list[BenchDraft]:
    return [
        BenchDraft(
            os.urandom(16),
            Payer("peer", f"peer-{at % payers}"),
            b"signer-%d" % (at % SIGNERS),
            1_763_700_000_000 + at,
            os.urandom(200 + at % 100),
        )
        for at in range(DRAFTS)
    ]


async def drafts_per_s(directory: Path, setting: Setting) -> float:
    world = system_world()
    drafts = make_drafts(setting.payers)
    gc.freeze()  # the drafts are the bench's own, and no collector has to walk them
    rules = BenchRules()
    share = len(drafts) // setting.submitters
    with tempfile.TemporaryDirectory(dir=directory) as home:
        async with open_store(world, str(Path(home) / "bench.db"), [MIGRATIONS]) as store:
            await store.write(put_keys)
            admission = Admission(world.clock, store, await open_tail(store))

            async def submit(mine: list[BenchDraft]) -> None:
                for at in range(0, len(mine), setting.chunk):
                    await admission.submit(rules, mine[at : at + setting.chunk])

            async with trio.open_nursery() as writer:
                await writer.start(admission.run)
                begun = time.perf_counter()
                async with trio.open_nursery() as callers:
                    for at in range(setting.submitters):
                        callers.start_soon(submit, drafts[at * share : (at + 1) * share])
                elapsed_s = time.perf_counter() - begun
                writer.cancel_scope.cancel()
    return share * setting.submitters / elapsed_s


def bare_inserts_per_s(directory: Path, setting: Setting) -> float:
    """What SQLite takes for the same rows when nothing is asked, decided or answered."""
    entries = [
        Entry(at, Lane.MESH, b"mesh", None, draft.id, 3, 2, draft.signer, draft.at_ms, draft.body)
        for at, draft in enumerate(make_drafts(setting.payers), start=1)
    ]
    batches = [entries[at : at + setting.batch] for at in range(0, len(entries), setting.batch)]
    changes = [Change(appends=batch) for batch in batches]
    with tempfile.TemporaryDirectory(dir=directory) as home:
        store = open_sqlite(FileDisk(), str(Path(home) / "bench.db"), [], bytes(16), bytes(32))

        def insert(tx: Tx, change: Change) -> None:
            tx.find([(entry.lane, entry.id) for entry in change.appends])
            tx.apply(change)

        begun = time.perf_counter()
        for change in changes:
            store.write(partial(insert, change=change))
        elapsed_s = time.perf_counter() - begun
        store.close()
    return len(entries) / elapsed_s


def put_keys(tx: Tx) -> None:
    tx.apply(Change(puts={KEY: [(b"signer-%d" % at, bytes(32)) for at in range(SIGNERS)]}))


SETTINGS = {
    "128 single submitters": Setting(128, 1, 128, batch=128),
    "8 submitters, chunks of 250": Setting(8, 250, 8, batch=1_024),
}


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir())
    for name, setting in SETTINGS.items():
        best = max(trio.run(drafts_per_s, directory, setting) for _ in range(3))
        bare = max(bare_inserts_per_s(directory, setting) for _ in range(3))
        print(f"{name}: {best:,.0f} drafts/s ({bare:,.0f}/s are inserts alone)")


if __name__ == "__main__":
    main()
