"""The mesh's door of a node, put together: what it answers, whom it asks, and whom it knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import trio

from postbox.config import Config, MeshConfig
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
from postbox.mesh.coordinates.coordinates import Coordinates
from postbox.mesh.coordinates.measuring import CANDIDATES, Measuring, Target
from postbox.mesh.coordinates.telling import Telling
from postbox.mesh.gossip import direct, exchange, zine
from postbox.mesh.gossip.direct import DirectMessages
from postbox.mesh.gossip.exchange import Zines
from postbox.mesh.gossip.farewell import Farewell
from postbox.mesh.gossip.presence import Presence
from postbox.mesh.gossip.rounds import Gossip
from postbox.mesh.knowledge import Knowledge, Log
from postbox.mesh.memory import CAPACITY
from postbox.mesh.merging.news import News
from postbox.mesh.observing.observer import Observer
from postbox.mesh.observing.observer import Scene as Surroundings
from postbox.mesh.observing.watch import Watch
from postbox.mesh.peers import query
from postbox.mesh.peers.finding import Finder
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.places import mesh_ip_of, place_of
from postbox.mesh.peers.roster import Roster
from postbox.mesh.peers.saving import Saver
from postbox.mesh.serving.callers import Callers, Gate
from postbox.mesh.serving.greeting import Greeting
from postbox.mesh.serving.routes import OpenGet, OpenPost, Routes, SignedPost
from postbox.mesh.serving.server import MeshServer, make_app
from postbox.mesh.serving.sync import SyncAnswers
from postbox.metrics import Metrics
from postbox.net.addresses import Reach, reach_of
from postbox.net.client import Client, open_client
from postbox.trust.hello import HELLO_BYTES
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
    knowledge: Knowledge
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
        index, intake, roster = self.knowledge.ledger.index, self.knowledge.intake, self.peers
        means = Means(self.world, index, intake, roster, self.peer_of)
        return Recovery(means, self.metrics, self.on_bus.exchange.ask)

    @cached_property
    def zines(self) -> Zines:
        index = self.knowledge.ledger.index
        me, intake = self.knowledge.identity, self.knowledge.intake
        return Zines(
            self.world, me, self.knowledge.directory, index, intake, self.peers, self.metrics
        )

    @cached_property
    def direct_messages(self) -> DirectMessages:
        return DirectMessages(
            self.knowledge.identity.name,
            self.knowledge.directory,
            self.knowledge.intake,
            self.metrics,
        )

    @cached_property
    def council(self) -> Council:
        return Council(
            self.world,
            self.knowledge.identity,
            self.knowledge.projections,
            self.knowledge.intake,
            self.bus,
            self.knowledge.directory,
            Scene(self._is_settled, self._online, self.peers.require_dealings),
            self.metrics,
        )

    @cached_property
    def observer(self) -> Observer:
        knowledge, ledger = self.knowledge, self.knowledge.ledger.index
        views, me = knowledge.projections, knowledge.identity
        watch = Watch(
            self.world.clock, me.name, ledger, views, self.peers, self._is_settled, self._hears
        )
        knowledge.news.listen(watch.heard)
        scene = Surroundings(self._is_settled, self._online)
        return Observer(self.world, me, knowledge.intake, views, watch, scene)

    def _is_settled(self) -> bool:
        """Whether what was missed is back, as far as it will be."""
        progress, now_ns = self.recovery.progress, self.world.clock.now_ns()
        return progress.ended_ns > 0 or 0 < progress.began_ns < now_ns - SETTLED_NS

    def _hears(self) -> bool:
        return self.bus.is_up or not self.bus.is_configured

    def _online(self) -> int:
        """Peers."""
        projections, me = self.knowledge.projections, self.knowledge.identity.name
        return sum(projections.are_online([name for name in projections.names() if name != me]))

    def peer_of(self, known: Known) -> Peer:
        """With whom the operator named one gets to know each other; anybody else must be who it
        is taken for."""
        is_named = known.origin is Origin.CONFIGURED
        return self.peer(known.url, "" if is_named else known.name)

    def peer(self, url: str, name: str = "") -> Peer:
        """`name`: who must be there, of a URL that the operator did not give."""
        clock = self.world.clock
        return Peer(
            clock,
            self.http,
            self.knowledge.identity,
            self.knowledge.directory,
            self.introductions,
            url,
            name,
        )

    def make_app(self, about: Callable[[], wire.About]) -> ASGIFramework:
        callers = Callers(
            self.world.clock,
            self.knowledge.directory,
            self.introductions,
            self.peers,
            self.reach,
            requests_per_minute=self.config.requests_per_minute,
            concurrent_requests=self.config.concurrent_requests,
        )
        return make_app(
            MeshServer(self.world, self.knowledge.identity, callers, self._routes(about))
        )

    def _routes(self, about: Callable[[], wire.About]) -> Routes:
        """All that a node of the mesh answers; `app.ROUTES` has the same paths, to be counted."""
        world, identity = self.world, self.knowledge.identity
        sync = SyncAnswers(world, identity, self.knowledge.ledger.index, self.peers, self.metrics)
        greeting = Greeting(
            world.clock, identity, self.introductions, self.peers, self.reach, about
        )
        answering = query.Answering(identity.name, self.url, self.knowledge.directory, self.peers)
        coordinates = Telling(identity.name, self.coordinates)
        checkpoints = Listing(
            world, identity.name, self.knowledge.ledger.index, self.reach, self.metrics
        )
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
        """All that this node does by itself to be part of the mesh, until cancelled: of several
        processes by the one that holds the lease."""
        await self.saver.take_over()
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
            "observing": self.observer.run,
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
            self.knowledge.directory,
            self.introductions,
            self.knowledge.intake,
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
            is_short=self.knowledge.ledger.index.capacity <= CAPACITY["short"],
        )

    def _refresher(self) -> Refresher:
        every_s = self.config.refresh_every
        return Refresher(
            self.world, self.peers, self.knowledge.intake, self.peer_of, self.metrics, every_s
        )

    def _measuring(self) -> Measuring:
        return Measuring(
            self.world,
            self.knowledge.identity,
            self.coordinates,
            self.knowledge.intake,
            lambda: [
                Target(one.name, one.url) for one in self.peers.choose(CANDIDATES, purpose="ping")
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
                    self.knowledge.intake,
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


MOST_HELLOS = 2_000
"""Looked at when a node opens, of as many names as a roster holds: some 30 ms. Its log may have
come without its peers, by a crash, an import or a restore."""


def _measured(clock: Clock, coordinates: Coordinates, news: News) -> None:
    for trip in news.pings:
        coordinates.learned(trip, clock.now_ns())


@asynccontextmanager
async def open_mesh(
    world: World, config: Config, url: str, log: Log, knowledge: Knowledge, metrics: Metrics
) -> AsyncIterator[Mesh]:
    """`url`: where peers are told to call this node, "" for nowhere."""
    reach = reach_of(config)
    identity, directory = knowledge.identity, knowledge.directory
    coordinates = Coordinates(world.random, identity.name, config.mesh.coordinates)
    roster = Roster(world, identity.name, config.mesh.peers, knowledge.records, log.admission)
    roster.distance_ms = coordinates.distance_ms
    roster.are_online = knowledge.projections.are_online
    saver = Saver(world, log.store, log.admission, roster, coordinates)
    await saver.load()
    bus = Bus(world, config.mesh, reach, metrics)
    presence = Presence(
        world,
        identity,
        knowledge.ledger.index,
        knowledge.intake,
        mesh_ip_of(url),
        lambda: bus.is_configured or roster.has_company(),
    )
    on_bus = join(world, knowledge, bus, roster, presence, reach, url)
    if bus.is_configured:
        log.tail.follow(on_bus.announcer)
    knowledge.news.listen(partial(_measured, world.clock, coordinates))
    learn = partial(
        roster.learned,
        is_known=lambda name: directory.key_of(name) is not None,
        place_of=partial(place_of, reach=reach),
    )
    learn(knowledge.news.held(MOST_HELLOS))
    knowledge.news.listen(learn)
    async with open_client(world.net, reach=reach) as http:
        introductions = Introductions(
            world,
            identity,
            directory,
            knowledge.waiting,
            log.admission,
            http,
            reach,
            config.mesh.admit,
            metrics,
            url,
        )
        yield Mesh(
            world=world,
            config=config.mesh,
            url=url,
            knowledge=knowledge,
            introductions=introductions,
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
