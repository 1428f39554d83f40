"""`postbox doctor`: the usual mistakes, looked for, each with its cure."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from postbox.admin import findings
from postbox.admin.command import Nothing, Operator
from postbox.admin.examining import EXAMINE_HOST, ExamineHost
from postbox.admin.findings import EXPLAINED, Finding
from postbox.admin.issuer import EXAMINE_ISSUER
from postbox.admin.listening import LISTENING
from postbox.admin.peers import PEERS
from postbox.admin.status import STATUS
from postbox.admin.words import span
from postbox.cli import open_files
from postbox.cli.certificate import Unbelievable, is_for, valid_until
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, run
from postbox.cli.output import print_findings, print_json, print_text
from postbox.config import Config
from postbox.errors import Fault
from postbox.home import DATABASE, BadHome, database_of
from postbox.net.server import HYPERCORN
from postbox.net.tls import server_tls
from postbox.store.open import is_url
from postbox.trust.host_names import canonical_host, split_host
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.world import Pool, World, system_world

CLOCK_BACK_NS = 5 * 10**9
"""As much as a system that keeps its clock takes back without being noticed."""
CERTIFICATE_WARNING_NS = 7 * 86_400 * 10**9
"""What renews itself has done so by then, and who renews by hand has a week for it."""


def doctor(
    host: str | None = None,
    /,
    *,
    loopback: Annotated[bool, FLAG] = False,
    common: Common | None = None,
) -> int:
    """Look for the usual mistakes: home, keys, configuration, database, port, TLS, disk, limits,
    broker, clock, peers; or, with HOST, walk the way to that host and back: name, address, TLS,
    key, clock, token, round trip. Exits 1 if something is wrong, 0 if all is well or merely worth a
    look.

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
            found = await _examine(options, world)
        else:
            found = await _walk(options, host, loopback=loopback)
        if options.json:
            print_json({"findings": found})
        else:
            _print(found)
        return int(any(finding.state == "wrong" for finding in found))

    return run(verb, as_json=options.json)


def _print(found: list[Finding]) -> None:
    print_findings([(one.state, one.what, one.text) for one in found])
    cures = [one for one in found if one.cure]
    if cures:
        print("\nWhat to do")
        for cure in dict.fromkeys(one.cure for one in cures):  # what heals several is said once
            whats = ", ".join(one.what for one in cures if one.cure == cure)
            print_text(f"{whats}: {cure}", "  ", "    ")


async def _examine(options: Common, world: World) -> list[Finding]:
    """What comes later rests on what comes earlier, and is left out where that is wrong."""
    try:
        home = options.home_folder()
    except BadHome as fault:
        return [Finding("home", "wrong", str(fault))]
    if not home.exists():
        return [Finding("home", "warning", f"{home} is not there", "any verb makes it")]
    found = [_hypercorn(), *_home(home), _disk(home), *_clock(home, world.clock.now_ns())]
    try:
        config = options.config()
    except Fault as error:
        cure = "mend config.toml; postbox config says what every key takes"
        return [*found, Finding("configuration", "wrong", str(error), cure)]
    found.append(Finding("configuration", "ok", "it can be read"))
    found += [*_tls(config, world), _files(config), *_loopback(config)]
    found += await _broker(config, world)
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
    found = [findings.of_node(status)]
    if not status.url:
        found.append(await _port(world, config))
    found += findings.of_status(status, world.clock.now_ns())
    found += findings.of_listening(await operator.call(LISTENING, Nothing()))
    found += findings.of_issuer(await operator.call(EXAMINE_ISSUER, Nothing()))
    met = await operator.call(PEERS, Nothing())
    return [*found, *findings.of_peers(met, world.clock.now_ns())]


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
        if is_lost:
            cure = f"put back your copy of {KEY_FILE}"
            yield Finding("key", "wrong", f"there is no {KEY_FILE}", cure)
        else:
            yield Finding("key", "ok", "none yet: it is made with the node")
    elif stat.S_IMODE(key.stat().st_mode) & 0o077:
        cure = f"chmod 600 {key}; if somebody may have read it, make a new node"
        yield Finding("key", "wrong", f"{key} may be read or changed by others", cure)
    else:
        yield Finding("key", "ok", f"{KEY_FILE}, for its owner only")


def _disk(home: Path) -> Finding:
    if not os.access(home, os.W_OK):
        cure = "look at its owner and mode, and how its disk is mounted"
        return Finding("disk", "wrong", f"{home} cannot be written", cure)
    return findings.of_room(shutil.disk_usage(home).free)


def _tls(config: Config, world: World) -> Iterator[Finding]:
    cert, key = config.serve.tls_cert, config.serve.tls_key
    if cert is None or key is None:
        return
    renew = "renew it, and start the node again: it reads it at its start"
    try:
        server = server_tls(cert, key)
        end = valid_until(server, cert)
    except Unbelievable as fault:
        yield Finding("tls", "wrong", f"callers will refuse {cert}: {fault}", renew)
    except Fault as fault:
        yield Finding("tls", "wrong", str(fault), "serve.tls_cert and serve.tls_key name two files")
    else:
        is_soon = end.timestamp() * 1e9 - world.clock.now_ns() < CERTIFICATE_WARNING_NS
        text = f"{cert}, valid until {end:%F %R} UTC"
        yield Finding("tls", "warning", text, renew) if is_soon else Finding("tls", "ok", text)
        for key_name, name in _called(config).items():
            if not is_for(server, cert, name):
                text = f"{cert} is not for {name}, as {key_name} says that others call this node"
                cure = (
                    f"have one made for {name}; nothing, if a proxy in front shows one of its own"
                )
                yield Finding("certificate", "warning", text, cure)


def _called(config: Config) -> dict[str, str]:
    """By which names others call this node over TLS, each under the key that says so."""
    names = {}
    if config.mesh.url.startswith("https://"):
        names["mesh.url"] = urlsplit(config.mesh.url).hostname or ""
    if config.hosts.name:
        host = canonical_host(config.hosts.name, is_local=config.serve.loopback)
        names["hosts.name"] = split_host(host)[0]
    return names


def _clock(home: Path, now_ns: int) -> Iterator[Finding]:
    """Of one that has gone back since something was written here; of one that is merely wrong each
    peer says how far the two are apart."""
    paths = [path for path in (home / DATABASE, home / KEY_FILE) if path.exists()]
    ahead_ns = max((path.stat().st_mtime_ns - now_ns for path in paths), default=0)
    if ahead_ns > CLOCK_BACK_NS:
        text = f"it is {span(ahead_ns / 1e9)} behind what was written here by it"
        cure = "set it, and let the system keep it: timedatectl set-ntp true, or chrony"
        yield Finding("clock", "wrong", text, cure)


async def _broker(config: Config, world: World) -> list[Finding]:
    """Where none is configured, nothing is said."""
    if not config.mesh.mqtt:
        return []
    from postbox.cli.broker import examine_broker

    seen = await examine_broker(config, world)
    return [Finding("broker", seen.state, seen.text, seen.cure)]


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
