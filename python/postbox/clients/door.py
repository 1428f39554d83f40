"""The clients' door of a node, put together: whom it lets in, what it takes and what it gives.

It is there in every process that serves, and needs no lease: what its processes must agree on is
in the log, or told among them (docs/decisions/0035).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from postbox.clients.identity.callers import Callers
from postbox.clients.identity.devices import Devices
from postbox.clients.identity.issuers import Issuer, open_issuer
from postbox.clients.identity.tokens import token_key
from postbox.clients.live.between import Between, Here
from postbox.clients.live.delivery import Delivery
from postbox.clients.live.transitory import Transitory
from postbox.clients.live.words import SENDER_BYTES, Word
from postbox.clients.neighbours import Neighbour, told
from postbox.clients.reading.stream import Reading
from postbox.clients.rules.rules import ClientRules
from postbox.clients.serving.streams import Streams, Why
from postbox.clients.upkeep import UPKEEP, keep_up
from postbox.config import Config
from postbox.log.admission import Admission
from postbox.log.tail import Tail
from postbox.metrics import Metrics
from postbox.net.addresses import reach_of
from postbox.store.contract import Identity as StoreIdentity
from postbox.store.runner import StoreRunner
from postbox.trust.keys import SEED_BYTES, Identity
from postbox.world import World

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework


__all__ = ["UPKEEP", "Clients", "Log", "open_clients"]


@dataclass(frozen=True)
class Log:
    """The node's, as far as this door needs it."""

    store: StoreRunner
    identity: StoreIdentity
    tail: Tail
    admission: Admission


@dataclass(frozen=True)
class Clients:
    world: World
    config: Config
    log: Log
    rules: ClientRules
    devices: Devices
    issuer: Issuer | None
    callers: Callers
    reading: Reading
    transitory: Transitory
    delivery: Delivery
    metrics: Metrics
    streams: Streams

    def make_app(self) -> ASGIFramework:
        """What answers, at the paths of `wire.PATHS`."""
        # connectrpc takes a while to load
        from postbox.clients.serving.current import Current
        from postbox.clients.serving.server import ClientsServer, make_app
        from postbox.clients.serving.submissions import Submissions

        submissions = Submissions(
            self.world.clock,
            self.log.store,
            self.log.admission,
            self.rules,
            Current(self.log.store, self.reading.compiler.event),
            self.metrics,
        )
        server = ClientsServer(
            self.callers,
            submissions,
            self.reading,
            self.streams,
            self.transitory,
            self.delivery,
            self.metrics,
        )
        return make_app(server, reach_of(self.config), self.config.clients.origins, self.metrics)

    async def keep_up(self) -> None:
        """Until cancelled, where the lease is."""
        await keep_up(self.world, self.log.store, self.log.admission)

    def end_streams(self) -> None:
        """When the node stops: each device is told when to come back."""
        self.streams.end_all()


@asynccontextmanager
async def open_clients(
    world: World,
    config: Config,
    identity: Identity,
    log: Log,
    metrics: Metrics,
    neighbour: Neighbour,
) -> AsyncIterator[Clients]:
    async with trio.open_nursery() as nursery:
        clients = await _assemble(world, config, identity, log, metrics, neighbour, nursery)
        yield clients
        nursery.cancel_scope.cancel()


async def _assemble(
    world: World,
    config: Config,
    identity: Identity,
    log: Log,
    metrics: Metrics,
    neighbour: Neighbour,
    nursery: trio.Nursery,
) -> Clients:
    named = config.clients
    devices = Devices(world, log.store, log.admission, max_devices=named.max_devices)
    issuer = open_issuer(world, config)
    if issuer is not None:
        nursery.start_soon(issuer.run)
    callers = Callers(
        world,
        token_key(identity.soul[:SEED_BYTES]),
        issuer,
        devices,
        reach_of(config).counts_as,
        events_per_second=named.events_per_second,
        burst=named.burst,
    )
    reading = Reading(world.clock, log.store, log.tail, log.identity, partial(told, neighbour))
    streams = Streams()
    between = _between(world, config, log)
    transitory = Transitory(world.clock, log.store, _ignore if between is None else between.tell)
    delivery = Delivery(world, log.store, log.admission)
    for follower in (devices, reading.compiler, transitory):
        log.tail.follow(follower)
    clients = Clients(
        world=world,
        config=config,
        log=log,
        rules=ClientRules(neighbour),
        devices=devices,
        issuer=issuer,
        callers=callers,
        reading=reading,
        transitory=transitory,
        delivery=delivery,
        metrics=metrics,
        streams=streams,
    )
    devices.listen(lambda device: streams.end(device, Why.DEVICE_REVOKED))
    if between is not None:
        _join(between, clients, nursery)
    nursery.start_soon(transitory.run)
    nursery.start_soon(delivery.run)
    metrics.watch("client_streams", "Devices that listen.", lambda: len(streams))
    return clients


def _between(world: World, config: Config, log: Log) -> Between | None:
    """None: the node has one process."""
    if not log.store.is_shared:
        return None
    me = world.random.bytes(SENDER_BYTES)
    return Between(world.clock, log.store, me, config.clients.events_per_second)


def _ignore(word: Word) -> None:
    """Nobody else is there to be told."""


def _join(between: Between, clients: Clients, nursery: trio.Nursery) -> None:
    streams = clients.streams
    streams.listen(between.opened, between.closed)
    clients.callers.listen(between.spent)
    here = Here(
        lambda device: streams.end(device, Why.DISPLACED), clients.transitory, clients.callers
    )
    nursery.start_soon(between.hear, here)
    nursery.start_soon(between.speak, clients.transitory)
