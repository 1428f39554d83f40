"""What the page shows, looked at together: once for all who look, and never when nobody does.

All of it is what the operator's verbs say; nothing is gathered here that they do not know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import trio

from postbox.admin.command import Desk, Nothing, Serving
from postbox.admin.devices import LIST_DEVICES, DeviceSeen, ListDevices
from postbox.admin.issuer import IssuerSeen, known_issuer
from postbox.admin.links import LINKS, LinksSeen
from postbox.admin.listening import LISTENING, Doubts
from postbox.admin.local import LocalOperator
from postbox.admin.peers import Peers, known_peers
from postbox.admin.places import Placed, places
from postbox.admin.status import Status, status_of
from postbox.admin.surroundings import HomeSeen, Surroundings, look_around, look_at_home
from postbox.admin.trust import LIST_KEYS, Waits
from postbox.clients.ids import text_of
from postbox.metrics import Metrics
from postbox.page.figures import Figures, Point, Totals
from postbox.world import Pool

T = TypeVar("T")

TICK_S = 2.0
"""As often as the page changes. A look takes some milliseconds of the node's time."""
SLOW_S = 10.0
"""For what is read from the database and grows with the users."""
AROUND_S = 60.0
"""For what changes when somebody changes it: certificates, limits, a server's settings."""


class Listener(NamedTuple):
    """A device that listens now. `behind`: positions of the log that it was not sent yet, 0 when it
    has everything."""

    device: str
    behind: int


class Sight(NamedTuple):
    """`home`: None if it is not there any more; `points`: events a second, the newest last."""

    now_ns: int
    head: int
    status: Status
    peers: Peers
    placed: Sequence[Placed]
    links: LinksSeen
    home: HomeSeen | None
    around: Surroundings
    doubts: Doubts
    issuer: IssuerSeen
    waiting: Sequence[Waits]
    devices: Sequence[DeviceSeen]
    listeners: Sequence[Listener]
    points: Sequence[Point]


class Gathering:
    def __init__(self, desk: Desk, serving: Serving, metrics: Metrics) -> None:
        self._desk = desk
        self._serving = serving
        self._metrics = metrics
        self._operator = LocalOperator(desk)
        self._figures = Figures()
        self._turn = trio.Lock()
        self._sight: Sight | None = None
        self._at_s = 0.0
        self._devices = Kept(SLOW_S, self._read_devices)
        self._home = Kept(SLOW_S, self._look_at_home)
        self._around = Kept(AROUND_S, self._look_around)
        self._doubts = Kept(AROUND_S, self._doubt)

    async def look(self) -> Sight:
        """A sight that is hardly older than TICK_S; who asks for one at a time shares it. Raises
        faults."""
        async with self._turn:
            now_s = self._desk.node.world.clock.elapsed_s()
            if self._sight is None or now_s - self._at_s >= TICK_S * 0.9:
                self._sight, self._at_s = await self._new(now_s), now_s
            return self._sight

    async def _new(self, now_s: float) -> Sight:
        desk, mesh, ask = self._desk, self._serving.mesh, self._operator.call
        node = desk.node
        links = await ask(LINKS, Nothing())
        peers = known_peers(desk, mesh)
        states = {one.name: one.state for one in peers.others}
        states |= {one.name: one.state for one in peers.peers if one.name}
        now_ns, head = node.world.clock.now_ns(), node.tail.head
        given = self._metrics.given + sum(link.acknowledged for link in links.links)
        self._figures.add(Totals(head, given), now_s, now_ns / 1e9)
        return Sight(
            now_ns=now_ns,
            head=head,
            status=await status_of(desk, links.links),
            peers=peers,
            placed=places(mesh, states),
            links=links,
            home=await self._home.get(now_s),
            around=await self._around.get(now_s),
            doubts=await self._doubts.get(now_s),
            issuer=self._issuer(),
            waiting=(await ask(LIST_KEYS, Nothing())).waiting,
            devices=await self._devices.get(now_s),
            listeners=self._listeners(),
            points=list(self._figures.points),
        )

    def _listeners(self) -> list[Listener]:
        head = self._desk.node.tail.head
        streams = {} if self._serving.clients is None else self._serving.clients.streams.all()
        return [
            Listener(text_of(device), 0 if leave.is_live else head - leave.sent_pos)
            for device, leave in streams.items()
        ]

    async def _read_devices(self) -> list[DeviceSeen]:
        return (await self._operator.call(LIST_DEVICES, ListDevices())).devices

    async def _look_at_home(self) -> HomeSeen | None:
        node = self._desk.node
        work = partial(look_at_home, node.home, node.world.clock.now_ns())
        try:
            return await node.world.threads.run(Pool.READER, work)
        except OSError:
            return None

    async def _look_around(self) -> Surroundings:
        node = self._desk.node
        return await look_around(node.home, node.config, node.world)

    async def _doubt(self) -> Doubts:
        return await self._operator.call(LISTENING, Nothing())

    def _issuer(self) -> IssuerSeen:
        clients = self._serving.clients
        return known_issuer(self._desk, None if clients is None else clients.issuer)


class Kept(Generic[T]):
    """An answer that is asked for again only when it is old."""

    def __init__(self, good_s: float, ask: Callable[[], Awaitable[T]]) -> None:
        self._good_s = good_s
        self._ask = ask
        self._kept: tuple[T, float] | None = None

    async def get(self, now_s: float) -> T:
        if self._kept is None or now_s - self._kept[1] >= self._good_s:
            self._kept = await self._ask(), now_s
        return self._kept[0]
