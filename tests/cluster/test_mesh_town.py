"""Nodes of which a third are hostile: parted, restarted, with clocks that are wrong. What honest
nodes hold in the end, they hold all; and what little memory has no room for went in nara's order.

`make town` has 50 of them, of any seed (`POSTBOX_TOWN`, `POSTBOX_SEED`), which takes minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from postbox.mesh.background import keeping
from postbox.mesh.boot import recovery_rules
from postbox.mesh.peers.standing_rules import Regard
from support.cluster import mixed_history
from support.mesh import id_of_body, tease
from support.mesh_town import MeshTown, mesh_town
from support.mesh_villains import Vice
from support.simulate import Simulation, simulate
from support.town import Town

HISTORY = mixed_history(600)
NODES = int(os.environ.get("POSTBOX_TOWN", "15"))
FEW = max(6, NODES // 4)
SEED = int(os.environ.get("POSTBOX_SEED", "1"))


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pages that have no end: so many events are more than anybody has here. And little with
    what came late: it goes on by one node a whole walk, which is half an hour each elsewhere."""
    monkeypatch.setattr(recovery_rules, "USUAL_EVENTS", 1_000)
    monkeypatch.setattr(keeping, "MOST_NEW", 1_500)
    monkeypatch.setattr(keeping, "WHOLE_EVERY", 2)


async def live_through(built: MeshTown) -> None:
    """Its troubles."""
    newcomer, *givers = built.roomy
    for number, dweller in enumerate(givers):
        await built.give(dweller, HISTORY[number :: len(givers)])
    await trio.sleep(60)
    built.part(len(built.dwellers) // 2)
    await built.give(givers[0], [tease(number) for number in range(1_001, 1_021)])
    await built.give(givers[-1], [tease(number) for number in range(1_011, 1_031)])
    some = built.draw.sample(built.dwellers, len(built.dwellers) // 6)
    await built.churn(some, for_s=40)
    built.heal()
    await newcomer.crash()
    newcomer.lose_disk()
    await built.nursery.start(newcomer.live)


def test_honest_nodes_become_equal_whatever_a_third_of_the_mesh_does(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> None:
        hostile = NODES // 3
        town = Town(simulation, tmp_path)
        async with mesh_town(simulation, town, NODES - hostile, hostile, SEED) as built:
            await live_through(built)
            held = await built.converge()
            assert held >= {id_of_body(body) for body in HISTORY}
            assert Regard.GOOD not in regards(built, Vice.FLOODS)
            assert_pruned_in_order(built)

    simulate(SEED, main)


def assert_pruned_in_order(built: MeshTown) -> None:
    """Nodes with little memory are full, and had to forget what honest ones signed."""
    for one in built.short:
        assert one.house is not None
        assert len(one.house.node.ledger.index) == one.memory
        assert sum(life.forgotten for life in one.pruned) > 50
    assert [life.wrong for life in built.all_pruned() if life.wrong] == []


def regards(built: MeshTown, vice: Vice) -> list[Regard]:
    """Of the villains with it, at each dweller that asks one."""
    named = {villain.who.name for villain in built.villains if villain.vice is vice}
    return [
        dweller.house.mesh.peers.regard(one.name)
        for dweller in built.dwellers
        if dweller.house is not None
        for one in dweller.house.mesh.peers.configured
        if one.name in named
    ]


@pytest.mark.parametrize("seed", [SEED + 1])
def test_a_seed_gives_one_town(tmp_path: Path, seed: int) -> None:
    def run(folder: str) -> str:
        async def main(simulation: Simulation) -> None:
            town = Town(simulation, tmp_path / folder)
            async with mesh_town(simulation, town, FEW - FEW // 3, FEW // 3, seed) as built:
                await live_through(built)
                await built.converge()

        return simulate(seed, main).digest()

    assert run("one") == run("other")
