"""Asks a node as grpcio does it: a client of somebody else's make, in threads of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]
import trio

from postbox.hosts import wire

DEADLINE_S = 30


class Refusal(NamedTuple):
    """`code`: by its name in gRPC."""

    code: str
    text: str
    trailers: dict[str, str]


class GrpcStream:
    """What comes on a stream that stays open."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def next(self) -> bytes | Refusal | None:
        """The next message, or how it ended."""
        found: bytes | Refusal | None = await _in_thread(lambda: next(self._call, None))
        return found

    def give_up(self) -> None:
        self._call.cancel()


class GrpcHost:
    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def ask(self, rpc: str, message: bytes, **how: Any) -> bytes | Refusal:
        call = self._channel.unary_unary(wire.PATHS.get(rpc, rpc))
        found: bytes | Refusal = await _in_thread(
            lambda: bytes(call(message, timeout=DEADLINE_S, **how))
        )
        return found

    async def answer(self, rpc: str, message: bytes) -> bytes:
        """One that is no refusal."""
        found = await self.ask(rpc, message)
        assert isinstance(found, bytes), found
        return found

    async def refusal(self, rpc: str, message: bytes) -> Refusal:
        found = await self.ask(rpc, message)
        assert isinstance(found, Refusal), found
        return found

    def streamed(self, path: str, message: bytes, **how: Any) -> GrpcStream:
        return GrpcStream(self._channel.unary_stream(path)(message, timeout=DEADLINE_S, **how))

    async def drained(self, message: bytes) -> list[bytes]:
        """All that Sync gives, to its end."""
        call = self._channel.unary_stream(wire.PATHS[wire.SYNC])
        found = await _in_thread(lambda: list(call(message, timeout=DEADLINE_S)))
        assert isinstance(found, list), found
        return found

    async def followed(self, message: bytes) -> tuple[Callable[[], object], bytes]:
        """What gives a stream up that stays open, and its first message."""
        call = self._channel.unary_stream(wire.PATHS[wire.SYNC])(message, timeout=DEADLINE_S)
        return call.cancel, await _in_thread(lambda: next(call))

    async def refused_stream(self, message: bytes) -> Refusal:
        call = self._channel.unary_stream(wire.PATHS[wire.SYNC])
        found = await _in_thread(lambda: list(call(message, timeout=DEADLINE_S)))
        assert isinstance(found, Refusal), found
        return found


@contextmanager
def grpc_host(url: str, authority_pem: bytes | None = None) -> Iterator[GrpcHost]:
    """`authority_pem`: who signed the node's certificate, if it speaks TLS."""
    address = url.partition("://")[2]
    if authority_pem is None:
        channel = grpc.insecure_channel(address)
    else:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authority_pem))
    with channel:
        yield GrpcHost(channel)


async def _in_thread(call: Any) -> Any:
    def work() -> Any:
        try:
            return call()
        except grpc.RpcError as error:
            trailers = {name: str(value) for name, value in error.trailing_metadata() or ()}
            return Refusal(error.code().name, error.details() or "", trailers)

    return await trio.to_thread.run_sync(work)  # noqa: TID251  (grpcio's)
