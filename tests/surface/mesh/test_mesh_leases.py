"""Several processes of a node on one database: each has its ledger, one of them forgets for all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio

from postbox.core import Keys, Ledger
from postbox.event import Standing
from postbox.log.admission import Admission
from postbox.log.epoch import History
from postbox.log.feed import feed
from postbox.log.leases import Leases
from postbox.log.tail import Tail, open_tail
from postbox.mesh import ledger as mesh_ledger
from postbox.mesh.ledger import RETENTION, MeshLedger
from postbox.mesh.merging.intake import Intake
from postbox.mesh.merging.personality_rules import Personality
from postbox.store.contract import Entry, Lane
from postbox.store.open import open_store
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.trust.rules import KeyRules, operator_draft
from postbox.trust.tables import MIGRATIONS
from support.mesh import ANN, PEER, fixed_world, id_of_body, small_history, tease
from support.witness import CALM, PATIENT_S, until

CAPACITY = 300
HISTORY = small_history(900)
TEASES = [tease(number) for number in range(1, 30)]
TEASE_IDS = {id_of_body(body) for body in TEASES}


@dataclass(frozen=True)
class House:
    """What a process of the node has of the mesh."""

    leases: Leases
    tail: Tail
    admission: Admission
    ledger: MeshLedger
    intake: Intake
    tasks: trio.Nursery

    async def take(self, events: list[bytes]) -> None:
        for start in range(0, len(events), 100):
            await self.intake.take(await self.intake.decode(events[start : start + 100]), PEER)

    async def settle(self) -> bool:
        """As `Node.settle`; whether it was for this process to do."""
        return await self.leases.within(RETENTION, partial(self.ledger.settle, self.admission))

    async def believe(self, who: Identity) -> None:
        draft = operator_draft(bytes(16), who.name, who.public_key, who.id)
        await self.admission.submit(KeyRules(), [draft])

    async def begin_keeping(self) -> None:
        keep = partial(self.ledger.keep, self.admission)
        await self.tasks.start(self.leases.hold, RETENTION, keep)

    async def stored(self) -> dict[bytes, Standing]:
        """By id."""
        found: dict[bytes, Standing] = {}

        def note(entries: Sequence[Entry]) -> None:
            found.update((entry.id, Standing(entry.flags)) for entry in entries)

        await self.tail.replay(Lane.MESH, note)
        return found

    async def agrees(self) -> bool:
        ids, index = await self.stored(), self.ledger.index
        return len(ids) == len(index) and all(one in index for one in ids)


async def agree(*houses: House) -> None:
    """Returns when log and ledgers hold the same events."""
    with trio.fail_after(PATIENT_S):
        while not all([await house.agrees() for house in houses]):  # noqa: ASYNC110
            await trio.sleep(0.01)


@asynccontextmanager
async def house(url: str, capacity: int = CAPACITY) -> AsyncIterator[House]:
    world, keys = fixed_world(), Keys()
    directory, ledger = Directory(keys), MeshLedger(world, Ledger(capacity, bytes(16)), keys)
    async with open_store(world, url, (MIGRATIONS,)) as store:
        tail = await open_tail(store)
        await ledger.rebuild(tail)
        directory.listen(ledger.learned)
        tail.follow(ledger)
        tail.follow(directory)
        admission = Admission(world.clock, store, tail)
        leases = Leases(world, store, CALM)
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            history = History((await store.identity()).epoch, tail)
            nursery.start_soon(feed, store, tail, history.expect)
            nursery.start_soon(leases.run)
            intake = Intake(world, admission, directory, ledger, Personality())
            yield House(leases, tail, admission, ledger, intake, nursery)
            nursery.cancel_scope.cancel()


async def test_one_process_hands_back_what_all_ledgers_drop(database: str) -> None:
    async with house(database) as other:
        async with house(database) as one:
            await one.begin_keeping()
            await other.begin_keeping()
            await other.take(HISTORY)
            with trio.fail_after(PATIENT_S):
                assert not await other.settle()  # it is not for it to do, nor to wait for
            await agree(one, other)
            assert await one.settle()
            assert one.ledger.forgotten > 0
        await until(lambda: other.leases.is_held(RETENTION))
        assert await other.settle()
        assert other.ledger.forgotten == 0


async def test_whoever_takes_the_lease_over_forgets_what_the_last_holder_did_not(
    database: str,
) -> None:
    async with house(database) as next_one:
        async with house(database) as idle:
            await idle.tasks.start(idle.leases.hold, RETENTION, trio.sleep_forever)
            await next_one.begin_keeping()
            await next_one.take(HISTORY)
            assert not await next_one.settle()
            assert len(await next_one.stored()) > len(next_one.ledger.index)
        await until(lambda: next_one.leases.is_held(RETENTION))
        assert await next_one.settle()
        assert await next_one.agrees()


async def test_whoever_takes_the_lease_over_checks_what_the_last_holder_did_not(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than a process keeps while it does not hold the lease."""
    monkeypatch.setattr(mesh_ledger, "SETTLE_EVENTS", len(TEASES) // 2)
    async with house(database) as next_one:
        await next_one.ledger.settle(next_one.admission)  # as after its start: there was nothing
        async with house(database) as idle:
            await idle.tasks.start(idle.leases.hold, RETENTION, trio.sleep_forever)
            await next_one.begin_keeping()
            await next_one.take(TEASES)
            await next_one.believe(ANN)
            assert not await next_one.settle()
            assert set((await next_one.stored()).values()) == {Standing.UNPROVEN}
        await until(lambda: next_one.leases.is_held(RETENTION))
        assert await next_one.settle()
        assert await next_one.stored() == dict.fromkeys(TEASE_IDS, Standing.ATTESTED)


async def test_what_is_kept_for_a_time_as_holder_is_bounded(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here this process has less memory than the others; the rebuild of the next start has it."""
    monkeypatch.setattr(mesh_ledger, "MAX_KEPT", 50)
    async with house(database) as small:
        async with house(database, capacity=2_000) as large:
            await large.begin_keeping()
            await small.begin_keeping()
            await large.take(HISTORY)
            await until(lambda: small.tail.head == large.tail.head)
            assert await large.settle()
            before = len(await large.stored())
        await until(lambda: small.leases.is_held(RETENTION))
        assert await small.settle()
        assert small.ledger.forgotten == 50
        assert len(await small.stored()) == before - 50
    async with house(database) as again:
        await again.begin_keeping()
        assert await again.settle()
        assert await again.agrees()
