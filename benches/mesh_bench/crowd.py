"""A mesh around one node, at the price of one other: all other names are faces of a single node.

Each name has a key and an address of its own, and answers and asks there with the door's own code;
the ledger behind them is the same for all. So the crowd knows at once what any of it knows, which
is as far as gossip can get, and what the node in the middle does is what it does in a mesh of that
size.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeAlias

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.mesh import wire
from postbox.mesh.background.refreshing import OVERLAP_NS
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.pull import PageWalk
from postbox.mesh.coordinates import measuring, telling
from postbox.mesh.door import Mesh
from postbox.mesh.gossip.rhythm_rules import FEWEST, MOST, pause_s
from postbox.mesh.synthetic import identities
from postbox.mesh.wire import MODES, About
from postbox.trust.authoring import Ping, Seen, make_event
from postbox.trust.keys import Identity
from support.mesh import believe, take
from support.simulate import Simulation
from support.town import PORT, House, address_of, number_of, url_of

PING_S = 30
"""Each writer measures the way to somebody so often, and tells of it."""
ADDRESS = "100.64.0.1"
"""Where the crowd's one server listens, whatever address is called."""
CHATTINESS = 50
REFRESH_S = 1800 / 1.5
"""Each node asks one or two others in half an hour."""
DAY_S = 86_400

Visit: TypeAlias = Callable[[Mesh, Peer], Awaitable[object]]


@dataclass
class Crowd:
    """`writers`: so many of its names write events: pings, or `seen`, which say as much of who is
    online, and of which a ledger holds all, not five a target. `told`: events that they wrote;
    `asked`: requests that it was sent."""

    size: int
    writers: int
    seen: bool = False
    told: int = 0
    asked: int = 0
    house: House | None = None
    who: list[Identity] = field(default_factory=list)
    _apps: dict[str, ASGIFramework] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.who = identities(1, self.size)

    async def open(self, simulation: Simulation, house: House, one: House) -> None:
        """Its names are at their addresses, and they and `one` know each other."""
        self.house = house
        server = simulation.net.listeners[ADDRESS, PORT]
        for number, identity in enumerate(self.who):
            simulation.net.listeners[address_of(number), PORT] = server
            one.mesh.peers.heard(identity.name, url_of(number))
        await believe(house.node, *self.who, one.node.identity)
        await believe(one.node, *self.who)
        for identity in self.who:
            known = one.mesh.peers.get(identity.name)
            assert known is not None
            known.memory_mode, known.said_name = "medium", identity.name
            one.mesh.peers.succeeded(known)

    # -- what it answers ------------------------------------------------------------------------

    def wrap(self, own: ASGIFramework) -> ASGIFramework:
        """In place of what the one node behind it would answer itself."""

        async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            server = scope["server"] if scope["type"] == "http" else None
            if server is None:
                await own(scope, receive, send)
                return
            self.asked += 1
            await self._app_at(server[0])(scope, receive, send)

        return app

    def _app_at(self, address: str) -> ASGIFramework:
        if address not in self._apps:
            self._apps[address] = self._face(number_of(address)).make_app(self._about)
        return self._apps[address]

    def _face(self, number: int) -> Mesh:
        mesh = self._mesh
        knowledge = replace(mesh.knowledge, identity=self.who[number])
        return replace(mesh, url=url_of(number), knowledge=knowledge)

    def _about(self) -> About:
        events = len(self._mesh.knowledge.ledger.index)
        return About("1", list(MODES), "", "medium", DAY_S, events)

    @property
    def _mesh(self) -> Mesh:
        assert self.house is not None
        return self.house.mesh

    # -- what it does by itself -----------------------------------------------------------------

    async def live(self, one: House) -> None:
        """Until cancelled: tells of itself, and does with `one` what falls to one node when each
        of the others does so with a few of them all."""
        a_round = (FEWEST + MOST) / 2
        visits: Sequence[tuple[float, Visit]] = (
            (pause_s(CHATTINESS, 0.5) / a_round, _gossip),
            (measuring.EVERY_S, _measure),
            (REFRESH_S, _refresh),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            for each_s, visit in visits:
                nursery.start_soon(self._visit, one, each_s, visit)

    async def _write(self) -> None:
        for turn in count(1_000):
            await self.tell(turn, self._mesh.world.clock.now_ns())
            await trio.sleep(PING_S)

    async def remember(self, for_s: int) -> None:
        """What was told so long before now."""
        turns, now_ns = for_s // PING_S, self._mesh.world.clock.now_ns()
        for ago in range(turns, 0, -1):
            await self.tell(turns - ago, now_ns - ago * PING_S * 10**9)

    async def tell(self, turn: int, now_ns: int) -> None:
        """What its writers, others each time, have measured in the last half minute."""
        house = self.house
        assert house is not None
        bodies = []
        for at in range(self.writers):
            who = self.who[(turn * self.writers + at) % self.size]
            target = self.who[(turn * (self.writers + 1) + at + 1) % self.size].name
            said: Ping | Seen = Ping(observer=who.name, target=target, rtt=1.5)
            if self.seen:
                said = Seen(observer=who.name, subject=target, via="zine")
            ago_ns = PING_S * 10**9 * (self.writers - at) // self.writers
            bodies.append(make_event(said, now_ns - ago_ns, who).body)
        await take(house.node, bodies)
        self.told += len(bodies)

    async def _visit(self, one: House, each_s: float, visit: Visit) -> None:
        for turn in count():
            await trio.sleep(each_s)
            face = self._face((turn * 7 + 3) % self.size)
            await visit(face, face.peer(one.url, one.node.identity.name))


async def _gossip(face: Mesh, peer: Peer) -> None:
    await peer.meet()
    await face.zines.exchange(peer)


async def _measure(_: Mesh, peer: Peer) -> None:
    for path in (telling.PATH, wire.PING_PATH):
        await peer.get(path, measuring.BOUNDS)


async def _refresh(face: Mesh, peer: Peer) -> None:
    await peer.meet()
    since_ns = face.world.clock.now_ns() - OVERLAP_NS
    await PageWalk(peer, face.knowledge.intake, since_ns).run(lambda _: True)
