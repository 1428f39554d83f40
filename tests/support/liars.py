"""A peer that knows HTTP and signing, and answers as it likes: on any network, real or in memory.

By default it is honest. What a test changes is one of its three answers: to `/ping`, to
`/api/hello`, or to a sync.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgpack  # type: ignore[import-untyped]
import trio

from postbox.mesh.calling.pull import Mode, Pulled, pull
from postbox.mesh.door import Mesh
from postbox.mesh.merging.intake import Report
from postbox.mesh.wire import HELLO_PATH, MSGPACK, PING_PATH, SYNC_PATHS
from postbox.node import Node
from postbox.trust.hello import make_hello
from postbox.trust.keys import Identity
from postbox.trust.signatures import response_headers, sign_digest
from postbox.world import Clock, Net, World
from support.answer_digest import answer_digest
from support.mesh import ANN, BOB, believe, fixed_world, mesh_of, node_at, stored
from support.simulate import MemoryDisk, SeededRandom

JSON = "application/json"
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """`headers`: pairs, since a liar may say a thing twice. The body's length is told for it."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def raw(self, *, has_length: bool = True) -> bytes:
        length = [("Content-Length", str(len(self.body)))] if has_length else []
        pairs = [("Connection", "close"), *length, *self.headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        return f"HTTP/1.1 {self.status} X\r\n{head}\r\n".encode("latin-1") + self.body


Wire: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]
"""What is sent where HTTP is lied about, too."""
Answering: TypeAlias = "Callable[[Liar, Asked], Reply | Wire]"


@dataclass
class Liar:
    who: Identity = BOB
    clock: Clock = field(default_factory=lambda: fixed_world().clock)
    is_postbox: bool = False
    ping: Answering = field(default=lambda liar, _: liar.own_ping())
    hello: Answering = field(default=lambda liar, _: liar.own_hello())
    sync: Answering = field(default=lambda liar, _: liar.signed(liar.told([])))
    asked: list[Asked] = field(default_factory=list)
    caller: Identity | None = None
    """Of the node that asks: a liar may know its key's name, and in one test more than that."""

    # -- what it has to say -----------------------------------------------------------------------

    def now_ns(self) -> int:
        return self.clock.now_ns()

    def own_ping(self, **changed: Any) -> Reply:
        said = {
            "from": self.who.name,
            "mesh_ip": "",
            "public_key": self.who.public_key_base64,
            "t": self.now_ns(),
        }
        if self.is_postbox:
            said["postbox"] = {
                "version": "1",
                "modes": ["sample", "page", "recent"],
                "url": "",
                "memory_mode": "short",
                "uptime_s": 1,
            }
        return Reply(200, [], json.dumps(said | changed).encode())

    def own_hello(self, who: Identity | None = None, late_ns: int = 0) -> Reply:
        return Reply(200, [], make_hello(who or self.who, self.now_ns() - late_ns))

    def told(
        self,
        events: Sequence[bytes],
        cursor: str | None = None,
        *,
        sender: str | None = None,
        late_s: int = 0,
        signer: Identity | None = None,
        ids: Sequence[str] | None = None,
        packed: bool = False,
    ) -> bytes:
        """The body of an answer, by default an honest one."""
        sender = self.who.name if sender is None else sender
        ts = self.now_ns() // 10**9 - late_s
        ids = [json.loads(event)["id"] for event in events] if ids is None else ids
        sig = sign_digest(signer or self.who, answer_digest(sender, ts, ids))
        more = {} if cursor is None else {"next_cursor": cursor}
        if packed:
            listed = list(events) or None
            return pack({"from": sender, "ts": ts, "events": listed, "sig": sig, **more})
        around = json.dumps({"from": sender, "ts": ts, "sig": sig, **more}).encode()
        array = b"[" + b",".join(events) + b"]" if events else b"null"
        return around[:-1] + b',"events":' + array + b"}\n"

    def signed(
        self,
        body: bytes,
        *,
        by: Identity | None = None,
        late_ms: int = 0,
        content_type: str = JSON,
        sent: bytes | None = None,
    ) -> Reply:
        """`sent`: what goes over the wire in place of what was signed."""
        at_ms = self.now_ns() // 10**6 - late_ms
        proof = response_headers(by or self.who, body, at_ms)
        headers = [("Content-Type", content_type), *proof.items()]
        return Reply(200, headers, body if sent is None else sent)

    # -- how it says it ---------------------------------------------------------------------------

    async def talk(self, stream: trio.abc.Stream) -> None:
        """One request a connection."""
        with suppress(*GONE):
            async with stream:
                asked = await _read_request(stream)
                if asked is None:
                    return
                self.asked.append(asked)
                answer = self._answer(asked)
                if isinstance(answer, Reply):
                    await stream.send_all(answer.raw())
                else:
                    await answer(stream)

    def _answer(self, asked: Asked) -> Reply | Wire:
        answering = {PING_PATH: self.ping, HELLO_PATH: self.hello}.get(asked.path)
        if answering is None and asked.path not in SYNC_PATHS:
            return Reply(404, [], b"no such page\n")
        return (answering or self.sync)(self, asked)

    def asked_at(self, *paths: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path in paths]

    @property
    def syncs(self) -> list[dict[str, Any]]:
        return [json.loads(asked.body) for asked in self.asked_at(*SYNC_PATHS)]


