"""The composition root: a node that serves. What listens, what runs, and in which order it starts
and ends; the only file that knows everything.

    home's lock ⊃ listener ⊃ node ⊃ the doors ⊃ the operator's socket ⊃ the doors' loops

The listener comes before the node, so that who asks is told that the node is starting (a large log
takes its time). What calls others begins when others can call: two hosts that start at once ask
each other for their keys. To stop: nobody gets in any more, requests under way get their time, then
loops, node and store end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import trio

from postbox.admin import open_files
from postbox.admin.command import Desk, Serving
from postbox.admin.listening import url_for_peers
from postbox.admin.server import serve_operator
from postbox.clients.upkeep import UPKEEP
from postbox.clients.wire import PATHS as CLIENT_PATHS
from postbox.clients.wire import SERVICE as CLIENT_SERVICE
from postbox.config import Config
from postbox.errors import Full, HistoryChanged, Stopped, Unavailable, in_one_line, leaves
from postbox.home import open_home
from postbox.hosts.applications.host import Host
from postbox.hosts.door import SENDERS, Hosts
from postbox.hosts.serving.naming import named
from postbox.hosts.wire import PATHS as HOST_PATHS
from postbox.hosts.wire import SERVICES
from postbox.log.disk_use import DiskUse
from postbox.log.retries import Retries
from postbox.logs import get
from postbox.mesh.background.keeping import PULLS
from postbox.mesh.background.loops import run_loops
from postbox.mesh.checkpoints import listing
from postbox.mesh.coordinates import telling
from postbox.mesh.ledger import RETENTION
from postbox.mesh.memory import mode_of
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers import query
from postbox.mesh.peers.standing_rules import Regard
from postbox.mesh.wire import (
    DM_PATH,
    HELLO_PATH,
    MODES,
    PING_PATH,
    SYNC_PATHS,
    ZINE_PATH,
    About,
)
from postbox.metrics import CONTENT_TYPE, Door, Metrics
from postbox.net.addresses import reach_of
from postbox.net.asgi import Reply, routed
from postbox.net.health import PATHS as HEALTH_PATHS
from postbox.net.health import Front
from postbox.net.limits import DEFAULT_LIMITS, Limits
from postbox.net.server import TcpAddress, serve
from postbox.net.tls import server_tls
from postbox.node import Node, node_in
from postbox.page.door import PATHS as PAGE_PATHS
from postbox.page.door import open_site, paged
from postbox.page.sessions import Sessions
from postbox.page.site import Site
from postbox.rules import Payer
from postbox.world import World

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

    from postbox.clients.door import Clients
    from postbox.mesh.door import Mesh

ROUTES: dict[str, Door] = {
    **dict.fromkeys((query.PATH, telling.PATH, listing.PATH), "mesh"),
    **dict.fromkeys((*SYNC_PATHS, ZINE_PATH, DM_PATH, HELLO_PATH, PING_PATH), "mesh"),
    **dict.fromkeys(HOST_PATHS.values(), "hosts"),
    **dict.fromkeys(CLIENT_PATHS.values(), "clients"),
    **dict.fromkeys(HEALTH_PATHS, "node"),
    **dict.fromkeys(PAGE_PATHS, "page"),
}


async def run(
    world: World,
    home: Path,
    config: Config,
    name: str | None,
    *,
    stop: trio.Event,
    ready: Callable[[str], None],
    host: Host | None = None,
) -> None:
    """Serve the node of this home until `stop` is set. `ready` is told the URL when it answers.
    `host`: an application's, which runs it."""
    metrics = Metrics(ROUTES)
    front = Front(lambda: Reply(200, metrics.render(), CONTENT_TYPE), config.metrics.networks)
    listener = _Listener(world, config, front, metrics)
    with open_home(home):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(listener.run)
            opening = partial(node_in, world, home, named(config, url), name)
            await _Opened(opening, listener, url, stop, ready, host or Host()).keep()
            nursery.cancel_scope.cancel()


