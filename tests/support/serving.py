"""Any ASGI app behind the real server, and a client of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from io import StringIO
from urllib.parse import urlsplit

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.config import LogConfig
from postbox.logs import configure
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.client import Client, open_client
from postbox.net.limits import DEFAULT_LIMITS, Limits
from postbox.net.server import TcpAddress, serve
from postbox.world import World, system_world
from support.networks import DEFAULT_NETWORKS

HERE = TcpAddress("127.0.0.1", 0)
REACH = Reach(DEFAULT_NETWORKS, loopback=True)


class FixedClock:
    def now_ns(self) -> int:
        return 1_700_000_000 * 10**9

    def elapsed_s(self) -> float:
        return 0.0


@contextmanager
def logged() -> Iterator[StringIO]:
    """What is logged meanwhile, by us and by the libraries that serve."""
    stream = StringIO()
    journal = configure(LogConfig(format="json"), FixedClock(), stream)
    try:
        yield stream
    finally:
        journal.close()


@dataclass
class Served:
    url: str
    client: Client
    stop: trio.Event
    returned: trio.Event

    @property
    def address(self) -> tuple[str, int]:
        where = urlsplit(self.url)
        assert where.hostname is not None
        assert where.port is not None
        return where.hostname, where.port

    async def post(self, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        answer = await self.client.request(
            "POST",
            self.url + path,
            body=body,
            headers=headers,
            max_body_bytes=2**20,
            deadline_s=30.0,
        )
        return answer.status, answer.body


@asynccontextmanager
async def served(
    app: ASGIFramework,
    limits: Limits = DEFAULT_LIMITS,
    world: World | None = None,
    tls: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
    metrics: Metrics | None = None,
    reach: Reach = REACH,
) -> AsyncIterator[Served]:
    world = world or replace(system_world(), clock=FixedClock())
    stop, returned = trio.Event(), trio.Event()

    async def run(task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        await serve(
            world,
            app,
            HERE._replace(tls=tls),
            stop=stop,
            limits=limits,
            reach=reach,
            metrics=metrics,
            task_status=task_status,
        )
        returned.set()

    async with trio.open_nursery() as nursery:
        url = await nursery.start(run)
        async with open_client(world.net, trusted, reach=REACH) as client:
            yield Served(url, client, stop, returned)
        stop.set()


async def read_all(receive: ASGIReceiveCallable) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        assert event["type"] == "http.request"
        body += event["body"]
        if not event["more_body"]:
            return bytes(body)


async def reply(send: ASGISendCallable, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def echo(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answers with the path and the body."""
    assert scope["type"] == "http"
    await reply(send, scope["path"].encode() + b" " + await read_all(receive))
