"""`postbox doctor`: the usual mistakes, looked for, each with its cure."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

from postbox.admin import findings
from postbox.admin.command import Nothing, Operator
from postbox.admin.examining import EXAMINE_HOST, ExamineHost
from postbox.admin.findings import EXPLAINED, Finding
from postbox.admin.issuer import EXAMINE_ISSUER
from postbox.admin.links import LINKS
from postbox.admin.listening import LISTENING
from postbox.admin.peers import PEERS
from postbox.admin.status import STATUS
from postbox.admin.surroundings import look_around, look_at_home
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, run
from postbox.cli.output import print_findings, print_json, print_text
from postbox.config import Config
from postbox.errors import Fault
from postbox.home import BadHome
from postbox.net.server import HYPERCORN
from postbox.world import World, system_world


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
    try:
        if not home.exists():
            return [Finding("home", "warning", f"{home} is not there", "any verb makes it")]
        seen = look_at_home(home, world.clock.now_ns())
    except PermissionError as error:
        cure = "say this as the user that the home belongs to, or as root"
        return [Finding("home", "wrong", f"{error.filename}: {error.strerror}", cure)]
    found = [_hypercorn(), *findings.of_home(seen), *findings.of_clock(seen)]
    try:
        config = options.config()
    except Fault as error:
        cure = "mend config.toml; postbox config says what every key takes"
        return [*found, Finding("configuration", "wrong", str(error), cure)]
    found.append(Finding("configuration", "ok", "it can be read"))
    found += [*_loopback(config), *await _broker(config, world)]
    around = await look_around(home, config, world)
    found.append(findings.of_limits(around))
    found += findings.of_surroundings(around, world.clock.now_ns())
    if around.unreached:
        return found
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


async def _ask(operator: Operator, config: Config, world: World) -> list[Finding]:
    status = await operator.call(STATUS, Nothing())
    found = [findings.of_node(status)]
    if not status.url:
        found.append(await _port(world, config))
    found += findings.of_status(status, world.clock.now_ns())
    found += findings.of_listening(await operator.call(LISTENING, Nothing()))
    found += findings.of_issuer(await operator.call(EXAMINE_ISSUER, Nothing()))
    now_ns = world.clock.now_ns()
    links = await operator.call(LINKS, Nothing())
    found += findings.of_links(links.links, now_ns)
    met = await operator.call(PEERS, Nothing())
    return [*found, *findings.of_peers(met, now_ns)]


def _hypercorn() -> Finding:
    found = version("hypercorn")
    if found == HYPERCORN:
        return Finding("hypercorn", "ok", found)
    return Finding("hypercorn", "wrong", found, f"install hypercorn=={HYPERCORN}")


def _loopback(config: Config) -> Iterator[Finding]:
    """Where it stands in config.toml: who says it to `serve` means it."""
    if config.serve.loopback:
        text = (
            "plain HTTP and private addresses are allowed, and whoever comes from there is let in"
        )
        yield Finding("loopback", "warning", text, "for tests only: take serve.loopback out")


async def _broker(config: Config, world: World) -> list[Finding]:
    """Where none is configured, nothing is said."""
    if not config.mesh.mqtt:
        return []
    from postbox.cli.broker import examine_broker

    seen = await examine_broker(config, world)
    return [Finding("broker", seen.state, seen.text, seen.cure)]


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
