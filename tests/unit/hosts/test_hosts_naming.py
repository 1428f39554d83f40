"""What a node is called among hosts, and that it says so in one spelling."""

from __future__ import annotations

import pytest

from postbox.config import BadConfig, Config, HostsConfig, ServeConfig
from postbox.hosts.serving.naming import named

URL = "http://127.0.0.1:7433"


def name_of(name: str, *, loopback: bool = False, url: str = URL) -> str:
    config = Config(serve=ServeConfig(loopback=loopback), hosts=HostsConfig(name=name))
    return named(config, url).hosts.name


def test_a_name_is_brought_into_its_one_spelling() -> None:
    assert name_of("Chat.Example.org.") == "chat.example.org:2289"
    assert name_of("bücher.example:443") == "xn--bcher-kva.example:443"


def test_without_a_name_the_address_is_one_under_loopback_alone() -> None:
    assert name_of("", loopback=True) == "127.0.0.1:7433"
    assert name_of("", loopback=True, url="http://[::1]:80") == "[::1]:80"
    assert name_of("") == ""


@pytest.mark.parametrize("name", ["127.0.0.1:7433", "localhost:1", "a_b.example", "x:0"])
def test_what_is_no_name_stops_the_node_and_names_the_option(name: str) -> None:
    with pytest.raises(BadConfig, match="--host"):
        name_of(name)