@dataclass
class _Opened:
    """The node behind the listener: opened, and opened again when its log turns out to be another
    than it knew, since what it has in memory is then of no use."""

    opening: Callable[[], AbstractAsyncContextManager[Node]]
    listener: _Listener
    url: str
    stop: trio.Event
    ready: Callable[[str], None]
    host: Host
    _was_ready: bool = False
    _retries: Retries = field(default_factory=Retries)

    async def keep(self) -> None:
        while not self.stop.is_set():
            try:
                await self._open()
            except BaseExceptionGroup as group:
                if not self._may_open_again(group):
                    raise
                why = in_one_line(leaves(group))
                get("postbox.app").warning("the node is opened again", why=why)
                self.listener.front.begin_again("starting again")
                await self._retries.wait()

    async def _open(self) -> None:
        front, metrics = self.listener.front, self.listener.metrics
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_opening, self.stop, front, nursery.cancel_scope)
            async with self.opening() as node:
                _watch(node, metrics)
                serving = _Serving(node, self.listener, self.url, self.host)
                await serving.run(self.stop, self._say_ready)
            nursery.cancel_scope.cancel()

    def _say_ready(self, url: str) -> None:
        if not self._was_ready:
            self.ready(url)
        self._was_ready = True
        self._retries.succeeded()

    def _may_open_again(self, group: BaseExceptionGroup[BaseException]) -> bool:
        """A node that was ready once also waits for its database to come back, and for room."""
        errors = leaves(group)
        if not all(
            isinstance(one, HistoryChanged | Stopped | Unavailable | Full) for one in errors
        ):
            return False
        return self._was_ready or any(isinstance(one, HistoryChanged) for one in errors)


