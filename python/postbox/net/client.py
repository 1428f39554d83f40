"""Asks others over HTTP, within bounds: a deadline for the whole exchange and a size for the
answer, both named by every caller.

Follows no redirects, keeps no cookies, reads no proxy settings from the environment, asks for no
compression (an answer's size is the size we read). Connections come from World.net alone.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2
import trio

from postbox.errors import Fault
from postbox.net.dial import Transport
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


class Client:
    """Made by `open_client`; may be used by many tasks at once."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        max_body_bytes: int,
        deadline_s: float,
    ) -> Answer:
        """Ask, and read the whole answer, whatever its status.

        `max_body_bytes` bounds the answer's body. Raises BadAddress, Unreachable, TooSlow,
        TooLarge or BadAnswer; after all but the first what was asked may have been done all the
        same. Never retries.
        """
        where = f"{method} {url}"
        check_url(url)
        try:
            with trio.fail_after(deadline_s):
                return await self._exchange(method, url, body, headers or {}, max_body_bytes)
        except trio.TooSlowError as error:
            raise TooSlow(f"{where}: no complete answer within {deadline_s:g} s") from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _renamed(error, where) from error

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], max_body_bytes: int
    ) -> Answer:
        async with self._http.stream(method, url, content=body, headers=headers) as response:
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
async def open_client(net: Net, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A client whose connections are closed at the end. `tls`: whom to trust for https, by
    default the authorities that the system trusts."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    async with httpx2.AsyncClient(
        transport=Transport(net, tls),
        cookies=no_cookies,
        headers={"accept-encoding": "identity", "user-agent": "postbox"},
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    ) as http:
        yield Client(http)


def check_url(url: str) -> None:
    """Raises BadAddress unless `url` is an http or https one with a host and a possible port."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise BadAddress(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadAddress(f"{url!r} is no address to ask: it must begin with http:// or https://")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise BadAddress(f"{url!r} has a port that is none: use 1 to 65535")


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
