"""A node that answers devices, and devices to call it: in this process, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import trio
from hypercorn.typing import ASGIFramework
from msgspec import Struct
from protobuf import Oneof

from postbox.clients import wire
from postbox.clients.door import Clients
from postbox.clients.identity.tokens import mint, token_key
from postbox.clients.ids import device_id, user_id
from postbox.config import ClientsConfig, Config, HostsConfig, NodeConfig, ServeConfig
from postbox.metrics import Metrics
from postbox.node import Node, open_node
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.trust.keys import SEED_BYTES
from postbox.world import World, system_world
from support.asgi_call import Call, call, framed

DAY_MS = 86_400_000


class Refused(Exception):
    """`status`: gRPC's number. `code`: of ours."""

    def __init__(self, answer: Call) -> None:
        said = {**answer.headers, **answer.trailers}
        self.status = int(said["grpc-status"])
        self.text = unquote(said.get("grpc-message", ""))
        self.code = said.get("postbox-code", "")
        self.metadata = said
        super().__init__(f"{self.code} ({self.status}): {self.text}")


@dataclass
class Stream:
    """What a device hears. Its call goes on in a task of its own."""

    answer: Call = field(default_factory=Call)
    _taken: int = 0
    over: trio.Event = field(default_factory=trio.Event)

    async def next(self) -> pb.Event:
        """The next frame. Raises Refused, and EndOfChannel if there is none."""
        with trio.fail_after(120):
            while len(self.answer.messages) == self._taken:
                if self.over.is_set():
                    raise await self.end() or trio.EndOfChannel
                await self.answer.moved.wait()
        self._taken += 1
        return pb.Event.from_binary(self.answer.messages[self._taken - 1])

    async def until(self, kind: str) -> list[pb.Event]:
        """Frames up to the one of that content, which is the last."""
        frames = [await self.next()]
        while kind_of(frames[-1]) != kind:
            frames.append(await self.next())
        return frames

    async def end(self) -> Refused | None:
        """When it is over: why, if there was a reason."""
        with trio.fail_after(120):
            await self.over.wait()
        return None if self.answer.trailers.get("grpc-status") == "0" else Refused(self.answer)


@dataclass
class Device:
    """As it calls."""

    door: Door
    user: str
    name: str
    token: str
    made: int = 0

    @property
    def id(self) -> bytes:
        return device_id(user_id(self.user), self.name)

    def event(self, content: Struct | Any = None, **fields: Any) -> pb.Event:
        """With a uuid of its own. `content`: a message of the oneof, by which it is found."""
        self.made += 1
        uuid = f"00000000-0000-4000-8000-{self.made:012x}"
        return event_of(content, **{"uuid": uuid, **fields})

    async def sync(
        self, *events: pb.Event, first: int = 0, token: str = ""
    ) -> pb.SubmitEventOutput:
        """Raises Refused."""
        asked = pb.SubmitEventInput(events=list(events), firstQueueNumber=first, resumeToken=token)
        return pb.SubmitEventOutput.from_binary(await self.ask(wire.SYNC, asked.to_binary()))

    async def one(self, content: Any, **fields: Any) -> pb.Event:
        """The answer to one event."""
        return (await self.sync(self.event(content, **fields))).events[0]

    async def history(self, conversation: str, before: int = 0, limit: int = 0) -> pb.HistoryPage:
        """Raises Refused."""
        asked = pb.HistoryRequest(
            conversationUuid=conversation, beforeSeq=before, limit=limit
        ).to_binary()
        return pb.HistoryPage.from_binary(await self.ask(wire.HISTORY, asked))

    async def ask(self, rpc: str, message: bytes, **how: Any) -> bytes:
        answer = await self.door.call(rpc, message, self.token, **how)
        if answer.trailers.get("grpc-status") != "0":
            raise Refused(answer)
        return answer.messages[0]

    async def caught_up(self, **request: Any) -> list[pb.Event]:
        """All frames up to the one that says so."""
        async with self.listening(untilCaughtUp=True, **request) as stream:
            return await stream.until("caughtUp")

    @asynccontextmanager
    async def listening(self, **request: Any) -> AsyncIterator[Stream]:
        """`request`: fields of a SyncFromServerRequest."""
        message = pb.SyncFromServerRequest(**request).to_binary()
        stream = Stream()

        async def run() -> None:
            await self.door.call(wire.SYNC_FROM_SERVER, message, self.token, answer=stream.answer)
            stream.over.set()
            stream.answer.moved.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield stream
            nursery.cancel_scope.cancel()


@dataclass
class Door:
    node: Node
    clients: Clients
    metrics: Metrics
    app: ASGIFramework

    def device(self, user: str, name: str = "phone", days: float = 30) -> Device:
        """With a good token; registered at its first call."""
        return Device(self, user, name, self.token(user, name, days))

    def token(self, user: str, name: str, days: float = 30, made_days_ago: float = 0) -> str:
        """`days`: for which it is good from now on."""
        now_ms = self.node.world.clock.now_ns() // 1_000_000
        return mint(
            token_key(self.node.identity.soul[:SEED_BYTES]),
            iss=self.node.identity.name,
            user=user,
            device=name,
            iat_ms=now_ms - int(made_days_ago * DAY_MS),
            exp_ms=now_ms + int(days * DAY_MS),
            jti=self.node.world.random.bytes(16),
        )

    async def call(self, rpc: str, message: bytes, token: str | None, **how: Any) -> Call:
        """As gRPC, whatever becomes of it."""
        headers = () if token is None else ((b"authorization", f"Bearer {token}".encode()),)
        return await call(self.app, wire.PATHS[rpc], framed(message), headers=headers, **how)


def event_of(content: Any = None, **fields: Any) -> pb.Event:
    event: Any = pb.Event(**fields)
    if content is not None:
        name = type(content).__name__
        event.content = Oneof(name[0].lower() + name[1:], content)
    return cast("pb.Event", event)


def message(conversation: str, text: str = "hello", reply_to: str = "") -> Any:
    """To be sent."""
    said = pb.Message(text=text, conversationUuid=conversation, replyToUuid=reply_to)
    return pb.SendingNewMessage(message=said)


def kind_of(event: pb.Event) -> str:
    """The name of its content's field; empty if it has none."""
    return event.content.field if event.content is not None else ""


def value_of(event: pb.Event) -> Any:
    """Its content."""
    assert event.content is not None, event
    return event.content.value


@asynccontextmanager
async def door_at(
    home: Path,
    world: World | None = None,
    *,
    loopback: bool = True,
    store: str = "",
    hosts: HostsConfig | None = None,
    **clients: Any,
) -> AsyncIterator[Door]:
    """`clients`: keys of that section of the configuration. `store`: the URL of a database."""
    config = Config(
        node=NodeConfig(memory="1000", store=store),
        serve=ServeConfig(loopback=loopback),
        hosts=hosts or HostsConfig(),
        clients=ClientsConfig(**clients),
    )
    metrics = Metrics()
    async with open_node(world or system_world(), home, config) as node:
        async with node.open_clients(metrics) as opened:
            yield Door(node, opened, metrics, opened.make_app())


async def conversation(owner: Device, *others: Device, name: str = "") -> str:
    """Its uuid. Each of them signs in first."""
    for device in (owner, *others):
        await device.sync()
    members = [pb.User(name=other.user) for other in others]
    answer = await owner.one(pb.ConversationCreated(name=name, members=members))
    assert kind_of(answer) != "eventRefused", answer
    return answer.uuid


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what must come true."""
    with trio.fail_after(60):
        while not condition():
            await trio.lowlevel.checkpoint()
