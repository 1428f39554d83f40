"""Our gRPC client against a gRPC server of somebody else's make, on real sockets."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from postbox.connections import dial_h2, h2_client_tls
from postbox.net.addresses import Reach
from postbox.net.dial import dial_tcp
from postbox.rpc import connection
from postbox.rpc.client import Channel
from postbox.rpc.faults import Code, RpcError
from postbox.world import SystemNet
from support.grpc_server import PART, Behaviour, grpc_serving

MIB = 2**20


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def serving(behaviour: Behaviour) -> Iterator[tuple[int, Callable[[float], None]]]:
    with grpc_serving(behaviour) as served:
        yield served


@pytest.fixture
def port(serving: tuple[int, Callable[[float], None]]) -> int:
    return serving[0]


@asynccontextmanager
async def channel_to(port: int) -> AsyncIterator[Channel]:
    async with trio.open_nursery() as nursery:
        dial = partial(trio.open_tcp_stream, "127.0.0.1", port)
        yield Channel(dial, f"127.0.0.1:{port}", is_tls=False, nursery=nursery)
        nursery.cancel_scope.cancel()


async def ask(
    channel: Channel,
    name: str,
    message: bytes = b"",
    *,
    max_bytes: int = MIB,
    deadline_s: float = 20,
) -> bytes:
    return await channel.unary(
        f"/test.Test/{name}", message, deadline_s=deadline_s, max_bytes=max_bytes
    )


async def all_of(channel: Channel, name: str, message: bytes = b"") -> list[bytes]:
    path = f"/test.Test/{name}"
    async with channel.stream(path, message, idle_s=20, max_bytes=MIB) as messages:
        return [message async for message in messages]


async def echo_for_ever(channel: Channel) -> None:
    while True:
        await ask(channel, "echo")


async def is_set(event: threading.Event) -> bool:
    return await trio.to_thread.run_sync(event.wait, 10)  # noqa: TID251  (a thread of the server's)


async def test_a_call_is_answered(port: int) -> None:
    async with channel_to(port) as channel:
        assert await ask(channel, "echo", b"hello") == b"hello"
        assert await ask(channel, "echo", b"") == b""


async def test_a_stream_brings_all_its_messages_in_order(port: int) -> None:
    async with channel_to(port) as channel:
        assert await all_of(channel, "count", b"1000") == [b"%d" % n for n in range(1000)]
        assert await all_of(channel, "count", b"0") == []


async def test_a_stream_that_the_server_aborts_is_no_complete_one(port: int) -> None:
    """What came before can still be used; the end is an error, with the server's reason."""
    async with channel_to(port) as channel:
        path = "/test.Test/aborted"
        async with channel.stream(path, b"", idle_s=20, max_bytes=MIB) as messages:
            assert [await anext(messages), await anext(messages)] == [b"one", b"two"]
            with pytest.raises(RpcError, match="the rest is gone") as raised:
                await anext(messages)
        assert raised.value.code is Code.DATA_LOSS
        assert not raised.value.is_transport


async def test_an_error_has_its_code_its_text_and_when_to_ask_again(port: int) -> None:
    """The text is the server's: what would move a terminal's cursor does not get through."""
    async with channel_to(port) as channel:
        with pytest.raises(RpcError) as raised:
            await ask(channel, "lost")
    assert raised.value.code is Code.DATA_LOSS
    assert raised.value.text == "3 % of ö [2J are gone"
    assert raised.value.retry_after_s == 7


async def test_a_method_that_is_not_there_is_said_to_be_unimplemented(port: int) -> None:
    async with channel_to(port) as channel:
        with pytest.raises(RpcError) as raised:
            await ask(channel, "nothing_of_the_kind")
    assert raised.value.code is Code.UNIMPLEMENTED


async def test_the_server_is_told_how_much_time_there_is(port: int) -> None:
    async with channel_to(port) as channel:
        assert 9_000 < int(await ask(channel, "left", deadline_s=20)) <= 20_000


