"""A node that answers other hosts, and hosts to call it, whose keys it knows or can ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from protobuf.wkt import Any as AnyMessage

from postbox.config import Config, HostsConfig, NodeConfig, ServeConfig
from postbox.hosts import wire
from postbox.hosts.door import Hosts
from postbox.hosts.keys.key_list import read_reply
from postbox.hosts.keys.own_keys import OwnKeys
from postbox.hosts.keys.rules import HostKeyRules, LearnKeys
from postbox.hosts.links.place import Place
from postbox.hosts.links.postings import Posting, posted
from postbox.hosts.tables import in_stream
from postbox.metrics import Metrics
from postbox.node import Node, open_node
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.rules import Payer
from postbox.store.contract import Entry, Lane, Window
from postbox.trust.keys import identity_of
from postbox.trust.tokens import Rpc
from postbox.world import Clock, World, system_world

US = "a.example:2289"
NOTE = "type.googleapis.com/test.Note"
EPOCH = b"e" * 16


@dataclass
class Ahead:
    """Two seconds: what is signed now is signed after a node started that started now."""

    clock: Clock

    def now_ns(self) -> int:
        return self.clock.now_ns() + 2 * 10**9

    def elapsed_s(self) -> float:
        return self.clock.elapsed_s()


@dataclass
class Caller:
    """Another host, as it writes its requests."""

    name: str
    world: World
    keys: OwnKeys = field(init=False)

    def __post_init__(self) -> None:
        identity = identity_of("caller", self.name.encode().ljust(32, b".")[:32])
        self.keys = OwnKeys(identity, self.name, Ahead(self.world.clock))

    def token(self, rpc: Rpc, bound: bytes, *, to: str = US, is_plain: bool = False) -> str:
        jti = self.world.random.bytes(16)
        return self.keys.sign(to, rpc, wire.digest(bound), jti=jti, is_plain=is_plain)

    def asked(self, rpc: Rpc, bound: bytes, *, is_plain: bool = False) -> bytes:
        """A SyncRequest for what `bound` is about."""
        rest = bound if rpc in (wire.SYNC, wire.ACK) else b""
        return wire.signed(rest, self.token(rpc, bound, is_plain=is_plain), self.name)

    def post(self, event: bytes, *, is_plain: bool = False) -> bytes:
        """A PostEventRequest."""
        return wire.post_request(self.asked(wire.POST_EVENT, event, is_plain=is_plain), event)

    def posts(self, *events: bytes) -> bytes:
        """A PostEventsRequest."""
        together = wire.events_of(events)
        return wire.post_request(self.asked(wire.POST_EVENTS, together), together)

    def sync(
        self,
        ack: Place | None = None,
        refused: pb.Refusal | None = None,
        *,
        follow: bool = False,
        is_plain: bool = False,
    ) -> bytes:
        """A SyncRequest."""
        asking = wire.asking(ack, follow=follow, refused=refused)
        return self.asked(wire.SYNC, asking, is_plain=is_plain)

    def ack(self, place: Place, refused: pb.Refusal | None = None) -> bytes:
        """An AckRequest."""
        return wire.ack_request(self.asked(wire.ACK, wire.asking(place, refused=refused)))


def note(number: int, text: bytes = b"hello", epoch: bytes = EPOCH, **more: Any) -> bytes:
    """An event with this number, as it is sent; with 0 one without any."""
    content = AnyMessage(type_url=NOTE, value=text)
    if not number:
        return pb.PostboxEvent(event=content).to_binary()
    return pb.PostboxEvent(event=content, epoch=epoch, seq=number, first=1, **more).to_binary()


@dataclass
class Door:
    node: Node
    hosts: Hosts

    async def know(self, caller: Caller) -> None:
        """Its keys, as if they had been fetched."""
        now_ms = self.node.world.clock.now_ns() // 1_000_000
        peer = read_reply(caller.keys.reply(), caller.name, now_ms).peer
        await self.node.admission.submit(HostKeyRules(), [LearnKeys(peer)])

    async def post(self, host: str, *texts: bytes) -> None:
        """To be sent there."""
        events = [posted(self.node.world.new_id(), NOTE, text, 0) for text in texts]
        draft = Posting(Payer("operator", "test"), host, tuple(events))
        await self.node.admission.submit(self.hosts.rules, [draft])

    async def inbox(self, host: str) -> list[Entry]:
        """What came from there."""
        windows = [Window(in_stream(host))]
        page = await self.node.store.read(
            lambda reader: reader.page(Lane.HOSTS, windows, 0, 10_000, 2**24)
        )
        return list(page.entries)

    async def texts(self, host: str) -> list[bytes]:
        events = [pb.PostboxEvent.from_binary(one.body or b"") for one in await self.inbox(host)]
        return [event.event.value for event in events if event.event is not None]

    async def log_size(self) -> int:
        return self.node.tail.head


@asynccontextmanager
async def door_at(
    home: Path,
    world: World | None = None,
    *,
    loopback: bool = True,
    metrics: Metrics | None = None,
    **hosts: Any,
) -> AsyncIterator[Door]:
    """`hosts`: keys of that section of the configuration."""
    config = Config(
        node=NodeConfig(memory="1000"),
        serve=ServeConfig(loopback=loopback),
        hosts=HostsConfig(**{"name": US, **hosts}),
    )
    async with open_node(world or system_world(), home, config) as node:
        async with node.open_hosts(metrics or Metrics()) as opened:
            yield Door(node, opened)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what must come true."""
    with trio.fail_after(60):
        while not condition():
            await trio.lowlevel.checkpoint()
