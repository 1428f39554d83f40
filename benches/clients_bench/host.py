"""A node with users, and devices that call it: `postbox serve`, with its limits lifted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from clients_bench.line import line, request
from postbox.cli.bench.children import running
from postbox.clients import wire
from postbox.clients.identity.tokens import DAY_MS, mint, token_key
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.trust.keyfile import FILE_NAME, load_identity
from postbox.trust.keys import SEED_BYTES, Identity
from postbox.world import system_world
from support.client_door import event_of, message

CONFIG = """
[serve]
max_connections = 20000
max_connections_per_address = 20000
[clients]
events_per_second = 100000
burst = 1000000
[log]
level = "error"
"""
BATCH = 100
MARKER = b"@~@~"  # in the text of every message
TEXT = "x" * 96 + MARKER.decode()
WORLD = system_world()


@dataclass
class Device:
    """What it sends; `made` gives each event a uuid of its own."""

    user: str
    token: str
    made: int = 0

    def event(self, content: object, **fields: str) -> pb.Event:
        self.made += 1
        return event_of(content, uuid=f"00000000-0000-4000-8000-{self.made:012x}", **fields)

    def message(self, conversation: str) -> pb.Event:
        return self.event(message(conversation, TEXT))

    def sync(self, events: Sequence[pb.Event], token: str = "") -> bytes:
        """A request."""
        body = pb.SubmitEventInput(events=list(events), resumeToken=token).to_binary()
        return request(wire.SYNC, body, self.token)

    def stream(self, per_frame: int = 1, token: str = "", *, ends: bool = False) -> bytes:
        """A request."""
        asked = pb.SyncFromServerRequest(
            resumeToken=token, eventsPerFrame=per_frame, untilCaughtUp=ends
        )
        return request(wire.SYNC_FROM_SERVER, asked.to_binary(), self.token)


@dataclass
class Host:
    url: str
    pid: int
    identity: Identity

    def device(self, user: str, name: str = "phone") -> Device:
        now_ms = WORLD.clock.now_ns() // 1_000_000
        token = mint(
            token_key(self.identity.soul[:SEED_BYTES]),
            iss=self.identity.name,
            user=user,
            device=name,
            iat_ms=now_ms,
            exp_ms=now_ms + DAY_MS,
            jti=WORLD.random.bytes(16),
        )
        return Device(user, token)

    async def signed_in(self, *devices: Device) -> None:
        async with line(self.url) as asking:
            for device in devices:
                await asking.ask(device.sync(()))

    async def send(self, device: Device, events: Iterator[pb.Event]) -> None:
        """All, in batches."""
        async with line(self.url) as asking:
            while batch := list(islice(events, BATCH)):
                for answer in answers(await asking.ask(device.sync(batch))):
                    assert answer.content is None or answer.content.field == "sentNewMessage", (
                        answer
                    )

    async def conversation(self, owner: Device, others: Sequence[Device] = ()) -> str:
        """Its uuid. All have signed in."""
        members = [pb.User(name=device.user) for device in others]
        created = owner.event(pb.ConversationCreated(members=members[:BATCH]))
        async with line(self.url) as asking:
            [told] = answers(await asking.ask(owner.sync([created])))
        joining = (
            owner.event(pb.MemberJoined(conversationUuid=told.uuid, user=user))
            for user in members[BATCH:]
        )
        await self.send(owner, joining)
        return told.uuid

    async def token(self, device: Device, *, whole: bytes = b"") -> str:
        """Of where the device is when it has caught up."""
        async with line(self.url) as asking:
            answer = await asking.ask(whole or device.stream(BATCH, ends=True))
        marks = [frame.resumeToken for frame in frames(answer) if frame.resumeToken]
        return marks[-1]


def answers(answer: bytes) -> Sequence[pb.Event]:
    return pb.SubmitEventOutput.from_binary(_body(answer)).events


def frames(answer: bytes) -> Iterator[pb.Event]:
    """Of a stream that ended."""
    body = _body(answer)
    while body and not body[0]:  # behind the last message stands Connect's JSON
        length = int.from_bytes(body[1:5], "big")
        yield pb.Event.from_binary(body[5 : 5 + length])
        body = body[5 + length :]


def _body(answer: bytes) -> bytes:
    """Of its chunks."""
    left, body = answer.partition(b"\r\n\r\n")[2], bytearray()
    while left:
        size, _, left = left.partition(b"\r\n")
        length = int(size, 16)
        body += left[:length]
        left = left[length + 2 :]
    return bytes(body)


@asynccontextmanager
async def serving(folder: Path, database: str = "") -> AsyncIterator[Host]:
    home = folder / "node"
    home.mkdir(mode=0o700)
    store = f'[node]\nstore = "{database}"\n' if database else ""
    (home / "config.toml").write_text(store + CONFIG)
    words = ("serve", "--home", str(home), "--listen", "127.0.0.1:0", "--loopback")
    async with running("postbox", *words) as child:
        yield Host(child.url, child.pid, load_identity(home / FILE_NAME))
