"""Drafts a second through admission, on both engines with everything that makes commits durable.

`PYTHONPATH=tests python benches/kernel_bench.py [DIRECTORY]`. Two doors in outline: the mesh reads
one row a draft and appends one entry without a number, with bodies of 200 to 300 bytes and random
ids; the toy chat of the tests reads three rows and numbers its entries. PostgreSQL is a server of
the bench's own, on a socket. Each figure is the best of three runs, the engines by turns, since the
machine may be shared; beside the mesh's stands the yardstick: the same look-ups and inserts by the
driver alone, in batches of the same size, in the same minute.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

import trio
from msgspec import Struct

from postbox.log.admission import Admission
from postbox.log.tail import open_tail
from postbox.rules import Decision, Draft, EntryKey, NewEntry, Payer, Reason, RowKey, Rules, State
from postbox.store.contract import Change, Column, Entry, Found, Lane, Table, Tx
from postbox.store.open import open_database, open_store
from postbox.store.schema import Migrations
from postbox.world import FileDisk, system_world
from support.postgres import programs, started
from support.toy_chat import MIGRATIONS as CHAT_MIGRATIONS
from support.toy_chat import ChatDraft, ToyChat

D = TypeVar("D", bound=Draft)

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
    drafts: int


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


class Figures(NamedTuple):
    drafts_per_s: float
    p50_ms: float
    p99_ms: float


async def mesh_figures(database: str, setting: Setting) -> Figures:
    return await measure(database, setting, MIGRATIONS, BenchRules(), make_drafts(setting.payers))


async def chat_figures(database: str, setting: Setting) -> Figures:
    users = [f"user-{at}" for at in range(setting.payers)]
    chats = [user.encode() for user in users]
    sends = [
        ChatDraft(os.urandom(16), "send", chats[at % len(chats)], users[at % len(users)], "x" * 250)
        for at in range(DRAFTS)
    ]
    creates = [
        ChatDraft(os.urandom(16), "create", chat, user)
        for chat, user in zip(chats, users, strict=True)
    ]
    return await measure(database, setting, CHAT_MIGRATIONS, ToyChat(), sends, creates)


async def measure(
    database: str,
    setting: Setting,
    migrations: Migrations,
    rules: Rules[D],
    drafts: Sequence[D],
    before: Sequence[D] = (),
) -> Figures:
    world = system_world()
    drafts = drafts[: setting.drafts]
    gc.freeze()  # the drafts are the bench's own, and no collector has to walk them
    share = len(drafts) // setting.submitters
    times_s: list[float] = []
    async with open_store(world, database, [migrations]) as store:
        if migrations is MIGRATIONS:
            await store.write(put_keys)
        admission = Admission(world.clock, store, await open_tail(store))

        async def submit(mine: Sequence[D]) -> None:
            for at in range(0, len(mine), setting.chunk):
                begun = time.perf_counter()
                await admission.submit(rules, mine[at : at + setting.chunk])
                times_s.append(time.perf_counter() - begun)

        async with trio.open_nursery() as writer:
            await writer.start(admission.run)
            await admission.submit(rules, before)
            begun = time.perf_counter()
            async with trio.open_nursery() as callers:
                for at in range(setting.submitters):
                    # One submitter's drafts are of one payer, where there is one for each.
                    callers.start_soon(submit, drafts[at :: setting.submitters][:share])
            elapsed_s = time.perf_counter() - begun
            writer.cancel_scope.cancel()
    times_s.sort()
    p50_ms, p99_ms = (1_000 * times_s[int(len(times_s) * part)] for part in (0.50, 0.99))
    return Figures(share * setting.submitters / elapsed_s, p50_ms, p99_ms)


def bare_inserts_per_s(database: str, setting: Setting) -> float:
    """What the driver takes for the same rows when nothing is asked, decided or answered."""
    entries = [
        Entry(at, Lane.MESH, b"mesh", None, draft.id, 3, 2, draft.signer, draft.at_ms, draft.body)
        for at, draft in enumerate(make_drafts(setting.payers)[: setting.drafts], start=1)
    ]
    batches = [entries[at : at + setting.batch] for at in range(0, len(entries), setting.batch)]
    changes = [Change(appends=batch) for batch in batches]
    store = open_database(FileDisk(), database, [], bytes(16), bytes(32))

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
    "1 submitter": Setting(1, 1, 1, batch=1, drafts=2_000),
    "16 submitters": Setting(16, 1, 16, batch=16, drafts=16_000),
    "128 submitters": Setting(128, 1, 128, batch=128, drafts=DRAFTS),
    "1,000 submitters": Setting(1_000, 1, 1_000, batch=1_000, drafts=DRAFTS),
    "8 submitters, chunks of 250": Setting(8, 250, 8, batch=1_024, drafts=DRAFTS),
}
RUNS = 3

Place: TypeAlias = Callable[[], AbstractContextManager[str]]  # of an empty database


def compare(places: dict[str, Place], setting: Setting) -> Iterator[str]:
    """A line for each engine and door."""
    doors = {"mesh": mesh_figures, "chat": chat_figures}
    runs: dict[tuple[str, str], list[Figures]] = {}
    bare: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for engine, place in places.items():
            for door, figures in doors.items():
                with place() as database:
                    runs.setdefault((engine, door), []).append(trio.run(figures, database, setting))
            with place() as database:
                bare.setdefault(engine, []).append(bare_inserts_per_s(database, setting))
    for (engine, door), each in runs.items():
        best = max(each)
        told = f"{best.drafts_per_s:,.0f} | {best.p50_ms:.1f} | {best.p99_ms:.1f}"
        yield f"{engine} | {door} | {told} | {max(bare[engine]):,.0f} |"


def main() -> None:
    directory = sys.argv[1] if len(sys.argv) > 1 else None

    @contextmanager
    def file() -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=directory) as home:
            yield str(Path(home) / "bench.db")

    with ExitStack() as held:
        places: dict[str, Place] = {"SQLite": file}
        if (found := programs()) is not None:
            places["PostgreSQL"] = held.enter_context(contextmanager(started)(found)).database
        print("| | engine | door | drafts/s | p50 ms | p99 ms | inserts alone |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name, setting in SETTINGS.items():
            for line in compare(places, setting):
                print(f"| {name} | {line}", flush=True)


if __name__ == "__main__":
    main()
