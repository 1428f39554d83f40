"""What is doubtful or wrong with a node by what it answers, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from postbox.admin.issuer import IssuerSeen
from postbox.admin.listening import Doubts
from postbox.admin.peers import Peers, Seen
from postbox.admin.status import HostsStatus, Status
from postbox.admin.words import events, leases, renewal, trouble
from postbox.log.epoch import Renewal
from postbox.trust.signatures import WINDOW_MS

CLOCK_WARNING_MS = 5_000.0
EPOCH_WARNING_NS = 7 * 86_400 * 10**9
"""Whoever looks once a week shall see that the log went back."""
EXPLAINED = "docs/faults.md explains each fault"

LITTLE_ROOM_BYTES = 200 * 2**20
"""An 80,000-event log, its write-ahead log and a copy of both."""
NO_ROOM_BYTES = 4 * 2**20
"""One batch of events, and what SQLite keeps beside it: with less, nothing can be taken in."""

State = Literal["ok", "warning", "wrong"]


class Finding(Struct, frozen=True):
    what: str
    state: State
    text: str
    cure: str = ""


def of_node(status: Status) -> Finding:
    serving = f"serving at {status.url}" if status.url else "not serving"
    return Finding("node", "ok", f"{status.name}, {events(status.events)}, {serving}")


def of_room(free_bytes: int) -> Finding:
    """Of the disk with the home or the database."""
    if free_bytes >= LITTLE_ROOM_BYTES:
        return Finding("disk", "ok", f"{free_bytes / 2**30:,.1f} GiB free")
    state: State = "wrong" if free_bytes < NO_ROOM_BYTES else "warning"
    cure = "make room on the disk of the home"
    return Finding("disk", state, f"{free_bytes >> 20} MiB free", cure)


def of_status(status: Status, now_ns: int) -> Iterator[Finding]:
    if status.url and status.leases is not None:
        yield Finding("leases", "ok", leases(status))
    if status.renewed is not None:
        yield _epoch(status.renewed, now_ns)
    unproven = status.standings["unproven"]
    if unproven > status.events // 10:
        total = events(status.events)
        text = f"unproven are {unproven:,} of {total}: their signers' keys are not known"
        cure = "postbox trust import FILE, or trust add NAME KEY"
        yield Finding("keys", "warning", text, cure)
    yield from _hosts(status.hosts)


def of_listening(found: Doubts) -> Iterator[Finding]:
    for doubt in found.doubts:
        text = f"{doubt.event} ({found.listen}): {doubt.why}"
        yield Finding("callers", "warning", text, doubt.cure)


def of_peers(met: Peers, now_ns: int) -> Iterator[Finding]:
    if met.waiting:
        text = f"waiting to be let in: {met.waiting:,}"
        cure = "postbox trust list shows them; postbox trust add NAME lets one in"
        yield Finding("introductions", "warning", text, cure)
    for peer in met.peers:
        yield _peer(peer, now_ns)


def of_issuer(issuer: IssuerSeen) -> Iterator[Finding]:
    """Of clients' tokens; where the operator named none, nothing is said."""
    if issuer.name is None:
        return
    what = "issuer"
    if issuer.error:
        text = f"{issuer.name}: its keys cannot be had: {issuer.error}"
        yield Finding(what, "wrong", text, "look at clients.jwks, and whether it answers there")
    elif not issuer.kids:
        text = f"{issuer.name} publishes no Ed25519 key, so none of its tokens is let in"
        yield Finding(what, "wrong", text, "let it sign with EdDSA, and publish that key")
    else:
        text = f"{issuer.name}, keys: {', '.join(issuer.kids)[:200]}"
        yield Finding(what, "ok", text)
    if issuer.passed_over:
        text = f"of its keys these do not count: {'; '.join(issuer.passed_over)[:300]}"
        yield Finding(what, "warning", text, "nothing, if those are not for these tokens")


def _hosts(hosts: HostsStatus | None) -> Iterator[Finding]:
    """Of the links with them; where there are none, nothing is said."""
    if hosts is None or not hosts.links:
        return
    text = f"{hosts.links:,} known, {hosts.queued:,} queued"
    if hosts.failing:
        cure = "postbox links says why; postbox doctor HOST walks the way to one"
        yield Finding("hosts", "warning", f"{text}; failing: {hosts.failing:,}", cure)
    else:
        yield Finding("hosts", "ok", text)
    if hosts.dead:
        text = f"given up: {events(hosts.dead)}"
        cure = "postbox dead shows them; postbox retry HOST tries them again"
        yield Finding("dead letters", "warning", text, cure)


def _epoch(renewed: Renewal, now_ns: int) -> Finding:
    text = f"{renewal(renewed)}. Cursors from before are refused, and their readers start over"
    if renewed.why == "restored" or now_ns - renewed.at_ms * 10**6 > EPOCH_WARNING_NS:
        return Finding("epoch", "ok", text)
    cure = (
        "nothing, if the database was put back, or a standby took over that had not everything:"
        " send again what is missing (peers do by themselves). Else find out who did it"
    )
    return Finding("epoch", "warning", text, cure)


def _peer(peer: Seen, now_ns: int) -> Finding:
    what, error = f"peer {peer.url}", trouble(peer, now_ns)
    if not peer.answers:
        return Finding(what, "wrong", error, f"is it running, and its URL right? {EXPLAINED}")
    if peer.contact == "waiting":
        cure = "the operator there lets this node in: postbox trust add NAME"
        return Finding(what, "warning", f"{peer.name} has not let this node in yet", cure)
    off_ms = abs(peer.clock_off_ms or 0.0)
    if off_ms > CLOCK_WARNING_MS:
        text = f"{peer.name}'s clock and ours are {off_ms / 1e3:.0f} s apart"
        state: State = "wrong" if off_ms > WINDOW_MS else "warning"
        return Finding(what, state, text, "set the clocks: beyond 30 s peers refuse each other")
    if error:
        return Finding(what, "warning", error, EXPLAINED)
    return Finding(what, "ok", f"{peer.name}, a {peer.kind}, in {peer.rtt_ms or 0:.0f} ms")
