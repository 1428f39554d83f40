"""Every way in which the client library calls a host, and the loops on which it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import coroutine
from typing import Any, Literal, TypeVar

import anyio

from postbox.client.transport.contract import Transport
from postbox.client.transport.http import Version
from postbox.client.transport.open import Kind, open_transport
from postbox.world import Net, Pool, SystemThreads, system_world

T = TypeVar("T")

_THREADS = SystemThreads()


@dataclass(frozen=True)
class Way:
    """`agreed`: what is spoken where TLS, or its absence, has the choice."""

    kind: Kind = "connect"
    version: Version = "any"
    loop: Literal["trio", "asyncio"] = "trio"

    def __str__(self) -> str:
        return "-".join((self.kind, self.version, self.loop))

    def open(
        self,
        url: str,
        token: str | Callable[[], str] = "token",
        *,
        net: Net | None = None,
        ca: Path | None = None,
        device: str = "",
    ) -> AbstractAsyncContextManager[Transport]:
        return open_transport(
            url,
            self.kind,
            token=token if callable(token) else lambda: token,
            net=net or system_world().net,
            device=device,
            ca=ca,
            version=self.version,
        )

    async def run(self, talk: Callable[[], Awaitable[T]]) -> T:
        """On this way's loop; another one than Trio's is in a thread of its own."""
        if self.loop == "trio":
            return await talk()
        return await _THREADS.run(Pool.HANDLER, lambda: anyio.run(talk, backend=self.loop))


HTTP1, HTTP2 = Way(version="1.1"), Way(version="2")
HTTP1_ASYNCIO, HTTP2_ASYNCIO = Way("connect", "1.1", "asyncio"), Way("connect", "2", "asyncio")
ANY, ANY_ASYNCIO = Way(), Way(loop="asyncio")
GRPC = Way("grpc")

WAYS = (HTTP1, HTTP2, HTTP1_ASYNCIO, HTTP2_ASYNCIO, GRPC)
"""Each protocol on each loop on which it is spoken."""


@dataclass
class Steps:
    """Counts how often a coroutine waits, and does something at one of these times."""

    at: int
    then: Callable[[], None] = field(default=lambda: None)
    count: int = 0

    def run(self, talk: Awaitable[T]) -> Awaitable[T]:
        return _stepping(self, talk)


@coroutine
def _stepping(steps: Steps, talk: Awaitable[T]) -> Generator[Any, Any, T]:
    waiting = talk.__await__()
    send: Callable[[], Any] = lambda: next(waiting)  # noqa: E731
    while True:
        try:
            wanted = send()
        except StopIteration as over:
            return over.value  # type: ignore[no-any-return]
        if steps.count == steps.at:
            steps.then()
        steps.count += 1
        try:
            came = yield wanted
        except BaseException as error:
            send = _thrower(waiting, error)
        else:
            send = _sender(waiting, came)


def _thrower(waiting: Any, error: BaseException) -> Callable[[], Any]:
    return lambda: waiting.throw(error)


def _sender(waiting: Any, came: Any) -> Callable[[], Any]:
    return lambda: waiting.send(came)
