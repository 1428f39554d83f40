"""Nodes of which a third are hostile: parted, restarted, with clocks that are wrong. What honest
nodes hold in the end, they hold all. `POSTBOX_TOWN=50` makes it as many, which takes minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
NODES = int(os.environ.get("POSTBOX_TOWN", "12"))


@contextmanager
def little_patience() -> Iterator[None]:
    """With pages that have no end: so many events are more than anybody has here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery_rules, "USUAL_EVENTS", 1_000)
        patch.setattr(keeping, "MOST_NEW", 1_500)
        yield


async def live_through(built: MeshTown) -> None:
    """Its troubles."""
    dwellers, draw = built.dwellers, built.draw
    for number, dweller in enumerate(dwellers):
        await built.give(dweller, HISTORY[number :: len(dwellers)])
    await trio.sleep(60)
    built.part(len(dwellers) // 2)
    await built.give(dwellers[0], [tease(number) for number in range(1_001, 1_021)])
    await built.give(dwellers[-1], [tease(number) for number in range(1_011, 1_031)])
    await built.crash(draw.sample(dwellers, len(dwellers) // 6), for_s=40)
    built.heal()


def test_honest_nodes_become_equal_whatever_a_third_of_the_mesh_does(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> None:
        town = Town(simulation, tmp_path)
        async with mesh_town(
            simulation, town, honest=NODES - NODES // 3, hostile=NODES // 3, seed=1
        ) as built:
            await live_through(built)
            held = await built.converge()
            assert held >= {id_of_body(body) for body in HISTORY}
            assert Regard.GOOD not in regards(built, Vice.FLOODS)

    with little_patience():
        simulate(1, main)


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


@pytest.mark.parametrize("seed", [2])
def test_a_seed_gives_one_town(tmp_path: Path, seed: int) -> None:
    def run(folder: str) -> str:
        async def main(simulation: Simulation) -> None:
            town = Town(simulation, tmp_path / folder)
            async with mesh_town(simulation, town, honest=4, hostile=2, seed=seed) as built:
                await live_through(built)
                await built.converge()

        return simulate(seed, main).digest()

    with little_patience():
        assert run("one") == run("other")
