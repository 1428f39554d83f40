"""A host that knows only the specification, and a node of ours, on real sockets."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID  # noqa: TID251  (of a token's, which is not the node's)

import pytest
import trio

import postbox
from postbox.admin.hosts import SET_HOST, SetHost
from postbox.admin.place import serving_socket
from postbox.admin.remote import RemoteOperator
from postbox.net.client import open_local_client
from postbox.world import SystemClock, SystemNet, SystemRandom
from support.plain_peer import Event, PlainPeer, Refused, plain_peer, posted
from support.ports import free_port

P = ParamSpec("P")
T = TypeVar("T")

NOTE = "type.googleapis.com/test.Note"


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The peer waits where it is called."""
    return await trio.to_thread.run_sync(partial(work, *args, **kwargs))  # noqa: TID251


def note(number: int) -> Event:
    return Event(NOTE, b"%d" % number)


@dataclass
class Node:
    name: str
    home: Path
    host: postbox.Host
    heard: list[bytes] = field(default_factory=list)
    _moved: trio.Event = field(default_factory=trio.Event)

    async def hear(self, delivery: postbox.Delivery[bytes]) -> None:
        self.heard.append(delivery.message)
        self._moved.set()
        self._moved = trio.Event()

    async def until_heard(self, count: int) -> list[bytes]:
        while len(self.heard) < count:
            await self._moved.wait()
        return self.heard

    async def post(self, peer: PlainPeer, *numbers: int) -> None:
        await self.host.post_many(peer.name, [postbox.Event(*note(n)) for n in numbers])

    async def mark(self, peer: PlainPeer, tokens: str = "plain") -> None:
        """As `postbox hosts set HOST --tokens plain` does."""
        socket = await serving_socket(SystemNet(), self.home)
        assert socket is not None
        async with open_local_client(SystemNet(), socket) as http:
            request = SetHost(peer.name, tokens=tokens)  # type: ignore[arg-type]
            await RemoteOperator(http, self.home).call(SET_HOST, request)


@asynccontextmanager
async def node_at(home: Path, name: str) -> AsyncIterator[Node]:
    node = Node(name, home, postbox.Host())
    node.host.on("test.Note", node.hear)
    settings = {"serve.listen": name, "serve.loopback": True}
    with trio.fail_after(60):
        async with postbox.open_host(home, node.host, settings, name="n"):
            yield node


