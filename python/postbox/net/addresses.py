"""Which addresses may be called, and who may call us: plain values, no network.

What an address is comes from the tables below alone. The standard library's `is_global` is not
asked: it says yes to 6to4 and NAT64 spellings of private addresses (CVE-2024-4032 and its
like), and lists of forbidden addresses that others kept were found incomplete again and again
(CVE-2025-25194, CVE-2026-33693, CVE-2026-22245, CVE-2026-46348, CVE-2026-50131). So: what no
table names is not allowed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from postbox.config import Config

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")

_NEVER = _networks(
    "0.0.0.0/8",  # "this host": reaches loopback on Linux
    "169.254.0.0/16",  # link-local: where clouds serve a machine's credentials
    "100.100.100.100/32",  # the resolver and web page of Tailscale itself
    "100.100.100.200/32",  # Alibaba's metadata service
    "168.63.129.16/32",  # Azure's, on an address that looks global
    "224.0.0.0/3",  # multicast, reserved, broadcast
    "::/128",
    "fd00:ec2::/32",  # Amazon's metadata service, time and resolver
    "fd7a:115c:a1e0::53/128",  # Tailscale's resolver
    "fe80::/10",
    "ff00::/8",
)
"""Whatever the operator's networks say: nobody's node is there."""

_PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

_SPECIAL = _networks(
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation, here and below
    "198.51.100.0/24",
    "203.0.113.0/24",
    "192.31.196.0/24",  # AS112: answers for private names
    "192.175.48.0/24",
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # relays of 6to4
    "198.18.0.0/15",  # benchmarks
    "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, ...
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: an IPv4 address in disguise
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
"""Inside of what is global, and nobody's by rights (IANA's special-purpose registries, 2025). Some
networks of containers and machines that are cut off use them all the same."""

_GLOBAL = _networks("0.0.0.0/0", "2000::/3")
"""All of IPv6 that was ever given to anyone, and of IPv4 whatever is left."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Names of IPv4 hosts resolve to it in networks that have only IPv6 (RFC 6052)."""


KEPT = 1_024
"""Addresses that are not looked at again: a caller asks more than once, and a proxy is one."""


class Kind(Enum):
    LOOPBACK = "a loopback address"
    PRIVATE = "a private address"
    GLOBAL = "a global address"
    SPECIAL = "an address set aside for other uses than nodes"
    NEVER = "an address that no node has"


