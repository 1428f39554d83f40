"""A host that devices with the client library call over a network in memory, over all its lives: it
is stopped, crashes, is put back from a backup, and notes what it was asked.

All is real but the outside: the node, the clients' door, the server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.clients import wire
from postbox.net.server import TcpAddress, serve
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_door import Door, door_at
from support.simulate import Lives, MemoryDisk, Simulation

ADDRESS, PORT = "10.0.0.1", 7433
URL = f"http://{ADDRESS}:{PORT}"

SYNC, STREAM, HISTORY = (
    wire.PATHS[rpc] for rpc in (wire.SYNC, wire.SYNC_FROM_SERVER, wire.HISTORY)
)


@dataclass
class Asked:
    """A request, as it came. `message`: without what gRPC or Connect put around it."""

    path: str
    authorization: str
    message: bytes

    @property
    def place(self) -> tuple[str, str]:
        """Of a stream: the last uuid and the token that the device named."""
        request = pb.SyncFromServerRequest.from_binary(self.message)
        return request.lastEventUuid, request.resumeToken

    @property
    def batch(self) -> pb.SubmitEventInput:
        return pb.SubmitEventInput.from_binary(self.message)

    @property
    def locals(self) -> list[str]:
        """Of a batch: what the device calls its events."""
        return [event.uuid for event in self.batch.events]


Wish = Callable[[ASGIFramework, Scope, ASGIReceiveCallable, ASGISendCallable], Any]


@dataclass
class Host:
    simulation: Simulation
    home: Path
    nursery: trio.Nursery
    settings: dict[str, Any] = field(default_factory=dict)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    asked: list[Asked] = field(default_factory=list)
    wishes: dict[str, list[Wish]] = field(default_factory=dict)
    """By path: what becomes of the next requests there, instead of an answer as it should be."""
    _door: Door | None = None
    _lives: Lives = field(default_factory=Lives)
    _stop: trio.Event = field(default_factory=trio.Event)

    @property
    def door(self) -> Door:
        assert self._door is not None, "the host is down"
        return self._door

    @property
    def is_up(self) -> bool:
        return self._door is not None

    def token(self, user: str, device: str, days: float = 30, made_days_ago: float = 0) -> str:
        return self.door.token(user, device, days, made_days_ago)

    # -- its lives --------------------------------------------------------------------------------

    async def start(self) -> None:
        await self.nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        life, self._stop = self.simulation.node(self.disk, ADDRESS), trio.Event()
        settings = {"events_per_second": 100_000, "burst": 1_000_000, **self.settings}
        world = life.world
        with self._lives.one(life):
            async with door_at(self.home, world, **settings) as door, trio.open_nursery() as tasks:
                app, where = self._noting(door.app), TcpAddress(ADDRESS, PORT)
                await tasks.start(partial(serve, world, app, where, stop=self._stop))
                self._door = door
                task_status.started()
                await self._stop.wait()
        self._door = None

    async def stop(self) -> None:
        """As an operator does it: streams are told when to come again."""
        self.door.clients.end_streams()
        await trio.sleep(0.05)
        self._door = None
        self._stop.set()
        await self._lives.wait_ended()

    async def crash(self) -> None:
        """At once, whatever it is doing."""
        self._door = None
        await self._lives.crash()

    async def put_back(self, backup: MemoryDisk) -> None:
        """The log goes back to what it was; the epoch changes by itself."""
        if self.is_up:
            await self.crash()
        self.disk = backup.copied()
        await self.start()

    # -- what it is asked -------------------------------------------------------------------------

    def asked_for(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def asked_by(self, token: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.authorization == f"Bearer {token}"]

    def _noting(self, app: ASGIFramework) -> ASGIFramework:
        async def answer(
            scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            if scope["type"] != "http" or scope["path"] not in wire.PATHS.values():
                return await app(scope, receive, send)
            body = await _whole(receive)
            headers = dict(scope["headers"])
            message = _unframed(headers.get(b"content-type", b"").decode(), body)
            token = headers.get(b"authorization", b"").decode()
            self.asked.append(Asked(scope["path"], token, message))
            wishes = self.wishes.get(scope["path"])
            if wishes:
                await wishes.pop(0)(app, scope, replayed(body, receive), send)
                return None
            return await app(scope, replayed(body, receive), send)

        return answer


async def _whole(receive: ASGIReceiveCallable) -> bytes:
    body, more = b"", True
    while more:
        event: Any = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    return body


def replayed(body: bytes, receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    """What was read, and then what comes: that the device has gone."""
    parts: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return parts.pop() if parts else await receive()

    return again


@dataclass
class Gate:
    """Wishes for requests whose answers are held back."""

    is_open: trio.Event = field(default_factory=trio.Event)
    arrived: trio.Event = field(default_factory=trio.Event)

    async def answers_later(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        """It is done, and nothing of the answer goes out before the gate is open."""

        async def held(event: Any) -> None:
            self.arrived.set()
            await self.is_open.wait()
            await send(event)

        await app(scope, receive, held)

    async def goes_on_later(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        """A stream, once it is shut: `arrived` is what stands before the gate then."""

        async def held(event: Any) -> None:
            if self.arrived.is_set():
                await self.is_open.wait()
            await send(event)

        await app(scope, receive, held)


def _unframed(content_type: str, body: bytes) -> bytes:
    is_framed = content_type.startswith(("application/grpc", "application/connect+"))
    return body[5:] if is_framed else body
