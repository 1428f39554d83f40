"""What is doubtful about where a node listens: that nobody there gets in, or that nobody is told
where to call. By its configuration alone, which the node that serves knows best."""

from __future__ import annotations

from ipaddress import ip_address

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Tell
from postbox.config import Config
from postbox.net.addresses import Kind, kind_of, reach_of


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
    config = desk.node.config
    return Doubts(str(config.serve.listen), doubts(config))


LISTENING = Command("listening", Nothing, Doubts, _listening)
