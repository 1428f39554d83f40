"""Asks others over HTTP, within bounds: a deadline for the whole exchange and a size for the
answer, both named by every caller.

Follows no redirects, keeps no cookies, reads no proxy settings from the environment, asks for no
compression (an answer's size is the size we read). Connections come from World.net alone, and go
where the `Reach` allows.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpx2
import trio

from postbox.errors import Fault
from postbox.net.addresses import Reach
from postbox.net.dial import Transport, dial_tcp, dial_unix
from postbox.net.faults import BadAddress, BadAnswer, TooLarge, TooSlow, Unreachable
from postbox.world import Net

CONNECT_S = 5.0
"""A TCP handshake with its one retransmission takes 3 s on the worst link worth using."""


@dataclass(frozen=True)
class Answer:
    """What came back, whole. `headers`: names in lower case, repeated ones joined by a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lines(NamedTuple):
    """An answer that is read while it comes. `lines` come without their ends."""

    status: int
    headers: Mapping[str, str]
    lines: AsyncIterator[bytes]


class Client:
    """Made by `open_client` or `open_local_client`; may be used by many tasks at once."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        max_body_bytes: int,
        deadline_s: float,
    ) -> Answer:
        """Ask, and read the whole answer, whatever its status.

        `query`: what goes behind the path's question mark, coded here. `max_body_bytes` bounds the
        answer's body. Raises BadAddress, Forbidden, Unreachable, TooSlow, TooLarge or BadAnswer;
        after all but the first two what was asked may have been done all the same. Never retries.
        """
        where = f"{method} {url}"
        check_url(url)
        whole = str(httpx2.URL(url, params=dict(query))) if query else url
        try:
            with _as_faults(where), trio.fail_after(deadline_s):
                return await self._exchange(method, whole, body, headers or {}, max_body_bytes)
        except trio.TooSlowError as error:
            raise TooSlow(f"{where}: no complete answer within {deadline_s:g} s") from error

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], max_body_bytes: int
    ) -> Answer:
        async with self._http.stream(
            method, url, content=body, headers=_in_utf8(headers)
        ) as response:
            declared = response.headers.get("content-length", "")
            if declared.isdigit() and int(declared) > max_body_bytes:
                raise TooLarge(
                    f"{method} {url}: the answer has {declared} bytes, more than {max_body_bytes}"
                )
            parts = bytearray()
            async with aclosing(response.aiter_raw()) as raw:
                async for part in raw:
                    parts += part
                    if len(parts) > max_body_bytes:
                        raise TooLarge(f"{method} {url}: the answer exceeds {max_body_bytes} bytes")
            return Answer(response.status_code, dict(response.headers), bytes(parts))

    @asynccontextmanager
    async def lines(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        max_line_bytes: int,
        idle_s: float,
    ) -> AsyncIterator[Lines]:
        """Ask, and read the answer line by line, however long it lasts in all.

        The headers, and then each line, must come within `idle_s`: TooSlow. A line of more than
        `max_line_bytes`: TooLarge. An answer that breaks off raises Unreachable where it is
        read; its last line needs no end. Otherwise as `request`.
        """
        where = f"{method} {url}"
        check_url(url)
        asking = self._http.build_request(
            method, url, content=body, headers=_in_utf8(headers or {})
        )
        try:
            with _as_faults(where), trio.fail_after(idle_s):
                response = await self._http.send(asking, stream=True)
        except trio.TooSlowError as error:
            raise TooSlow(f"{where}: no answer within {idle_s:g} s") from error
        try:
            async with aclosing(_split(response, where, max_line_bytes, idle_s)) as lines:
                yield Lines(response.status_code, dict(response.headers), lines)
        finally:
            await response.aclose()


def _in_utf8(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """httpx2 takes ASCII alone, and names of nodes may hold any letter."""
    return {name.encode(): value.encode() for name, value in headers.items()}


async def _split(
    response: httpx2.Response, where: str, max_line_bytes: int, idle_s: float
) -> AsyncGenerator[bytes, None]:
    begun = bytearray()  # a line whose end has not come
    deadline = trio.current_time() + idle_s
    async with aclosing(response.aiter_raw()) as raw:
        while True:
            try:
                with _as_faults(where), trio.fail_at(deadline):
                    part = await anext(raw, None)
            except trio.TooSlowError as error:
                raise TooSlow(f"{where}: no line within {idle_s:g} s") from error
            *ends, rest = (part or b"").split(b"\n")
            whole = [bytes(begun) + ends[0], *ends[1:]] if ends else []
            if whole:
                begun.clear()
            begun += rest
            if any(len(line) > max_line_bytes for line in (*whole, begun)):
                raise TooLarge(f"{where}: a line exceeds {max_line_bytes} bytes")
            for line in whole:
                yield line
                deadline = trio.current_time() + idle_s
            if part is None:
                break
    if begun:
        yield bytes(begun)


@asynccontextmanager
async def open_client(
    net: Net, tls: ssl.SSLContext | None = None, *, reach: Reach
) -> AsyncIterator[Client]:
    """A client whose connections are closed at the end, for what `reach` allows. `tls`: whom to
    trust for https, by default the authorities that the system trusts."""
    plain, secure = (dial_tcp(net, reach, is_tls=is_tls) for is_tls in (False, True))
    async with _client_on(Transport(plain, secure, tls)) as client:
        yield client


@asynccontextmanager
async def open_local_client(net: Net, path: str) -> AsyncIterator[Client]:
    """A client of whoever listens on the unix socket at `path`: `http://local/...`."""
    dial = dial_unix(net, path)
    async with _client_on(Transport(dial, dial)) as client:
        yield client


@asynccontextmanager
async def _client_on(transport: Transport) -> AsyncIterator[Client]:
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    async with httpx2.AsyncClient(
        transport=transport,
        cookies=no_cookies,
        headers={"accept-encoding": "identity", "user-agent": "postbox"},
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    ) as http:
        yield Client(http)


def check_url(url: str) -> None:
    """Raises BadAddress unless `url` is an http or https one with a host, perhaps a port and a
    path, and nothing else: what we are given is whom to ask, and for what."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise BadAddress(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadAddress(f"{url!r} is no address to ask: it must begin with http:// or https://")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise BadAddress(f"{url!r} has a port that is none: use 1 to 65535")
    if any(mark in url for mark in "@?#"):
        raise BadAddress(f"{url!r} has more than a host and a path: leave out what has @, ? or #")


@contextmanager
def _as_faults(where: str) -> Iterator[None]:
    try:
        yield
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise _renamed(error, where) from error


def _renamed(error: Exception, where: str) -> Fault:
    text = f"{where}: {str(error) or type(error).__name__}"
    match error:
        case httpx2.ConnectTimeout():
            return Unreachable(f"{where}: no connection within {CONNECT_S:g} s")
        case httpx2.TimeoutException():
            return TooSlow(text)
        case httpx2.NetworkError():
            return Unreachable(text)
        case httpx2.RemoteProtocolError() if _broke_off(error):
            return Unreachable(text)
        case _:
            return BadAnswer(text)


def _broke_off(error: httpx2.RemoteProtocolError) -> bool:
    """Did the connection end, rather than say something that is no HTTP? httpcore2 and h11 call
    both a protocol error and tell them apart in their texts only."""
    return "disconnected" in str(error) or "closed connection" in str(error)
