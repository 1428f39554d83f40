"""A node: what it consists of, in the order in which it is opened.

    home (lock, key) ⊃ store ⊃ tail, directory, ledger (rebuilt) ⊃ writer, keeper

Everything is closed in reverse. Whether it listens is not its business: `app` does that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from postbox import core
from postbox.clients.tables import MIGRATIONS as CLIENTS_MIGRATIONS
from postbox.config import Config, MeshConfig
from postbox.errors import Fatal, Fault, Unavailable
from postbox.home import DATABASE, database_of, open_home, remember_database
from postbox.hosts.tables import MIGRATIONS as HOSTS_MIGRATIONS
from postbox.log.admission import Admission
from postbox.log.anchor import FILE as ANCHOR
from postbox.log.anchor import keep_anchor, read_anchor
from postbox.log.cursor import log_mark
from postbox.log.epoch import History, settle_epoch
from postbox.log.feed import feed
from postbox.log.leases import Leases
from postbox.log.outbox import Outbox
from postbox.log.owner import ForeignLog, claim, owner_of
from postbox.log.tail import Tail, open_tail
from postbox.logs import get
from postbox.mesh.knowledge import Knowledge, Log
from postbox.mesh.ledger import RETENTION, MeshLedger
from postbox.mesh.memory import capacity_of
from postbox.mesh.merging.intake import Intake
from postbox.mesh.merging.news import Newsroom
from postbox.mesh.merging.personality_rules import Personality
from postbox.mesh.peers.records import Records
from postbox.mesh.projections.presence import FRESH_GOSSIP_NS, FRESH_NS
from postbox.mesh.projections.projections import Projections
from postbox.mesh.tables import MIGRATIONS as MESH_MIGRATIONS
from postbox.store.backup import server_epoch
from postbox.store.contract import Identity as StoreIdentity
from postbox.store.open import is_url, open_store
from postbox.store.runner import StoreRunner
from postbox.trust.directory import Directory
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.trust.keyfile import KeyFileError, has_key, open_identity
from postbox.trust.keys import Identity
from postbox.trust.notices import Notices
from postbox.trust.rules import KeyRules, own_draft
from postbox.trust.tables import MIGRATIONS as TRUST_MIGRATIONS
from postbox.trust.waiting import Waiting
from postbox.world import Pool, World

if TYPE_CHECKING:
    from postbox.clients.door import Clients
    from postbox.hosts.applications.host import Host
    from postbox.hosts.door import Hosts
    from postbox.mesh.door import Mesh
    from postbox.metrics import Metrics

HASH_KEY_BYTES = 16

MIGRATIONS = (TRUST_MIGRATIONS, MESH_MIGRATIONS, HOSTS_MIGRATIONS, CLIENTS_MIGRATIONS)
"""Of the doors that a node has, beside the log's own."""


@dataclass(frozen=True)
class Node:
    """An open node: everything the verbs work on."""

    world: World
    home: Path
    config: Config
    identity: Identity
    store: StoreRunner
    store_identity: StoreIdentity
    tail: Tail
    history: History
    admission: Admission
    outbox: Outbox
    leases: Leases
    directory: Directory
    waiting: Waiting
    records: Records
    ledger: MeshLedger
    intake: Intake
    news: Newsroom
    projections: Projections

    async def settle(self) -> None:
        """Until log and ledger agree: before a verb says what it has done. Where another process
        sees to that, it is not waited for."""
        await self.leases.within(RETENTION, partial(self.ledger.settle, self.admission))

    def open_mesh(self, metrics: Metrics, url: str = "") -> AbstractAsyncContextManager[Mesh]:
        """The mesh's door, for whoever asks peers or answers them. `url`: where peers are told to
        call this node."""
        from postbox.mesh.door import open_mesh  # HTTP, which takes longer to load than all else

        log = Log(self.store, self.tail, self.admission)
        knowledge = Knowledge(
            self.identity,
            self.directory,
            self.waiting,
            self.records,
            self.ledger,
            self.intake,
            self.news,
            self.projections,
        )
        return open_mesh(self.world, self.config, url, log, knowledge, metrics)

    def open_hosts(
        self, metrics: Metrics, host: Host | None = None
    ) -> AbstractAsyncContextManager[Hosts]:
        """The hosts' door. `host`: an application's, which runs this node."""
        from postbox.clients.neighbours import tell
        from postbox.hosts import door  # gRPC and tokens: slow to load, too
        from postbox.hosts.applications import host as application

        database = database_of(self.home, self.config.node.store)
        log = door.Log(self.store, self.tail, self.admission, self.outbox, database)
        host = host or application.Host()
        return door.open_hosts(self.world, self.config, self.identity, log, metrics, host, tell)

    def open_clients(self, metrics: Metrics) -> AbstractAsyncContextManager[Clients]:
        """The clients' door."""
        from postbox.clients import door  # protobuf and tokens
        from postbox.hosts.guilds.answering import Answering

        log = door.Log(self.store, self.store_identity, self.tail, self.admission)
        guilds = Answering(self.config.hosts.name)
        return door.open_clients(self.world, self.config, self.identity, log, metrics, guilds)


