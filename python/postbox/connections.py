"""Connections on World.net: to the first of several addresses that answers, by TLS, and as
httpcore2 and the gRPC client (`rpc/client.py`) want them. Who may be called is for others to say.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpcore2
import trio

from postbox.world import Net

MAX_ADDRESSES = 4
"""Of one name that are tried, so that each has a fair part of the time for connecting."""

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""From a host and a port to a connection, or OSError, or a fault of the caller's own."""


def client_tls(authorities_file: Path | None = None) -> ssl.SSLContext:
    """Whom to trust when calling: the authorities that the system trusts, and those in a PEM file.
    Raises OSError or ssl.SSLError if the file is of no use."""
    context = ssl.create_default_context()
    if authorities_file is not None:
        context.load_verify_locations(authorities_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def h2_client_tls(authorities_file: Path | None = None) -> ssl.SSLContext:
    """The same for HTTP/2 alone."""
    context = client_tls(authorities_file)
    context.set_alpn_protocols(["h2"])
    return context


async def first_that_answers(net: Net, addresses: list[str], port: int) -> trio.abc.Stream:
    """One after the other; each but the last has its part of what time there is. Raises OSError."""
    addresses = addresses[:MAX_ADDRESSES]
    failed = OSError("none of its addresses answered" if addresses else "it has no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        left_s = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(max(0.0, left_s) / left):  # a slow look-up may have taken it all
            try:
                return await net.connect(address, port)
            except OSError as error:
                failed = error
    raise failed


def dial_h2(dial: Dial, tls: ssl.SSLContext) -> Dial:
    """TLS on what `dial` connects, certified for the very host, and HTTP/2 agreed on. `tls` as
    from `h2_client_tls`: httpcore2 changes the one that it is given. An OSError says what failed.
    """

    async def dial_secure(host: str, port: int) -> trio.abc.Stream:
        bottom = await dial(host, port)
        secured = trio.SSLStream(bottom, tls, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
            if secured.selected_alpn_protocol() != "h2":
                raise OSError("it speaks no HTTP/2 over TLS, which gRPC needs")
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(bottom)
            raise OSError(f"no TLS: {said(error)}") from error
        except BaseException:
            await trio.aclose_forcefully(bottom)
            raise
        return secured

    return dial_secure


class Backend(httpcore2.AsyncNetworkBackend):
    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        with _renamed(httpcore2.ConnectTimeout, httpcore2.ConnectError), _within(timeout):
            return Stream(await _unless_cancelled(await self._dial(host, port)))

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _renamed(httpcore2.ReadTimeout, httpcore2.ReadError), _within(timeout):
            return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _renamed(httpcore2.WriteTimeout, httpcore2.WriteError), _within(timeout):
            await self._stream.send_all(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        secured = trio.SSLStream(
            self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True
        )
        try:
            with _renamed(httpcore2.ConnectTimeout, httpcore2.ConnectError), _within(timeout):
                await secured.do_handshake()
                await trio.lowlevel.checkpoint_if_cancelled()  # as in `_unless_cancelled`
        except BaseException:
            await trio.aclose_forcefully(self._stream)
            raise
        return Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        """`is_readable` of an unused connection means that the server has closed it. Streams that
        are no sockets cannot be looked into: they say so too, which costs a new connection."""
        bottom = self._stream
        while isinstance(bottom, trio.SSLStream):
            if info == "ssl_object":
                return bottom._ssl_object  # for httpcore2 to ask which protocol was agreed on
            bottom = bottom.transport_stream
        if info == "is_readable":
            return not isinstance(bottom, trio.SocketStream) or bottom.socket.is_readable()
        return None


async def _unless_cancelled(stream: trio.abc.Stream) -> trio.abc.Stream:
    """httpcore2 2.16.2 loses a place in its pool, for good, if it is cancelled where it first waits
    after connecting. Nothing waits between here and there, so it is cancelled here instead."""
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
    except trio.Cancelled:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _within(timeout_s: float | None) -> AbstractContextManager[trio.CancelScope]:
    return trio.fail_after(math.inf if timeout_s is None else timeout_s)


@contextmanager
def _renamed(timeout: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        yield
    except trio.TooSlowError as error:
        raise timeout(str(error)) from error
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise broken(said(error)) from error


def said(error: Exception) -> str:
    """What TLS found wrong is the cause of what trio raises, which says nothing itself."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return "what answers there speaks no TLS: is it an http address?"
    return str(error) or str(cause or "")
