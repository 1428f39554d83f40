"""Whoever sends a request names the host whose key is fetched: nobody can make this node call what
only it can reach. The whole way is looked at, from the request to the network, on which nothing
may be called."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
import trio

from postbox.config import Config, ServeConfig
from postbox.hosts.keys.keys import Busy, HostSettings, KeyCache, Unauthenticated
from postbox.hosts.sending.client import Calls, HostFault, dial_hosts
from postbox.net.addresses import Reach
from postbox.trust.host_keys import host_key
from postbox.trust.host_names import BadHostName, canonical_host
from postbox.trust.tokens import sign_strict
from postbox.world import World
from support.h2_server import Header, Wire
from support.memory_net import MemoryNet
from support.simulated import simulated

OWN = "own.example:2289"
PUBLIC, OTHER = "93.184.1.5", "93.184.1.6"
METADATA = "169.254.169.254"
BH = bytes(32)

SPELLINGS = [
    # addresses, as they are and as some resolvers read them
    "127.0.0.1", "127.0.0.1:80", "127.1", "127.0.1:2289", "2130706433", "0x7f000001", "0x7f.0.0.1",
    "0177.0.0.1", "017700000001", "127.0.0.1.", "127.000.000.001", "0", "0.0.0.0", "0.0.0.0:22",
    "10.0.0.7", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "169.254.169.254:80",
    "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "100.100.100.200", "224.0.0.1",
    "255.255.255.255", "93.184.1.5",
    "[::]", "[::1]", "[::1]:80", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[::ffff:169.254.169.254]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[fe80::1]", "[fe80::1%25eth0]",
    "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[2606:4700::1]", "::1", "[::1",
    "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "127．0．0．1",
    # names that are none, or hide another
    "localhost", "localhost:22", "metadata", "own.example", "OWN.example.:2289",
    "user@good.example", "good.example@127.0.0.1", "good.example:2289@127.0.0.1:80",
    "http://good.example", "https://127.0.0.1/", "//127.0.0.1", "good.example/../",
    "good.example#@x", "good.example\\@127.0.0.1", "good.example?x", "good.example:2289/",
    "good.example%00.x",
    "good.example\r\nHost: 127.0.0.1", "good.example\n", " good.example", "good.example\t", "\0",
    "good.example:22", "good.example:25", "good.example:6e3", "good.example:0",
    "good.example:99999", "good.example:2289:80", "good..example", "*.example", "unix:/run/x.sock", "file:///etc/passwd",
]  # fmt: skip

BEHIND_NAMES: dict[str, list[str]] = {
    "loopback.example": ["127.0.0.1"],
    "localtest.example": ["127.0.0.53"],
    "six.example": ["::1"],
    "any.example": ["0.0.0.0"],
    "any6.example": ["::"],
    "ten.example": ["10.0.0.7"],
    "office.example": ["192.168.0.10"],
    "carrier.example": ["100.64.0.1"],
    "ula.example": ["fd12:3456::1"],
    "metadata.example": [METADATA],
    "metadata6.example": ["fd00:ec2::254"],
    "azure.example": ["168.63.129.16"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "mapped-ten.example": ["::ffff:10.0.0.1"],
    "compatible.example": ["::127.0.0.1"],
    "six-to-four.example": ["2002:7f00:1::1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "nat64-own.example": ["64:ff9b:1::a00:1"],
    "teredo.example": ["2001::1"],
    "link.example": ["fe80::1%eth0"],
    "site.example": ["fec0::1"],
    "many.example": ["224.0.0.251"],
    "documentation.example": ["203.0.113.1"],
    "first-good.example": [PUBLIC, "127.0.0.1"],
    "last-good.example": ["10.0.0.1", PUBLIC],
    "fifth.example": [PUBLIC, OTHER, PUBLIC, OTHER, METADATA],
    "nobody.example": [],
}


@dataclass
class Spy(MemoryNet):
    """Every address that is called."""

    called: list[tuple[str, int]] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)

    async def resolve(self, host: str) -> list[str]:
        self.resolved.append(host)
        return await super().resolve(host)

    async def connect(self, address: str, port: int, source: str = "127.0.0.1") -> trio.abc.Stream:
        self.called.append((address, port))
        return await super().connect(address, port, source)


@asynccontextmanager
async def open_keys(world: World, net: Spy, *, loopback: bool = False) -> AsyncIterator[KeyCache]:
    """As the door puts it together."""
    config = Config(serve=ServeConfig(loopback=loopback))
    async with trio.open_nursery() as nursery:
        calls = Calls(*dial_hosts(net, config), nursery)

        async def save(peer: object) -> None:
            raise AssertionError("nothing is to be kept")

        keys = KeyCache(
            replace(world, net=net),
            OWN,
            is_local=loopback,
            settings=lambda host: HostSettings(None, is_plain=False, is_known=True),
            fetch=calls.get_key,
            save=save,
            counts_as=Reach((), loopback).counts_as,
            count=lambda outcome: None,
        )
        for _, loop in keys.loops():
            nursery.start_soon(loop)
        yield keys
        nursery.cancel_scope.cancel()


def token_from(world: World, host: str, *, is_local: bool = False) -> str:
    """As good as a stranger can make it."""
    try:
        iss = canonical_host(host, is_local=is_local)
    except BadHostName:
        iss = host
    now_s, jti = world.clock.now_ns() / 1e9, world.random.bytes(16)
    return sign_strict(
        host_key(bytes(32), 0), iss=iss, aud=OWN, rpc="Sync", bh=BH, now_s=now_s, jti=jti
    )


async def ask(keys: KeyCache, world: World, host: str, number: int, **how: bool) -> str:
    """What the stranger is told."""
    token, source = token_from(world, host, **how), f"192.0.{number}.1"
    with pytest.raises((Unauthenticated, Busy)) as refused:
        await keys.authenticate(host, token, "Sync", BH, source)
    return str(refused.value)


@simulated
async def test_no_spelling_of_a_host_makes_the_node_call_anything(world: World) -> None:
    net = Spy({"good.example": [PUBLIC], "localhost": ["127.0.0.1"], "metadata": [METADATA]})
    assert len(SPELLINGS) >= 60
    async with open_keys(world, net) as keys:
        for number, host in enumerate(SPELLINGS):
            await ask(keys, world, host, number)
            assert (host, net.resolved, net.called) == (host, [], [])
        await ask(keys, world, "good.example", 250)
    assert net.called == [(PUBLIC, 2289)]  # and the spy sees what is called


@simulated
async def test_no_name_makes_the_node_call_what_is_not_public(world: World) -> None:
    net = Spy(dict(BEHIND_NAMES))
    async with open_keys(world, net) as keys:
        for number, host in enumerate(BEHIND_NAMES):
            told = await ask(keys, world, host, number)
            # and whoever asks learns nothing of what is behind a name
            assert told == f"the key of {host}:2289 could not be fetched"
            assert (host, net.called) == (host, [])
        assert net.resolved == list(BEHIND_NAMES)


@simulated
async def test_a_name_that_changes_its_address_is_called_where_it_was_judged(world: World) -> None:
    """Public for whoever looks first, loopback for whoever looks again."""

    @dataclass
    class Rebinding(Spy):
        async def resolve(self, host: str) -> list[str]:
            found = await super().resolve(host)
            self.names[host] = ["127.0.0.1"]
            return found

    net = Rebinding({"rebind.example": [PUBLIC]})
    async with open_keys(world, net) as keys:
        await ask(keys, world, "rebind.example", 1)
        assert (net.resolved, net.called) == (["rebind.example"], [(PUBLIC, 2289)])
        await trio.sleep(60)
        await ask(keys, world, "rebind.example", 2)
    assert net.called == [(PUBLIC, 2289)]
    assert net.resolved == ["rebind.example"] * 2


REDIRECTS: list[Sequence[Header]] = [
    [(b":status", b"302"), (b"location", b"http://169.254.169.254/latest/meta-data")],
    [(b":status", b"307"), (b"location", b"http://127.0.0.1:22/")],
    [(b":status", b"308"), (b"location", b"//localhost/"), (b"content-type", b"application/grpc")],
    [(b":status", b"200"), (b"refresh", b"0; url=http://127.0.0.1/"), (b"grpc-status", b"0")],
    [(b":status", b"200"), (b"alt-svc", b'h2="127.0.0.1:22"'), (b"grpc-status", b"0")],
]


@pytest.mark.parametrize("headers", REDIRECTS, ids=[str(at) for at in range(len(REDIRECTS))])
@simulated
async def test_a_host_that_sends_us_elsewhere_is_not_followed(
    world: World, headers: Sequence[Header]
) -> None:
    net = Spy({"bad.example": ["10.0.0.66"], "localhost": ["127.0.0.1"]})

    async def serve(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            wire = Wire(stream)
            stream_id = await wire.asked()
            wire.h2.send_headers(stream_id, headers, end_stream=True)
            await wire.send()
            await wire.hear_all()

    async with trio.open_nursery() as nursery:
        listeners = await net.listen("10.0.0.66", 2289)
        nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
        async with open_keys(world, net, loopback=True) as keys:
            await ask(keys, world, "bad.example", 1, is_local=True)
        nursery.cancel_scope.cancel()
    assert net.called == [("10.0.0.66", 2289)]
    assert net.resolved == ["bad.example"]


@simulated
async def test_not_even_a_node_for_tests_calls_a_machines_metadata(world: World) -> None:
    names = [METADATA, "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "0.0.0.0", "[fe80::1]"]
    net = Spy({"metadata.example": [METADATA]})
    async with open_keys(world, net, loopback=True) as keys:
        for number, host in enumerate((*names, "metadata.example")):
            await ask(keys, world, host, number, is_local=True)
    assert net.called == []


@pytest.mark.parametrize("host", BEHIND_NAMES)
@simulated
async def test_what_is_posted_goes_to_no_such_host_either(world: World, host: str) -> None:
    """The operator, or a user of his, may be led astray, too."""
    net = Spy(dict(BEHIND_NAMES))
    async with trio.open_nursery() as nursery:
        calls = Calls(*dial_hosts(net, Config()), nursery)
        with pytest.raises(HostFault):
            await calls.get_key(f"{host}:2289")
    assert net.called == []


@simulated
async def test_a_token_that_names_another_host_inside_is_not_followed(world: World) -> None:
    """Whatever a header says of where a key is."""
    net = Spy({"good.example": [PUBLIC], "evil.example": [OTHER]})
    key = host_key(bytes(32), 0)
    async with open_keys(world, net) as keys:
        _, claims, signature = token_from(world, "good.example").split(".")
        for more in ({"jku": "https://evil.example/"}, {"x5u": "http://127.0.0.1/"}, {"iss": OWN}):
            header = {"alg": "EdDSA", "typ": "postbox+jwt", "kid": key.kid} | more
            encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
            token = f"{encoded}.{claims}.{signature}"
            with pytest.raises(Unauthenticated):
                await keys.authenticate("good.example", token, "Sync", BH, "192.0.2.1")
    assert (net.resolved, net.called) == ([], [])
