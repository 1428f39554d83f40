"""Which addresses a node calls and is called by: each kind, each spelling."""

from __future__ import annotations

import ipaddress

import pytest

from postbox.net.addresses import Kind, Reach, kind_of, reach_of_hosts
from support.networks import DEFAULT_NETWORKS

OURS = (
    *DEFAULT_NETWORKS,
    ipaddress.ip_network("192.0.2.0/24"),
    ipaddress.ip_network("10.7.0.0/16"),
)
EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))

LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.7", "fc00::1", "fd00::2"]
IN_OURS = ["100.64.0.7", "100.127.255.254", "fd7a:115c:a1e0::7", "10.7.0.1", "::ffff:100.64.0.7"]
GLOBAL = [
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2a00::1",
    "2001:4860:4860::8888",
    "64:ff9b::808:808",
]
SPECIAL = [
    "192.0.0.8",
    "198.51.100.1",
    "203.0.113.9",
    "198.18.0.1",
    "198.19.255.254",
    "192.88.99.1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::1",  # 6to4 of 169.254.169.254
    "3fff::1",
]
NEVER = [
    "0.0.0.0",
    "0.0.0.1",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "100.100.100.100",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "fd7a:115c:a1e0::53",
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",  # NAT64 of one's own network
    "::7f00:1",  # 127.0.0.1 in IPv4-compatible spelling
    "100::1",
    "5f00::1",
    "fec0::1",
    "4000::1",
]
NO_ADDRESS = [
    "",
    "localhost",
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
    "0177.0.0.1",
    "1.2.3.4.",
    "[::1]",
]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("is_tls", [False, True])
def test_where_no_node_is_nobody_calls_whatever_the_networks_say(
    address: str, is_tls: bool
) -> None:
    reach = Reach(OURS, loopback=True)
    for said in (
        reach.refusal(address, is_tls=is_tls),
        reach.may_call_us(address, is_tls=is_tls),
        Reach(EVERYTHING, loopback=True).refusal("169.254.169.254", is_tls=is_tls),
    ):
        assert said is not None
        assert said.endswith("is an address that no node has")


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_neither_called_nor_let_in(address: str) -> None:
    reach = Reach(EVERYTHING, loopback=True)
    assert reach.refusal(address, is_tls=True) == f"{address} is no IP address"
    assert reach.may_call_us(address, is_tls=True) == f"{address} is no IP address"
    assert not reach.is_home(address)


@pytest.mark.parametrize("address", LOOPBACK + PRIVATE)
@pytest.mark.parametrize("is_tls", [False, True])
def test_this_machine_and_private_addresses_are_for_loopback_alone(
    address: str, is_tls: bool
) -> None:
    for loopback in (False, True):
        reach = Reach(OURS, loopback=loopback)
        assert (reach.refusal(address, is_tls=is_tls) is None) == loopback
        assert (reach.may_call_us(address, is_tls=is_tls) is None) == loopback
        assert reach.is_home(address) == loopback
    assert "--loopback" in str(Reach(OURS, loopback=False).refusal(address, is_tls=is_tls))


@pytest.mark.parametrize("address", [*IN_OURS, "192.0.2.2"])
@pytest.mark.parametrize("is_tls", [False, True])
def test_inside_the_networks_of_the_operator_all_is_allowed(address: str, is_tls: bool) -> None:
    reach = Reach(OURS, loopback=False)
    assert reach.refusal(address, is_tls=is_tls) is None
    assert reach.may_call_us(address, is_tls=is_tls) is None
    assert reach.is_home(address)


@pytest.mark.parametrize("address", GLOBAL)
def test_the_world_is_spoken_to_by_tls_alone(address: str) -> None:
    for loopback in (False, True):
        reach = Reach(OURS, loopback=loopback)
        assert reach.refusal(address, is_tls=True) is None
        assert reach.may_call_us(address, is_tls=True) is None
        assert "https" in str(reach.refusal(address, is_tls=False))
        assert "https" in str(reach.may_call_us(address, is_tls=False))
        assert not reach.is_home(address)


@pytest.mark.parametrize("address", SPECIAL)
def test_what_is_set_aside_must_be_among_the_networks(address: str) -> None:
    reach = Reach(OURS, loopback=True)
    for is_tls in (False, True):
        for said in (
            reach.refusal(address, is_tls=is_tls),
            reach.may_call_us(address, is_tls=is_tls),
        ):
            assert said is not None
            assert "set aside for other uses than nodes: add its network to mesh.networks" in said
    named = Reach((*OURS, ipaddress.ip_network(address)), loopback=False)
    assert named.refusal(address, is_tls=False) is None
    assert named.may_call_us(address, is_tls=False) is None


@pytest.mark.parametrize("address", [*PRIVATE, *SPECIAL, *GLOBAL, *LOOPBACK, *NEVER])
@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize("is_tls", [False, True])
def test_for_hosts_the_networks_of_the_mesh_count_nothing_and_are_not_spoken_of(
    address: str, loopback: bool, is_tls: bool
) -> None:
    hosts = reach_of_hosts(loopback=loopback).refusal(address, is_tls=is_tls)
    assert "mesh" not in str(hosts)
    mesh = Reach((), loopback=loopback).refusal(address, is_tls=is_tls)
    assert (hosts is None) == (mesh is None)


def test_a_unix_socket_is_its_owners() -> None:
    reach = Reach((), loopback=False)
    assert reach.may_call_us(None, is_tls=False) is None
    assert reach.is_home(None)
    assert not reach.is_network(None)


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("100.64.0.1", "100.64.0.2", False),
        ("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2", False),
        ("fd7a:115c:a1e0::1%eth0", "fd7a:115c:a1e0::1%eth1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fd00:1:2:3::1", "fd00:1:2:3::2", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("127.0.0.1", "127.0.0.1", True),
        (None, None, True),
        (None, "127.0.0.1", False),
    ],
)
def test_where_a_limit_is_by_address_a_household_is_one_and_a_node_of_the_networks_is_one(
    one: str | None, other: str | None, are_one: bool
) -> None:
    reach = Reach(DEFAULT_NETWORKS, loopback=True)
    assert (reach.counts_as(one) == reach.counts_as(other)) is are_one


def test_every_kind_has_an_address_here() -> None:
    tables = {
        Kind.LOOPBACK: LOOPBACK[:3],
        Kind.PRIVATE: PRIVATE,
        Kind.GLOBAL: GLOBAL,
        Kind.SPECIAL: SPECIAL,
    }
    for kind, addresses in tables.items():
        assert {kind_of(ipaddress.ip_address(each)) for each in addresses} == {kind}
    assert set(tables) | {Kind.NEVER} == set(Kind)