@dataclass
class _Listener:
    """The node's address, and whoever is connected to it."""

    world: World
    config: Config
    front: Front
    metrics: Metrics
    address: TcpAddress = field(init=False)
    _close: trio.Event = field(default_factory=trio.Event)
    _closed: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.address = _address(self.config)

    async def run(self, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        await serve(
            self.world,
            self.front,
            self.address,
            stop=self._close,
            limits=_limits(self.config),
            reach=reach_of(self.config),
            metrics=self.metrics,
            task_status=task_status,
        )
        self._closed.set()

    async def end(self) -> None:
        """Nobody gets in any more; returns when who is in has been served, or is out of time."""
        self._close.set()
        await self._closed.wait()


@dataclass(frozen=True)
class _Serving:
    """An open node behind the listener. `listening`: the URL where."""

    node: Node
    listener: _Listener
    listening: str
    host: Host

    async def run(self, stop: trio.Event, ready: Callable[[str], None]) -> None:
        """The doors, their loops and the operator's socket, until `stop`."""
        node, metrics = self.node, self.listener.metrics
        since_s = node.world.clock.elapsed_s()
        async with (
            node.open_mesh(metrics, self._url_for_peers) as mesh,
            node.open_hosts(metrics, self.host) as hosts,
            node.open_clients(metrics) as clients,
            trio.open_nursery() as operator,
        ):
            sessions = Sessions(node.world.clock, node.world.random)
            doorkeeper = sessions.doorkeeper if node.config.page.enabled else None
            serving = Serving(
                self.url, since_s, mesh, hosts, clients, doorkeeper, self.listener.address.tls
            )
            desk = Desk(node, serving)
            site = open_site(desk, serving, metrics, sessions)
            await operator.start(partial(serve_operator, desk, stop=stop))
            about = partial(self._about, since_s)
            called = hosts.make_app()
            doors = [(f"/{service}/", called) for service in SERVICES]
            doors.append((f"/{CLIENT_SERVICE}/", clients.make_app()))
            app = routed(doors, mesh.make_app(about))
            if node.config.page.enabled:
                app = paged(app, site)
            await self._answer(app, mesh, hosts, clients, site, stop, ready)

    async def _answer(
        self,
        app: ASGIFramework,
        mesh: Mesh,
        hosts: Hosts,
        clients: Clients,
        site: Site,
        stop: trio.Event,
        ready: Callable[[str], None],
    ) -> None:
        log, node, front = get("postbox.app"), self.node, self.listener.front
        disk_use = DiskUse(node.store)
        _watch_disk(disk_use, self.listener.metrics)
        _watch_peers(mesh, self.listener.metrics)
        async with trio.open_nursery() as loops:
            loops.start_soon(disk_use.watch)
            loops.start_soon(hosts.figures.keep)
            loops.start_soon(run_loops, {"saving": mesh.saver.run})
            front.open(app)
            loops.start_soon(node.leases.hold, PULLS, mesh.keep_up)
            loops.start_soon(node.leases.hold, SENDERS, hosts.run)
            loops.start_soon(node.leases.hold, UPKEEP, clients.keep_up)
            try:
                home, name, host = str(node.home), node.identity.name, node.config.hosts.name
                log.info("ready", url=self.url, name=name, host=host, home=home)
                ready(self.url)
                await stop.wait()
                log.info("stopping")
                await mesh.leave()
            finally:  # of a node that fails, too, since what it answers from is of no use then
                front.close("stopping")
                hosts.end_streams()
                clients.end_streams()
                site.streams.end_all()
            await self.listener.end()
            loops.cancel_scope.cancel()

    @property
    def url(self) -> str:
        return self.node.config.mesh.url or self.listening

    @property
    def _url_for_peers(self) -> str:
        return url_for_peers(self.node.config, self.listening)

    def _about(self, since_s: float) -> About:
        uptime_s = int(self.node.world.clock.elapsed_s() - since_s)
        index = self.node.ledger.index
        mode = mode_of(index.capacity)
        return About(
            version("postbox"), list(MODES), self._url_for_peers, mode, uptime_s, len(index)
        )


async def _stop_opening(stop: trio.Event, front: Front, opening: trio.CancelScope) -> None:
    """A node that is told to stop while it still reads its log."""
    await stop.wait()
    if not front.was_open:
        opening.cancel()


def _address(config: Config) -> TcpAddress:
    host, port = config.serve.listen
    cert, key = config.serve.tls_cert, config.serve.tls_key
    return TcpAddress(host, port, server_tls(cert, key) if cert and key else None)


def _limits(config: Config) -> Limits:
    return replace(
        DEFAULT_LIMITS,
        max_connections=open_files.room(config),
        max_connections_per_address=config.serve.max_connections_per_address,
    )


def _watch(node: Node, metrics: Metrics) -> None:
    node.intake.listen(partial(_count, metrics))
    index, clock = node.ledger.index, node.world.clock
    started_s = clock.elapsed_s()
    metrics.watch("ledger_events", "Events in the ledger.", lambda: len(index))
    metrics.watch("ledger_capacity_events", "As many the ledger keeps.", lambda: index.capacity)
    metrics.watch("log_head", "The last position given out.", lambda: node.tail.head)
    metrics.watch("known_names", "Names with a known key.", lambda: len(node.directory))
    metrics.watch("online_names", "Of those: online, by what events say.", partial(_online, node))
    metrics.watch("waiting_names", "Names that wait to be let in.", lambda: len(node.waiting))
    for name in (PULLS, RETENTION, SENDERS, UPKEEP):
        is_held = partial(node.leases.is_held, name)
        metrics.watch(f"lease_{name}", f"1 if this process holds the lease {name}.", is_held)
    metrics.watch("uptime_seconds", "Since the node opened.", lambda: clock.elapsed_s() - started_s)


def _online(node: Node) -> int:
    return sum(node.projections.online(known.name) == "online" for known in node.directory.all())


def _watch_disk(disk_use: DiskUse, metrics: Metrics) -> None:
    metrics.watch("store_bytes", "What the log takes of its disk.", disk_use.used_bytes)
    metrics.watch("store_free_bytes", "Of that: empty, to be used again.", disk_use.free_bytes)
    metrics.watch("store_room_bytes", "What its disk has left.", disk_use.room_bytes)


def _watch_peers(mesh: Mesh, metrics: Metrics) -> None:
    roster = mesh.peers

    def count(regard: Regard) -> int:
        return sum(roster.regard(name) is regard for name in roster.accused())

    def count_in_touch() -> int:
        return sum(map(roster.is_in_touch, roster.all()))

    metrics.watch("peers", "Peers that this node knows of.", lambda: len(roster.all()))
    metrics.watch("peers_in_touch", "Of these: they proved lately to be there.", count_in_touch)
    for regard in (Regard.DEMOTED, Regard.BANNED):
        text = f"Of these: {regard}, for what they did."
        metrics.watch(f"peers_{regard}", text, partial(count, regard))


def _count(metrics: Metrics, payer: Payer, report: Report) -> None:
    source: Literal["peer", "import"] = "peer" if payer.kind == "peer" else "import"
    metrics.events_taken(source, "imported", report.imported)
    metrics.events_taken(source, "duplicate", report.duplicates)
    metrics.events_taken(source, "pruned", report.pruned)
    metrics.events_taken(source, "rejected", report.rejected.total())
    metrics.events_taken(source, "filtered", report.filtered)