@lru_cache(KEPT)
def kind_of(address: IPAddress) -> Kind:
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        behind = kind_of(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        return Kind.GLOBAL if behind is Kind.GLOBAL else Kind.NEVER
    for kind, networks in (
        (Kind.NEVER, _NEVER),
        (Kind.LOOPBACK, _LOOPBACK),
        (Kind.PRIVATE, _PRIVATE),
        (Kind.SPECIAL, _SPECIAL),
        (Kind.GLOBAL, _GLOBAL),
    ):
        if _is_in(address, networks):
            return kind
    return Kind.NEVER


_OF_THE_MESH = {
    Kind.SPECIAL: "is {kind}: add its network to mesh.networks if one is there",
    Kind.PRIVATE: "is {kind}: add its network to mesh.networks if the wire to it is secure, or"
    " start with --loopback",
    Kind.GLOBAL: "is outside of mesh.networks, where plain HTTP is not safe: use https, or add its"
    " network if the wire to it is secure",
}
_OF_HOSTS = {
    Kind.SPECIAL: "is {kind}: hosts have public addresses",
    Kind.PRIVATE: "is {kind}: hosts have public addresses; for tests, start with --loopback",
    Kind.GLOBAL: "is outside of this machine's networks, where plain HTTP is not safe: without"
    " --loopback, or with hosts.ca or a certificate, hosts are called by https",
}
"""What a refusal says to do; the networks of the mesh are not those of hosts."""


@dataclass(frozen=True)
class Reach:
    """Whom a node calls and by whom it may be called.

    `networks`: where the wire itself is secure, so that plain HTTP will do. `loopback`: this
    machine and private addresses count as well, for tests and demonstrations. `cures`: what a
    refusal to call says to do.
    """

    networks: tuple[IPNetwork, ...]
    loopback: bool
    cures: Mapping[Kind, str] = field(
        default_factory=lambda: _OF_THE_MESH, repr=False, compare=False
    )

    def refusal(self, address: str, *, is_tls: bool) -> str | None:
        """Why `address`, an IP literal, may not be called like this; None: it may."""
        found = _parse(address)
        if found is None:
            return f"{address} is no IP address"
        kind = kind_of(found)
        match kind:
            case Kind.NEVER:
                return f"{address} is {kind.value}"
            case _ if _is_in(found, self.networks):
                return None
            case Kind.LOOPBACK if not self.loopback:
                return f"{address} is {kind.value}: start with --loopback to call it"
            case Kind.LOOPBACK:
                return None
            case Kind.PRIVATE if self.loopback:
                return None
            case Kind.GLOBAL if is_tls:
                return None
            case Kind.SPECIAL | Kind.PRIVATE | Kind.GLOBAL:
                return f"{address} {self.cures[kind].format(kind=kind.value)}"

    def may_call_us(self, address: str | None, *, is_tls: bool) -> str | None:
        """Why a caller at `address` is refused, None if it is not. An `address` of None is a
        unix socket, which only its owner can open."""
        if address is None:
            return None
        found = _parse(address)
        if found is None:
            return f"{address} is no IP address"
        kind = kind_of(found)
        match kind:
            case Kind.NEVER:
                return f"{address} is {kind.value}"
            case _ if _is_in(found, self.networks):
                return None
            case Kind.LOOPBACK:
                if self.loopback:
                    return None
                return (
                    f"{address} is {kind.value}: start the node with --loopback, or, behind a proxy"
                    " that speaks TLS, add 127.0.0.1/32 to its mesh.networks"
                )
            case Kind.PRIVATE:
                if self.loopback:
                    return None
                return (
                    f"{address} is {kind.value} outside of mesh.networks: add its network there,"
                    " or start the node with --loopback"
                )
            case Kind.SPECIAL:
                return f"{address} is {kind.value}: add its network to mesh.networks"
            case Kind.GLOBAL:
                return None if is_tls else f"{address} is outside of mesh.networks: call by https"

    def is_network(self, address: str | None) -> bool:
        """Inside one of `networks`?"""
        found = None if address is None else _parse(address)
        return found is not None and _is_in(found, self.networks)

    def is_home(self, address: str | None) -> bool:
        """Where whoever calls is as good as one of us: a unix socket, `networks`, and with
        `loopback` what that allows."""
        if address is None or self.is_network(address):
            return True
        found = _parse(address)
        return (
            self.loopback and found is not None and kind_of(found) in (Kind.LOOPBACK, Kind.PRIVATE)
        )

    def is_near(self, address: str | None) -> bool:
        """As `is_home`, or this very machine: plain HTTP from there is nobody's to listen to."""
        found = None if address is None else _parse(address)
        return self.is_home(address) or (found is not None and kind_of(found) is Kind.LOOPBACK)

    def counts_as(self, address: str | None) -> str:
        """What `address` is where something is limited by address. Inside `networks` every address
        is a node of its own: Tailscale and Headscale give all nodes of a network addresses of one
        /64, and none can take another's. Elsewhere a /64 is what one household has. "" for a unix
        socket."""
        found = None if address is None else _parse(address)
        if found is None:
            return ""
        if isinstance(found, ipaddress.IPv4Address) or _is_in(found, self.networks):
            return str(found)
        return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def reach_of(config: Config) -> Reach:
    """Of the mesh, and of whoever else may rely on a wire that is secure by itself."""
    return Reach(config.mesh.networks, config.serve.loopback)


def reach_of_hosts(*, loopback: bool) -> Reach:
    """Of the hosts' door, which never trusts a wire: only public addresses, and with `loopback`
    this machine and private ones."""
    return Reach((), loopback, _OF_HOSTS)


@lru_cache(KEPT)
def _parse(address: str) -> IPAddress | None:
    """An IPv4 address that was mapped into IPv6 is the IPv4 address. Without a zone."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _is_in(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address in network for network in networks)
