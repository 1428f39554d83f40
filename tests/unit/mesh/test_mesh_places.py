"""Which places that others tell of may be called, and as what they are kept: tables."""

from __future__ import annotations

import pytest

from postbox.mesh.peers.places import host_of, mesh_ip_of, place_of, place_told, spot_of
from postbox.net.addresses import Reach
from support.networks import DEFAULT_NETWORKS

REACH = Reach(DEFAULT_NETWORKS, loopback=False)
AT_HOME = Reach(DEFAULT_NETWORKS, loopback=True)


@pytest.mark.parametrize(
    ("mesh_ip", "url"),
    [
        ("100.64.0.7", "http://100.64.0.7:7433"),
        ("fd7a:115c:a1e0::7", "http://[fd7a:115c:a1e0::7]:7433"),
        ("", ""),
        ("100.64.0.7:7433", ""),
        ("100.64.0.7/24", ""),
        ("127.0.0.1", ""),
        ("10.0.0.7", ""),
        ("192.0.2.7", ""),
        ("8.8.8.8", ""),
        ("169.254.169.254", ""),
        ("100.100.100.200", ""),
        ("bob.example", ""),
        ("0x7f000001", ""),
        ("100.64.0.7\r\nx", ""),
        ("FD7A:115c:a1e0:0:0::7", "http://[fd7a:115c:a1e0::7]:7433"),
        ("fd7a:115c:a1e0::7%eth0", ""),
        ("fd7a:115c:a1e0::7%\0", ""),
        ("fd7a:115c:a1e0::7%" + 5_000 * "x", ""),
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_an_address_in_a_hey_there_is_called_only_inside_the_networks(
    mesh_ip: str, url: str
) -> None:
    assert place_of(mesh_ip, REACH) == url


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("http://100.64.0.7:7433", "http://100.64.0.7:7433"),
        ("http://100.64.0.7:80/", "http://100.64.0.7:80"),
        ("http://[fd7a:115c:a1e0::7]:7433", "http://[fd7a:115c:a1e0::7]:7433"),
        ("https://bob.example", "https://bob.example"),
        ("https://bob.example:8443/", "https://bob.example:8443"),
        ("", ""),
        ("http://bob.example:7433", ""),
        ("http://127.0.0.1:7433", ""),
        ("http://8.8.8.8", ""),
        ("http://169.254.169.254", ""),
        ("http://100.64.0.7:7433/latest/meta-data", ""),
        ("https://bob.example/path", ""),
        ("https://bob.example?x=1", ""),
        ("https://me@bob.example", ""),
        ("ftp://100.64.0.7", ""),
        ("file:///etc/passwd", ""),
        ("https://bob.example:0", ""),
        ("https://bob.example:99999", ""),
        ("https://bob\u00e9.example", ""),
        ("https://" + "b" * 300, ""),
        ("https://bob.example\r\nx: y", ""),
        ("http://", ""),
        ("http://[::1", ""),
    ],
)
def test_a_url_that_others_tell_is_kept_only_if_it_may_be_called(told: str, kept: str) -> None:
    assert place_told(told, REACH) == kept


@pytest.mark.parametrize(
    ("told", "caller", "is_kept"),
    [
        ("http://100.64.0.7:7433", "100.64.0.7", True),
        ("http://100.64.0.8:7433", "100.64.0.7", False),
        ("http://100.64.0.7:7433", "", False),
        ("https://bob.example", "100.64.0.7", True),
        ("https://bob.example", "", True),
    ],
)
def test_by_plain_http_a_caller_is_where_it_calls_from(
    told: str, caller: str, is_kept: bool
) -> None:
    assert bool(place_told(told, REACH, caller)) is is_kept


def test_under_loopback_places_on_this_machine_count() -> None:
    assert place_told("http://127.0.0.1:4000", AT_HOME) == "http://127.0.0.1:4000"
    assert place_of("127.0.0.1", AT_HOME) == "http://127.0.0.1:7433"


@pytest.mark.parametrize(
    ("url", "mesh_ip"),
    [
        ("http://100.64.0.7:7433", "100.64.0.7"),
        ("http://[fd7a:115c:a1e0::7]:7433", "fd7a:115c:a1e0::7"),
        ("http://100.64.0.7", ""),
        ("http://100.64.0.7:80", ""),
        ("https://100.64.0.7:7433", ""),
        ("http://bob.example:7433", ""),
        ("", ""),
    ],
)
def test_naras_are_told_an_address_that_they_can_call(url: str, mesh_ip: str) -> None:
    assert mesh_ip_of(url) == mesh_ip


def test_a_place_is_one_whatever_stands_behind_it() -> None:
    assert spot_of("http://100.64.0.7:7433/") == spot_of("http://100.64.0.7:7433")
    assert spot_of("https://Bob.example") == spot_of("https://bob.example")
    assert (spot_of("nonsense"), host_of("nonsense")) == ("", "")
    assert host_of("http://[fd7a:115c:a1e0::7]:7433") == "fd7a:115c:a1e0::7"
