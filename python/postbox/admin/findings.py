"""What is doubtful or wrong with a node, each with its cure: pure functions of what was seen of it,
by `postbox doctor` or by the page. A finding is `wrong` if something does not work until somebody
does something, and a `warning` if it is worth a look.

Whoever else is not reached, a peer or a host, is measured by one rule: it is tried again and again,
so it is wrong only when it was not heard of for QUIET_S."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from postbox.admin.issuer import IssuerSeen
from postbox.admin.links import LinkSeen, time_of
from postbox.admin.listening import Doubts
from postbox.admin.peers import Peers, Seen, distrusted
from postbox.admin.status import HostsStatus, MqttStatus, Status
from postbox.admin.surroundings import CertificateSeen, HomeSeen, Surroundings
from postbox.admin.words import distrust, events, failure, leases, mqtt, renewal, span, trouble
from postbox.log.epoch import Renewal
from postbox.net.faults import WILL_NOT_CALL
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.trust.signatures import WINDOW_MS

if TYPE_CHECKING:
    from postbox.store.postgres.examination import Examined

CLOCK_WARNING_MS = 5_000.0
CLOCK_BACK_NS = 5 * 10**9
"""As much as a system that keeps its clock takes back without being noticed."""
CERTIFICATE_WARNING_NS = 7 * 86_400 * 10**9
"""What renews itself has done so by then, and who renews by hand has a week for it."""
QUIET = timedelta(hours=1)
"""Longer than a machine takes to be updated and started again."""
FEW = 5
"""So many of a kind are told one by one; of more how many there are, and the verb that lists
them."""
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


# -- what it stands on ----------------------------------------------------------------------------


def of_home(seen: HomeSeen) -> Iterator[Finding]:
    yield _home(seen)
    yield _key(seen)
    if seen.free_bytes is None:
        cure = "look at its owner and mode, and how its disk is mounted"
        yield Finding("disk", "wrong", f"{seen.path} cannot be written", cure)
    else:
        yield _room(seen.free_bytes)


def of_clock(seen: HomeSeen) -> Iterator[Finding]:
    """Of one that has gone back since something was written here; of one that is merely wrong each
    peer says how far the two are apart."""
    if seen.ahead_ns > CLOCK_BACK_NS:
        text = f"it is {span(seen.ahead_ns / 1e9)} behind what was written here by it"
        cure = "set it, and let the system keep it: timedatectl set-ntp true, or chrony"
        yield Finding("clock", "wrong", text, cure)


def of_surroundings(seen: Surroundings, now_ns: int) -> Iterator[Finding]:
    if seen.certificate is not None:
        yield from _certificate(seen.certificate, now_ns)
    if seen.unreached:
        yield Finding("database", "wrong", seen.unreached, EXPLAINED)
    if seen.database is not None:
        yield from _database(seen.database)


def _home(seen: HomeSeen) -> Finding:
    if seen.mode & 0o077:
        text = f"others may look into {seen.path} (mode {seen.mode:o})"
        return Finding("home", "warning", text, f"chmod 700 {seen.path}")
    return Finding("home", "ok", str(seen.path))


def _key(seen: HomeSeen) -> Finding:
    if seen.key_mode is None and seen.has_log:
        cure = f"put back your copy of {KEY_FILE}"
        return Finding("key", "wrong", f"there is no {KEY_FILE}", cure)
    if seen.key_mode is None:
        return Finding("key", "ok", "none yet: it is made with the node")
    if seen.key_mode & 0o077:
        cure = f"chmod 600 {seen.key}; if somebody may have read it, make a new node"
        return Finding("key", "wrong", f"{seen.key} may be read or changed by others", cure)
    return Finding("key", "ok", f"{KEY_FILE}, for its owner only")


def _room(free_bytes: int) -> Finding:
    if free_bytes >= LITTLE_ROOM_BYTES:
        return Finding("disk", "ok", f"{free_bytes / 2**30:,.1f} GiB free")
    state: State = "wrong" if free_bytes < NO_ROOM_BYTES else "warning"
    cure = "make room on the disk of the home"
    return Finding("disk", state, f"{free_bytes >> 20} MiB free", cure)


def _certificate(seen: CertificateSeen, now_ns: int) -> Iterator[Finding]:
    path, renew = seen.path, "renew it, and start the node again: it reads it at its start"
    if seen.unread:
        yield Finding(
            "tls", "wrong", seen.unread, "serve.tls_cert and serve.tls_key name two files"
        )
    elif seen.until is None:
        yield Finding("tls", "wrong", f"callers will refuse {path}: {seen.refused}", renew)
    else:
        is_soon = seen.until.timestamp() * 1e9 - now_ns < CERTIFICATE_WARNING_NS
        text = f"{path}, valid until {seen.until:%F %R} UTC"
        yield Finding("tls", "warning", text, renew) if is_soon else Finding("tls", "ok", text)
    if seen.open_key is not None:
        text = f"everybody on this machine may read or change {seen.open_key}"
        cure = f"chmod o= {seen.open_key}; if somebody may have read it, have another one made"
        yield Finding("tls key", "warning", text, cure)
    for key, name in seen.others:
        text = f"{path} is not for {name}, as {key} says that others call this node"
        cure = f"have one made for {name}; nothing, if a proxy in front shows one of its own"
        yield Finding("certificate", "warning", text, cure)


def of_limits(seen: Surroundings) -> Finding:
    """Of the process that looks. One that serves says itself what it lacks (`of_listening`)."""
    text = f"{seen.files_allowed:,} open files allowed, {seen.files_needed:,} needed at most"
    if seen.files_allowed >= seen.files_needed:
        return Finding("limits", "ok", text)
    cure = f"ulimit -Hn {seen.files_needed} (systemd: LimitNOFILE), or fewer serve.max_connections"
    return Finding("limits", "warning", text, cure)


def _database(seen: Examined) -> Iterator[Finding]:
    """Of one on a server; a file is looked at by opening it."""
    for doubt in seen.doubts:
        yield Finding("database", "warning", doubt.text, doubt.cure)
    if not seen.doubts:
        yield Finding("database", "ok", seen.text)


# -- what it answers ------------------------------------------------------------------------------


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
    found = distrusted(met)
    if len(found) > FEW:
        text = f"demoted or banned: {len(found):,}"
        cure = "nothing, if that is right; postbox peers says why, peers forgive NAME ends it"
        yield Finding("peers", "warning", text, cure)
        return
    for name, trust in found:
        cure = f"nothing, if that is right; postbox peers forgive {name} ends it"
        yield Finding(f"peer {name}", "warning", distrust(name, trust, now_ns), cure)


def of_links(links: Sequence[LinkSeen], now_ns: int) -> Iterator[Finding]:
    """Of those that fail. What was given up is a finding of its own."""
    failing, now = [link for link in links if link.error], _time(now_ns)
    states = [_unheard(link.last_contact, now) for link in failing]
    if len(failing) > FEW:
        state: State = "wrong" if "wrong" in states else "warning"
        text = f"failing: {len(failing):,} of {len(links):,}"
        cure = "postbox links says why; postbox doctor HOST walks the way to one"
        yield Finding("hosts", state, text, cure)
        return
    for link, state in zip(failing, states, strict=True):
        cure = f"it is tried again by itself; postbox doctor {link.host} walks the way there"
        yield Finding(f"host {link.host}", state, failure(link), cure)


def of_mqtt(status: MqttStatus | None) -> Iterator[Finding]:
    if status is not None and not status.up:
        cure = "is the broker running, and mesh.mqtt right? Peers are asked over HTTP meanwhile"
        yield Finding("mqtt", "warning", mqtt(status), cure)


def _unheard(last_contact: datetime | None, now: datetime) -> State:
    """Of somebody who is not reached now."""
    is_new = last_contact is not None and now - last_contact < QUIET
    return "warning" if is_new else "wrong"


def of_issuer(issuer: IssuerSeen) -> Iterator[Finding]:
    """Of clients' tokens; where the operator named none, nothing is said."""
    if issuer.name is None:
        return
    what = "issuer"
    if issuer.error:
        text = f"{issuer.name}: its keys cannot be had: {issuer.error}"
        state: State = "warning" if issuer.kids else "wrong"
        known = "; those that are known count for a day" if issuer.kids else ""
        cure = "look at clients.jwks, and whether it answers there"
        yield Finding(what, state, f"{text}{known}", cure)
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
    if not hosts.failing:
        yield Finding("hosts", "ok", f"{hosts.links:,} known, {hosts.queued:,} queued")
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
    state: State
    what, error = f"peer {peer.url}", trouble(peer, now_ns)
    if not peer.answers:
        state = _unheard(time_of(peer.last_contact_ns // 10**6), _time(now_ns))
        return Finding(what, state, error, f"{_way_to(peer)} {EXPLAINED}")
    if peer.contact == "waiting":
        cure = "the operator there lets this node in: postbox trust add NAME"
        return Finding(what, "warning", f"{peer.name} has not let this node in yet", cure)
    off_ms = abs(peer.clock_off_ms or 0.0)
    if off_ms > CLOCK_WARNING_MS:
        text = f"{peer.name}'s clock and ours are {off_ms / 1e3:.0f} s apart"
        state = "wrong" if off_ms > WINDOW_MS else "warning"
        return Finding(what, state, text, "set the clocks: beyond 30 s peers refuse each other")
    if error:
        return Finding(what, "warning", error, EXPLAINED)
    return Finding(what, "ok", f"{peer.name}, a {peer.kind}, in {peer.rtt_ms or 0:.0f} ms")


def _way_to(peer: Seen) -> str:
    if WILL_NOT_CALL in peer.error:
        return "nobody was asked there: allow it as said, or take the URL out of mesh.peers;"
    return "is it running, and its URL right?"


def _time(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)
