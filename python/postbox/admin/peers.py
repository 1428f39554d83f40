"""Whom this node has to do with: the configured peers, asked right now, the others of the mesh that
it knows of, and who asked it; and the operator's word on them."""

from __future__ import annotations

from functools import partial
from typing import Literal

import trio
from msgspec import Struct
from msgspec.structs import replace

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.errors import Fault, WireError
from postbox.mesh.background.keeping import PULLS
from postbox.mesh.calling.introductions import Met
from postbox.mesh.door import Mesh
from postbox.mesh.peers.known import Caller, Contact, Known, Origin
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.mesh.peers.standing_rules import Regard, ends_ns, regard_of


class Trust(Struct, frozen=True):
    """How well a peer is thought of: `regard` is good, demoted or banned; `why`, if not good, and
    when that ends by itself (Unix nanoseconds, 0: never)."""

    regard: str
    why: str = ""
    ends_ns: int = 0
    by_operator: bool = False


FINE = Trust(str(Regard.GOOD))


class Seen(Struct, frozen=True):
    """A configured peer. `answers`: to a ping, now; without it `error` says why not, else why the
    last round failed, if it did. `clock_off_ms`: its clock less ours. `contact` and what follows:
    of this node's own rounds, while it serves; times are Unix nanoseconds, 0 for none. `key_from`:
    whence its key is known, as in `trust list`, "" if it is not."""

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
    state: str = "unknown"
    trust: Trust = FINE
    key_from: str = ""


class Other(Struct, frozen=True):
    """A peer that nobody configured, as it is known, not asked now. `origin`: how this node came to
    know of it (`mesh.peers.known.Origin`), "" if it knows only what is held against it. `state`:
    online, offline, missing or unknown; `known`: whether its key is, and `key_from` whence, as in
    `trust list`."""

    name: str
    url: str
    origin: str
    kind: str
    version: str
    memory_mode: str
    uptime_s: int
    state: str
    rtt_ms: float | None
    last_contact_ns: int
    known: bool
    error: str
    trust: Trust
    key_from: str = ""


class Peers(Struct, frozen=True):
    """The fields of `peers --json`. `others`: who is online first; `waiting`: how many names
    wait."""

    peers: list[Seen]
    others: list[Other]
    callers: list[Caller]
    waiting: int


class Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's word on a peer. `why`: of a ban, for people."""

    name: str
    verdict: Literal["ban", "forgive"]
    why: str = ""


class Spoken(Struct, frozen=True):
    """`before`, `after`: how the peer was thought of, and is. `known`: whether anything is known of
    it. `refused`: why nothing was done, if so."""

    before: str = ""
    after: str = ""
    known: bool = False
    refused: str = ""


async def _peers(desk: Desk, request: Nothing, tell: Tell) -> Peers:
    async with desk.mesh() as mesh:
        seen: dict[str, Seen] = {}
        async with trio.open_nursery() as nursery:
            for link in mesh.peers.configured:
                nursery.start_soon(partial(_look, desk, mesh, link, seen))
        found = known_peers(desk, mesh)
        return replace(found, peers=[seen[link.url] for link in mesh.peers.configured])


def known_peers(desk: Desk, mesh: Mesh) -> Peers:
    """As this node knows them, and nobody is asked now: a configured peer `answers` unless the last
    round with it failed."""
    asked = [_unasked(desk, mesh, link) for link in mesh.peers.configured]
    return Peers(asked, _others(desk, mesh), mesh.peers.callers, len(desk.node.waiting))


def distrusted(found: Peers) -> list[tuple[str, Trust]]:
    """Who is demoted or banned, by name, each once."""
    named = {one.name: one.trust for one in found.others}
    named |= {one.name: one.trust for one in found.peers}
    return [(name, named[name]) for name in sorted(named) if named[name].regard != "good"]


