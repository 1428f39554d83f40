"""What is doubtful about where a node listens: that nobody there gets in, that nobody is told where
to call, that callers are shown an old certificate. The node that serves knows it best."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from msgspec import Struct

from postbox.admin import open_files
from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.config import Config
from postbox.errors import Fault
from postbox.net.addresses import Kind, kind_of, reach_of
from postbox.net.certificate import shown
from postbox.net.tls import server_tls
from postbox.world import Pool

if TYPE_CHECKING:
    from ssl import SSLContext


class Doubt(Struct, frozen=True):
    """`event`: what is the matter, in words that do not change; `why`, and what to do: for the
    operator."""

    event: str
    why: str
    cure: str


class Doubts(Struct, frozen=True):
    listen: str
    doubts: list[Doubt]


def doubts(config: Config) -> list[Doubt]:
    found = (_closed(config), _unnamed(config), _unproved(config))
    return [doubt for doubt in found if doubt is not None]


def crowded(config: Config) -> Doubt | None:
    """Of the process that listens."""
    if open_files.room(config) == config.serve.max_connections:
        return None
    event = "fewer connections than serve.max_connections: not enough open files are allowed"
    needed = open_files.needed(config)
    why = f"{open_files.room(config):,} connections at once, not {config.serve.max_connections:,}"
    return Doubt(event, why, f"ulimit -Hn {needed}, or LimitNOFILE={needed} in the unit of systemd")


def outdated(config: Config, tls: SSLContext | None) -> Doubt | None:
    """`tls`: as the node began to listen. Of files that cannot be read nothing is said here."""
    cert, key = config.serve.tls_cert, config.serve.tls_key
    if tls is None or cert is None or key is None:
        return None
    try:
        is_same = shown(server_tls(cert, key)) == shown(tls)
    except Fault:
        return None
    why = f"{cert} has another one since the node started"
    cure = "start the node again: it reads it at its start"
    return None if is_same else Doubt("callers are shown an old certificate", why, cure)


def url_for_peers(config: Config, url: str) -> str:
    """Where peers are told to call a node that listens at `url`: as the operator says, or there, if
    that is an address to call, and the same after a restart; "" for none."""
    host, port = config.serve.listen
    is_ours_alone = kind_of(ip_address(host)) is Kind.LOOPBACK and not config.serve.loopback
    is_no_place = _is_every_address(host) or port == 0 or is_ours_alone
    return config.mesh.url or ("" if is_no_place else url)


def _closed(config: Config) -> Doubt | None:
    """Who calls comes from a network that the address is in; but by TLS from anywhere, and to the
    address of all networks from any of them."""
    host = config.serve.listen.host
    if config.serve.tls_cert is not None or _is_every_address(host):
        return None
    reach = reach_of(config)
    why = reach.may_call_us(host, is_tls=False)
    cure = (
        "nothing, if this node only calls others; else listen on an address inside of"
        " mesh.networks, or speak TLS (serve.tls_cert)"
    )
    return why if why is None else Doubt("nobody on this network can get in", why, cure)


def _unnamed(config: Config) -> Doubt | None:
    host = config.serve.listen.host
    if config.mesh.url or not _is_every_address(host):
        return None
    why = f"{host} is every address of this machine, and mesh.url is not set"
    cure = "set mesh.url to what peers call, as http://100.64.0.7:7433"
    return Doubt("peers are told no URL of this node", why, cure)


def _unproved(config: Config) -> Doubt | None:
    """Other hosts fetch the key by TLS, at the host's name."""
    serve, name = config.serve, config.hosts.name
    if not name or serve.loopback or serve.tls_cert is not None:
        return None
    why = f"hosts speak TLS, and this node, called {name} among them, has no certificate"
    cure = "set serve.tls_cert and serve.tls_key: a certificate for that name"
    return Doubt("no other host can reach this one", why, cure)


def _is_every_address(host: str) -> bool:
    return ip_address(host).is_unspecified


async def _listening(desk: Desk, _: Nothing, tell: Tell) -> Doubts:
    config, found = desk.node.config, doubts(desk.node.config)
    if desk.serving is not None:
        work = partial(outdated, config, desk.serving.tls)
        late = await desk.node.world.threads.run(Pool.READER, work)
        found += [doubt for doubt in (crowded(config), late) if doubt is not None]
    return Doubts(str(config.serve.listen), found)


LISTENING = Command("listening", Nothing, Doubts, _listening)
