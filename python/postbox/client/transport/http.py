"""HTTP to one host, by httpcore2: a connection for each request that is under way.

Not httpcore2's own pool: on HTTP/2 it leaves a request that is given up open, and others behind it
wait for a window that nobody opens; on both a place in it may be lost for good. Here what was not
read to its end ends with its connection, and what was is kept for the next request.

Follows no redirect, keeps no cookie, reads nothing of the environment: what is sent goes to this
host alone.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import anyio
import httpcore2

from postbox.client.transport.address import Address
from postbox.client.transport.contract import CONNECT_S
from postbox.client.transport.faults import unreachable
from postbox.connections import said

KEEP_S: Final = 10.0
"""An unused connection is used again for so long; hosts close theirs later (ours after 15 s)."""

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Version: TypeAlias = Literal["1.1", "2", "any"]
"""any: what TLS agrees on, and 1.1 without TLS."""

_PROTOCOLS: Final = {"1.1": ["http/1.1"], "2": ["h2"], "any": ["h2", "http/1.1"]}


class Answer:
    """While it comes. Names of `headers` in lower case."""

    def __init__(self, response: httpcore2.Response) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        self.is_read = False
        self._response = response
        self._parts: AsyncGenerator[bytes, None] = response.aiter_stream()

    async def next(self) -> bytes | None:
        """More of its body; None at the end. Raises CallFailed."""
        with _as_unreachable("the answer broke off"):
            part = await anext(self._parts, None)
        self.is_read = part is None
        return part

    async def read(self, max_bytes: int) -> bytes:
        """Its whole body. Raises CallFailed, if it is larger, too."""
        body = bytearray()
        while (part := await self.next()) is not None:
            body += part
            if len(body) > max_bytes:
                raise unreachable(f"the answer is larger than {max_bytes} bytes")
        return bytes(body)

    async def aclose(self) -> None:
        await self._parts.aclose()
        if self.is_read:
            await self._response.aclose()


@dataclass
class _Line:
    """A connection, and what speaks on it."""

    wire: httpcore2.AsyncNetworkStream
    http: httpcore2.AsyncHTTP11Connection | httpcore2.AsyncHTTP2Connection
    used_s: float

    @property
    def is_fresh(self) -> bool:
        """Of one that is not used: what can be read there is its end, or makes no sense."""
        is_new = anyio.current_time() < self.used_s + KEEP_S
        return is_new and self.http.is_idle() and not self.wire.get_extra_info("is_readable")


class Http:
    def __init__(
        self,
        address: Address,
        backend: httpcore2.AsyncNetworkBackend,
        tls: ssl.SSLContext | None = None,
        version: Version = "any",
    ) -> None:
        """`tls`: whom to trust; it is changed to what is spoken."""
        self._address = address
        self._backend = backend
        self._tls = tls
        self._version = version
        self._kept: list[_Line] = []
        if tls is not None:
            tls.set_alpn_protocols(_PROTOCOLS[version])

    @asynccontextmanager
    async def post(self, path: str, headers: Headers, body: bytes) -> AsyncIterator[Answer]:
        """Raises CallFailed. What is not read to its end is broken off."""
        line = await self._line()
        is_over = False
        try:
            with _as_unreachable("the connection broke before there was an answer"):
                response = await line.http.handle_async_request(self._request(path, headers, body))
            async with aclosing(Answer(response)) as answer:
                yield answer
            is_over = answer.is_read and line.http.is_idle()
        finally:
            line.used_s = anyio.current_time()
            if is_over:
                self._kept.append(line)
            else:
                await _close(line.wire)

    async def aclose(self) -> None:
        """What is not used; what is used ends with its use."""
        while self._kept:
            await _close(self._kept.pop().wire)

    def _request(self, path: str, headers: Headers, body: bytes) -> httpcore2.Request:
        address = self._address
        always = [
            (b"host", address.authority.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"accept-encoding", b"identity"),
            (b"user-agent", b"postbox"),
        ]
        url = httpcore2.URL(
            scheme=address.scheme, host=address.host, port=address.port, target=path
        )
        return httpcore2.Request("POST", url, headers=[*always, *headers], content=body)

    async def _line(self) -> _Line:
        """One that is kept, or a new one."""
        while self._kept:
            line = self._kept.pop()
            if line.is_fresh:
                return line
            await _close(line.wire)
        where = f"no connection to {self._address.authority}"
        try:
            with anyio.fail_after(CONNECT_S), _as_unreachable(where):
                return await self._connected()
        except TimeoutError:
            raise unreachable(f"{where} within {CONNECT_S:g} s") from None

    async def _connected(self) -> _Line:
        wire = await self._backend.connect_tcp(self._address.host, self._address.port)
        is_h2 = self._version == "2"
        if self._tls is not None:
            wire = await self._secured(wire, self._tls)
            agreed = wire.get_extra_info("ssl_object").selected_alpn_protocol()
            is_h2 = agreed == "h2"
        kind = httpcore2.AsyncHTTP2Connection if is_h2 else httpcore2.AsyncHTTP11Connection
        url = httpcore2.URL(
            scheme=self._address.scheme, host=self._address.host, port=self._address.port, target=""
        )
        return _Line(wire, kind(url.origin, wire), 0.0)

    async def _secured(
        self, wire: httpcore2.AsyncNetworkStream, tls: ssl.SSLContext
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await wire.start_tls(tls, self._address.host)
        except BaseException:
            await _close(wire)
            raise


async def _close(wire: httpcore2.AsyncNetworkStream) -> None:
    """Waits for nobody: no stream says goodbye."""
    with anyio.CancelScope(shield=True):
        await wire.aclose()


@contextmanager
def _as_unreachable(what: str) -> Iterator[None]:
    """Whatever a stranger's bytes make of the parsers that they go through."""
    try:
        yield
    except Exception as error:
        raise unreachable(f"{what}: {said(error) or type(error).__name__}") from error
