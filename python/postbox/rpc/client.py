"""A gRPC client on Trio: unary calls and streams of answers, over connections that a `dial` of the
caller's makes. Knows neither names nor addresses, nor what the messages say.

An answer is what the server calls complete; anything else, above all a stream that ends without a
status, is an RpcError. A call is asked a second time only if the server says that it never began.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from postbox.rpc.answer import Headers
from postbox.rpc.call import Call
from postbox.rpc.connection import Connection
from postbox.rpc.faults import Code, RpcError, unreachable

CONNECT_S = 10.0
"""A TCP handshake with its one retransmission takes 3 s on the worst link worth using; TLS needs
two more round trips and a slow machine's arithmetic."""
MAX_TIMEOUT_MS = 99_999_999
"""gRPC writes a timeout in eight digits."""

Dial = Callable[[], Awaitable[trio.abc.Stream]]
"""Makes a connection on which HTTP/2 is spoken from the first byte, TLS done; or OSError, or a
fault of the dialler's own, which the caller gets as it is."""


class Channel:
    """To one server. Connects when something is asked, for all who ask together; a connection that
    broke or grew old is replaced for the next call, one that is not used closes by itself."""

    def __init__(
        self,
        dial: Dial,
        authority: str,
        *,
        is_tls: bool,
        nursery: trio.Nursery,
        metadata: Callable[[], Headers] = tuple,
    ) -> None:
        """`authority`: the server's name, and its port if that is not the scheme's own. `nursery`:
        where connections live. `metadata`: what goes with each call; names in lower case."""
        self._dial = dial
        self._authority = authority
        self._scheme = "https" if is_tls else "http"
        self._nursery = nursery
        self._metadata = metadata
        self._dialing = trio.Lock()
        self._connection: Connection | None = None
        self._failures = 0
        self._failure: RpcError | None = None

    async def unary(
        self,
        path: str,
        message: bytes,
        *,
        deadline_s: float,
        max_bytes: int,
        sent: Callable[[], None] | None = None,
    ) -> bytes:
        """The one message of the answer, of at most `max_bytes`. `sent` is called when all of the
        request was sent. Raises RpcError."""
        deadline = trio.current_time() + deadline_s
        try:
            with trio.fail_at(deadline):
                connection = await self._connected()  # not tried twice: a fetch is one connection
                try:
                    headers = self._headers(path, deadline)
                    return await _ask(connection, headers, message, max_bytes, sent)
                except RpcError as error:
                    if error.was_begun:
                        raise
                connection = await self._connected()
                headers = self._headers(path, deadline)
                return await _ask(connection, headers, message, max_bytes, sent)
        except trio.TooSlowError:
            text = f"no complete answer within {deadline_s:g} s"
            raise RpcError(Code.DEADLINE_EXCEEDED, text) from None

    @asynccontextmanager
    async def stream(
        self, path: str, message: bytes, *, idle_s: float, max_bytes: int
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The messages of the answer, each of at most `max_bytes`, as they come: whoever takes
        them slowly slows the server down. Each must be there within `idle_s` of being waited for.
        Raises RpcError, also where the messages are taken."""
        try:
            with trio.fail_after(idle_s):
                call = await self._call(self._headers(path, math.inf), message, max_bytes)
        except trio.TooSlowError:
            raise _silent(idle_s) from None
        try:
            yield _Messages(call, idle_s)
        finally:
            call.give_up()

    async def _call(self, headers: Headers, message: bytes, max_bytes: int) -> Call:
        return await (await self._connected()).call(headers, message, max_bytes)

    def _headers(self, path: str, deadline: float) -> Headers:
        """`deadline` on Trio's clock; the server is told how much time is left."""
        left_ms = max(1.0, (deadline - trio.current_time()) * 1000)
        timeout = [(b"grpc-timeout", b"%dm" % min(left_ms, MAX_TIMEOUT_MS))]
        return [
            (b":method", b"POST"),
            (b":path", path.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"grpc-accept-encoding", b"identity"),
            (b"user-agent", b"postbox"),
            *(timeout if left_ms < math.inf else ()),
            *self._metadata(),
        ]

    async def _connected(self) -> Connection:
        """Of those who wait for a connection one makes it, and they share it, or its failure."""
        failures = self._failures
        async with self._dialing:
            if self._connection is not None and self._connection.takes_calls:
                return self._connection
            if self._failure is not None and self._failures > failures:
                raise self._failure.again()
            try:
                stream = await self._dialed()
            except RpcError as error:
                self._failures, self._failure = self._failures + 1, error.again()
                raise
            self._connection = Connection(stream, self._authority, self._scheme)
            self._nursery.start_soon(self._connection.run)
            return self._connection

    async def _dialed(self) -> trio.abc.Stream:
        try:
            with trio.fail_after(CONNECT_S):
                return await self._dial()
        except trio.TooSlowError:
            raise unreachable(f"no connection within {CONNECT_S:g} s", was_begun=False) from None
        except (OSError, trio.BrokenResourceError) as error:
            text = f"no connection: {str(error) or error.__cause__}"
            raise unreachable(text, was_begun=False) from error


async def _ask(
    connection: Connection,
    headers: Headers,
    message: bytes,
    max_bytes: int,
    sent: Callable[[], None] | None,
) -> bytes:
    call = await connection.call(headers, message, max_bytes)
    if sent is not None:
        sent()
    try:
        answer = await call.next()
        if answer is None or await call.next() is not None:
            raise RpcError(Code.INTERNAL, "the answer has not one message, as it should")
        return answer
    finally:
        call.give_up()


class _Messages:
    """Not a generator: that would have to be closed, by whoever stops in the middle."""

    def __init__(self, call: Call, idle_s: float) -> None:
        self._call = call
        self._idle_s = idle_s

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """At once if it is there: of a window of small messages the last one is a checkpoint."""
        if (message := self._call.take()) is not None:
            return message
        try:
            with trio.fail_after(self._idle_s):
                message = await self._call.next()
        except trio.TooSlowError:
            raise _silent(self._idle_s) from None
        if message is None:
            raise StopAsyncIteration
        return message


def _silent(idle_s: float) -> RpcError:
    return RpcError(Code.DEADLINE_EXCEEDED, f"no message within {idle_s:g} s")
