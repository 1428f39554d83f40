"""The way to another host as far as a connection: every step that can fail says why, and what to
do about it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from postbox.hosts.sending.connecting import Blocked, Step, addresses_of, connected, shake_hands
from postbox.net.addresses import reach_of_hosts
from postbox.net.tls import server_tls
from postbox.world import SystemClock
from support.memory_net import MemoryNet

HOST, DOMAIN = "b.example:2289", "b.example"
ADDRESS, OTHER, DEAF = "93.184.1.5", "93.184.1.6", "93.184.1.7"
PUBLIC = reach_of_hosts(loopback=False)
NOW_S = SystemClock().now_ns() / 1e9
NOW = datetime.fromtimestamp(NOW_S, UTC)


@dataclass
class Town(MemoryNet):
    """`DEAF` picks up nothing, and the name `slow.example` is never resolved."""

    called: list[str] = field(default_factory=list)

    async def resolve(self, host: str) -> list[str]:
        if host == "slow.example":
            await trio.sleep_forever()
        return await super().resolve(host)

    async def connect(self, address: str, port: int, source: str = "127.0.0.1") -> trio.abc.Stream:
        self.called.append(address)
        if address == DEAF:
            await trio.sleep_forever()
        return await super().connect(address, port, source)


def blocked(group: pytest.ExceptionInfo[Blocked]) -> tuple[str, str, str, str]:
    step = group.value.step
    return step.what, step.state, step.text, step.cure


@pytest.mark.parametrize(
    ("addresses", "says", "cure"),
    [
        (["10.0.0.7"], "b.example is not called: 10.0.0.7 is a private address", "public"),
        ([ADDRESS, "127.0.0.1"], "b.example is not called: 127.0.0.1 is a loopback", "public"),
        (["169.254.169.254"], "is an address that no node has", "public"),
        (None, "b.example has no address: ", "is b.example spelt right, and in the DNS?"),
    ],
)
async def test_a_name_must_have_addresses_that_may_be_called(
    addresses: list[str] | None, says: str, cure: str
) -> None:
    net = Town({} if addresses is None else {DOMAIN: addresses})
    with pytest.raises(Blocked) as caught:
        await addresses_of(net, HOST, PUBLIC, is_tls=True)
    what, state, text, to_do = blocked(caught)
    assert (what, state, net.called) == ("address", "wrong", [])
    assert says in text
    assert cure in to_do


async def test_a_resolver_that_does_not_answer_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(Blocked) as caught:
        await addresses_of(Town(), "slow.example:2289", PUBLIC, is_tls=True)
    assert "slow.example was not resolved within 5 s" in blocked(caught)[2]


def authority_and_server(
    folder: Path, *names: str, ca: trustme.CA | None = None, end: datetime | None = None
) -> tuple[trustme.CA, ssl.SSLContext]:
    """A server's side of TLS with a certificate for these names."""
    ca = ca or trustme.CA()
    issued = ca.issue_cert(*names, not_before=NOW - timedelta(days=365), not_after=end)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "cert.pem", append=True)
    return ca, server_tls(folder / "cert.pem", folder / "key.pem")


