"""The mesh's door of a node, put together: what it answers, whom it asks, and whom it knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import trio

from postbox.config import Config, MeshConfig
from postbox.log.admission import Admission
from postbox.log.tail import Tail
from postbox.mesh import wire
from postbox.mesh.background.keeping import Keeper, keep_up
from postbox.mesh.background.loops import Loop, run_loops
from postbox.mesh.background.refreshing import Refresher
from postbox.mesh.boot.attempt import Means
from postbox.mesh.boot.recovery import HEAD_START_S, Recovery
from postbox.mesh.bus.bus import Bus
from postbox.mesh.bus.joining import OnBus, join
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.introductions import Introductions
from postbox.mesh.checkpoints import listing
from postbox.mesh.checkpoints.council import Council, Scene
from postbox.mesh.checkpoints.listing import Listing
from postbox.mesh.coordinates import telling
from postbox.mesh.coordinates.coordinates import MAX_PEERS, Coordinates
from postbox.mesh.coordinates.measuring import Measuring, Target
from postbox.mesh.coordinates.telling import Telling
from postbox.mesh.gossip import direct, exchange, zine
from postbox.mesh.gossip.direct import DirectMessages
from postbox.mesh.gossip.exchange import Zines
from postbox.mesh.gossip.farewell import Farewell
from postbox.mesh.gossip.presence import Presence
from postbox.mesh.gossip.rounds import Gossip
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.memory import CAPACITY
from postbox.mesh.merging.intake import Intake
from postbox.mesh.merging.news import News, Newsroom
from postbox.mesh.peers import query
from postbox.mesh.peers.finding import Finder
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.places import mesh_ip_of, place_of
from postbox.mesh.peers.records import Records
from postbox.mesh.peers.roster import Roster
from postbox.mesh.peers.saving import Saver
from postbox.mesh.projections.projections import Projections
from postbox.mesh.serving.callers import Callers, Gate
from postbox.mesh.serving.greeting import Greeting
from postbox.mesh.serving.routes import OpenGet, OpenPost, Routes, SignedPost
from postbox.mesh.serving.server import MeshServer, make_app
from postbox.mesh.serving.sync import SyncAnswers
from postbox.metrics import Metrics
from postbox.net.addresses import Reach, reach_of
from postbox.net.client import Client, open_client
from postbox.store.runner import StoreRunner
from postbox.trust.directory import Directory
from postbox.trust.hello import HELLO_BYTES
from postbox.trust.keys import Identity
from postbox.trust.waiting import Waiting
from postbox.world import Clock, World

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework


@dataclass(frozen=True)
class Mesh:
    """`url`: where peers are told to call this node, "" for nowhere. `on_bus`: what it says and
    hears on `bus`."""

    world: World
    config: MeshConfig
    url: str
    identity: Identity
    directory: Directory
    ledger: MeshLedger
    intake: Intake
    news: Newsroom
    projections: Projections
    introductions: Introductions
    peers: Roster
    saver: Saver
    bus: Bus
    on_bus: OnBus
    coordinates: Coordinates
    presence: Presence
    http: Client
    reach: Reach
    metrics: Metrics

    @cached_property
    def recovery(self) -> Recovery:
        index, intake, roster = self.ledger.index, self.intake, self.peers
        means = Means(self.world, index, intake, roster, self.peer_of)
        return Recovery(means, self.metrics, self.on_bus.exchange.ask)

    @cached_property
    def zines(self) -> Zines:
        index = self.ledger.index
        me, intake = self.identity, self.intake
        return Zines(self.world, me, self.directory, index, intake, self.peers, self.metrics)

    @cached_property
    def direct_messages(self) -> DirectMessages:
        return DirectMessages(self.identity.name, self.directory, self.intake, self.metrics)

    @cached_property
    def council(self) -> Council:
        return Council(
            self.world,
            self.identity,
            self.ledger.index,
            self.projections,
            self.intake,
            self.bus,
            self.directory,
            Scene(self._is_settled, self._online),
            self.metrics,
        )

    def _is_settled(self) -> bool:
        """Whether what was missed is back, as far as it will be."""
        progress, now_ns = self.recovery.progress, self.world.clock.now_ns()
        return progress.ended_ns > 0 or 0 < progress.began_ns < now_ns - SETTLED_NS

    def _online(self) -> int:
        """Peers."""
        names = (name for name in self.projections.names() if name != self.identity.name)
        return sum(self.projections.is_online(name) is True for name in names)

    def peer_of(self, known: Known) -> Peer:
        """With whom the operator named one gets to know each other; anybody else must be who it
        is taken for."""
        is_named = known.origin is Origin.CONFIGURED
        return self.peer(known.url, "" if is_named else known.name)

    def peer(self, url: str, name: str = "") -> Peer:
        """`name`: who must be there, of a URL that the operator did not give."""
        clock = self.world.clock
        return Peer(clock, self.http, self.identity, self.directory, self.introductions, url, name)

    def make_app(self, about: Callable[[], wire.About]) -> ASGIFramework:
        callers = Callers(
            self.world.clock,
            self.directory,
            self.introductions,
            self.peers,
            self.reach,
            requests_per_minute=self.config.requests_per_minute,
            concurrent_requests=self.config.concurrent_requests,
        )
        return make_app(MeshServer(self.world, self.identity, callers, self._routes(about)))

    def _routes(self, about: Callable[[], wire.About]) -> Routes:
        """All that a node of the mesh answers; `app.ROUTES` has the same paths, to be counted."""
        world, identity = self.world, self.identity
        sync = SyncAnswers(world, identity, self.ledger.index, self.peers, self.metrics)
        greeting = Greeting(
            world.clock, identity, self.introductions, self.peers, self.reach, about
        )
        answering = query.Answering(identity.name, self.url, self.directory, self.peers)
        coordinates = Telling(identity.name, self.coordinates)
        checkpoints = Listing(world, identity.name, self.ledger.index, self.reach, self.metrics)
        return Routes(
            posts={
                **dict.fromkeys(wire.SYNC_PATHS, SignedPost(sync.answer, wire.REQUEST_BYTES)),
                wire.ZINE_PATH: SignedPost(
                    self.zines.answer,
                    zine.MAX_BYTES,
                    Gate(world.clock, "zines", exchange.ZINES_PER_MINUTE, exchange.ZINES_AT_ONCE),
                ),
                wire.DM_PATH: SignedPost(
                    self.direct_messages.answer,
                    direct.MAX_BYTES,
                    Gate(world.clock, "messages", direct.PER_MINUTE, direct.AT_ONCE),
                ),
                wire.HELLO_PATH: OpenPost(greeting.hello, HELLO_BYTES),
            },
            gets={
                wire.PING_PATH: OpenGet(greeting.ping, from_anywhere=True),
                query.PATH: OpenGet(answering.answer),
                telling.PATH: OpenGet(coordinates.answer),
                listing.PATH: OpenGet(checkpoints.answer, is_large=True),
            },
        )

    async def keep_up(self) -> None:
        """All that this node does by itself to be part of the mesh, until cancelled."""
        await run_loops(self.loops())

    def loops(self) -> dict[str, Loop]:
        """The parts of `keep_up`, by name."""
        return {
            "recovery": self.recovery.run,
            "keeping": self._keep,
            "finding": self.finder().run,
            **self.on_bus.loops(),
            "measuring": self._measuring().run,
            "proposing": self.council.propose_daily,
            "voting": self.council.cast,
            "presence": self.presence.run,
            "gossip": self._gossip().run,
            "refreshing": self._refresher().run,
        }

    async def leave(self) -> None:
        """Says goodbye, to a few peers and on the bus, in a few seconds at most: a node whose
        database is away stops all the same, and is missed."""
        chau = None
        with trio.move_on_after(GOODBYE_S):
            chau = await self.presence.leave()
        if chau is not None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._farewell().bring, chau)
                nursery.start_soon(self.on_bus.farewell)

    def finder(self) -> Finder:
        return Finder(
            self.world,
            self.peers,
            self.directory,
            self.introductions,
            self.intake,
            self.http,
            self.reach,
            self.peer_of,
        )

    def _farewell(self) -> Farewell:
        return Farewell(self.direct_messages, self.peers, self.peer_of)

    def _gossip(self) -> Gossip:
        return Gossip(
            self.world,
            self.zines,
            self.peers,
            self.peer_of,
            self.metrics,
            chattiness=self.config.chattiness,
            is_short=self.ledger.index.capacity <= CAPACITY["short"],
        )

    def _refresher(self) -> Refresher:
        every_s = self.config.refresh_every
        return Refresher(self.world, self.peers, self.intake, self.peer_of, self.metrics, every_s)

    def _measuring(self) -> Measuring:
        return Measuring(
            self.world,
            self.identity,
            self.coordinates,
            self.intake,
            lambda: [
                Target(one.name, one.url) for one in self.peers.choose(MAX_PEERS, purpose="ping")
            ],
            self.peer,
            self.metrics,
        )

    async def _keep(self) -> None:
        """Up with every configured peer, once they were asked for what was missed."""
        with trio.move_on_after(HEAD_START_S):
            await self.recovery.had_turn.wait()
        pause_s = self.config.pull_every
        await keep_up(
            [
                Keeper(
                    self.world,
                    self.peer(link.url),
                    link,
                    self.peers,
                    self.intake,
                    pause_s,
                    self.metrics,
                )
                for link in self.peers.configured
            ]
        )


GOODBYE_S = 2.0
"""For the goodbye to be in the log, before it is said."""

SETTLED_NS = 1800 * 10**9
"""So long a node that finds no peers, but hears a broker, is taken to know too little to vote."""


def _measured(clock: Clock, coordinates: Coordinates, news: News) -> None:
    for trip in news.pings:
        coordinates.learned(trip, clock.now_ns())


@asynccontextmanager
async def open_mesh(
    world: World,
    config: Config,
    url: str,
    identity: Identity,
    directory: Directory,
    waiting: Waiting,
    records: Records,
    store: StoreRunner,
    tail: Tail,
    admission: Admission,
    ledger: MeshLedger,
    intake: Intake,
    news: Newsroom,
    projections: Projections,
    metrics: Metrics,
) -> AsyncIterator[Mesh]:
    reach = reach_of(config)
    coordinates = Coordinates(world.random, identity.name, config.mesh.coordinates)
    roster = Roster(world, identity.name, config.mesh.peers, records, admission)
    roster.distance_ms = coordinates.distance_ms
    saver = Saver(world, store, admission, roster)
    news.listen(partial(_measured, world.clock, coordinates))
    roster.is_online = projections.is_online
    await saver.load()
    bus = Bus(world, config.mesh, reach, metrics)
    presence = Presence(
        world,
        identity,
        ledger.index,
        intake,
        mesh_ip_of(url),
        lambda: bus.is_configured or roster.has_company(),
    )
    on_bus = join(
        world,
        identity,
        bus,
        directory,
        ledger,
        roster,
        intake,
        projections,
        presence,
        reach,
        url,
    )
    if bus.is_configured:
        tail.follow(on_bus.announcer)
    news.listen(
        partial(
            roster.learned,
            is_known=lambda name: directory.key_of(name) is not None,
            place_of=partial(place_of, reach=reach),
        )
    )
    async with open_client(world.net, reach=reach) as http:
        yield Mesh(
            world=world,
            config=config.mesh,
            url=url,
            identity=identity,
            directory=directory,
            ledger=ledger,
            intake=intake,
            news=news,
            projections=projections,
            introductions=Introductions(
                world,
                identity,
                directory,
                waiting,
                admission,
                http,
                reach,
                config.mesh.admit,
                metrics,
                url,
            ),
            peers=roster,
            saver=saver,
            bus=bus,
            on_bus=on_bus,
            coordinates=coordinates,
            presence=presence,
            http=http,
            reach=reach,
            metrics=metrics,
        )
