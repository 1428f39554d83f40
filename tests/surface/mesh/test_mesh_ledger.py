"""Ledger and log: what the one forgets leaves the other, whatever fails or dies in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from postbox.core import Keys, Ledger
from postbox.home import DATABASE
from postbox.log.admission import Admission
from postbox.log.tail import open_tail
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.merging.personality_rules import Personality
from postbox.node import Node, open_node
from postbox.rules import Payer
from postbox.store.contract import Lane
from postbox.store.open import open_store
from postbox.trust.directory import Directory
from postbox.trust.rules import KeyRules, operator_draft
from postbox.trust.tables import MIGRATIONS
from postbox.world import World
from support.faulty import When, first_try, never
from support.kernel import Kernel, open_kernel
from support.mesh import (
    ANN,
    BOB,
    OPERATOR,
    believe,
    checkpoint,
    config_of,
    digest,
    held_ids,
    node_at,
    small_history,
    standings,
    stored,
    take,
    tease,
)
from support.simulate import MemoryDisk, Simulation, simulate, suppress_severed

CAPACITY = 300
HISTORY = small_history(900)


async def agree(node: Node) -> bool:
    """Do log and ledger hold the same events, each once?"""
    entries = await stored(node)
    ids = {entry.id for entry in entries}
    return ids == held_ids(node) and len(entries) == len(ids) == len(node.ledger.index)


async def test_what_a_full_ledger_forgets_leaves_the_log_too(tmp_path: Path) -> None:
    async with node_at(tmp_path, capacity=CAPACITY) as node:
        report = await take(node, HISTORY)
        assert report.rejected == {}
        assert report.imported > CAPACITY, "too little for this test"
        assert len(node.ledger.index) == CAPACITY
        assert await agree(node)
        now = digest(node)
    async with node_at(tmp_path, capacity=CAPACITY) as node:
        assert digest(node) == now
        assert await agree(node)


async def test_what_was_forgotten_is_not_taken_again_and_again(tmp_path: Path) -> None:
    """Else an evicted event would come back with every sample, be stored, and be deleted."""
    async with node_at(tmp_path, capacity=CAPACITY) as node:
        await take(node, HISTORY)
        now, head = digest(node), node.tail.head
        report = await take(node, HISTORY)
        assert report == Report(duplicates=CAPACITY, pruned=len(HISTORY) - CAPACITY)
        assert (digest(node), node.tail.head) == (now, head)


async def test_what_would_be_dropped_at_once_is_not_even_stored(tmp_path: Path) -> None:
    """Signed by a stranger: proved it would be kept, as it is it would not."""
    async with node_at(tmp_path, capacity=10) as node:
        await believe(node, ANN)
        await take(node, [tease(number) for number in range(10, 20)])
        head = node.tail.head
        assert await take(node, [tease(1, BOB, signer=BOB)]) == Report(pruned=1)
        assert node.tail.head == head
        assert (await take(node, [tease(2)])).imported == 1


async def test_single_events_push_single_events_out(tmp_path: Path) -> None:
    async with node_at(tmp_path, capacity=10) as node:
        await believe(node, ANN)
        for number in range(30, 0, -1):  # ever newer ones
            assert (await take(node, [tease(number)])).imported == 1
            assert await agree(node)
        kept = {entry.body for entry in await stored(node)}
    assert kept == {tease(number) for number in range(1, 11)}


async def test_a_home_opened_with_less_memory_is_cut_down_to_it(tmp_path: Path) -> None:
    """Which is what a crash leaves behind, too: more in the log than the ledger holds."""
    async with node_at(tmp_path / "home") as node:
        await take(node, HISTORY)
        assert len(node.ledger.index) == len(HISTORY)
    async with node_at(tmp_path / "home", capacity=CAPACITY) as node:
        assert len(node.ledger.index) == CAPACITY
        assert await agree(node)
        small = digest(node)
    async with node_at(tmp_path / "other", capacity=CAPACITY) as node:
        await take(node, HISTORY)
        assert digest(node) == small
    async with node_at(tmp_path / "home") as node:  # what is gone is gone
        assert (len(node.ledger.index), digest(node)) == (CAPACITY, small)


def test_a_crash_between_eviction_and_its_draft_is_made_good_at_the_next_start(
    tmp_path: Path,
) -> None:
    """The log keeps what the ledger had dropped; the rebuilt ledger drops the same again."""

    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        crashed = simulation.node(disk)
        with suppress_severed(), trio.CancelScope() as life:
            async with open_node(crashed.world, tmp_path, config_of(CAPACITY)) as node:
                await node.intake.take(await node.intake.decode(HISTORY), OPERATOR)
                assert len(node.ledger.index) == CAPACITY
                crashed.sever()
                life.cancel()
                await trio.lowlevel.checkpoint()
        async with open_node(simulation.node(disk).world, tmp_path, config_of(100_000)) as node:
            assert len(await stored(node)) == len(HISTORY), "nothing had left the log yet"
        async with open_node(simulation.node(disk).world, tmp_path, config_of(CAPACITY)) as node:
            assert await agree(node)
            digests.append(digest(node))
        world = simulation.node(MemoryDisk()).world
        async with open_node(world, tmp_path, config_of(CAPACITY)) as node:
            await take(node, HISTORY)
            digests.append(digest(node))

    digests: list[str] = []
    simulate(7, main)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("seed", range(5))
def test_whenever_a_node_crashes_it_goes_on_where_the_log_is(tmp_path: Path, seed: int) -> None:
    """Cut down at a moment that the seed chooses, then given everything again."""

    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        crashed = simulation.node(disk)
        moment_s = simulation.random.fraction() * 0.1
        with suppress_severed(), trio.CancelScope() as life:
            async with trio.open_nursery() as nursery:

                async def crash() -> None:
                    await trio.sleep(moment_s)
                    crashed.sever()
                    life.cancel()

                nursery.start_soon(crash)
                async with open_node(crashed.world, tmp_path, config_of(CAPACITY)) as node:
                    for start in range(0, len(HISTORY), 100):
                        await take(node, HISTORY[start : start + 100])
                    await trio.sleep_forever()
        async with open_node(simulation.node(disk).world, tmp_path, config_of(CAPACITY)) as node:
            before = len(node.ledger.index)
            assert await agree(node)
            await take(node, HISTORY)
            assert len(node.ledger.index) == CAPACITY >= before
            assert await agree(node)

    simulate(seed, main)


# -- over a store that fails ----------------------------------------------------------------------


class Mesh:
    """The mesh's part of a node, over any store."""

    def __init__(self, kernel: Kernel, directory: Directory, ledger: MeshLedger) -> None:
        self.admission = kernel.admission
        self.world = kernel.world
        self.ledger = ledger
        self.intake = Intake(kernel.world, kernel.admission, directory, ledger, Personality())
        self.tail = kernel.tail

    async def take(self, bodies: list[bytes]) -> Report:
        report = await self.intake.take(await self.intake.decode(bodies), Payer("peer", "x"))
        await self.ledger.settle(self.admission)
        return report


