"""Nodes that keep up with each other over a network in memory, from a seed: whom to cut off, when,
what arrives where, and a trace of every commit, of every contact and of what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from postbox.log.committed import Committed
from postbox.mesh.background.keeping import FAR_EVERY, NEAR_NS
from postbox.mesh.background.loops import run_loops
from postbox.mesh.calling import pull
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers.known import Contact, Known
from postbox.mesh.synthetic import VOTERS, identities
from postbox.rules import Payer
from postbox.store.contract import Lane
from postbox.trust.directory import Learned
from support.mesh import (
    ANN,
    believe,
    digest,
    held_ids,
    hey_there,
    id_of_body,
    observation,
    small_history,
    stored,
    take,
    tease,
)
from support.simulate import Lives, Simulation, Trace
from support.town import PORT, House, Town

PULL_EVERY_S = 60.0
WATCH_EVERY_S = 5.0
FAR_S = 2 * FAR_EVERY * PULL_EVERY_S
"""Virtual, until what is late by some minutes came to a peer that answers: one round of those many
looks back an hour."""
PATIENCE_S = 2 * 3600.0
"""Virtual, to become equal: every thirtieth round is a whole one, which finds what came late."""


@dataclass
class Member:
    """One of the nodes, over all its lives."""

    number: int
    town: Town
    trace: Trace
    addresses: Sequence[str]
    _house: House | None = None
    _lives: Lives = field(default_factory=Lives)
    _got_events: trio.Event = field(default_factory=trio.Event)

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def address(self) -> str:
        return self.addresses[self.number]

    @property
    def house(self) -> House:
        assert self._house is not None, f"{self.name} is down"
        return self._house

    async def live(self, task_status: trio.TaskStatus[None]) -> None:
        """From start to crash, or to the end of the test."""
        peers = tuple(f"http://{one}:{PORT}" for one in self.addresses if one != self.address)
        life = self.town.life(self.address)
        try:
            with self._lives.one(life):
                async with self.town.house(
                    self.address, self.name, world=life.world, peers=peers, pull_every=PULL_EVERY_S
                ) as house:
                    self._watch(house)
                    async with trio.open_nursery() as loops:
                        loops.start_soon(keep_up_only, house)
                        loops.start_soon(self._note_contacts, house.mesh.peers.configured)
                        self._house = house
                        task_status.started()
                        await trio.sleep_forever()
        finally:
            self._house = None

    async def crash(self) -> None:
        self.trace.note(self.name, "crashes")
        await self._lives.crash()

    async def take(self, bodies: Sequence[bytes]) -> Report:
        return await take(self.house.node, bodies)

    def digest(self) -> str:
        return digest(self.house.node)

    def holds(self) -> set[bytes]:
        return held_ids(self.house.node)

    def _watch(self, house: House) -> None:
        node = house.node
        node.tail.follow(self)
        node.intake.listen(self._taken)
        node.directory.listen(self._learned)
        self.trace.note(self.name, "starts", node.tail.head, digest(node))

    def applied(self, committed: Committed) -> None:
        """As a follower of the log: what was committed, and where."""
        entries = [(one.pos, one.id, one.kind, one.flags) for one in committed.entries]
        self.trace.note(self.name, committed.head, entries, list(committed.removes))
        if any(one.lane is Lane.MESH for one in committed.entries):
            self._got_events.set()
            self._got_events = trio.Event()

    async def got_events(self) -> None:
        """Until the next commit with some."""
        await self._got_events.wait()

    def _taken(self, payer: Payer, report: Report) -> None:
        self.trace.note(self.name, payer, report)

    def _learned(self, learned: Learned) -> None:
        self.trace.note(self.name, learned)

    async def _note_contacts(self, links: Sequence[Known]) -> None:
        before: list[object] = []
        while True:
            now: list[object] = [(one.url, one.contact, one.pulls, one.last_error) for one in links]
            if now != before:
                self.trace.note(self.name, now)
            before = now
            await trio.sleep(WATCH_EVERY_S)


async def keep_up_only(house: House) -> None:
    """With peers: what else a node does by itself makes events of its own."""
    every = house.mesh.loops()
    await run_loops({name: every[name] for name in ("recovery", "keeping")})


@dataclass
class Cluster:
    simulation: Simulation
    members: list[Member]
    given: set[bytes] = field(default_factory=set)
    """Ids of all events that some node reported as taken in."""
    _nursery: trio.Nursery | None = None
    _cuts: set[tuple[str, str]] = field(default_factory=set)

    async def start(self, member: Member) -> None:
        assert self._nursery is not None
        await self._nursery.start(member.live)

    async def give(self, member: Member, bodies: Sequence[bytes]) -> None:
        """They arrive at that node, and are there for good."""
        report = await member.take(bodies)
        assert report.imported + report.duplicates == len(bodies), report
        self.given.update(map(id_of_body, bodies))

    def toggle(self, one: Member, other: Member) -> None:
        """Part two nodes, or bring them together again."""
        pair = (min(one.address, other.address), max(one.address, other.address))
        self.simulation.trace.note("cut" if pair not in self._cuts else "heal", pair)
        if pair in self._cuts:
            self.simulation.net.heal(*pair)
        else:
            self.simulation.net.cut(*pair)
        self._cuts ^= {pair}

    def heal_all(self) -> None:
        for pair in sorted(self._cuts):
            self.toggle(*(member for member in self.members if member.address in pair))

    def digests(self) -> list[str]:
        return [member.digest() for member in self.members]

    async def converge(self) -> str:
        """The digest of all, when they have one; and nothing is lost then."""
        with trio.fail_after(PATIENCE_S):
            while len(set(self.digests())) > 1 or not self._has_all():  # noqa: ASYNC110
                await trio.sleep(5)
        for member in self.members:
            await member.house.node.settle()
            entries = {entry.id for entry in await stored(member.house.node)}
            assert entries == self.given == member.holds()
        self.simulation.trace.note("equal", self.digests(), len(self.given))
        return self.digests()[0]

    def _has_all(self) -> bool:
        return all(
            len(member.house.node.ledger.index) == len(self.given) for member in self.members
        )


@asynccontextmanager
async def cluster_of(simulation: Simulation, homes: Path, count: int = 3) -> AsyncIterator[Cluster]:
    town = Town(simulation, homes)
    addresses = [f"100.64.0.{number + 1}" for number in range(count)]
    members = [Member(number, town, simulation.trace, addresses) for number in range(count)]
    cluster = Cluster(simulation, members)
    async with trio.open_nursery() as nursery:
        cluster._nursery = nursery
        for member in members:
            await cluster.start(member)
        yield cluster
        nursery.cancel_scope.cancel()


@contextmanager
def small_pages(events: int = 500) -> Iterator[None]:
    """So that a walk has many, and can break off between two."""
    before, pages = pull.PAGE_EVENTS, vars(pull)  # to type checkers it is a constant
    pages["PAGE_EVENTS"] = events
    try:
        yield
    finally:
        pages["PAGE_EVENTS"] = before


def mixed_history(count: int, seed: int = 1) -> list[bytes]:
    """Signed and unsigned, in no order: many an event comes before the hey-there of its name."""
    unsigned = [observation(number, f"watcher{number % 5}") for number in range(count // 10)]
    return sorted([*small_history(count, seed), *unsigned], key=id_of_body)


async def three_nodes(simulation: Simulation, homes: Path) -> None:
    """Three nodes with parts of a history become equal; one is cut off and comes back; one crashes
    in the midst of a walk and starts again on its disk. Notes all that happens."""
    history = mixed_history(700)
    with small_pages():
        async with cluster_of(simulation, homes) as cluster:
            one, two, three = cluster.members
            for member in cluster.members:
                await believe(member.house.node, *identities(1, VOTERS))
            await cluster.give(one, history[:300])
            await cluster.give(two, history[200:500])
            await cluster.give(three, [*history[400:600], *history[:100]])
            await cluster.converge()
            await part(cluster, history)
            await crash(cluster)


async def part(cluster: Cluster, history: Sequence[bytes]) -> None:
    """New events arrive on both sides, and where one is alone also some that are late by weeks."""
    one, two, three = cluster.members
    here, there = map(tease, range(1_201, 1_301)), map(tease, range(1_251, 1_351))
    cluster.toggle(three, one)
    cluster.toggle(three, two)
    before = len(three.holds())
    await cluster.give(one, list(here))
    await trio.sleep(FAR_S)
    assert id_of_body(tease(1_201)) in two.holds()
    assert len(three.holds()) == before
    await cluster.give(three, [*history[550:750], *there])
    cluster.heal_all()
    await cluster.converge()


async def crash(cluster: Cluster) -> None:
    one, _, three = cluster.members
    before = len(three.house.node.ledger.index)
    await cluster.give(one, [hey_there(ANN), *_of_the_last_minutes()])
    while len(three.house.node.ledger.index) == before:
        await three.got_events()
    assert before < len(three.house.node.ledger.index) < len(cluster.given), "a part of it"
    assert Contact.PULLING in [link.contact for link in three.house.mesh.peers.configured]
    await three.crash()
    await trio.sleep(10 * PULL_EVERY_S)
    await cluster.start(three)
    await cluster.converge()


def _of_the_last_minutes() -> list[bytes]:
    """More than two small pages of what every round looks at."""
    return [
        tease(number, target=f"target{one}")
        for number in range(1, NEAR_NS // 10**9 - 60)
        for one in range(5)
    ]


STEPS = 12


async def random_cuts(simulation: Simulation, homes: Path) -> None:
    """Three nodes, to which events come while the network between them and they themselves fail, as
    the seed draws it. In the end all is well again."""
    history = mixed_history(60 * STEPS)
    async with cluster_of(simulation, homes) as cluster:
        for step in range(STEPS):
            one, other = _drawn(simulation, cluster.members)
            cluster.toggle(one, other)
            await cluster.give(one, history[60 * step : 60 * step + 80])
            await trio.sleep(simulation.random.fraction() * 2 * PULL_EVERY_S)
            if step % 3 == 2:
                await other.crash()
                await trio.sleep(simulation.random.fraction() * PULL_EVERY_S)
                await cluster.start(other)
        cluster.heal_all()
        await cluster.converge()


def _drawn(simulation: Simulation, members: Sequence[Member]) -> tuple[Member, Member]:
    """Two that differ."""
    first, step = simulation.random.bytes(2)
    count = len(members)
    return members[first % count], members[(first + 1 + step % (count - 1)) % count]
