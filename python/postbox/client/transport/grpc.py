"""gRPC to one host, by our own client on h2: on Trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from postbox.client.transport.contract import ANSWER_S, MAX_ANSWER_BYTES, PATHS, SILENCE_S, Rpc
from postbox.client.transport.faults import of_rpc
from postbox.rpc.client import Channel
from postbox.rpc.faults import RpcError


class GrpcTransport:
    """See `contract.Transport`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def submit(self, request: bytes) -> bytes:
        return await self._unary("Sync", request)

    async def history(self, request: bytes) -> bytes:
        return await self._unary("History", request)

    @asynccontextmanager
    async def stream(self, request: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        async with AsyncExitStack() as calls:
            with _as_failed():
                messages = await calls.enter_async_context(
                    self._channel.stream(
                        PATHS["SyncFromServer"],
                        request,
                        idle_s=SILENCE_S,
                        max_bytes=MAX_ANSWER_BYTES,
                    )
                )
            yield _Messages(messages)

    async def _unary(self, rpc: Rpc, request: bytes) -> bytes:
        with _as_failed():
            return await self._channel.unary(
                PATHS[rpc], request, deadline_s=ANSWER_S, max_bytes=MAX_ANSWER_BYTES
            )


class _Messages:
    """With what goes wrong under our names."""

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self._messages = messages

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with _as_failed():
            return await anext(self._messages)


@contextmanager
def _as_failed() -> Iterator[None]:
    try:
        yield
    except RpcError as error:
        raise of_rpc(error) from error
