"""What a caller counts as."""

from __future__ import annotations

import pytest

from postbox.mesh.callers import limit_key
from postbox.net.addresses import DEFAULT_NETWORKS, Reach

REACH = Reach(DEFAULT_NETWORKS, loopback=True)


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("100.64.0.1", "100.64.0.2", False),
        ("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2", False),
        ("fd7a:115c:a1e0::1%eth0", "fd7a:115c:a1e0::1%eth1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2::2", True),
        ("fd00:1:2:3::1", "fd00:1:2:3::2", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("127.0.0.1", "127.0.0.1", True),
        (None, None, True),
        (None, "127.0.0.1", False),
    ],
)
def test_inside_the_mesh_s_networks_an_address_is_a_node_and_elsewhere_a_64_is(
    one: str | None, other: str | None, are_one: bool
) -> None:
    assert (limit_key(one, REACH) == limit_key(other, REACH)) is are_one
