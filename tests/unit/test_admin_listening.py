"""What is doubtful about an address to listen on, and which URL peers are told of it."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from postbox.admin.listening import doubts, url_for_peers
from postbox.config import Config
from postbox.config.declaration import HostsConfig, MeshConfig, ServeConfig
from postbox.config.kinds import Address
from support.networks import DEFAULT_NETWORKS

CLOSED, UNNAMED = "nobody on this network can get in", "peers are told no URL of this node"
UNPROVED = "no other host can reach this one"
LISTENS = "http://where.it.listens"


def config_of(
    host: str,
    networks: str = "",
    *,
    port: int = 7433,
    loopback: bool = False,
    tls: bool = False,
    url: str = "",
    name: str = "",
) -> Config:
    file = Path("x.pem") if tls else None
    serve = ServeConfig(listen=Address(host, port), loopback=loopback, tls_cert=file, tls_key=file)
    secured = (ip_network(networks),) if networks else DEFAULT_NETWORKS
    mesh, hosts = MeshConfig(networks=secured, url=url), HostsConfig(name=name)
    return Config(serve=serve, mesh=mesh, hosts=hosts)


@pytest.mark.parametrize(
    ("config", "events"),
    [
        (config_of("127.0.0.1"), [CLOSED]),
        (config_of("127.0.0.1", loopback=True), []),
        (config_of("127.0.0.1", "127.0.0.1/32"), []),
        (config_of("::1"), [CLOSED]),
        (config_of("192.168.1.5"), [CLOSED]),
        (config_of("192.168.1.5", "192.168.0.0/16"), []),
        (config_of("192.168.1.5", tls=True), []),
        (config_of("100.64.0.7"), []),
        (config_of("93.184.1.5"), [CLOSED]),
        (config_of("93.184.1.5", tls=True), []),
        (config_of("0.0.0.0"), [UNNAMED]),
        (config_of("::"), [UNNAMED]),
        (config_of("0.0.0.0", tls=True, url="https://box.example.org"), []),
        (config_of("100.64.0.7", name="box.example"), [UNPROVED]),
        (config_of("100.64.0.7", name="box.example", tls=True), []),
        (config_of("127.0.0.1", name="box.example", loopback=True), []),
    ],
)
def test_an_address_where_nobody_gets_in_or_that_nobody_can_call_is_doubtful(
    config: Config, events: list[str]
) -> None:
    found = doubts(config)
    assert [doubt.event for doubt in found] == events
    assert all(doubt.why and doubt.cure for doubt in found)


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (config_of("100.64.0.7"), LISTENS),
        (config_of("127.0.0.1", loopback=True), LISTENS),
        (config_of("127.0.0.1", "127.0.0.1/32"), ""),
        (config_of("0.0.0.0"), ""),
        (config_of("::"), ""),
        (config_of("100.64.0.7", port=0), ""),
        (config_of("0.0.0.0", url="https://box.example.org"), "https://box.example.org"),
    ],
)
def test_peers_are_told_a_url_that_can_be_called_or_none(config: Config, url: str) -> None:
    assert url_for_peers(config, LISTENS) == url