async def _look(desk: Desk, mesh: Mesh, link: Known, seen: dict[str, Seen]) -> None:
    try:
        met = await mesh.introductions.check(link.url)
        error = ""
    except (Fault, WireError) as fault:
        met, error = None, str(fault)
    seen[link.url] = _seen(desk, mesh, link, met, error)


def _unasked(desk: Desk, mesh: Mesh, link: Known) -> Seen:
    found = _seen(desk, mesh, link, None, "")
    answers = found.contact != Contact.FAILED
    return replace(found, answers=answers, rtt_ms=link.rtt_ms if answers else None)


def _seen(desk: Desk, mesh: Mesh, link: Known, met: Met | None, error: str) -> Seen:
    about = None if met is None else met.about
    is_elsewhere = desk.serving is not None and not desk.node.leases.is_held(PULLS)
    contact = Contact.ELSEWHERE if is_elsewhere else link.contact
    if not error and contact in (Contact.FAILED, Contact.WAITING):
        error = link.last_error
    if met is not None and link.name not in ("", met.name):
        error = f"it says that it is {met.name}; who has signed answers there is {link.name}"
    name = link.name if met is None else met.name
    return Seen(
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
        state=_state(mesh, link) if name else "unknown",
        trust=_trust(desk, name),
        key_from=_key_from(desk, name),
    )


def _others(desk: Desk, mesh: Mesh) -> list[Other]:
    """Who is online first. Also those of whom nothing is left but what they did."""
    found = {one.name: one for one in mesh.peers.all() if one.origin is not Origin.CONFIGURED}
    configured = {one.name for one in mesh.peers.configured}
    alone = desk.node.records.all().keys() - found.keys() - configured
    rows = [_other(desk, mesh, one, str(one.origin)) for one in found.values()]
    rows += [_other(desk, mesh, Known(name=name), "") for name in alone]
    return sorted(rows, key=lambda row: (row.state != "online", row.name))


def _other(desk: Desk, mesh: Mesh, one: Known, origin: str) -> Other:
    return Other(
        name=one.name,
        url=one.url,
        origin=origin,
        kind=one.kind,
        version=one.version,
        memory_mode=one.memory_mode,
        uptime_s=one.uptime_s,
        state=_state(mesh, one),
        rtt_ms=one.rtt_ms,
        last_contact_ns=one.last_contact_ns,
        known=desk.node.directory.key_of(one.name) is not None,
        error=one.last_error if one.failures else "",
        trust=_trust(desk, one.name),
        key_from=_key_from(desk, one.name),
    )


def _key_from(desk: Desk, name: str) -> str:
    known = desk.node.directory.get(name)
    return "" if known is None else str(known.source)


def _state(mesh: Mesh, one: Known) -> str:
    """By contact, else by what events say."""
    in_touch = mesh.peers.is_in_touch(one) and not one.failures
    return "online" if in_touch else mesh.knowledge.projections.online(one.name)


def _trust(desk: Desk, name: str) -> Trust:
    record = desk.node.records.of(name)
    now_ns = desk.node.world.clock.now_ns()
    regard = regard_of(record, now_ns)
    if regard is Regard.GOOD:
        return FINE
    return Trust(str(regard), record.why, ends_ns(record, now_ns) or 0, record.by_operator)


async def _sentence(desk: Desk, request: Verdict, tell: Tell) -> Spoken:
    node = desk.node
    try:
        draft = Sentence(request.name, request.verdict, request.why, node.world.clock.now_ns())
    except ValueError as error:
        return Spoken(refused=str(error))
    async with desk.mesh() as mesh:
        is_known = mesh.peers.get(request.name) is not None
    is_known = is_known or node.directory.key_of(request.name) is not None
    before = node.records.regard(request.name)
    if request.name == node.identity.name:
        return Spoken(refused=f"{request.name} is this node itself")
    await node.admission.submit(PeerRules(), [draft])
    return Spoken(str(before), str(node.records.regard(request.name)), is_known)


SENTENCE = Command("sentence-peer", Verdict, Spoken, _sentence)
PEERS = Command("peers", Nothing, Peers, _peers)
