"""The hosts' door of a node, put together: what it answers, what it sends, and whom it knows.

It is there without a name, too: then nothing is sent or taken, and what is posted waits in the log.
What calls others runs where the lease is (`run`); what answers runs in every process that serves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from postbox.config import Config
from postbox.hosts.applications.drafts import DraftTaker
from postbox.hosts.applications.handled_types import HandledTypes
from postbox.hosts.applications.host import Host, Parts
from postbox.hosts.applications.inbox import Inbox
from postbox.hosts.guilds.policy import GuildPolicy
from postbox.hosts.guilds.telling import Tell
from postbox.hosts.keys.keys import KeyCache
from postbox.hosts.keys.own_keys import OwnKeys
from postbox.hosts.keys.rules import HostKeyRules, LearnKeys, PeerKeys
from postbox.hosts.keys.strangers import Strangers
from postbox.hosts.links.links import Links
from postbox.hosts.links.retention import Keep, Retention
from postbox.hosts.links.room import Room
from postbox.hosts.links.rules import HostRules
from postbox.hosts.sending.client import Calls, Clients, dial_hosts
from postbox.hosts.sending.intake import Intake
from postbox.hosts.sending.receiver import Receiver
from postbox.hosts.sending.sender import SENDERS, Sender
from postbox.hosts.sending.waking import Waker
from postbox.hosts.serving.callers import Callers
from postbox.hosts.serving.contacts import Contacts
from postbox.hosts.serving.figures import Figures
from postbox.hosts.serving.follows import Follows
from postbox.hosts.serving.known import KnownHosts
from postbox.log.admission import Admission
from postbox.log.leases import Work
from postbox.log.outbox import Outbox
from postbox.log.tail import Tail
from postbox.metrics import Metrics
from postbox.net.addresses import reach_of_hosts
from postbox.store.runner import StoreRunner
from postbox.trust.keys import Identity
from postbox.world import World

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

__all__ = ["SENDERS", "Hosts", "open_hosts"]


@dataclass(frozen=True)
class Log:
    """The node's, as far as this door needs it."""

    store: StoreRunner
    tail: Tail
    admission: Admission
    outbox: Outbox
    database: str
    """Where it lies, for connections of an application's own."""


@dataclass(frozen=True)
class Hosts:
    world: World
    config: Config
    log: Log
    rules: HostRules
    links: Links
    intake: Intake
    room: Room
    known: KnownHosts
    own_keys: OwnKeys
    keys: KeyCache
    contacts: Contacts
    clients: Clients
    waker: Waker
    metrics: Metrics
    figures: Figures
    once: list[Work]
    """What one process of a node does for it."""
    follows: Follows = field(default_factory=Follows)

    @property
    def name(self) -> str:
        """This host's own, in its one spelling; empty: it has none."""
        return self.config.hosts.name

    def make_app(self) -> ASGIFramework:
        """What answers, at the paths of `wire.PATHS`."""
        # connectrpc takes a while to load
        from postbox.hosts.serving.server import HostsServer, make_app, without_a_name

        if not self.name:
            return without_a_name
        reach = reach_of_hosts(loopback=self.config.serve.loopback)
        callers = Callers(
            self.world.clock,
            self.keys,
            self.contacts,
            reach.counts_as,
            self.waker.wake,
            requests_per_minute=self.config.hosts.requests_per_minute,
        )
        server = HostsServer(
            self.world.clock,
            callers,
            self.intake,
            self.links,
            self.log.tail,
            self.follows,
            self.metrics,
            self.own_keys.reply,
        )
        return make_app(server, reach)

    def end_streams(self) -> None:
        """Those that would stay open, when the node stops."""
        self.follows.end()

    async def run(self) -> None:
        """Until cancelled, where the lease is."""
        async with trio.open_nursery() as nursery:
            for work in self.once:
                nursery.start_soon(work)


