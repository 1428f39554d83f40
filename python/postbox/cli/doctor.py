"""`postbox doctor`: the usual mistakes, looked for, each with its cure."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from postbox.admin.command import Nothing, Operator
from postbox.admin.examining import EXAMINE_HOST, ExamineHost
from postbox.admin.issuer import EXAMINE_ISSUER, IssuerSeen
from postbox.admin.listening import LISTENING
from postbox.admin.peers import PEERS, Seen
from postbox.admin.status import STATUS, HostsStatus
from postbox.cli import open_files
from postbox.cli.certificate import Unbelievable, valid_until
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, run
from postbox.cli.output import events, print_findings, print_json, print_text
from postbox.cli.peers import trouble
from postbox.cli.status import leases, renewal
from postbox.config import Config
from postbox.errors import Fault
from postbox.home import DATABASE, BadHome, database_of
from postbox.log.epoch import Renewal
from postbox.net.server import HYPERCORN
from postbox.net.tls import server_tls
from postbox.store.open import is_url
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.trust.signatures import WINDOW_MS
from postbox.world import Pool, World, system_world

LITTLE_ROOM_BYTES = 200 * 2**20
"""An 80,000-event log, its write-ahead log and a copy of both."""
NO_ROOM_BYTES = 4 * 2**20
"""One batch of events, and what SQLite keeps beside it: with less, nothing can be taken in."""
CLOCK_WARNING_MS = 5_000.0
CERTIFICATE_WARNING_NS = 7 * 86_400 * 10**9
"""What renews itself has done so by then, and who renews by hand has a week for it."""
EPOCH_WARNING_NS = 7 * 86_400 * 10**9
"""Whoever looks once a week shall see that the log went back."""
EXPLAINED = "docs/faults.md explains each fault"

State = Literal["ok", "warning", "wrong"]


class Finding(Struct, frozen=True):
    what: str
    state: State
    text: str
    cure: str = ""


def doctor(
    host: str | None = None,
    /,
    *,
    loopback: Annotated[bool, FLAG] = False,
    common: Common | None = None,
) -> int:
    """Look for the usual mistakes: home, keys, configuration, database, port, TLS, disk, limits,
    clock, peers; or, with HOST, walk the way to that host and back: name, address, TLS, key, clock,
    token, round trip. Exits 1 if something is wrong, 0 if all is well or merely worth a look.

    Parameters
    ----------
    host
        Another host, DOMAIN:PORT. Nothing is posted to it.
    loopback
        With HOST: as of a node that serves with --loopback.
    """
    options = common or Common()

    async def verb() -> int:
        world = system_world()
        if host is None:
            findings = await _examine(options, world)
        else:
            findings = await _walk(options, host, loopback=loopback)
        if options.json:
            print_json({"findings": findings})
        else:
            _print(findings)
        return int(any(finding.state == "wrong" for finding in findings))

    return run(verb, as_json=options.json)


def _print(findings: list[Finding]) -> None:
    print_findings([(one.state, one.what, one.text) for one in findings])
    cures = [one for one in findings if one.cure]
    if cures:
        print("\nWhat to do")
        for one in cures:
            print_text(one.cure, f"  {one.what}: ", "    ")


async def _examine(options: Common, world: World) -> list[Finding]:
    """What comes later rests on what comes earlier, and is left out where that is wrong."""
    try:
        home = options.home_folder()
    except BadHome as fault:
        return [Finding("home", "wrong", str(fault))]
    if not home.exists():
        return [Finding("home", "warning", f"{home} is not there", "any verb makes it")]
    found = [_hypercorn(), *_home(home), _disk(home)]
    try:
        config = options.config()
    except Fault as error:
        cure = "mend config.toml; postbox config says what every key takes"
        return [*found, Finding("configuration", "wrong", str(error), cure)]
    found.append(Finding("configuration", "ok", "it can be read"))
    found += [*_tls(config, world), _files(config), *_loopback(config)]
    try:
        found += await _database(database_of(home, config.node.store), world)
    except Fault as fault:
        return [*found, Finding("database", "wrong", str(fault), EXPLAINED)]
    try:
        async with operated(options) as operator:
            found += await _ask(operator, config, world)
    except Fault as fault:
        found.append(Finding("node", "wrong", str(fault), EXPLAINED))
    return found


async def _walk(options: Common, host: str, *, loopback: bool) -> list[Finding]:
    """The way to a host, from where the node runs. A home that is not there has none: who only
    looks makes nothing."""
    home = options.home_folder()
    if not home.exists():
        cure = "is --home spelt right? postbox serve makes a node there"
        return [Finding("home", "wrong", f"{home} is not there", cure)]
    async with operated(options, loopback=loopback) as operator:
        examined = await operator.call(EXAMINE_HOST, ExamineHost(host))
    found = [Finding(step.what, step.state, step.text, step.cure) for step in examined.steps]
    if not examined.serves:
        text = "it does not serve, so nobody can ask it for its key"
        found.insert(0, Finding("node", "warning", text, "postbox serve, then look again"))
    return found


async def _database(database: str, world: World) -> list[Finding]:
    """Of one on a server; a file is looked at by opening it."""
    if not is_url(database):
        return []
    from postbox.store.postgres.examination import examine

    seen = await world.threads.run(Pool.READER, partial(examine, world.disk, database))
    doubts = [Finding("database", "warning", doubt.text, doubt.cure) for doubt in seen.doubts]
    return doubts or [Finding("database", "ok", seen.text)]


async def _ask(operator: Operator, config: Config, world: World) -> list[Finding]:
    status = await operator.call(STATUS, Nothing())
    serving = f"serving at {status.url}" if status.url else "not serving"
    found = [Finding("node", "ok", f"{status.name}, {events(status.events)}, {serving}")]
    if not status.url:
        found.append(await _port(world, config))
    elif status.leases is not None:
        found.append(Finding("leases", "ok", leases(status)))
    if status.renewed is not None:
        found.append(_epoch(status.renewed, world.clock.now_ns()))
    listening = await operator.call(LISTENING, Nothing())
    for doubt in listening.doubts:
        text = f"{doubt.event} ({listening.listen}): {doubt.why}"
        found.append(Finding("callers", "warning", text, doubt.cure))
    unproven = status.standings["unproven"]
    if unproven > status.events // 10:
        total = events(status.events)
        text = f"unproven are {unproven:,} of {total}: their signers' keys are not known"
        cure = "postbox trust import FILE, or trust add NAME KEY"
        found.append(Finding("keys", "warning", text, cure))
    found += _hosts(status.hosts)
    found += _issuer(await operator.call(EXAMINE_ISSUER, Nothing()))
    met = await operator.call(PEERS, Nothing())
    if met.waiting:
        text = f"waiting to be let in: {met.waiting:,}"
        cure = "postbox trust list shows them; postbox trust add NAME lets one in"
        found.append(Finding("introductions", "warning", text, cure))
    now_ns = world.clock.now_ns()
    return [*found, *(_peer(peer, now_ns) for peer in met.peers)]


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


def _issuer(issuer: IssuerSeen) -> Iterator[Finding]:
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


def _hypercorn() -> Finding:
    found = version("hypercorn")
    if found == HYPERCORN:
        return Finding("hypercorn", "ok", found)
    return Finding("hypercorn", "wrong", found, f"install hypercorn=={HYPERCORN}")


def _home(home: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        text = f"others may look into {home} (mode {mode:o})"
        yield Finding("home", "warning", text, f"chmod 700 {home}")
    else:
        yield Finding("home", "ok", str(home))
    key = home / KEY_FILE
    if not key.exists():
        is_lost = (home / DATABASE).exists()
        cure = f"put back your copy of {KEY_FILE}" if is_lost else ""
        yield Finding("key", "wrong" if is_lost else "ok", f"there is no {KEY_FILE}", cure)
    elif stat.S_IMODE(key.stat().st_mode) & 0o077:
        cure = f"chmod 600 {key}; if somebody may have read it, make a new node"
        yield Finding("key", "wrong", f"{key} may be read or changed by others", cure)
    else:
        yield Finding("key", "ok", f"{KEY_FILE}, for its owner only")


def _disk(home: Path) -> Finding:
    free_bytes = shutil.disk_usage(home).free
    is_little = free_bytes < LITTLE_ROOM_BYTES
    text = f"{free_bytes >> 20} MiB free" if is_little else f"{free_bytes / 2**30:,.1f} GiB free"
    if not os.access(home, os.W_OK):
        cure = "look at its owner and mode, and how its disk is mounted"
        return Finding("disk", "wrong", f"{home} cannot be written", cure)
    if is_little:
        state: State = "wrong" if free_bytes < NO_ROOM_BYTES else "warning"
        return Finding("disk", state, text, "make room on the disk of the home")
    return Finding("disk", "ok", text)


def _tls(config: Config, world: World) -> Iterator[Finding]:
    cert, key = config.serve.tls_cert, config.serve.tls_key
    if cert is None or key is None:
        return
    renew = "renew it, and start the node again: it reads it at its start"
    try:
        end = valid_until(server_tls(cert, key), cert)
    except Unbelievable as fault:
        yield Finding("tls", "wrong", f"callers will refuse {cert}: {fault}", renew)
    except Fault as fault:
        yield Finding("tls", "wrong", str(fault), "serve.tls_cert and serve.tls_key name two files")
    else:
        is_soon = end.timestamp() * 1e9 - world.clock.now_ns() < CERTIFICATE_WARNING_NS
        text = f"{cert}, valid until {end:%F %R} UTC"
        yield Finding("tls", "warning", text, renew) if is_soon else Finding("tls", "ok", text)


def _files(config: Config) -> Finding:
    most, needed = open_files.most(), open_files.needed(config)
    text = f"{most} open files allowed, {needed} needed at most"
    if most >= needed:
        return Finding("limits", "ok", text)
    cure = f"ulimit -Hn {needed} (systemd: LimitNOFILE), or fewer serve.max_connections"
    return Finding("limits", "warning", text, cure)


def _loopback(config: Config) -> Iterator[Finding]:
    if config.serve.loopback:
        text = (
            "plain HTTP and private addresses are allowed, and whoever comes from there is let in"
        )
        yield Finding("loopback", "warning", text, "for tests only: take serve.loopback out")


def _epoch(renewed: Renewal, now_ns: int) -> Finding:
    text = f"{renewal(renewed)}. Cursors from before are refused, and their readers start over"
    if renewed.why == "restored" or now_ns - renewed.at_ms * 10**6 > EPOCH_WARNING_NS:
        return Finding("epoch", "ok", text)
    cure = (
        "nothing, if the database was put back, or a standby took over that had not everything:"
        " send again what is missing (peers do by themselves). Else find out who did it"
    )
    return Finding("epoch", "warning", text, cure)


async def _port(world: World, config: Config) -> Finding:
    address = config.serve.listen
    try:
        listeners = await world.net.listen(*address)
    except OSError as error:
        cure = "stop what listens there, or choose another serve.listen"
        return Finding("port", "wrong", f"cannot listen on {address}: {error.strerror}", cure)
    for listener in listeners:
        await listener.aclose()
    return Finding("port", "ok", f"{address} is free")


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
