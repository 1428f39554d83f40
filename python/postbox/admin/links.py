"""How the links with other hosts stand."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.admin.host_names import own_host
from postbox.hosts.links.links import Links
from postbox.hosts.links.rules import HostRules
from postbox.hosts.links.summary import LinkSummary
from postbox.rpc.postbox.v1.hosts_pb import View


class Theirs(Struct, frozen=True):
    """The link as the other host saw it at `at`: how many events it had for us that have not come
    since, the last number of ours that it stored, when it sends again, and how its last attempt
    failed."""

    at: datetime
    queued: int
    received: int
    next_attempt: datetime | None
    error: str


class LinkSeen(Struct, frozen=True):
    """A host that there was contact with. `queued`: events that it has not acknowledged;
    `acknowledged`: the number up to which it has all; `attempts` that failed since one did not;
    `received`: the number up to which all from there is stored here; `unhandled`: how many of those
    no handler is done with; `dead`: events to and from there that were given up."""

    host: str
    queued: int
    acknowledged: int
    next_attempt: datetime | None
    attempts: int
    error: str
    received: int
    unhandled: int
    dead: int
    last_contact: datetime | None
    theirs: Theirs | None


class LinksSeen(Struct, frozen=True):
    """The fields of `links --json`, by host. `idle`: why nothing is sent at all, if that is so."""

    links: list[LinkSeen]
    idle: str | None


def links_of(desk: Desk) -> Links:
    node = desk.node
    return Links(node.world, node.store, node.outbox, node.admission, HostRules())


def time_of(at_ms: int) -> datetime | None:
    """None for 0, which is never."""
    return datetime.fromtimestamp(at_ms / 1e3, UTC) if at_ms else None


async def _links(desk: Desk, _: Nothing, tell: Tell) -> LinksSeen:
    return LinksSeen([_seen(link) for link in await links_of(desk).summary()], _idle(desk))


def _idle(desk: Desk) -> str | None:
    if desk.serving is None:
        return "the node does not serve: what is queued waits until it does"
    if own_host(desk) is None:
        return (
            "this host has no name, so it sends nothing and takes nothing: serve --host"
            " DOMAIN:PORT, or hosts.name in config.toml"
        )
    return None


def _seen(link: LinkSummary) -> LinkSeen:
    return LinkSeen(
        host=link.host,
        queued=link.queued,
        acknowledged=link.acknowledged,
        next_attempt=time_of(link.next_attempt_ms),
        attempts=link.attempts,
        error=link.error,
        received=link.received,
        unhandled=link.unhandled,
        dead=link.dead,
        last_contact=time_of(link.last_contact_ms),
        theirs=_theirs(link.view, link.received),
    )


def _theirs(raw: bytes, received: int) -> Theirs | None:
    """None for what a host said that cannot be read."""
    try:
        view = View.from_binary(raw)
        at = time_of(view.now_ms)
        next_attempt = time_of(view.next_attempt_ms)
    except (ValueError, OverflowError, OSError, RecursionError):
        return None
    if at is None:
        return None
    queued = max(0, min(view.queued, view.acknowledged + view.queued - received))
    stored = 0 if view.received is None else view.received.seq
    return Theirs(at, queued, stored, next_attempt, view.last_error)


LINKS = Command("links", Nothing, LinksSeen, _links)
