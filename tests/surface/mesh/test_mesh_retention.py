"""A full ledger on either engine: what it forgets leaves the log, and the disk that it takes has a
bound, however many events come by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from postbox.core import Keys, Ledger
from postbox.log.admission import Admission
from postbox.log.tail import Tail, open_tail
from postbox.mesh.audit import audit, compare
from postbox.mesh.chunks import chunks
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.merging.intake import Intake
from postbox.mesh.merging.personality_rules import Personality
from postbox.store.contract import Lane
from postbox.store.open import open_store
from postbox.store.runner import StoreRunner
from postbox.store.sqlite import checkpoints
from postbox.trust.directory import Directory
from postbox.trust.tables import MIGRATIONS
from postbox.world import World
from support.mesh import PEER, fixed_world, observation, small_history
from support.postgres import Server

CAPACITY = 2_000
TIMES = 12  # its capacity: so many events come by
MULTIPLE = 2.0
"""Of the disk that the first full ledger takes. On PostgreSQL a fifth of the rows may be dead until
the server cleans up, and pages of indexes by random ids are two thirds full."""


@dataclass(frozen=True)
class Engine:
    """A database, and what its server does by itself after a while."""

    database: str
    clean_up: Callable[[], object]


@pytest.fixture(autouse=True)
def few_written_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """In proportion to so few events: what is written ahead has a bound of its own."""
    monkeypatch.setattr(checkpoints, "CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(checkpoints, "RESTART_PAGES", 100)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    if request.param == "sqlite":
        return Engine(str(tmp_path / "node.db"), lambda: None)
    server, url = (request.getfixturevalue(name) for name in ("postgres", "database"))
    assert isinstance(server, Server)
    name = url.split("/")[3].split("?")[0]
    return Engine(url, lambda: [server.run(f"vacuum {table}", name) for table in ("entry", "news")])


@dataclass(frozen=True)
class Life:
    """Of a node's mesh, from the opening of its database on."""

    world: World
    store: StoreRunner
    tail: Tail
    admission: Admission
    directory: Directory
    ledger: MeshLedger
    intake: Intake

    async def take(self, events: list[bytes]) -> None:
        await self.intake.take(await self.intake.decode(events), PEER)
        await self.ledger.settle(self.admission)

    async def logged(self) -> dict[bytes, int]:
        """Ids and standings in the log."""
        found: dict[bytes, int] = {}
        await self.tail.replay(
            Lane.MESH, lambda entries: found.update((each.id, each.flags) for each in entries)
        )
        return found

    async def used_bytes(self) -> int:
        return (await self.store.size()).used_bytes


@asynccontextmanager
async def life(engine: Engine) -> AsyncIterator[Life]:
    world, keys = fixed_world(), Keys()
    directory, ledger = Directory(keys), MeshLedger(world, Ledger(CAPACITY, bytes(16)), keys)
    async with open_store(world, engine.database, (MIGRATIONS,)) as store:
        tail = await open_tail(store)
        await store.read(directory.load)
        directory.listen(ledger.learned)
        ledger.index.learn([known.name for known in directory.all()])
        await ledger.rebuild(tail)
        tail.follow(ledger)
        tail.follow(directory)
        admission = Admission(world.clock, store, tail)
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            await ledger.settle(admission)
            intake = Intake(world, admission, directory, ledger, Personality())
            yield Life(world, store, tail, admission, directory, ledger, intake)
            nursery.cancel_scope.cancel()


async def test_the_disk_of_a_full_ledger_stays_under_a_multiple_of_what_it_took_when_full(
    engine: Engine,
) -> None:
    # Each is newer than the last one: all of them are taken, and the oldest go.
    count = TIMES * CAPACITY
    events = [observation(count - at, f"ann{at % 50}", f"bob{at % 40}") for at in range(count)]
    sizes = []
    async with life(engine) as node:
        for some in chunks(events, CAPACITY // 5):
            await node.take(some)
            engine.clean_up()
            if node.ledger.forgotten:
                sizes.append(await node.used_bytes())
    assert node.ledger.forgotten > (TIMES - 2) * CAPACITY
    assert max(sizes) <= MULTIPLE * sizes[0]
    async with life(engine) as node:
        assert await node.used_bytes() <= MULTIPLE * sizes[0]


async def test_after_a_restart_log_and_full_ledger_hold_the_same(engine: Engine) -> None:
    async with life(engine) as node:
        for some in chunks(small_history(2 * CAPACITY), 500):
            await node.take(some)
        assert node.ledger.forgotten > 0
        before, digest = await node.logged(), node.ledger.index.digest()
        assert len(before) == len(node.ledger.index)
        head = node.tail.head
    async with life(engine) as node:
        assert (node.ledger.surplus, node.tail.head) == (0, head)
        assert node.ledger.index.digest() == digest
        assert await node.logged() == before
        assert all(event_id in node.ledger.index for event_id in before)


async def test_what_a_crash_left_too_much_in_the_log_leaves_it_at_the_next_start(
    engine: Engine,
) -> None:
    async with life(engine) as node:
        for some in chunks(small_history(CAPACITY + 700), 500):
            await node.intake.take(await node.intake.decode(some), PEER)
        # It ends before what was dropped is handed back.
        digest = node.ledger.index.digest()
        assert len(await node.logged()) > len(node.ledger.index)
    async with life(engine) as node:
        assert node.ledger.surplus > 0
        assert len(await node.logged()) == len(node.ledger.index)
        assert node.ledger.index.digest() == digest


async def test_a_smaller_memory_leaves_free_pages_that_new_events_fill(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path / "node.db"), lambda: None)
    many = [observation(9_000 - at, f"ann{at % 50}") for at in range(9_000)]
    async with life(engine) as node:
        for some in chunks(many[:8_000], 400):  # more than there is room for
            await node.intake.take(await node.intake.decode(some), PEER)
        full = await node.store.size()
    async with life(engine) as node:
        smaller = await node.store.size()
        assert smaller.free_bytes is not None
        assert smaller.free_bytes > 0.5 * full.used_bytes
    async with life(engine) as node:
        before = await node.store.size()
        for some in chunks(many[8_000:], 400):
            await node.take(some)
    async with life(engine) as node:
        assert (await node.store.size()).used_bytes <= before.used_bytes + 2**16


async def test_a_log_that_is_looked_at_while_events_come_and_go_is_sound(engine: Engine) -> None:
    """What has left the ledger and not yet the log, or the other way round, is not wrong."""
    looks, ended = 0, trio.Event()
    async with life(engine) as node:
        await node.take(small_history(CAPACITY))

        async def come_and_go() -> None:
            for some in chunks(small_history(2 * CAPACITY, seed=2), 100):
                await node.intake.take(await node.intake.decode(some), PEER)
                await node.ledger.settle(node.admission)
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_and_go)
            while not ended.is_set():
                head = node.tail.head
                found = await audit(node, lambda *_: None)
                assert (found.wrong, found.unread) == ([], [])
                assert await compare(node, found, head) == ([], [])
                looks += 1
        assert node.ledger.forgotten > 0
    assert looks > 1