@asynccontextmanager
async def open_node(
    world: World, home: Path, config: Config, name: str | None = None, *, forgets: bool = True
) -> AsyncIterator[Node]:
    """The node of this home, made if there is none; nobody else has it open meanwhile.

    `name`: of a node that is made now. `forgets`: whether events beyond the capacity leave the log
    as well, as they do where events come in. Raises HomeInUse, KeyFileError, SchemaTooNew and
    other faults, with texts for the operator.
    """
    with open_home(home):
        async with node_in(world, home, config, name, forgets=forgets) as node:
            yield node


async def damage_of(world: World, home: Path, config: Config) -> list[str]:
    """What is wrong with the database of a home whose node does not open, in words."""
    database = database_of(home, config.node.store)
    with open_home(home):
        try:
            async with open_store(world, database, MIGRATIONS) as store:
                return await store.check()
        except Fatal as fault:
            if is_url(database):  # what is wrong with a server is not in the database
                raise
            return [str(fault)]


@asynccontextmanager
async def node_in(
    world: World, home: Path, config: Config, name: str | None = None, *, forgets: bool = True
) -> AsyncIterator[Node]:
    """`open_node` in a home whose lock the caller holds."""
    database = database_of(home, config.node.store)
    if is_url(database):
        await _check_server(world, home, database)
    else:
        identity = _identity_of(home, world, name)
    async with open_store(world, database, MIGRATIONS) as store:
        if is_url(database):
            identity = await _identity_on(store, home, world, name)
        await claim(store, identity.public_key)
        remember_database(home, database)
        index = core.Ledger(capacity_of(config.node.memory), world.random.bytes(HASH_KEY_BYTES))
        keys = core.Keys()
        ledger = MeshLedger(world, index, keys, forgets=forgets)
        node = await _assemble(world, home, config, identity, store, Directory(keys), ledger)
        async with _running(node):
            yield node


async def _check_server(world: World, home: Path, url: str) -> None:
    """Before anything is made there. A home without a node remembers a URL that does not answer, so
    that whoever tries again without saying it gets no node on SQLite."""
    has_own = (home / DATABASE).exists()
    try:
        epoch = await world.threads.run(Pool.READER, partial(server_epoch, world.disk, url))
    except Unavailable:
        if not has_own and not has_key(home):
            remember_database(home, url)
        raise
    if epoch is None and (has_own or read_anchor(home) is not None):
        raise Unfilled(home)


async def _identity_on(store: StoreRunner, home: Path, world: World, name: str | None) -> Identity:
    """Of a home whose log lies on a server: made if it has none, and the log is no other node's."""
    owner = await store.read(owner_of)
    if owner is not None and not has_key(home):
        raise ForeignLog(owner)
    return _identity_of(home, world, name)


