"""The mesh's door of a node, put together: what it answers, whom it asks, and whom it knows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postbox.config import Config, MeshConfig
from postbox.log.admission import Admission
from postbox.mesh import wire
from postbox.mesh.background.keeping import Keeper, keep_up
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.introductions import Introductions
from postbox.mesh.intake import Intake
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.server import MeshServer, make_app
from postbox.metrics import Metrics
from postbox.net.addresses import Reach, reach_of
from postbox.net.client import Client, open_client
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.trust.waiting import Waiting
from postbox.world import World

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework


@dataclass(frozen=True)
class Mesh:
    world: World
    config: MeshConfig
    identity: Identity
    directory: Directory
    ledger: MeshLedger
    intake: Intake
    introductions: Introductions
    peers: Roster
    http: Client
    reach: Reach
    metrics: Metrics

    def peer(self, url: str) -> Peer:
        clock = self.world.clock
        return Peer(clock, self.http, self.identity, self.directory, self.introductions, url)

    def make_app(self, about: Callable[[], wire.About]) -> ASGIFramework:
        server = MeshServer(
            self.world,
            self.identity,
            self.directory,
            self.ledger.index,
            self.introductions,
            self.peers,
            self.reach,
            about,
            self.metrics,
            requests_per_minute=self.config.requests_per_minute,
            concurrent_requests=self.config.concurrent_requests,
        )
        return make_app(server)

    async def keep_up(self) -> None:
        """With every configured peer, until cancelled."""
        pause_s = self.config.pull_every
        await keep_up(
            [
                Keeper(self.world, self.peer(link.url), link, self.intake, pause_s, self.metrics)
                for link in self.peers.configured
            ]
        )


@asynccontextmanager
async def open_mesh(
    world: World,
    config: Config,
    identity: Identity,
    directory: Directory,
    waiting: Waiting,
    admission: Admission,
    ledger: MeshLedger,
    intake: Intake,
    metrics: Metrics,
) -> AsyncIterator[Mesh]:
    reach = reach_of(config)
    async with open_client(world.net, reach=reach) as http:
        yield Mesh(
            world=world,
            config=config.mesh,
            identity=identity,
            directory=directory,
            ledger=ledger,
            intake=intake,
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
            ),
            peers=Roster(world, config.mesh.peers),
            http=http,
            reach=reach,
            metrics=metrics,
        )
