"""A town of many nodes, a third of them of ill will, over the real server and client on virtual
time, each with everything a node does by itself; what goes wrong among them, from the town's seed.
"""

from __future__ import annotations

import random  # noqa: TID251  (of the town's seed)
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from postbox.errors import Fault
from postbox.event import Service
from postbox.log.committed import Committed
from postbox.mesh.synthetic import VOTERS, identities
from postbox.net.client import open_client
from postbox.store.contract import Entry, Lane
from postbox.trust.keys import identity_of
from postbox.world import Clock
from support.mesh import believe, held_ids, id_of_body, stored, take
from support.mesh_villains import Vice, Villain
from support.simulate import Node as Life
from support.simulate import Simulation, Trace, suppress_severed
from support.town import PORT, REACH, House, Town

PULL_EVERY_S = 40
PUSH_EVERY_S = 60.0
SKEW_S = 12.0
"""Ahead or behind: two may be 24 s apart, and a request is taken up to 30."""
PATIENCE_S = 3600.0


@dataclass(frozen=True)
class Skewed:
    """A clock that is wrong."""

    clock: Clock
    ahead_s: float

    def now_ns(self) -> int:
        return self.clock.now_ns() + int(self.ahead_s * 1e9)

    def elapsed_s(self) -> float:
        return self.clock.elapsed_s()


@dataclass
class Dweller:
    """An honest node, over all its lives."""

    number: int
    town: Town
    trace: Trace
    peers: tuple[str, ...]
    ahead_s: float
    house: House | None = None
    _life: Life | None = None
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _ended: trio.Event = field(default_factory=trio.Event)

    @property
    def name(self) -> str:
        return f"dweller{self.number}"

    @property
    def address(self) -> str:
        return address_of(self.number)

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        life, self._ended = self.town.life(self.address), trio.Event()
        world = replace(life.world, clock=Skewed(life.world.clock, self.ahead_s))
        with suppress_severed(), trio.CancelScope() as self._scope:
            async with self.town.house(
                self.address,
                self.name,
                world=world,
                peers=self.peers,
                pull_every=PULL_EVERY_S,
            ) as house:
                house.node.tail.follow(_Noting(self.trace, self.name))
                await believe(house.node, *identities(1, VOTERS))
                async with trio.open_nursery() as loops:
                    loops.start_soon(house.mesh.keep_up)
                    self.house, self._life = house, life
                    task_status.started()
                    await trio.sleep_forever()
        self.house = None
        self._ended.set()

    async def crash(self) -> None:
        assert self._life is not None
        self.trace.note(self.name, "crashes")
        self._life.sever()
        self._scope.cancel()
        await self._ended.wait()
        self.house = None

    def holds(self) -> set[bytes]:
        assert self.house is not None
        return held_ids(self.house.node)


class _Noting:
    """As a follower of the log: what was committed, and where."""

    def __init__(self, trace: Trace, name: str) -> None:
        self._trace, self._name = trace, name

    def applied(self, committed: Committed) -> None:
        self._trace.note(self._name, [(one.pos, one.id, one.flags) for one in committed.entries])


def address_of(number: int) -> str:
    return f"100.64.{1 + number // 200}.{1 + number % 200}"


def url_of(number: int) -> str:
    return f"http://{address_of(number)}:{PORT}"


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

    async def crash(self, dwellers: Sequence[Dweller], for_s: float) -> None:
        for dweller in dwellers:
            await dweller.crash()
        await trio.sleep(for_s)
        for dweller in dwellers:
            await self.nursery.start(dweller.live)

    async def critical_of_all(self) -> list[set[bytes]]:
        """Of each dweller: the critical events that honest nodes made or were given."""
        names = {one.name.encode() for one in self.dwellers}
        return [
            {entry.id for entry in await self._entries(one) if self._is_honest(entry, names)}
            for one in self.dwellers
        ]

    async def _entries(self, dweller: Dweller) -> list[Entry]:
        assert dweller.house is not None
        return [one for one in await stored(dweller.house.node) if one.lane is Lane.MESH]

    def _is_honest(self, entry: Entry, names: set[bytes]) -> bool:
        is_critical = entry.kind in (Service.HEY_THERE, Service.CHAU, Service.CHECKPOINT)
        return entry.id in self.given or (is_critical and entry.author in names)

    async def converge(self) -> set[bytes]:
        """The honest events that matter, once every dweller has them all."""
        with trio.move_on_after(PATIENCE_S):
            while True:
                await trio.sleep(15)
                held = await self.critical_of_all()
                if all(one == held[0] and one >= self.given for one in held):
                    self.simulation.trace.note("equal", len(held[0]))
                    return held[0]
        lacking = [len((self.given | held[0]) - one) for one in held]
        raise AssertionError(f"not equal after {PATIENCE_S:g} s: lacking {lacking}")


@asynccontextmanager
async def mesh_town(
    simulation: Simulation, town: Town, honest: int, hostile: int, seed: int
) -> AsyncIterator[MeshTown]:
    """Each dweller is told of the next one, of another one, and of a villain. Operators have told
    each other their nodes' keys: who is first to bring a hey-there of an unknown name may give it
    a false key, which is another matter than what this town is about."""
    draw = random.Random(seed)
    dwellers = [
        Dweller(
            number,
            town,
            simulation.trace,
            (
                url_of((number + 1) % honest),
                url_of((number + draw.randrange(2, honest)) % honest),
                *([url_of(honest + number % hostile)] if hostile else []),
            ),
            draw.uniform(-SKEW_S, SKEW_S),
        )
        for number in range(honest)
    ]
    async with trio.open_nursery() as nursery:
        for dweller in dwellers:
            nursery.start_soon(_started, nursery, dweller)
        while any(one.house is None for one in dwellers):  # noqa: ASYNC110
            await trio.sleep(0.1)
        known = [one.house.node.identity for one in dwellers if one.house is not None]
        for dweller in dwellers:
            assert dweller.house is not None
            await believe(dweller.house.node, *known)
        villains = [
            await nursery.start(partial(_villain, town, honest + number, dwellers))
            for number in range(hostile)
        ]
        yield MeshTown(simulation, town, dwellers, villains, draw, nursery)
        nursery.cancel_scope.cancel()


async def _started(nursery: trio.Nursery, dweller: Dweller) -> None:
    await nursery.start(dweller.live)


async def _villain(
    town: Town,
    number: int,
    dwellers: Sequence[Dweller],
    task_status: trio.TaskStatus[Villain],
) -> None:
    world = town.world(address_of(number))
    async with open_client(world.net, reach=REACH) as http:
        who = identity_of(f"villain{number}", number.to_bytes(32, "big"))
        villain = Villain(who, world, http)
        villain.vice = list(Vice)[number % len(Vice)]
        villain.honest = [one.name for one in dwellers]
        async with town.serving(address_of(number), villain, world=world):
            task_status.started(villain)
            for turn in range(10**9):
                await trio.sleep(PUSH_EVERY_S)
                with suppress(Fault):
                    await villain.push(url_of((turn * 7 + number) % len(dwellers)))
