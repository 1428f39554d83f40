"""The operator's word on other hosts: whose events are taken, and how they prove who they are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.admin.host_names import own_host, pattern
from postbox.admin.links import time_of
from postbox.hosts import host_rules
from postbox.hosts.link_rules import HostRules
from postbox.hosts.tables import ALL_CONTACTS, ALL_HOSTS
from postbox.store.contract import Reader, Row


class SetHost(Struct, frozen=True, forbid_unknown_fields=True):
    """`host` may be a pattern. None: as it was; empty: it is taken back."""

    host: str
    admit: Literal["", "allow", "block"] | None = None
    tokens: Literal["", "strict", "plain"] | None = None


class HostSeen(Struct, frozen=True):
    """A host, or a pattern, that something was said of, or that there was contact with."""

    host: str
    admit: str
    tokens: str
    first_contact: datetime | None = None
    last_contact: datetime | None = None


class Hosts(Struct, frozen=True):
    """The fields of `hosts list --json`. `name`: this host's own, None without one; `admits`: who
    may post here besides those that are allowed."""

    name: str | None
    admits: Literal["open", "list"]
    hosts: list[HostSeen]


async def _list(desk: Desk, _: Nothing, tell: Tell) -> Hosts:
    hosts = await desk.node.store.read(_known)
    config = desk.node.config
    is_open = config.hosts.admit == "open" or (
        config.hosts.admit == "auto" and config.serve.loopback
    )
    return Hosts(own_host(desk), "open" if is_open else "list", hosts)


def _known(reader: Reader) -> list[HostSeen]:
    said = {str(row[0]): row for row in reader.query(ALL_HOSTS)}
    met = {str(row[0]): row for row in reader.query(ALL_CONTACTS)}
    return [_seen(host, said.get(host), met.get(host)) for host in sorted(said | met)]


def _seen(host: str, said: Row | None, met: Row | None) -> HostSeen:
    _, admit, tokens = said or (host, "", "")
    _, first_ms, last_ms, _ = met or (host, 0, 0, b"")
    return HostSeen(host, str(admit), str(tokens), _time(first_ms), _time(last_ms))


def _time(at_ms: object) -> datetime | None:
    return time_of(at_ms) if isinstance(at_ms, int) else None


async def _set(desk: Desk, request: SetHost, tell: Tell) -> HostSeen:
    """What is said of the host now."""
    host = pattern(desk, request.host)
    draft = host_rules.SetHost(desk.node.world.new_id(), host, request.admit, request.tokens)
    await desk.node.admission.submit(HostRules(), [draft])
    known = await desk.node.store.read(_known)
    return next((one for one in known if one.host == host), HostSeen(host, "", ""))


LIST_HOSTS = Command("hosts", Nothing, Hosts, _list)
SET_HOST = Command("set-host", SetHost, HostSeen, _set)
