"""Whom this node has to do with: the configured peers, asked right now, and who asked us."""

from __future__ import annotations

from functools import partial

import trio
from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.errors import Fault, WireError
from postbox.mesh.background.keeping import PULLS
from postbox.mesh.door import Mesh
from postbox.mesh.peers.known import Caller, Contact, Known


class Seen(Struct, frozen=True):
    """A configured peer. `answers`: to a ping, now; without it `error` says why not, else why the
    last round failed, if it did. `clock_off_ms`: its clock less ours. `contact` and what follows:
    of this node's own rounds, while it serves; times are Unix nanoseconds, 0 for none."""

    url: str
    name: str
    kind: str
    version: str
    memory_mode: str
    answers: bool
    rtt_ms: float | None
    clock_off_ms: float | None
    known: bool
    error: str
    contact: str
    last_contact_ns: int
    pulls: int
    imported: int
    rejected: int
    failed_ns: int = 0
    next_ns: int = 0


class Peers(Struct, frozen=True):
    """The fields of `peers --json`. `waiting`: how many names wait to be let in."""

    peers: list[Seen]
    callers: list[Caller]
    waiting: int


async def _peers(desk: Desk, request: Nothing, tell: Tell) -> Peers:
    async with desk.mesh() as mesh:
        seen: dict[str, Seen] = {}
        async with trio.open_nursery() as nursery:
            for link in mesh.peers.configured:
                nursery.start_soon(partial(_look, desk, mesh, link, seen))
        asked = [seen[link.url] for link in mesh.peers.configured]
        return Peers(asked, mesh.peers.callers, len(desk.node.waiting))


async def _look(desk: Desk, mesh: Mesh, link: Known, seen: dict[str, Seen]) -> None:
    try:
        met = await mesh.introductions.look(link.url)
        error = ""
    except (Fault, WireError) as fault:
        met, error = None, str(fault)
    about = None if met is None else met.about
    is_elsewhere = desk.serving is not None and not desk.node.leases.is_held(PULLS)
    contact = Contact.ELSEWHERE if is_elsewhere else link.contact
    if not error and contact in (Contact.FAILED, Contact.WAITING):
        error = link.last_error
    name = link.name if met is None else met.name
    seen[link.url] = Seen(
        url=link.url,
        name=name,
        kind=link.kind if met is None else met.kind,
        version=link.version if about is None else about.version,
        memory_mode=link.memory_mode if about is None else about.memory_mode,
        answers=met is not None,
        rtt_ms=None if met is None else met.rtt_ms,
        clock_off_ms=None if met is None else met.clock_off_ms,
        known=desk.node.directory.key_of(name) is not None,
        error=error,
        contact=str(contact),
        last_contact_ns=link.last_contact_ns,
        pulls=link.pulls,
        imported=link.imported,
        rejected=link.rejected,
        failed_ns=link.failed_ns,
        next_ns=link.next_ns,
    )


PEERS = Command("peers", Nothing, Peers, _peers)
