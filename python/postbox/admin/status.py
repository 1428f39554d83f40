"""What a node is, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Serving, Tell
from postbox.admin.host_names import own_host
from postbox.core import service_names
from postbox.hosts.links.summary import LinkSummary, read_summary
from postbox.log.epoch import Renewal, last_renewal
from postbox.mesh.boot.progress import Progress
from postbox.store.contract import Size
from postbox.world import Pool

if TYPE_CHECKING:
    from postbox.admin.links import LinkSeen

STANDINGS = ("attested", "unproven", "hearsay")


class HostsStatus(Struct, frozen=True):
    """Of the links with other hosts. `name`: what they call this one, None without a name;
    `queued`: events that they have not acknowledged; `failing`: links whose last attempt did;
    `unhandled`: events that came, and that no handler is done with; `dead`: that were given up."""

    name: str | None
    links: int
    queued: int
    failing: int
    unhandled: int
    dead: int


class MqttStatus(Struct, frozen=True):
    """Of the connection to the broker that `mesh.mqtt` names. `error`: why there is none."""

    broker: str
    up: bool
    error: str


class Status(Struct, frozen=True):
    """The fields of `status --json`. `url`, `uptime_s`: None unless it serves; `digest`: equal for
    two ledgers exactly when they hold the same events with the same standing; `leases`: that this
    process holds, None where the node can have no other process; `disk`: what the log takes, None
    from a node that does not tell it yet; `renewed`: when and why the log got its epoch, None for
    the one that it was made with; `hosts`: None from a node that does not tell it yet; `recovery`:
    what it asked its peers for when it started, None unless it serves; `mqtt`: None without a
    broker, or unless it serves."""

    name: str
    url: str | None
    uptime_s: int | None
    events: int
    capacity: int
    digest: str
    epoch: str
    head: int
    keys: int
    services: dict[str, int]
    standings: dict[str, int]
    authors: dict[str, int]
    leases: list[str] | None = None
    disk: Size | None = None
    renewed: Renewal | None = None
    hosts: HostsStatus | None = None
    recovery: Progress | None = None
    mqtt: MqttStatus | None = None


async def _status(desk: Desk, _: Nothing, tell: Tell) -> Status:
    digest = await desk.node.world.threads.run(Pool.READER, desk.node.ledger.index.digest)
    return await status_of(desk, await desk.node.store.read(read_summary), digest.hex())


async def status_of(
    desk: Desk, links: Sequence[LinkSummary] | Sequence[LinkSeen], digest: str = ""
) -> Status:
    """`links`: all of them. `digest`: takes a look at every event, so who asks again and again
    leaves it out."""
    node, serving = desk.node, desk.serving
    index = node.ledger.index
    counts = index.counts()
    now_s = node.world.clock.elapsed_s()
    return Status(
        name=node.identity.name,
        url=None if serving is None else serving.url,
        uptime_s=None if serving is None else int(now_s - serving.since_s),
        events=len(index),
        capacity=index.capacity,
        digest=digest,
        epoch=node.store_identity.epoch.hex(),
        head=node.tail.head,
        keys=len(node.directory),
        services={name: counts[name] for name in service_names},
        standings={name: counts[name] for name in STANDINGS},
        authors=dict(index.authors()),
        leases=node.leases.held,
        disk=await node.store.size(),
        renewed=await node.store.read(last_renewal),
        hosts=_hosts(desk, links),
        recovery=None if serving is None else serving.mesh.recovery.progress,
        mqtt=_mqtt(desk.serving),
    )


def _mqtt(serving: Serving | None) -> MqttStatus | None:
    if serving is None or not serving.mesh.bus.is_configured:
        return None
    bus = serving.mesh.bus
    return MqttStatus(bus.broker, bus.is_up, bus.last_error)


def _hosts(desk: Desk, links: Sequence[LinkSummary] | Sequence[LinkSeen]) -> HostsStatus:
    return HostsStatus(
        name=own_host(desk),
        links=len(links),
        queued=sum(link.queued for link in links),
        failing=sum(link.attempts > 0 for link in links),
        unhandled=sum(link.unhandled for link in links),
        dead=sum(link.dead for link in links),
    )


STATUS = Command("status", Nothing, Status, _status)