async def test_a_call_that_takes_too_long_ends_here_and_there(
    port: int, behaviour: Behaviour
) -> None:
    async with channel_to(port) as channel:
        await ask(channel, "echo")  # so that the next one begins at once
        with pytest.raises(RpcError, match="no complete answer within 3 s") as raised:
            await ask(channel, "never", deadline_s=3)  # in which the slowest machine begins with it
        assert raised.value.code is Code.DEADLINE_EXCEEDED
        assert await is_set(behaviour.cancelled)


async def test_a_call_that_is_cancelled_is_reset_and_the_connection_goes_on(
    port: int, behaviour: Behaviour
) -> None:
    async with channel_to(port) as channel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, channel, "never")
            assert await is_set(behaviour.started)
            nursery.cancel_scope.cancel()
        assert await is_set(behaviour.cancelled)
        assert await ask(channel, "echo", b"still here") == b"still here"


async def test_a_stream_that_is_left_is_cancelled_there(port: int, behaviour: Behaviour) -> None:
    async with channel_to(port) as channel:
        path = "/test.Test/silent"
        async with channel.stream(path, b"", idle_s=20, max_bytes=MIB) as messages:
            assert await anext(messages) == b"first"
        assert await is_set(behaviour.cancelled)


async def test_large_messages_pass_both_ways(port: int) -> None:
    message = bytes(range(256)) * (3 * MIB // 256)
    async with channel_to(port) as channel:
        assert await ask(channel, "echo", message, max_bytes=4 * MIB) == message


async def test_an_answer_that_is_too_large_is_refused_before_it_is_read(port: int) -> None:
    async with channel_to(port) as channel:
        with pytest.raises(RpcError, match=f"a message of {20 * MIB} bytes, more than {4 * MIB}"):
            await ask(channel, "large", b"%d" % (20 * MIB), max_bytes=4 * MIB)
        assert await ask(channel, "echo", b"still here") == b"still here"


async def test_a_slow_reader_slows_the_server_down(port: int, behaviour: Behaviour) -> None:
    """What the server has given out and nobody has taken is a window, and what the two systems
    and the server's library hold of their own."""
    async with channel_to(port) as channel:
        path = "/test.Test/endless"
        async with channel.stream(path, b"", idle_s=20, max_bytes=MIB) as messages:
            assert await anext(messages) == PART
            before = -1
            while before < behaviour.produced:  # until it has come to a halt
                before = behaviour.produced
                await trio.sleep(0.1)
            assert await ask(channel, "echo", b"meanwhile") == b"meanwhile"
            assert behaviour.produced * len(PART) < 2 * MIB
            for _ in range(100):
                assert await anext(messages) == PART
        assert await is_set(behaviour.cancelled)


async def test_a_hundred_calls_at_once_share_a_connection(port: int) -> None:
    connections = 0

    async def dial() -> trio.abc.Stream:
        nonlocal connections
        connections += 1
        return await trio.open_tcp_stream("127.0.0.1", port)

    answers: dict[int, bytes] = {}

    async def echo(number: int) -> None:
        message = b"%d " % number * 5000
        answers[number] = await ask(channel, "echo", message)
        assert answers[number] == message

    async with trio.open_nursery() as living:
        channel = Channel(dial, "127.0.0.1", is_tls=False, nursery=living)
        async with trio.open_nursery() as nursery:
            for number in range(150):
                nursery.start_soon(echo, number)
        living.cancel_scope.cancel()
    assert len(answers) == 150
    assert connections == 1


async def test_a_connection_is_replaced_after_so_many_calls(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CALLS", 10)
    async with channel_to(port) as channel, trio.open_nursery() as nursery:
        for _ in range(35):
            nursery.start_soon(ask, channel, "echo")


async def test_a_server_that_stops_lets_calls_end_and_takes_no_new_ones(
    port: int, behaviour: Behaviour, serving: tuple[int, Callable[[float], None]]
) -> None:
    """The call that is under way gets its answer on the same connection, after GOAWAY."""
    async with channel_to(port) as channel:
        answers = []

        async def never() -> None:
            answers.append(await ask(channel, "never"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(never)
            assert await is_set(behaviour.started)
            serving[1](20)
            with pytest.raises(RpcError):
                await echo_for_ever(channel)
            assert answers == []
            behaviour.stopped.set()
        assert answers == [b""]


async def test_a_server_that_dies_fails_the_calls_under_way(
    port: int, behaviour: Behaviour, serving: tuple[int, Callable[[float], None]]
) -> None:
    """grpcio cancels what it has; that is an error and no end of a stream."""
    async with channel_to(port) as channel:
        path = "/test.Test/silent"
        async with channel.stream(path, b"", idle_s=20, max_bytes=MIB) as messages:
            assert await anext(messages) == b"first"
            serving[1](0)
            with pytest.raises(RpcError) as raised:
                await anext(messages)
            assert raised.value.code in (Code.UNAVAILABLE, Code.CANCELLED)


async def test_nobody_there_is_told_to_all_who_asked_and_is_tried_again_for_the_next(
    port: int,
) -> None:
    attempts = 0

    async def dial() -> trio.abc.Stream:
        nonlocal attempts
        attempts += 1
        await trio.testing.wait_all_tasks_blocked()
        if attempts == 1:
            raise OSError("nobody is there")
        return await trio.open_tcp_stream("127.0.0.1", port)

    faults: list[RpcError] = []

    async def fail() -> None:
        with pytest.raises(RpcError, match="no connection: nobody is there") as raised:
            await ask(channel, "echo")
        faults.append(raised.value)

    async with trio.open_nursery() as living:
        channel = Channel(dial, "127.0.0.1", is_tls=False, nursery=living)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(fail)
        assert attempts == 1
        assert all(fault.is_transport and not fault.was_begun for fault in faults)
        assert await ask(channel, "echo", b"now") == b"now"
        living.cancel_scope.cancel()


@pytest.fixture
def authorities(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(path)
    return path


@asynccontextmanager
async def secure_channel(port: int, tls: ssl.SSLContext, host: str) -> AsyncIterator[Channel]:
    dial = dial_h2(dial_tcp(SystemNet(), Reach((), loopback=True), is_tls=True), tls)
    async with trio.open_nursery() as nursery:
        yield Channel(partial(dial, host, port), f"{host}:{port}", is_tls=True, nursery=nursery)
        nursery.cancel_scope.cancel()


async def test_tls_is_spoken_with_whom_the_authorities_certify(
    authority: trustme.CA, authorities: Path, behaviour: Behaviour
) -> None:
    issued = authority.issue_cert("localhost")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    with grpc_serving(behaviour, tls=(issued.private_key_pem.bytes(), chain)) as (port, _):
        async with secure_channel(port, h2_client_tls(authorities), "localhost") as channel:
            message = b"hello" * 50_000
            assert await ask(channel, "echo", message) == message
        async with secure_channel(port, h2_client_tls(authorities), "127.0.0.1") as channel:
            with pytest.raises(RpcError, match=r"no TLS: .*127\.0\.0\.1"):
                await ask(channel, "echo")
        async with secure_channel(port, h2_client_tls(), "localhost") as channel:
            with pytest.raises(RpcError, match="CERTIFICATE_VERIFY_FAILED"):
                await ask(channel, "echo")


async def test_a_server_without_http2_is_named(tls: ssl.SSLContext, authorities: Path) -> None:
    tls.set_alpn_protocols(["http/1.1"])

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.do_handshake()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_ssl_over_tcp, serve, 0, tls, host="127.0.0.1")
        )
        port = listeners[0].transport_listener.socket.getsockname()[1]
        async with secure_channel(port, h2_client_tls(authorities), "localhost") as channel:
            with pytest.raises(RpcError, match="speaks no HTTP/2 over TLS"):
                await ask(channel, "echo")
        nursery.cancel_scope.cancel()
