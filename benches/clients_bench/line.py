"""Asks in HTTP/1.1 and Connect's protobuf, and takes an answer for bytes: the asker shares the
cores with who is measured, and so does as little as it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

from postbox.clients import wire

END = b"\r\n0\r\n\r\n"  # of a chunked body
CHUNK = 2**16


def request(rpc: str, body: bytes, token: str) -> bytes:
    """Whole. A stream's is framed."""
    is_stream = rpc == wire.SYNC_FROM_SERVER
    if is_stream:
        body = b"\0" + len(body).to_bytes(4, "big") + body
    kind = "application/connect+proto" if is_stream else "application/proto"
    head = (
        f"POST {wire.PATHS[rpc]} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Line:
    """A connection, for one request at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._before = b""

    async def ask(self, request: bytes) -> bytes:
        """The answer, head and all."""
        await self._stream.send_all(request)
        answer = bytearray()
        while not answer.endswith(END):
            answer += await self._receive()
        if not answer.startswith(b"HTTP/1.1 200"):
            raise AssertionError(bytes(answer))
        return bytes(answer)

    async def open(self, request: bytes) -> None:
        await self._stream.send_all(request)

    async def count(self, marker: bytes) -> int:
        """How often it stands in what came just now. What lies across two pieces is counted with
        the second."""
        data = await self._receive()
        text = self._before + data
        self._before = text[-len(marker) + 1 :]
        return text.count(marker)

    async def receive(self) -> bytes:
        return await self._receive()

    async def _receive(self) -> bytes:
        data = await self._stream.receive_some(CHUNK)
        if not data:
            raise AssertionError("the server ended the connection")
        return bytes(data)


@asynccontextmanager
async def line(url: str) -> AsyncIterator[Line]:
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    async with await trio.open_tcp_stream(where.hostname, where.port) as stream:
        yield Line(stream)