@pytest.fixture
def name() -> str:
    """Of a node: the address at which it will listen."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def peer() -> Iterator[PlainPeer]:
    with plain_peer() as peer:
        yield peer


@pytest.fixture
async def node(tmp_path: Path, name: str, peer: PlainPeer) -> AsyncIterator[Node]:
    """That knows that the peer is plain."""
    async with node_at(tmp_path / "home", name) as node:
        await node.mark(peer)
        yield node


async def test_what_it_posts_is_taken_and_answered_with_an_empty_message(
    node: Node, peer: PlainPeer
) -> None:
    for number in range(5):
        assert await in_thread(peer.post, node.name, note(number)) == b""
    assert await node.until_heard(5) == [b"0", b"1", b"2", b"3", b"4"]
    assert peer.keys_served == 1


async def test_what_is_posted_for_it_arrives_in_order_with_its_kind_of_token(
    node: Node, peer: PlainPeer
) -> None:
    await node.post(peer, *range(20))
    assert await in_thread(peer.wait_received, 20) == [note(number) for number in range(20)]
    assert {host for host, _ in peer.received} == {node.name}
    for token in peer.tokens:
        header, claims, _ = map(decoded, token.split("."))
        assert json.loads(header) == {"alg": "EdDSA"}
        assert list(json.loads(claims)) == ["jti"]
    assert len(set(peer.tokens)) == len(peer.tokens)


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_each_sync_gives_it_everything_again_in_order(node: Node, peer: PlainPeer) -> None:
    await node.post(peer, 1, 2)
    await in_thread(peer.wait_received, 2)
    await node.post(peer, *range(3, 900))
    for _ in range(2):
        assert await in_thread(peer.sync, node.name) == [note(n) for n in range(1, 900)]


async def test_what_it_has_is_asked_for_when_the_node_starts(
    tmp_path: Path, name: str, peer: PlainPeer
) -> None:
    async with node_at(tmp_path / "home", name) as node:
        await node.mark(peer)
        await in_thread(peer.post, node.name, note(0))  # and so they are in contact
        await node.until_heard(1)
    peer.waiting[name] = [note(number) for number in range(1, 50)]
    async with node_at(tmp_path / "home", name) as node:
        assert await node.until_heard(49) == [b"%d" % number for number in range(1, 50)]
    assert peer.waiting[name] == []


async def test_what_could_not_be_sent_arrives_when_it_shows_that_it_is_back(
    node: Node, peer: PlainPeer
) -> None:
    await node.post(peer, 1)
    await in_thread(peer.wait_received, 1)
    asked, peer.is_down = len(peer.tokens), True
    await node.post(peer, *range(2, 50))
    assert await in_thread(peer.wait_asked, asked + 1)
    peer.is_down = False
    await in_thread(peer.post, node.name, note(0))
    assert await in_thread(peer.wait_received, 49) == [note(number) for number in range(1, 50)]


async def test_a_new_key_is_fetched_once_when_the_old_one_does_not_fit(
    node: Node, peer: PlainPeer
) -> None:
    await in_thread(peer.post, node.name, note(0))
    for number in (1, 2):
        served = peer.keys_served
        peer.change_key()
        await in_thread(peer.post, node.name, note(number))
        await in_thread(peer.post, node.name, note(number + 10))
        assert peer.keys_served == served + 1
    assert await node.until_heard(5) == [b"0", b"1", b"11", b"2", b"12"]


async def test_a_token_that_no_key_fits_is_refused_and_fetches_no_more_than_once(
    node: Node, peer: PlainPeer
) -> None:
    await in_thread(peer.post, node.name, note(0))
    forger = PlainPeer()
    forger.name = peer.name
    codes = []
    for _ in range(20):
        with pytest.raises(Refused) as refused:
            await in_thread(forger.post, node.name, note(1))
        codes.append(refused.value.code)
    assert codes == ["UNAUTHENTICATED"] + ["RESOURCE_EXHAUSTED"] * 19
    assert peer.keys_served == 2
    await in_thread(peer.post, node.name, note(2))
    assert await node.until_heard(2) == [b"0", b"2"]


async def test_its_token_is_not_taken_from_a_host_that_nobody_marked(
    tmp_path: Path, name: str, peer: PlainPeer
) -> None:
    async with node_at(tmp_path / "home", name) as node:
        for ask in (partial(peer.post, node.name, note(1)), partial(peer.sync, node.name)):
            with pytest.raises(Refused) as refused:
                await in_thread(ask)
            assert refused.value.code == "UNAUTHENTICATED"
            assert f"postbox hosts set {peer.name} --tokens plain" in refused.value.text
        assert peer.keys_served == 0
        await node.mark(peer)
        await in_thread(peer.post, node.name, note(2))
        await node.mark(peer, "strict")
        with pytest.raises(Refused):
            await in_thread(peer.post, node.name, note(3))
        assert await node.until_heard(1) == [b"2"]


async def test_a_request_that_is_played_again_changes_nothing(node: Node, peer: PlainPeer) -> None:
    token = peer.token()
    for _ in range(3):
        assert await in_thread(peer.post, node.name, note(1), token=token) == b""
    await in_thread(peer.post, node.name, note(2))
    assert await node.until_heard(2) == [b"1", b"2"]


ASK: dict[str, Callable[[PlainPeer, str, str], object]] = {
    "PostEvent": lambda peer, name, token: peer.post(name, note(1), token=token),
    "Sync": lambda peer, name, token: peer.sync(name, token=token),
}


def strict_token(peer: PlainPeer, name: str, made_for: str) -> str:
    """As a host of ours would sign it."""
    carried = posted(note(1)) if made_for == "PostEvent" else b""
    now_s = SystemClock().now_ns() // 10**9 + 1  # it must be younger than the node
    kid = encoded(sha256(peer.key).digest()[:16])
    return peer.signed(
        {"alg": "EdDSA", "typ": "postbox+jwt", "kid": kid},
        {
            "iss": peer.name,
            "aud": name,
            "iat": now_s,
            "exp": now_s + 60,
            "jti": str(UUID(bytes=SystemRandom().bytes(16), version=4)),
            "rpc": made_for,
            "bh": encoded(sha256(carried).digest()),
        },
    )


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("made_for", ASK)
async def test_a_strict_token_is_good_for_its_own_rpc_alone(
    node: Node, peer: PlainPeer, made_for: str
) -> None:
    await in_thread(ASK[made_for], peer, node.name, strict_token(peer, node.name, made_for))
    for other in set(ASK) - {made_for}:
        with pytest.raises(Refused, match=f"it was made for {made_for}, not for {other}"):
            await in_thread(ASK[other], peer, node.name, strict_token(peer, node.name, made_for))
