"""httpx2 on World.net: the one place that hands it connections.

`Transport` is httpx2's own, less everything that would open sockets or read the environment:
httpcore2's connection pools with a network backend of ours (its public argument for that).
A host name is resolved once and every address of it is judged before one is connected to, so a
name cannot mean one thing when it is checked and another when it is called.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

import httpcore2
import httpx2
import trio

from postbox.connections import Backend, Dial, first_that_answers
from postbox.net.addresses import Reach
from postbox.net.faults import WILL_NOT_CALL, Forbidden
from postbox.world import Net

MAX_CONNECTIONS = 64
"""At once, by http and by https each, to all peers together: gossip speaks to a handful, catch-up
to one."""
KEEP_S = 5.0
"""An unused connection is kept this long; servers close theirs later (ours after 15 s)."""


def dial_tcp(net: Net, reach: Reach, *, is_tls: bool) -> Dial:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        addresses = await net.resolve(host)
        for address in addresses:
            refusal = reach.refusal(address, is_tls=is_tls)
            if refusal is not None:
                raise Forbidden(f"{WILL_NOT_CALL} {host}: {refusal}")
        return await first_that_answers(net, addresses, port)

    return dial


def dial_unix(net: Net, path: str) -> Dial:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        return await net.connect_unix(path)

    return dial


class Transport(httpx2.AsyncBaseTransport):
    """`plain` and `secure` make the connections for http and for https."""

    def __init__(self, plain: Dial, secure: Dial, tls: ssl.SSLContext | None = None) -> None:
        self._pools = {
            scheme: httpcore2.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=MAX_CONNECTIONS,
                keepalive_expiry=KEEP_S,
                network_backend=Backend(dial),
            )
            for scheme, dial in (("http", plain), ("https", secure))
        }

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = await self._pools[request.url.scheme].handle_async_request(asked)
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Closed here and in `client.py`, generator by generator: Trio warns of one that is left
        # to the garbage collector, and a broken-off answer would keep its connection till then.
        with _as_httpx():
            async with aclosing(self._answer.aiter_stream()) as parts:
                async for part in parts:
                    yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore2's exceptions under httpx2's names: they are the same words."""
    try:
        yield
    except _HTTPCORE_ERRORS as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error


_HTTPCORE_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
)
