"""What is asked of another host, byte by byte, and what is made of its answers: the host is a
server that sends whatever a test wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from postbox.config import Config, HostsConfig, ServeConfig
from postbox.hosts import wire
from postbox.hosts.keys.fetching import KeyUnavailable
from postbox.hosts.keys.keys import Busy
from postbox.hosts.links.numbered import Numbered
from postbox.hosts.links.place import Place
from postbox.hosts.sending.backoff import Failure
from postbox.hosts.sending.client import (
    FOLLOW_IDLE_S,
    IDLE_S,
    MAX_KEY_BYTES,
    POST_S,
    Arriving,
    BadAuthorities,
    Calls,
    HostClient,
    HostFault,
    dial_hosts,
)
from postbox.hosts.sending.course import Refused, Reply
from postbox.net.faults import Forbidden
from postbox.rpc.client import Channel
from postbox.rpc.faults import Code
from postbox.rpc.fields import bytes_field
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.world import World
from support.h2_server import ANSWER, GOOD, Header, Serve, Wire, channel_served_by
from support.simulated import simulated

A, B = "a.example:2289", "b.example:2289"
EPOCH = b"e" * 16
STRICT = frozenset(wire.CAPABILITIES)
PLAIN: frozenset[str] = frozenset()
FRAME_BYTES = 2**14


def client_on(channel: Channel, can: frozenset[str] = STRICT) -> HostClient:
    async def capabilities_of(host: str) -> frozenset[str]:
        return can

    return HostClient(B, A, channel, sign, capabilities_of)


def sign(host: str, rpc: str, bound: bytes) -> str:
    return f"{rpc} for {host}: {bound.hex()}"


def number(seq: int) -> Numbered:
    event = pb.PostboxEvent(id=bytes(16), epoch=EPOCH, seq=seq, first=1)
    return Numbered(seq, seq, True, EPOCH, event.to_binary() + bytes_field(1, b""))


def tombstone(seq: int, upto: int) -> Numbered:
    return Numbered(seq, upto, False, EPOCH, b"")


def replying(message: bytes, heard: list[bytes]) -> Serve:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        heard.append(wire.bodies[stream_id][5:])
        wire.h2.send_headers(stream_id, ANSWER)
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        for start in range(0, len(framed), FRAME_BYTES):
            wire.h2.send_data(stream_id, framed[start : start + FRAME_BYTES])
        wire.h2.send_headers(stream_id, GOOD, end_stream=True)
        await wire.send()
        await wire.hear_all()

    return serve


def failing(*trailers: Header) -> Serve:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, [*ANSWER, *trailers], end_stream=True)
        await wire.send()
        await wire.hear_all()

    return serve


def streaming(*messages: bytes, is_whole: bool = True) -> Serve:
    async def serve(wire: Wire) -> None:
        stream_id = await wire.asked()
        wire.h2.send_headers(stream_id, ANSWER)
        for message in messages:
            wire.h2.send_data(stream_id, b"\0" + len(message).to_bytes(4, "big") + message)
        if is_whole:
            wire.h2.send_headers(stream_id, GOOD, end_stream=True)
        await wire.send()
        await wire.hear_all()

    return serve


async def silent(wire: Wire) -> None:
    await wire.asked()
    await wire.hear_all()


async def failure_of(ask: Callable[[], Awaitable[object]]) -> Failure:
    with pytest.raises(HostFault) as raised:
        await ask()
    return raised.value.failure


@simulated
async def test_a_batch_is_posted_with_a_token_that_binds_its_bytes(world: World) -> None:
    heard: list[bytes] = []
    answer = pb.PostReply(received=pb.Place(epoch=EPOCH, seq=2)).to_binary()
    async with channel_served_by(replying(answer, heard)) as channel:
        reply = await client_on(channel).post([number(1), number(2)])
    assert reply == Reply(Place(EPOCH, 2))
    post = wire.read_post(heard[0])
    assert [event.seq for event in wire.read_events(post.events)] == [1, 2]
    assert post.asked.host == A
    assert post.asked.token == sign(B, "PostEvents", post.events)


@simulated
async def test_what_a_host_says_of_a_batch_is_told(world: World) -> None:
    refusal = pb.Refusal(seq=2, code="no_consent", text="never met")
    answer = pb.PostReply(received=pb.Place(epoch=EPOCH, seq=1), gap=True, refused=refusal)
    async with channel_served_by(replying(answer.to_binary(), [])) as channel:
        reply = await client_on(channel).post([number(1), number(2)])
    assert reply == Reply(Place(EPOCH, 1), True, Refused(2, "no_consent", "never met"))


@simulated
async def test_a_host_without_batches_is_posted_one_event_at_a_time(world: World) -> None:
    heard: list[bytes] = []
    answer = pb.PostReply(received=pb.Place(epoch=EPOCH, seq=1)).to_binary()
    async with channel_served_by(replying(answer, heard)) as channel:
        client = client_on(channel, frozenset({wire.STRICT}))
        assert await client.most_events() == 1
        assert await client.post([number(1)]) == Reply(Place(EPOCH, 1))
    assert wire.read_event(wire.read_post(heard[0]).events).seq == 1


@simulated
async def test_a_plain_host_has_what_it_answered_empty_and_no_tombstones(world: World) -> None:
    async with channel_served_by(replying(b"", [])) as channel:
        client = client_on(channel, PLAIN)
        assert await client.post([tombstone(1, 4)]) == Reply(Place(EPOCH, 4))
        assert await client.post([number(5)]) == Reply(Place(EPOCH, 5))


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff",
        b"\x0a\xff\xff\xff\xff\x0fx",
        pb.PostReply(received=pb.Place(epoch=b"short", seq=1)).to_binary(),
        pb.PostReply(received=pb.Place(epoch=EPOCH, seq=2**64 - 1)).to_binary(),
    ],
    ids=["no message", "a length of 4 GiB", "no epoch", "no number"],
)
@simulated
async def test_an_answer_that_is_none_is_a_failure_of_the_host(world: World, answer: bytes) -> None:
    async with channel_served_by(replying(answer, [])) as channel:
        failure = await failure_of(lambda: client_on(channel).post([number(1)]))
    assert failure.code is None


@simulated
async def test_a_code_comes_with_its_text_and_when_to_ask_again(world: World) -> None:
    trailers = [(b"grpc-status", b"8"), (b"grpc-message", b"slowly"), (b"retry-after", b"7")]
    async with channel_served_by(failing(*trailers)) as channel:
        failure = await failure_of(lambda: client_on(channel).post([number(1)]))
    assert failure == Failure(Code.RESOURCE_EXHAUSTED, "slowly", 7.0)


@simulated
async def test_a_host_that_says_nothing_is_waited_for_only_so_long(world: World) -> None:
    async with channel_served_by(silent) as channel:
        begun_s = trio.current_time()
        failure = await failure_of(lambda: client_on(channel).post([number(1)]))
        assert trio.current_time() - begun_s == pytest.approx(POST_S)
    assert failure.code is Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize(("follow", "idle_s"), [(False, IDLE_S), (True, FOLLOW_IDLE_S)])
@simulated
async def test_a_stream_that_says_nothing_is_waited_for_only_so_long(
    world: World, follow: bool, idle_s: float
) -> None:
    async with channel_served_by(streaming(is_whole=False)) as channel:
        begun_s = trio.current_time()
        async with client_on(channel).sync(None, follow=follow) as arriving:
            failure = await failure_of(arriving.batch)
        assert trio.current_time() - begun_s == pytest.approx(idle_s)
    assert failure.code is Code.DEADLINE_EXCEEDED


async def batches(arriving: Arriving) -> list[list[int]]:
    found = []
    while batch := await arriving.batch():
        found.append([event.seq for event in batch])
    return found


@simulated
async def test_signs_of_life_keep_no_stream_open_that_is_to_end(world: World) -> None:
    alive = pb.PostboxEvent(alive=True).to_binary()
    async with channel_served_by(streaming(number(1).body, alive, is_whole=False)) as channel:
        async with client_on(channel).sync(None, follow=False) as arriving:
            assert [event.seq for event in await arriving.batch()] == [1]
            failure = await failure_of(arriving.batch)
    assert "to end" in failure.text


@simulated
async def test_what_is_there_is_taken_at_once_with_numbers_or_without(world: World) -> None:
    alive = pb.PostboxEvent(alive=True).to_binary()
    bare = bytes_field(1, b"")
    bodies = [number(1).body, alive, number(2).body, bare, bare, number(3).body]
    async with channel_served_by(streaming(*bodies)) as channel:
        async with client_on(channel).sync(None, follow=True) as arriving:
            assert await batches(arriving) == [[1, 2], [0, 0], [3]]
            assert await arriving.batch() == []


@simulated
async def test_what_came_before_a_broken_event_is_taken(world: World) -> None:
    async with channel_served_by(streaming(number(1).body, b"\xff", number(2).body)) as channel:
        async with client_on(channel).sync(None, follow=False) as arriving:
            assert [event.seq for event in await arriving.batch()] == [1]
            for _ in range(2):
                assert (await failure_of(arriving.batch)).code is None


@simulated
async def test_asking_acknowledges_and_says_what_is_not_taken(world: World) -> None:
    heard: list[bytes] = []
    async with channel_served_by(replying(number(1).body, heard)) as channel:
        place, refused = Place(EPOCH, 4), Refused(5, "no_consent", "never met")
        async with client_on(channel).sync(place, refused, follow=True) as arriving:
            await arriving.batch()
    asked = wire.read_asked(heard[0])
    assert (asked.ack, asked.follow, asked.host) == (place, True, A)
    assert asked.refused == pb.Refusal(seq=5, code="no_consent", text="never met")
    assert asked.token == sign(B, "Sync", asked.bound)


@simulated
async def test_what_the_caller_does_with_events_fails_as_it_is(world: World) -> None:
    async with channel_served_by(streaming(number(1).body)) as channel:
        with pytest.raises(ZeroDivisionError):
            async with client_on(channel).sync(None, follow=False):
                raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Busy("not now", 30.0), Code.RESOURCE_EXHAUSTED),
        (Forbidden("a private address"), Code.PERMISSION_DENIED),
        (ZeroDivisionError("a bug"), None),
    ],
)
@simulated
async def test_whatever_is_in_the_way_is_a_failure_of_the_host(
    world: World, error: Exception, code: Code | None
) -> None:
    async def capabilities_of(host: str) -> frozenset[str]:
        raise error

    async with channel_served_by() as channel:
        client = HostClient(B, A, channel, sign, capabilities_of)
        failure = await failure_of(lambda: client.post([number(1)]))
    assert failure.code is code
    assert str(error) in failure.text


@simulated
async def test_a_host_whose_key_cannot_be_had_fails_by_what_came_of_asking_for_it(
    world: World,
) -> None:
    """Its name stands beside it already, wherever the failure is shown."""

    async def capabilities_of(host: str) -> frozenset[str]:
        asked = HostFault(B, Failure(Code.UNAVAILABLE, "no connection: refused", 2.0))
        raise KeyUnavailable(f"the key of {B} could not be fetched: {asked}") from asked

    async with channel_served_by() as channel:
        client = HostClient(B, A, channel, sign, capabilities_of)
        failure = await failure_of(lambda: client.post([number(1)]))
    assert failure == Failure(None, "no connection: refused", 2.0)


def calls_to(serve: Serve, nursery: trio.Nursery, dialled: list[tuple[str, int]]) -> Calls:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        dialled.append((host, port))
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(_served, serve, far)
        return near

    return Calls(dial, is_tls=True, nursery=nursery)


async def _served(serve: Serve, stream: trio.abc.Stream) -> None:
    async with stream:
        await serve(Wire(stream))


@pytest.mark.parametrize("extra", [0, 1])
@simulated
async def test_the_answer_with_the_keys_has_a_size(world: World, extra: int) -> None:
    answer, dialled = bytes(MAX_KEY_BYTES + extra), list[tuple[str, int]]()
    async with trio.open_nursery() as nursery:
        calls = calls_to(replying(answer, []), nursery, dialled)
        if extra:
            assert (await failure_of(lambda: calls.get_key(B))).text
        else:
            assert await calls.get_key(B) == answer
        nursery.cancel_scope.cancel()
    assert dialled == [("b.example", 2289)]


@pytest.mark.parametrize(
    ("serve", "hosts", "is_tls"),
    [
        (ServeConfig(), HostsConfig(), True),
        (ServeConfig(loopback=True), HostsConfig(), False),
        (ServeConfig(loopback=True, tls_cert=Path("cert.pem")), HostsConfig(), True),
    ],
)
@simulated
async def test_hosts_are_called_by_tls_but_for_tests_on_one_machine(
    world: World, serve: ServeConfig, hosts: HostsConfig, is_tls: bool
) -> None:
    assert dial_hosts(world.net, Config(serve=serve, hosts=hosts))[1] is is_tls


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
@simulated
async def test_authorities_that_cannot_be_read_are_named(
    world: World, content: bytes | None, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_bytes(content)
    with pytest.raises(BadAuthorities, match=f"hosts.ca: cannot use {ca}: "):
        dial_hosts(world.net, Config(hosts=HostsConfig(ca=ca)))


@simulated
async def test_no_host_is_called_at_a_private_address(world: World) -> None:
    dial, _ = dial_hosts(world.net, Config())
    with pytest.raises(Forbidden):
        await dial("10.0.0.1", 2289)