def caller(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    return context


@asynccontextmanager
async def listening(
    net: MemoryNet, talk: Callable[[trio.abc.Stream], Awaitable[None]]
) -> AsyncIterator[None]:
    async def handle(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await talk(stream)

    async with trio.open_nursery() as nursery:
        listeners = await net.listen(ADDRESS, 2289)
        nursery.start_soon(partial(trio.serve_listeners, handle, listeners))
        yield
        nursery.cancel_scope.cancel()


async def secure(tls: ssl.SSLContext, stream: trio.abc.Stream) -> None:
    secured = trio.SSLStream(stream, tls, server_side=True)
    await secured.do_handshake()
    await secured.receive_some()


async def walked(
    talk: Callable[[trio.abc.Stream], Awaitable[None]], tls: ssl.SSLContext
) -> list[Step]:
    """Over an address at which nothing answers to one where `talk` does; also where it ends."""
    net, found = Town(), list[Step]()
    async with listening(net, talk):
        try:
            async with connected(net, HOST, [OTHER, ADDRESS], found) as stream:
                found.append(await shake_hands(stream, DOMAIN, tls, NOW_S))
        except Blocked as end:
            found.append(end.step)
    return found


async def test_where_nothing_answers_each_address_is_named(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(Blocked) as caught:
        async with connected(Town(), HOST, [OTHER, DEAF], []):
            pass
    what, _, text, cure = blocked(caught)
    refused = f"{OTHER} port 2289 (Connection refused)"
    silent = f"{DEAF} port 2289 (no answer within 5 s)"
    assert (what, text) == ("address", f"nothing answers at {refused}; {silent}")
    assert "does it listen on port 2289, and does every firewall" in cure


async def test_an_address_at_which_nothing_answers_is_worth_a_look(tmp_path: Path) -> None:
    ca, tls = authority_and_server(tmp_path, DOMAIN)
    address, secured = await walked(partial(secure, tls), caller(ca))
    assert (address.what, address.state) == ("address", "warning")
    assert f"answers at {ADDRESS}, port 2289; not at {OTHER}" in address.text
    assert (secured.what, secured.state) == ("tls", "ok")
    assert "TLSv1.3, its certificate is valid until 3" in secured.text


async def test_a_certificate_that_ends_soon_is_told(tmp_path: Path) -> None:
    ca, tls = authority_and_server(tmp_path, DOMAIN, end=NOW + timedelta(days=3))
    *_, secured = await walked(partial(secure, tls), caller(ca))
    assert secured.state == "warning"
    assert f"valid until {NOW + timedelta(days=3):%F}" in secured.text
    assert "renews it" in secured.cure


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "says", "cure"),
    [
        (DOMAIN, -1, True, "certificate has expired", "its operator renews it"),
        ("c.example", 90, True, "not valid for 'b.example'", "gets one for b.example"),
        (DOMAIN, 90, False, "unable to get local issuer", "hosts.ca"),
    ],
)
async def test_a_certificate_that_is_not_believed_says_what_is_wrong_with_it(
    tmp_path: Path, name: str, days: int, is_trusted: bool, says: str, cure: str
) -> None:
    ca, tls = authority_and_server(tmp_path, name, end=NOW + timedelta(days=days))
    *_, end = await walked(partial(secure, tls), caller(ca if is_trusted else trustme.CA()))
    assert (end.what, end.state) == ("tls", "wrong")
    assert says in end.text
    assert cure in end.cure


async def test_a_server_without_http_2_is_told_from_one_with_it(tmp_path: Path) -> None:
    ca, tls = authority_and_server(tmp_path, DOMAIN)
    tls.set_alpn_protocols(["http/1.1"])
    *_, end = await walked(partial(secure, tls), caller(ca))
    assert (end.state, end.text) == ("wrong", "TLS is spoken there, HTTP/2 is not")
    assert "proxy" in end.cure


async def say_something(stream: trio.abc.Stream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def hang_up(stream: trio.abc.Stream) -> None:
    await stream.aclose()


async def say_nothing(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("talk", "says"),
    [
        (say_something, "no TLS comes about"),
        (hang_up, "the connection was closed during the handshake"),
        (say_nothing, "did not answer to TLS within 5 s"),
    ],
)
async def test_what_speaks_no_tls_is_told_so(
    autojump_clock: trio.testing.MockClock,
    talk: Callable[[trio.abc.Stream], Awaitable[None]],
    says: str,
) -> None:
    *_, end = await walked(talk, caller(trustme.CA()))
    assert (end.what, end.state) == ("tls", "wrong")
    assert says in end.text
    assert "serve.tls_cert" in end.cure
