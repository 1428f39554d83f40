"""The client library's wires, to a host's own door on real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from postbox.client import open_client
from postbox.client.transport.contract import CallFailed, Transport
from postbox.net.addresses import Reach
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import system_world
from support.client_door import Device, Door, conversation, door_at, kind_of, message, value_of
from support.client_wires import ANY, ANY_ASYNCIO, GRPC, HTTP1, HTTP1_ASYNCIO, HTTP2, WAYS, Way
from support.ports import free_port
from support.serving import REACH, served

LISTEN = pb.SyncFromServerRequest().to_binary()


@asynccontextmanager
async def host_at(
    home: Path, tls: ssl.SSLContext | None = None, reach: Reach = REACH
) -> AsyncIterator[tuple[Door, str]]:
    """With the address at which it is called."""
    async with door_at(home, loopback=reach is REACH) as door:
        async with served(door.app, world=system_world(), tls=tls, reach=reach) as where:
            yield door, where.url.replace("127.0.0.1", "localhost")


def expired(door: Door) -> str:
    return door.token("ann", "phone", days=-1, made_days_ago=2)


def batch(*events: pb.Event, first: int = 0) -> bytes:
    return pb.SubmitEventInput(events=list(events), firstQueueNumber=first).to_binary()


async def says(ann: Device, room: str, text: str, wire: Transport) -> str:
    """The uuid of the message."""
    answer = await wire.submit(batch(ann.event(message(room, text))))
    return pb.SubmitEventOutput.from_binary(answer).events[0].uuid


async def converse(ann: Device, room: str, wire: Transport) -> list[tuple[str, str]]:
    """Says something, hears it on a stream that goes on, and looks back."""
    async with wire.stream(LISTEN) as frames:
        async for frame in frames:
            if kind_of(pb.Event.from_binary(frame)) == "caughtUp":
                break
        said = await says(ann, room, "hi", wire)
        heard = pb.Event.from_binary(await anext(frames))
        asked = pb.HistoryRequest(conversationUuid=room, limit=1).to_binary()
        page = pb.HistoryPage.from_binary(await wire.history(asked))
        events = (heard, page.events[0])
        return [(said, ""), *((event.uuid, value_of(event).message.text) for event in events)]


async def fault_of(
    way: Way, url: str, token: str, *, asks: bytes = b"", rpc: str = "submit"
) -> CallFailed:
    async def talk() -> CallFailed:
        async with way.open(url, token) as wire:
            with pytest.raises(CallFailed) as raised:
                await (first_of(wire, asks) if rpc == "stream" else getattr(wire, rpc)(asks))
        return raised.value

    return await way.run(talk)


async def first_of(wire: Transport, asks: bytes) -> bytes:
    async with wire.stream(asks) as frames:
        return await anext(frames)


async def all_of(frames: AsyncIterator[bytes], into: list[str]) -> None:
    async for frame in frames:
        into += [kind_of(pb.Event.from_binary(frame))]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_device_sends_and_hears_over_plain_http(way: Way, tmp_path: Path) -> None:
    async with host_at(tmp_path) as (door, url):
        ann = door.device("ann")
        room = await conversation(ann)

        async def talk() -> list[tuple[str, str]]:
            async with way.open(url, ann.token) as wire:
                return await converse(ann, room, wire)

        (said, _), heard, found = await way.run(talk)
        assert heard == found == (said, "hi")


@pytest.mark.parametrize("way", [ANY, ANY_ASYNCIO, HTTP1, HTTP1_ASYNCIO, GRPC], ids=str)
async def test_a_device_sends_and_hears_over_tls_of_a_private_authority(
    way: Way, tmp_path: Path, tls: ssl.SSLContext, ca: Path
) -> None:
    async with host_at(tmp_path, tls) as (door, url):
        ann = door.device("ann")
        room = await conversation(ann)

        async def talk() -> list[tuple[str, str]]:
            async with way.open(url, ann.token, ca=ca) as wire:
                return await converse(ann, room, wire)

        (said, _), heard, found = await way.run(talk)
        assert url.startswith("https://")
        assert heard == found == (said, "hi")


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_stream_that_has_caught_up_ends_in_order(way: Way, tmp_path: Path) -> None:
    async with host_at(tmp_path) as (door, url):
        asked = pb.SyncFromServerRequest(untilCaughtUp=True).to_binary()

        async def talk() -> list[str]:
            async with (
                way.open(url, door.token("ann", "phone")) as wire,
                wire.stream(asked) as frames,
            ):
                return [kind_of(pb.Event.from_binary(frame)) async for frame in frames]

        assert (await way.run(talk))[-1] == "caughtUp"


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_stream_that_the_host_ends_says_why_behind_its_last_frame(
    way: Way, tmp_path: Path
) -> None:
    async with host_at(tmp_path) as (door, url):
        token = door.token("ann", "phone")

        async def talk() -> tuple[str, str]:
            heard: list[str] = []
            async with way.open(url, token) as one, way.open(url, token) as other:
                async with one.stream(LISTEN) as frames:
                    await anext(frames)  # it is there before the other one
                    async with other.stream(LISTEN):
                        with pytest.raises(CallFailed) as raised:
                            await all_of(frames, heard)
            return heard[-1], raised.value.code

        assert await way.run(talk) == ("goAway", "DISPLACED")


@pytest.mark.parametrize("way", [HTTP1, HTTP2, HTTP1_ASYNCIO, GRPC], ids=str)
async def test_what_a_host_refuses_has_its_code(way: Way, tmp_path: Path) -> None:
    async with host_at(tmp_path) as (door, url):
        ann = door.device("ann")
        await ann.sync()
        nowhere = pb.HistoryRequest(conversationUuid=ann.event().uuid).to_binary()
        refused = {
            "NO_SESSION": await fault_of(way, url, "not.a.token", asks=LISTEN, rpc="stream"),
            "TOKEN_EXPIRED": await fault_of(way, url, expired(door)),
            "INVALID": await fault_of(way, url, ann.token, asks=b"\xff"),
            "TOO_LARGE": await fault_of(way, url, ann.token, asks=batch(*[ann.event()] * 101)),
            "NOT_A_MEMBER": await fault_of(way, url, ann.token, asks=nowhere, rpc="history"),
        }
        assert {name: fault.code for name, fault in refused.items()} == {n: n for n in refused}
        for fault in refused.values():
            assert fault.text
            assert not fault.text.startswith(fault.code)


@pytest.mark.parametrize("way", [HTTP1, HTTP2, HTTP1_ASYNCIO, GRPC], ids=str)
async def test_a_hole_in_the_queue_names_the_number_that_the_host_awaits(
    way: Way, tmp_path: Path
) -> None:
    async with host_at(tmp_path) as (door, url):
        ann = door.device("ann")
        fault = await fault_of(way, url, ann.token, asks=batch(ann.event(), first=4))
        assert (fault.code, fault.next_number) == ("QUEUE_HOLE", 1)


@pytest.mark.parametrize("way", [HTTP1, HTTP2, GRPC], ids=str)
async def test_a_device_that_sends_too_much_is_told_when_to_come_again(
    way: Way, tmp_path: Path
) -> None:
    async with host_at(tmp_path) as (door, url):
        ann = door.device("ann")
        many = batch(*(ann.event() for _ in range(100)))
        for _ in range(10):
            await ann.ask("Sync", many)
        fault = await fault_of(way, url, ann.token, asks=many)
        assert fault.code == "RATE_LIMITED"
        assert fault.retry_s is not None
        assert 1 <= fault.retry_s <= 2


@pytest.mark.parametrize("way", [HTTP1, HTTP2, HTTP1_ASYNCIO, GRPC], ids=str)
async def test_the_token_is_asked_for_before_each_call(way: Way, tmp_path: Path) -> None:
    async with host_at(tmp_path) as (door, url):
        tokens = [door.token("ann", "phone"), expired(door)]

        async def talk() -> str:
            async with way.open(url, lambda: tokens[0]) as wire:
                await wire.submit(b"")
                tokens.pop(0)
                with pytest.raises(CallFailed) as raised:
                    await wire.submit(b"")
                tokens.clear()
                with pytest.raises(IndexError):
                    await wire.submit(b"")
                tokens.append(door.token("ann", "phone"))
                await wire.submit(b"")
            return raised.value.code

        assert await way.run(talk) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("way", [HTTP1, HTTP1_ASYNCIO, GRPC], ids=str)
@pytest.mark.parametrize("token", ["", "two words", "a\r\nhost: elsewhere", "ünicode"])
async def test_a_token_that_cannot_be_sent_is_none(way: Way, token: str) -> None:
    """Nobody is called for it: no host is there."""
    async with trio_listener() as url:
        fault = await fault_of(way, url, token)
    assert fault.code == "NO_SESSION"


@pytest.mark.parametrize("way", [HTTP1, GRPC], ids=str)
async def test_a_device_may_be_named_beside_the_token(way: Way, tmp_path: Path) -> None:
    async with host_at(tmp_path) as (door, url):
        async with way.open(url, door.token("ann", "phone"), device="tablet") as wire:
            with pytest.raises(CallFailed, match="NO_SESSION"):  # the token says another one
                await wire.submit(b"")
        async with way.open(url, door.token("ann", "phone"), device="phone") as wire:
            await wire.submit(b"")


@pytest.mark.parametrize("way", [HTTP1, HTTP2, HTTP1_ASYNCIO, GRPC], ids=str)
async def test_a_host_that_speaks_tls_alone_says_so(way: Way, tmp_path: Path) -> None:
    async with host_at(tmp_path, reach=Reach((), loopback=False)) as (door, url):
        fault = await fault_of(way, url, door.token("ann", "phone"))
    assert fault.code == "UNREACHABLE"
    assert "HTTP status 403: devices speak TLS, since their tokens are secret" in fault.text


@pytest.mark.parametrize("way", [ANY, ANY_ASYNCIO, GRPC], ids=str)
async def test_a_certificate_that_nobody_vouches_for_is_named(
    way: Way, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    async with host_at(tmp_path, tls) as (_, url):
        fault = await fault_of(way, url, "token")
    assert fault.code == "UNREACHABLE"
    assert fault.text.startswith("no connection")
    assert "certificate verify failed" in fault.text


@pytest.mark.parametrize("way", [ANY, ANY_ASYNCIO, GRPC], ids=str)
async def test_tls_spoken_to_a_host_without_it_is_an_error_with_a_hint(
    way: Way, tmp_path: Path
) -> None:
    async with host_at(tmp_path) as (_, url):
        fault = await fault_of(way, url.replace("http:", "https:"), "token")
    assert fault.code == "UNREACHABLE"
    assert "speaks no TLS: is it an http address?" in fault.text


@pytest.mark.parametrize("way", [*WAYS, ANY], ids=str)
async def test_a_host_that_is_not_there_is_unreachable(way: Way) -> None:
    fault = await fault_of(way, f"http://127.0.0.1:{free_port()}", "token")
    assert fault.code == "UNREACHABLE"
    assert fault.text.startswith("no connection")
    with anyio.fail_after(20):
        fault = await fault_of(way, "http://no-such-host.invalid", "token")
    assert (fault.code, fault.text[:13]) == ("UNREACHABLE", "no connection")


@asynccontextmanager
async def trio_listener() -> AsyncIterator[str]:
    """Where nobody answers."""
    [listener] = await system_world().net.listen("127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("chat.example", "write https://HOST"),
        ("ftp://chat.example", "write https://HOST"),
        ("https://", "write https://HOST"),
        ("https://chat.example:0", "write https://HOST"),
        ("https://chat.example:65536", "out of range"),
        ("https://chat.example/path", "more than a host and a port"),
        ("https://ann@chat.example", "more than a host and a port"),
        ("https://chat.example?a", "more than a host and a port"),
        ("https://chät.example", "write it as xn--"),
        ("https://[::1", "no address of a host"),
    ],
)
async def test_an_address_that_is_none_is_refused_at_once(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        ANY.open(url)


async def test_authorities_that_are_none_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ca: cannot read .*: No such file"):
        ANY.open("https://chat.example", ca=tmp_path / "none")
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ValueError, match="no certificate in"):
        GRPC.open("https://chat.example", ca=tmp_path / "ca.pem")


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_a_client_is_opened_with_what_makes_sense_together_or_not_at_all(
    tmp_path: Path, loop: str
) -> None:
    """And leaves no file where none was."""
    path = tmp_path / "device.db"

    async def opened(url: str, **how: Any) -> None:
        async with open_client(url, "no token", path, **how):
            pass

    def refused(url: str, **how: Any) -> str:
        with pytest.raises(ValueError, match="a") as raised:
            anyio.run(partial(opened, url, **how), backend=loop)
        return str(raised.value)

    told = refused("https://chat.example", transport="http")
    assert told == 'transport=\'http\': there are "connect" and "grpc"'
    assert "shows no certificate" in refused("http://127.0.0.1:1", ca="none.pem")
    assert not path.exists()


async def test_grpc_is_for_trio() -> None:
    async def talk() -> None:
        with pytest.raises(ValueError, match='on asyncio use "connect"'):
            GRPC.open("https://chat.example")

    await ANY_ASYNCIO.run(talk)
