"""A town of many nodes, a third of them of ill will, over the real server and client on virtual
time, each with everything a node does by itself; what goes wrong among them, from the town's seed.
"""

from __future__ import annotations

import random  # noqa: TID251  (of the town's seed)
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from postbox.errors import Fault
from postbox.event import Service, Standing
from postbox.log.committed import Committed
from postbox.mesh.synthetic import identities
from postbox.net.client import open_client
from postbox.store.contract import Entry, Lane
from postbox.trust.keys import Identity, identity_of
from support.mesh import believe, id_of_body, stored, take
from support.mesh_forgetting import Forgetting
from support.mesh_villains import Vice, Villain
from support.simulate import Lives, MemoryDisk, Simulation, SkewedClock, Trace
from support.town import REACH, House, Town, address_of, url_of

CRITICAL = (Service.HEY_THERE, Service.CHAU, Service.CHECKPOINT)
PULL_EVERY_S = 40
PUSH_EVERY_S = 60.0
SKEW_S = 12.0
"""Ahead or behind: two may be 24 s apart, and a request is taken up to 30."""
PATIENCE_S = 3600.0
CHECK_EVERY_S = 15.0
MEMORY = 2_000
"""Events: room for all that is honest, and not for what is made up."""
SHORT_MEMORY, SHORT_EVERY = 400, 5
"""Of every fifth node: less than honest ones have to tell."""


@dataclass
class Dweller:
    """An honest node, over all its lives."""

    number: int
    town: Town
    trace: Trace
    peers: tuple[str, ...]
    ahead_s: float
    memory: int
    trusted: list[Identity]
    """Whom operators told each other of."""
    house: House | None = None
    pruned: list[Forgetting] = field(default_factory=list)
    """What it had to forget, a life each."""
    _lives: Lives = field(default_factory=Lives)

    @property
    def name(self) -> str:
        return f"dweller{self.number}"

    @property
    def address(self) -> str:
        return address_of(self.number)

    @property
    def is_short(self) -> bool:
        return self.memory < MEMORY

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        life = self.town.life(self.address)
        world = replace(life.world, clock=SkewedClock(life.world.clock, self.ahead_s))
        try:
            with self._lives.one(life):
                async with self.town.house(
                    self.address,
                    self.name,
                    world=world,
                    capacity=self.memory,
                    peers=self.peers,
                    pull_every=PULL_EVERY_S,
                ) as house:
                    await self._watch(house)
                    await believe(house.node, *self.trusted)
                    async with trio.open_nursery() as loops:
                        loops.start_soon(house.mesh.keep_up)
                        self.house = house
                        task_status.started()
                        await trio.sleep_forever()
        finally:
            self.house = None

    async def _watch(self, house: House) -> None:
        house.node.tail.follow(_Noting(self.trace, self.name))
        self.pruned.append(Forgetting(house.node))
        await self.pruned[-1].begin()

    async def crash(self) -> None:
        self.trace.note(self.name, "crashes")
        await self._lives.crash()
        self.house = None

    def lose_disk(self) -> None:
        """While it is down: it will wake up with its name and key, and nothing else."""
        self.town.disks[self.address] = MemoryDisk()

    async def entries(self) -> list[Entry]:
        assert self.house is not None
        return [one for one in await stored(self.house.node) if one.lane is Lane.MESH]


class _Noting:
    """As a follower of the log: what was committed, and where."""

    def __init__(self, trace: Trace, name: str) -> None:
        self._trace, self._name = trace, name

    def applied(self, committed: Committed) -> None:
        self._trace.note(self._name, [(one.pos, one.id, one.flags) for one in committed.entries])


def _memory(number: int) -> int:
    return SHORT_MEMORY if number % SHORT_EVERY == SHORT_EVERY - 2 else MEMORY


def _ring(number: int, count: int) -> list[int]:
    """The others, from this one on."""
    return [(number + step) % count for step in range(1, count)]