@asynccontextmanager
async def open_hosts(
    world: World,
    config: Config,
    identity: Identity,
    log: Log,
    metrics: Metrics,
    host: Host,
    tell: Tell,
) -> AsyncIterator[Hosts]:
    """`config.hosts.name` is in its one spelling (`naming.named`). `host`: an application's."""
    async with trio.open_nursery() as nursery:
        hosts = await _assemble(world, config, identity, log, metrics, tell, nursery)
        _send(hosts, nursery)
        _handle(hosts, host, tell, nursery)
        try:
            yield hosts
        finally:
            host.detach()
            nursery.cancel_scope.cancel()


async def _assemble(
    world: World,
    config: Config,
    identity: Identity,
    log: Log,
    metrics: Metrics,
    tell: Tell,
    nursery: trio.Nursery,
) -> Hosts:
    name, is_local = config.hosts.name, config.serve.loopback
    rules = HostRules(GuildPolicy(name, config.hosts.invites, is_local, tell))
    known = KnownHosts(config.hosts.admit, is_local=is_local)
    own_keys = OwnKeys(identity, name, world.clock)
    calls = Calls(*dial_hosts(world.net, config), nursery)

    async def save(peer: PeerKeys) -> None:
        await log.admission.submit(HostKeyRules(), [LearnKeys(peer)])

    keys = KeyCache(
        world,
        name,
        is_local=is_local,
        settings=known.settings,
        fetch=calls.get_key,
        save=save,
        counts_as=reach_of_hosts(loopback=is_local).counts_as,
        count=metrics.key_fetch,
    )
    for follower in (known, own_keys, keys):
        await log.tail.join(follower, follower.load)
    contacts = Contacts(world, log.admission, rules)
    links = Links(world, log.store, log.outbox, log.admission, rules)
    room = Room(world.clock, log.store, config.hosts.retain_mib)
    log.tail.follow(room)
    return Hosts(
        world=world,
        config=config,
        log=log,
        rules=rules,
        links=links,
        intake=Intake(world, log.admission, rules, links, room),
        room=room,
        known=known,
        own_keys=own_keys,
        keys=keys,
        contacts=contacts,
        clients=Clients(calls, name, own_keys, keys, known.settings, world, contacts),
        waker=Waker(world, log.store, log.outbox),
        metrics=metrics,
        figures=Figures(links, metrics),
        once=[],
    )


def _send(hosts: Hosts, nursery: trio.Nursery) -> None:
    """Calls other hosts: nobody does who has no name."""
    if not hosts.name:
        return
    world, log, client_of = hosts.world, hosts.log, hosts.clients.of
    sender = Sender(world, log.outbox, hosts.links, client_of)
    receiver = Receiver(
        world,
        hosts.links,
        hosts.intake,
        hosts.known.contacts,
        hosts.known.settings,
        client_of,
        hosts.waker,
        is_following=hosts.config.hosts.follow,
    )
    log.tail.follow(sender)
    hosts.once.extend((sender.run, receiver.run))
    nursery.start_soon(hosts.waker.run)
    hosts.once.append(Strangers(world, log.store, log.admission, hosts.keys).run)
    for lease, work in hosts.keys.loops():
        if lease is None:
            nursery.start_soon(work)
        else:
            hosts.once.append(work)


def _handle(hosts: Hosts, host: Host, tell: Tell, nursery: trio.Nursery) -> None:
    """What came goes to the application, and what it posts in its own transactions is taken."""
    world, log = hosts.world, hosts.log
    is_local = hosts.config.serve.loopback
    types = HandledTypes(world, log.store, log.admission, host.handlers)
    nursery.start_soon(types.note)
    inbox = Inbox(world, log.outbox, log.admission, host.handlers, types, log.database)
    taker = DraftTaker(world, log.store, log.admission, hosts.rules, hosts.name, is_local)
    log.tail.follow(inbox)
    keep = Keep(hosts.config.hosts.retain_days, hosts.config.hosts.retain_mib)
    retention = Retention(
        world, log.store, log.outbox, log.admission, hosts.rules, keep, hosts.room
    )
    hosts.once.extend((inbox.run, taker.run, retention.run))
    host.attach(
        Parts(
            world,
            log.store,
            log.admission,
            hosts.rules,
            taker,
            hosts.name,
            is_local,
            log.database,
            tell,
        )
    )
