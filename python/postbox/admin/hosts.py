"""The operator's word on other hosts: whose events are taken, and how they prove who they are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.admin.host_names import own_host, pattern
from postbox.admin.links import links_of, time_of
from postbox.hosts.links import host_rules
from postbox.hosts.links.rules import HostRules
from postbox.hosts.serving.known import KnownHosts
from postbox.hosts.tables import ALL_HOSTS, HOST


class SetHost(Struct, frozen=True, forbid_unknown_fields=True):
    """`host` may be a pattern. None: as it was; empty: it is taken back."""

    host: str
    admit: Literal["", "allow", "block"] | None = None
    tokens: Literal["", "strict", "plain"] | None = None


class HostSeen(Struct, frozen=True):
    """A host, or a pattern, that something was said of, or that there was contact with. `admit`:
    what was said of it alone, empty if nothing was; `tokens`: those that count, by all that was."""

    host: str
    admit: str
    tokens: Literal["strict", "plain"]
    last_contact: datetime | None = None


class Hosts(Struct, frozen=True):
    """The fields of `hosts list --json`. `name`: this host's own, None without one; `admits`: who
    may post here besides those that are allowed."""

    name: str | None
    admits: Literal["open", "list"]
    hosts: list[HostSeen]


async def _list(desk: Desk, _: Nothing, tell: Tell) -> Hosts:
    rows = await desk.node.store.read(lambda reader: list(reader.query(ALL_HOSTS)))
    admits = {str(host): str(admit) for host, admit, _ in rows}
    seen = {link.host: time_of(link.last_contact_ms) for link in await links_of(desk).summary()}
    known = await _known(desk)
    config = desk.node.config
    is_open = config.hosts.admit == "open" or (
        config.hosts.admit == "auto" and config.serve.loopback
    )
    listed = [
        HostSeen(host, admits.get(host, ""), _tokens(known, host), seen.get(host))
        for host in sorted({*admits, *seen})
    ]
    return Hosts(own_host(desk), "open" if is_open else "list", listed)


async def _set(desk: Desk, request: SetHost, tell: Tell) -> HostSeen:
    """What is said of the host now."""
    grants = request.admit == "allow" or bool(request.tokens)
    host = pattern(desk, request.host, grants=grants)
    draft = host_rules.SetHost(desk.node.world.new_id(), host, request.admit, request.tokens)
    await desk.node.admission.submit(HostRules(), [draft])
    rows = await desk.node.store.read(lambda reader: reader.rows(HOST, [(host,)]))
    _, admit, _ = rows[host,] or (host, "", "")
    return HostSeen(host, str(admit), _tokens(await _known(desk), host))


async def _known(desk: Desk) -> KnownHosts:
    config = desk.node.config
    known = KnownHosts(config.hosts.admit, is_local=config.serve.loopback)
    await desk.node.store.read(known.load)
    return known


def _tokens(known: KnownHosts, host: str) -> Literal["strict", "plain"]:
    return "plain" if known.settings(host).is_plain else "strict"


LIST_HOSTS = Command("hosts", Nothing, Hosts, _list)
SET_HOST = Command("set-host", SetHost, HostSeen, _set)