class Unfilled(Fault):
    """A database without a log was named for a node that has one."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            f"the database is empty, and the node of {home} has had a log. If that is elsewhere,"
            " name it, or bring it over: postbox backup FILE, then postbox restore FILE --store URL"
            " with a new home. If it is lost, restore the last backup; to go on without one, move"
            f" {ANCHOR} and {DATABASE} out of {home}"
        )


async def _settle_history(world: World, home: Path, store: StoreRunner) -> None:
    anchor = read_anchor(home)
    if anchor is None or anchor.log != log_mark(await store.identity()):
        return  # none, or of another log, as of a home that had one of its own before
    if not await settle_epoch(store, world, anchor):
        get("postbox.node").warning(
            "the log went back: its epoch is new, and cursors from before are refused",
            known_position=anchor.pos,
            remedy="expected after a restore; else see docs/faults.md",
        )


def _identity_of(home: Path, world: World, name: str | None) -> Identity:
    """Made if there is none. A database without a key is a home that lost it: a new key would make
    its node a stranger."""
    is_new = not has_key(home)
    if is_new and (home / DATABASE).exists():
        raise KeyFileError(
            f"{home} has a database and no {KEY_FILE}: put back a copy of it. Without one, move"
            f" {DATABASE} away too, and the node starts anew with another key"
        )
    identity = open_identity(home, world.random, name)
    if is_new:
        log = get("postbox.node")
        log.info(
            "made a new node",
            name=identity.name,
            public_key=identity.public_key_base64,
            home=str(home),
        )
    return identity


async def _assemble(
    world: World,
    home: Path,
    config: Config,
    identity: Identity,
    store: StoreRunner,
    directory: Directory,
    ledger: MeshLedger,
) -> Node:
    tail = await open_tail(store)
    await _settle_history(world, home, store)  # after the tail, whose log it then speaks of
    store_identity = await store.identity()
    history = History(store_identity.epoch, tail, log_mark(store_identity))
    if store.is_shared:
        store.guard(history.expect)
    waiting = Waiting()
    await store.read(directory.load)
    await store.read(waiting.load)
    records = Records(world.clock)
    await store.read(records.load)
    directory.listen(ledger.learned)
    ledger.index.learn([known.name for known in directory.all()])
    ledger.index.count_votes_of(directory.keys)
    await ledger.rebuild(tail, directory.disputed())
    # In this order: a key that came in one commit with an event of its name finds that event.
    tail.follow(ledger)
    tail.follow(directory)
    tail.follow(waiting)
    tail.follow(records)
    tail.follow(Notices())
    personality = _personality_of(config.mesh)
    news = Newsroom(ledger.index)
    fresh_ns = FRESH_NS if config.mesh.mqtt else FRESH_GOSSIP_NS
    projections = Projections(world, ledger.index, identity.soul_text, personality, fresh_ns)
    tail.follow(news)
    tail.follow(projections)
    admission = Admission(world.clock, store, tail)
    outbox = Outbox(world, store, tail, admission)
    tail.follow(outbox)
    return Node(
        world=world,
        home=home,
        config=config,
        identity=identity,
        store=store,
        store_identity=store_identity,
        tail=tail,
        history=history,
        admission=admission,
        outbox=outbox,
        leases=Leases(world, store),
        directory=directory,
        waiting=waiting,
        records=records,
        ledger=ledger,
        intake=Intake(world, admission, directory, ledger, personality, config.mesh.cutoff),
        news=news,
        projections=projections,
    )


def _personality_of(config: MeshConfig) -> Personality:
    return Personality(config.agreeableness, config.sociability, config.chill)


STOP_S = 5.0
"""To hand back what is to be, and for a write under way: a database may be slow, or not answer."""


@asynccontextmanager
async def _writing(node: Node) -> AsyncIterator[trio.Nursery]:
    """The writer, until the end; a server that does not answer keeps no node from stopping."""
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(node.admission.run)
            yield nursery
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await node.store.end_writing(STOP_S)


@asynccontextmanager
async def _running(node: Node) -> AsyncIterator[None]:
    """The node's own tasks: the writer, what hears of other processes, the leases, the anchor, and
    the keeper that hands back what the ledger drops."""
    async with _writing(node) as nursery:
        if node.store.is_shared:
            nursery.start_soon(feed, node.store, node.tail, node.history.expect)
        nursery.start_soon(node.leases.run)
        nursery.start_soon(keep_anchor, node.home, node.history)
        keep = partial(node.ledger.keep, node.admission)
        await nursery.start(node.leases.hold, RETENTION, keep)
        own = own_draft(
            node.world.new_id(), node.identity.name, node.identity.public_key, node.identity.id
        )
        await node.admission.submit(KeyRules(), [own])
        await node.settle()
        yield
        with trio.move_on_after(STOP_S):
            await node.settle()