@dataclass
class MeshTown:
    simulation: Simulation
    town: Town
    dwellers: list[Dweller]
    villains: list[Villain]
    draw: random.Random
    nursery: trio.Nursery
    given: set[bytes] = field(default_factory=set)
    _cuts: set[tuple[str, str]] = field(default_factory=set)

    @property
    def roomy(self) -> list[Dweller]:
        return [one for one in self.dwellers if not one.is_short]

    @property
    def short(self) -> list[Dweller]:
        return [one for one in self.dwellers if one.is_short]

    async def give(self, dweller: Dweller, bodies: Sequence[bytes]) -> None:
        """They arrive at that node, and are there for good."""
        assert dweller.house is not None
        report = await take(dweller.house.node, bodies)
        assert report.imported + report.duplicates == len(bodies), report
        self.given.update(map(id_of_body, bodies))

    def part(self, left: int) -> None:
        """The first `left` dwellers from the others; villains reach all."""
        for one in self.dwellers[:left]:
            for other in self.dwellers[left:]:
                self.simulation.net.cut(one.address, other.address)
                self._cuts.add((one.address, other.address))
        self.simulation.trace.note("parted", left)

    def heal(self) -> None:
        for pair in sorted(self._cuts):
            self.simulation.net.heal(*pair)
        self._cuts.clear()
        self.simulation.trace.note("healed")

    async def churn(self, dwellers: Sequence[Dweller], for_s: float) -> None:
        """They go at once, and come back one after the other."""
        for dweller in dwellers:
            await dweller.crash()
        await trio.sleep(for_s)
        for dweller in dwellers:
            await self.nursery.start(dweller.live)

    async def converge(self) -> set[bytes]:
        """The honest events that matter, once every dweller with room for them has them all, and
        every other one those that nobody ever forgets."""
        with trio.move_on_after(PATIENCE_S):
            while True:
                await trio.sleep(CHECK_EVERY_S)
                held = [self._that_matter(await one.entries()) for one in self.roomy]
                if all(one == held[0] and one >= self.given for one in held):
                    break
            await self._lasting_everywhere()
            self.simulation.trace.note("equal", len(held[0]))
            return held[0]
        lacking = [len((self.given | held[0]) - one) for one in held]
        raise AssertionError(f"not equal after {PATIENCE_S:g} s: lacking {lacking}")

    async def _lasting_everywhere(self) -> None:
        lasting = _lasting(await self.roomy[0].entries())
        for one in self.short:
            while not _lasting(await one.entries()) >= lasting:  # noqa: ASYNC110
                await trio.sleep(CHECK_EVERY_S)

    def _that_matter(self, entries: Iterable[Entry]) -> set[bytes]:
        """What honest nodes were given, and what they made that is critical."""
        names = {one.name.encode() for one in self.dwellers}
        return {
            one.id
            for one in entries
            if one.id in self.given or (one.kind in CRITICAL and one.author in names)
        }

    def all_pruned(self) -> list[Forgetting]:
        return [life for one in self.dwellers for life in one.pruned]


def _lasting(entries: Iterable[Entry]) -> set[bytes]:
    return {
        one.id
        for one in entries
        if one.kind == Service.CHECKPOINT and one.flags == Standing.ATTESTED
    }


@asynccontextmanager
async def mesh_town(
    simulation: Simulation, town: Town, honest: int, hostile: int, seed: int
) -> AsyncIterator[MeshTown]:
    """Each dweller is told of the next one, of the next one with room for all, of another one, and
    of a villain. Operators have told
    each other their nodes' keys: who is first to bring a hey-there of an unknown name may give it
    a false key, which is another matter than what this town is about."""
    draw = random.Random(seed)
    trusted = [*identities(1)]
    dwellers = [
        Dweller(
            number,
            town,
            simulation.trace,
            (
                url_of((number + 1) % honest),
                url_of(next(one for one in _ring(number, honest) if _memory(one) == MEMORY)),
                url_of((number + draw.randrange(2, honest)) % honest),
                url_of(honest + number % hostile),
            ),
            draw.uniform(-SKEW_S, SKEW_S),
            _memory(number),
            trusted,
        )
        for number in range(honest)
    ]
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for dweller in dwellers:
                starting.start_soon(nursery.start, dweller.live)
        nodes = [one.house.node for one in dwellers if one.house is not None]
        trusted.extend(node.identity for node in nodes)
        for node in nodes:
            await believe(node, *trusted)
        villains = [
            await nursery.start(partial(_villain, town, honest, number, dwellers))
            for number in range(hostile)
        ]
        yield MeshTown(simulation, town, dwellers, villains, draw, nursery)
        nursery.cancel_scope.cancel()


async def _villain(
    town: Town,
    honest: int,
    number: int,
    dwellers: Sequence[Dweller],
    task_status: trio.TaskStatus[Villain],
) -> None:
    address = address_of(honest + number)
    world = town.world(address)
    async with open_client(world.net, reach=REACH) as http:
        who = identity_of(f"villain{number}", number.to_bytes(32, "big"))
        villain = Villain(who, world, http)
        villain.vice = list(Vice)[number % len(Vice)]
        villain.honest = [one.name for one in dwellers]
        async with town.serving(address, villain, world=world):
            task_status.started(villain)
            for turn in range(10**9):
                await trio.sleep(PUSH_EVERY_S)
                with suppress(Fault):
                    await villain.push(url_of((turn * 7 + number) % len(dwellers)))