def pack(content: object) -> bytes:
    return bytes(msgpack.packb(content))


async def _read_request(stream: trio.abc.Stream) -> Asked | None:
    data = bytearray()
    while b"\r\n\r\n" not in data:
        part = await stream.receive_some()
        if not part:
            return None
        data += part
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += await stream.receive_some()
    return Asked(method, path, headers, body)


# -- answers ----------------------------------------------------------------------------------


def honest(
    events: Sequence[bytes], cursor: str | None = None, *, packed: bool = False, **told: Any
) -> Answering:
    """Signed outside for what it is; `told` may be a lie inside."""
    kind = MSGPACK if packed else JSON
    return lambda liar, _: liar.signed(
        liar.told(events, cursor, packed=packed, **told), content_type=kind
    )


def in_turn(*answers: Answering) -> Answering:
    """To the first sync the first of them and so on, to all others the last."""

    def answering(liar: Liar, asked: Asked) -> Reply | Wire:
        number = len(liar.asked_at(*SYNC_PATHS)) - 1
        return answers[min(number, len(answers) - 1)](liar, asked)

    return answering


def nara(events: Sequence[bytes], seed: int = 1) -> Answering:
    """An honest page of nara 0.2.0: strictly after the cursor, ties in any order, and a cursor
    whenever the page is full, be it the last one."""
    random = SeededRandom(seed)

    def answering(liar: Liar, asked: Asked) -> Reply:
        request = json.loads(asked.body)
        size, after = request["page_size"], int(request.get("cursor") or 0)
        timed = [(json.loads(event)["ts"], random.fraction(), event) for event in events]
        page = sorted(one for one in timed if one[0] > after)[:size]
        cursor = str(page[-1][0]) if len(page) == size else None
        return liar.signed(liar.told([event for *_, event in page], cursor))

    return answering


def raw(*parts: bytes) -> Wire:
    async def send(stream: trio.abc.Stream) -> None:
        for part in parts:
            await stream.send_all(part)

    return send


def for_ever(start: bytes, again: bytes, pause_s: float | None = None) -> Wire:
    """Until the other end has had enough."""

    async def send(stream: trio.abc.Stream) -> None:
        await stream.send_all(start)
        while True:
            await stream.send_all(again)
            if pause_s is not None:
                await trio.sleep(pause_s)

    return send


async def silence(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


# -- and who asks it ----------------------------------------------------------------------------


@asynccontextmanager
async def listening(net: Net, liar: Liar, address: str = "127.0.0.1") -> AsyncIterator[str]:
    """Yields its URL."""
    async with trio.open_nursery() as nursery:
        listeners = await net.listen(address, 0)
        nursery.start_soon(partial(trio.serve_listeners, liar.talk, listeners))
        yield f"http://{address}:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@dataclass
class Facing:
    """A node that asks a liar."""

    node: Node
    mesh: Mesh
    liar: Liar
    url: str

    async def pull(self, mode: Mode = "page") -> Report:
        return (await self.pull_since(0, mode)).report

    async def pull_since(self, since_ns: int, mode: Mode = "page") -> Pulled:
        peer = self.mesh.peer(self.url)
        pulled = await pull(peer, self.node.intake, mode, lambda _: None, since_ns=since_ns)
        await self.node.settle()
        return pulled

    async def holds(self) -> list[bytes]:
        """The events in its log, in the order in which they came."""
        return [entry.body for entry in await stored(self.node) if entry.body is not None]

    def knows(self) -> dict[str, bytes]:
        return {known.name: known.key for known in self.node.directory.all()}


@asynccontextmanager
async def facing(
    home: Path, liar: Liar, knows: Sequence[Identity] = (ANN, BOB), world: World | None = None
) -> AsyncIterator[Facing]:
    """By default over real sockets; the database is in memory."""
    world = world or replace(fixed_world(), disk=MemoryDisk())
    async with listening(world.net, liar) as url, node_at(home, world=world) as node:
        await believe(node, *knows)
        liar.caller = node.identity
        async with mesh_of(node) as mesh:
            yield Facing(node, mesh, liar, url)
