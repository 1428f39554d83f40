"""Devices with queues, and a host that they call through its real door: both are cut off, crash and
come back, and the host is put back from a backup.

A device here does what `docs/protocol/clients.md` asks of one: it keeps its queue until it is
answered, sends it again as a whole, renumbers it behind a hole, and offers everything again to a
host whose log went back.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio

from postbox.clients import wire
from postbox.clients.ids import device_id, event_id, text_of, user_id
from postbox.config import HostsConfig
from postbox.rpc.fields import bytes_field, varint_field
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.asgi_call import Call
from support.client_device import Device as Model
from support.client_device import Lost
from support.client_door import Door, Refused, door_at, event_of, kind_of, value_of
from support.client_far_host import OWN
from support.simulate import Lives, MemoryDisk, Simulation

T = TypeVar("T")

BATCH = 7  # events that a device sends at once, so that queues take several


class Away(Exception):
    """The host is down, or the connection to it broke."""


@dataclass
class House:
    """The host, over all its lives."""

    simulation: Simulation
    home: Path
    nursery: trio.Nursery
    store: str = ""  # the URL of its database; else it is on the disk, and can be put back
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    door: Door | None = None
    histories: int = 1
    _lives: Lives = field(default_factory=Lives)
    _calls: set[trio.CancelScope] = field(default_factory=set)

    async def start(self) -> None:
        await self.nursery.start(self._live)

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        life = self.simulation.node(self.disk)
        try:
            with self._lives.one(life):
                async with door_at(
                    self.home,
                    life.world,
                    store=self.store,
                    hosts=HostsConfig(name=OWN),
                    events_per_second=100_000,
                    burst=1_000_000,
                ) as self.door:
                    task_status.started()
                    await trio.sleep_forever()
        finally:
            self.door = None

    async def stop(self) -> None:
        """As an operator does it: streams are told."""
        if self.door is not None:
            self.door.clients.end_streams()
            await trio.sleep(0.01)
            self._hang_up()
            await self._lives.end()

    async def crash(self) -> None:
        """At once, whatever it is doing."""
        if self.door is not None:
            self._hang_up()
            await self._lives.crash()

    def _hang_up(self) -> None:
        self.door = None
        for scope in self._calls:
            scope.cancel()

    async def put_back(self, backup: MemoryDisk) -> None:
        """The log goes back to what it was."""
        await self.crash()
        self.disk = backup.copied()
        self.histories += 1
        await self.start()

    async def through(self, ask: Callable[[Door], Awaitable[T]]) -> T:
        """Raises Away, if the host is down or goes down meanwhile."""
        door = self.door
        if door is None:
            raise Away
        with trio.CancelScope() as scope:
            self._calls.add(scope)
            try:
                return await ask(door)
            except Exception as error:
                if self.door is door:
                    raise
                raise Away from error
            finally:
                self._calls.discard(scope)
        raise Away


@dataclass
class Made:
    """An event of a device, and what was answered to it last."""

    kind: str
    body: bytes
    local: bytes
    conversation: str = ""
    text: str = ""
    answer: str = ""  # "stored", "duplicate", or the code of a refusal


@dataclass
class Gadget:
    """A device of a user."""

    house: House
    number: int
    user: str
    name: str
    token: str
    model: Model = field(init=False)
    made: list[Made] = field(default_factory=list)
    queue: list[Made] = field(default_factory=list)
    first: int = 1  # the number of the queue's oldest
    knows: int = 1  # the history of the host in which it was last
    began: str = ""  # the token at the end of its last snapshot
    came: list[pb.Event] = field(default_factory=list)  # since then
    seen: list[pb.Event] = field(default_factory=list)  # all, of this history
    listening: trio.CancelScope | None = None
    types: str = ""  # the conversation in which it says so with its next batch
    _offers: bool = False  # it has yet to ask for a number, and then offers everything again
    _sending: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        self.model = Model(self.uuid)

    @property
    def uuid(self) -> str:
        return text_of(user_id(self.user))

    @property
    def id(self) -> bytes:
        return device_id(user_id(self.user), self.name)

    def stored_id(self, made: Made) -> bytes:
        return event_id(self.id, made.local)

    # -- making -----------------------------------------------------------------------------------

    def make(self, content: Any, conversation: str = "", more: bytes = b"", text: str = "") -> str:
        """Into the queue; the local uuid. `more`: bytes behind the event."""
        uuid = f"{self.number:08x}-0000-4000-8000-{len(self.made) + 1:012x}"
        event = event_of(content, uuid=uuid, conversationUuid=conversation)
        kind = type(content).__name__ if content is not None else "foreign"
        local = bytes.fromhex(uuid.replace("-", ""))
        made = Made(kind, event.to_binary() + more, local, conversation, text)
        self.made.append(made)
        self.queue.append(made)
        return uuid

    def waiting(self, kind: str, conversation: str = "") -> list[str]:
        """Local uuids of what is in the queue."""
        return [
            text_of(made.local)
            for made in self.queue
            if made.kind == kind and conversation in ("", made.conversation)
        ]

    # -- sending ----------------------------------------------------------------------------------

    async def push(self, *, is_answered: bool = True, cut_s: float = math.inf) -> bool:
        """The oldest of the queue in one request. `is_answered`: else the answer is lost. `cut_s`:
        when the connection breaks. Whether it came to an answer."""
        async with self._sending:
            if self._offers and not await self._offer_again():
                return False
            batch = self.queue[:BATCH]
            output = None
            with trio.move_on_after(cut_s):
                output = await self._sync(batch, self.first)
            if output is None or not is_answered:
                return False
            self._answered(batch, output)
            return True

    async def _sync(self, batch: list[Made], first: int) -> pb.SubmitEventOutput | None:
        """None: there is no answer, or it was a hole, and the device knows the number now."""
        bodies = [made.body for made in batch]
        typing = self.types if first else ""  # a question is without any event
        if typing:
            self.types = ""
            said = event_of(pb.UserIsTyping(conversationUuid=typing))
            bodies.insert(len(bodies) // 2, said.to_binary())
        message = b"".join(bytes_field(1, body) for body in bodies) + varint_field(2, first)
        message += bytes_field(3, self.model.token.encode())
        try:
            answer = await self.house.through(
                lambda door: door.call(wire.SYNC, message, self.token)
            )
            if answer.trailers.get("grpc-status") != "0":
                raise Refused(answer)
        except Away:
            return None
        except Refused as refused:
            self._on(refused)
            return None
        output = pb.SubmitEventOutput.from_binary(answer.messages[0])
        if typing:
            assert output.events.pop(len(batch) // 2) == pb.Event()
        return output

    def _on(self, refused: Refused) -> None:
        match refused.code:
            case "QUEUE_HOLE":
                self.first = int(refused.metadata["postbox-next-queue-number"])
                self.queue = list(self.made)
            case "STOPPING" | "UNAVAILABLE" | "SNAPSHOT_BUSY" | "DISPLACED" | "NOT_A_MEMBER":
                pass
            case _:
                raise refused

    def _answered(self, batch: list[Made], output: pb.SubmitEventOutput) -> None:
        assert len(output.events) == len(batch)
        for made, event in zip(batch, output.events, strict=True):
            made.answer = "duplicate" if event.duplicate else "stored"
            if kind_of(event) == "eventRefused":
                assert event.content is not None
                made.answer = event.content.value.code  # type: ignore[union-attr]
            if self.queue and self.queue[0] is made:
                del self.queue[0]
                self.first += 1

    async def _offer_again(self) -> bool:
        """The log went back: everything that it ever made, from the number that is awaited."""
        output = await self._sync([], 0)
        if output is None:
            return False
        self._offers = False
        self.first, self.queue = output.nextQueueNumber, list(self.made)
        return True

    # -- taking -----------------------------------------------------------------------------------

    async def pull(
        self,
        *,
        until_caught_up: bool = True,
        per_frame: int = 1,
        by_uuid: bool = False,
        frames: int = 0,
        pause_s: float = 0.0,
    ) -> bool:
        """`frames`: behind so many the connection breaks. `pause_s`: it reads slowly. Whether it
        came to its end by itself."""
        by_uuid = by_uuid and bool(self.model.last_uuid)
        request = pb.SyncFromServerRequest(
            lastEventUuid=self.model.last_uuid if by_uuid else "",
            resumeToken="" if by_uuid else self.model.token,
            eventsPerFrame=per_frame,
            untilCaughtUp=until_caught_up,
        )
        feed = Feed(self, frames, pause_s)
        self.model.opened()
        with feed.scope:
            try:
                answer = await self.house.through(
                    lambda door: door.call(
                        wire.SYNC_FROM_SERVER, request.to_binary(), self.token, answer=feed.answer
                    )
                )
            except Away:
                return False
            if answer.trailers.get("grpc-status") != "0":
                self._on(Refused(answer))
                return False
            return True
        return False

    def take(self, frame: bytes) -> bool:
        """False: it notices that this is not the history which it knows, and is to begin anew."""
        event = pb.Event.from_binary(frame)
        try:
            self.model.take(frame)
        except Lost:
            if self.knows == self.house.histories:
                raise
            return self._begin_anew()
        if kind_of(event) == "caughtUp" and value_of(event).epoch != self.model.epoch:
            return self._begin_anew()
        if kind_of(event) == "snapshotEnd":
            self._offers = bool(self.made)
            self.began, self.knows = event.resumeToken, self.house.histories
            self.came.clear()
        for each in event.events or [event]:
            self.came.append(each)
            self.seen.append(each)
            self._was_sent(each)
        return True

    def _begin_anew(self) -> bool:
        self.model.token = self.model.last_uuid = ""
        return False

    def _was_sent(self, event: pb.Event) -> None:
        """Its own came down before it was answered."""
        if self.queue and event.clientUuid == text_of(self.queue[0].local):
            made = self.queue.pop(0)
            made.answer = "stored"
            self.first += 1

    def listen(self, nursery: trio.Nursery, per_frame: int, frames: int, pause_s: float) -> None:
        """Live, until it is told to `hang_up`, or the connection breaks."""
        self.hang_up()
        scope = self.listening = trio.CancelScope()

        async def run() -> None:
            with scope:
                await self.pull(
                    until_caught_up=False, per_frame=per_frame, frames=frames, pause_s=pause_s
                )

        nursery.start_soon(run)

    async def look_back(
        self, conversation: str, before: int = 0, limit: int = 0
    ) -> pb.HistoryPage | None:
        """None: there was no answer, or the user is in no such conversation."""
        asked = pb.HistoryRequest(conversationUuid=conversation, beforeSeq=before, limit=limit)
        message = asked.to_binary()
        try:
            answer = await self.house.through(
                lambda door: door.call(wire.HISTORY, message, self.token)
            )
        except Away:
            return None
        if answer.trailers.get("grpc-status") != "0":
            self._on(Refused(answer))
            return None
        page = pb.HistoryPage.from_binary(answer.messages[0])
        self.seen += page.events
        return page

    def hang_up(self) -> None:
        if self.listening is not None:
            self.listening.cancel()
            self.listening = None

    @property
    def is_settled(self) -> bool:
        return not self.queue and not self._offers


class Feed:
    """What a stream brings, part by part, to its device."""

    def __init__(self, gadget: Gadget, frames: int, pause_s: float) -> None:
        self.answer = Call(pause=self._took)
        self.scope = trio.CancelScope()
        self._gadget = gadget
        self._left = frames
        self._pause_s = pause_s
        self._parts = 0
        self._buffer = b""

    async def _took(self) -> None:
        parts = self.answer.parts
        self._buffer += b"".join(parts[self._parts :])
        self._parts = len(parts)
        while len(self._buffer) >= 5:
            end = 5 + int.from_bytes(self._buffer[1:5], "big")
            frame, self._buffer = self._buffer[5:end], self._buffer[end:]
            goes_on = self._gadget.take(frame)
            self._left -= 1
            if self._left == 0 or not goes_on:
                self.scope.cancel()
                break
        await trio.sleep(self._pause_s)