@asynccontextmanager
async def mesh_over(world: World, fails: Callable[[int], When | None]) -> AsyncIterator[Mesh]:
    directory = Directory(Keys())
    ledger = MeshLedger(world, Ledger(CAPACITY, bytes(16)), directory.keys)
    directory.listen(ledger.learned)
    async with open_kernel(
        world, fails, migrations=(MIGRATIONS,), followers=(directory, ledger)
    ) as kernel:
        yield Mesh(kernel, directory, ledger)


FAILS: dict[str, Callable[[int], When | None]] = {
    "never": never,
    "before": first_try(When.BEFORE_COMMIT),
    "after": first_try(When.AFTER_COMMIT),
}


@pytest.mark.parametrize("fails", FAILS)
def test_a_store_that_loses_every_other_write_changes_nothing(fails: str) -> None:
    """Events, keys that prove or refute them, copies, evictions: all as on one that works."""
    false = tease(3, signer=BOB).replace(b'"emitter":"bob"', b'"emitter":"ann"')
    steps = [
        [*HISTORY[:400], tease(1), tease(2, signer=None), false, checkpoint([ANN, BOB])],
        [*HISTORY[200:], tease(2)],
    ]

    async def main(simulation: Simulation) -> None:
        for name in ("never", fails):
            world = simulation.node(MemoryDisk()).world
            async with mesh_over(world, FAILS[name]) as mesh:
                reports = [await mesh.take(steps[0])]
                draft = [
                    operator_draft(world.new_id(), one.name, one.public_key, one.id)
                    for one in (ANN, BOB)
                ]
                await mesh.admission.submit(KeyRules(), draft)
                await mesh.ledger.settle(mesh.admission)
                reports.append(await mesh.take(steps[1]))
                held: list[bytes] = []
                await mesh.tail.replay(Lane.MESH, lambda e: held.extend(one.id for one in e))  # noqa: B023
                index = mesh.ledger.index
                results.append((reports, index.digest(), sorted(held), index.counts()))

    results: list[object] = []
    simulate(3, main)
    assert results[0] == results[1]


async def test_a_rebuild_finds_again_what_could_not_be_checked_before(tmp_path: Path) -> None:
    """A key that was stored by a process that died before it looked at the events."""
    async with node_at(tmp_path) as node:
        await take(node, [tease(1), checkpoint([ANN, BOB])])
        assert standings(node) == (0, 2, 0)
    drafts = [
        operator_draft(node.world.new_id(), one.name, one.public_key, one.id) for one in (ANN, BOB)
    ]
    async with open_store(node.world, str(tmp_path / DATABASE), (MIGRATIONS,)) as store:
        admission = Admission(node.world.clock, store, await open_tail(store))
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            await admission.submit(KeyRules(), drafts)
            nursery.cancel_scope.cancel()
    async with node_at(tmp_path) as node:
        assert standings(node) == (2, 0, 0)
