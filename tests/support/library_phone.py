"""Devices with the client library, and the host that they call, over a network in memory.

`in_street(test)` runs an async test, whose first parameter is `street`, under `simulate`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from postbox.client import Client, Conversation, Message, State, Status, open_client
from postbox.client.core.changes import Place
from postbox.client.transport.open import Kind
from support.library_host import ADDRESS, URL, Host
from support.simulate import MemoryDisk, Simulation, simulate, suppress_severed
from support.simulate import Node as Life

FILE = "device.db"

whose: ContextVar[str] = ContextVar("whose", default="")
"""The address of the device that a task is of."""


@dataclass
class Phone:
    """A device of a user, over all its lives."""

    host: Host
    user: str
    name: str
    address: str
    transport: Kind
    token: Any = ""
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    _client: Client | None = None
    _life: Life | None = None
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _ended: trio.Event = field(default_factory=trio.Event)

    @property
    def client(self) -> Client:
        assert self._client is not None, f"{self.user}'s {self.name} is off"
        return self._client

    async def switch_on(self) -> Client:
        client: Client = await self.host.nursery.start(self._live)
        return client

    def begin_life(self) -> None:
        """On its disk as it is."""
        self._life = self.host.simulation.node(self.disk, self.address)

    def sever(self) -> None:
        """What it does from now on reaches nothing."""
        assert self._life is not None
        self._life.sever()

    async def _live(self, task_status: trio.TaskStatus[Client]) -> None:
        whose.set(self.address)
        self._ended = trio.Event()
        self.begin_life()
        try:
            with suppress_severed(), trio.CancelScope() as self._scope:
                async with self.opened() as self._client:
                    task_status.started(self._client)
                    await trio.sleep_forever()
        finally:
            self._client = None
            self._ended.set()

    @asynccontextmanager
    async def opened(self, **how: Any) -> AsyncIterator[Client]:
        """In the caller's own task."""
        life = self._life or self.host.simulation.node(self.disk, self.address)
        async with open_client(
            URL, self.token, FILE, transport=self.transport, world=life.world, **how
        ) as client:
            yield client

    async def switch_off(self) -> None:
        """In order. One that is off stays so."""
        self._scope.cancel()
        if self._life is not None:
            await self._ended.wait()
        self._life = None

    async def crash(self) -> None:
        """At once, whatever it is doing."""
        self.die()
        await self.switch_off()

    def die(self) -> None:
        """Begins a crash, from anywhere."""
        self.sever()
        self._scope.cancel()

    def give_up(self) -> None:
        """Cancels its client, from anywhere."""
        self._scope.cancel()

    @property
    def is_on(self) -> bool:
        return self._client is not None and not self._scope.cancel_called

    # -- its network ------------------------------------------------------------------------------

    def lose_network(self) -> None:
        self.host.simulation.net.cut(ADDRESS, self.address)

    def find_network(self) -> None:
        self.host.simulation.net.heal(ADDRESS, self.address)

    async def place(self) -> Place:
        return await self.client._shelf.read(lambda store: store.place())

    async def is_settled(self) -> bool:
        """Everything that its user did is done, and has come down."""
        return await self.client.queue() == []

    def is_live(self) -> bool:
        return self.client.status.is_live

    # -- what its user sees -----------------------------------------------------------------------

    async def hears(self, room: Conversation | str, *users: str) -> bool:
        """That these type there, and nobody else."""
        return await self.client.typists(room) == list(users)

    async def texts(self, room: Conversation | str) -> list[str]:
        return [message.text for message in await self.client.messages(room, limit=1_000)]

    async def states(self, room: Conversation | str) -> list[State]:
        return [message.state for message in await self.client.messages(room, limit=1_000)]

    async def only_room(self) -> Conversation:
        """When there is one."""
        await until(self._has_room)
        [room] = await self.client.conversations()
        return room

    async def _has_room(self) -> bool:
        return bool(await self.client.conversations())

    async def shows(self, room: Conversation | str, *texts: str) -> None:
        """When its user reads these there, and nothing else."""

        async def does() -> bool:
            return await self.texts(room) == list(texts)

        try:
            await until(does)
        except trio.TooSlowError:
            assert await self.texts(room) == list(texts)
            raise


async def until(
    done: Callable[[], Awaitable[bool]] | Callable[[], bool], at_most_s: float = 600.0
) -> float:
    """When it is so, on the virtual clock: the seconds that it took, a tenth more at most."""
    begun_s = trio.current_time()
    with trio.fail_after(at_most_s):
        while True:
            found = done()
            if (await found) if inspect.isawaitable(found) else found:
                return trio.current_time() - begun_s
            await trio.sleep(0.1 + 0.1 * (trio.current_time() - begun_s))


@dataclass
class Street:
    host: Host
    phones: list[Phone] = field(default_factory=list)

    async def phone(
        self, user: str, name: str = "phone", transport: Kind = "connect", **how: Any
    ) -> Phone:
        """That is on."""
        phone = self.off(user, name, transport, **how)
        await phone.switch_on()
        return phone

    def off(self, user: str, name: str = "phone", transport: Kind = "connect", **how: Any) -> Phone:
        """That was never on."""
        address = f"10.0.1.{len(self.phones) + 1}"
        how.setdefault("token", self.host.token(user, name))
        phone = Phone(self.host, user, name, address, transport, **how)
        self.phones.append(phone)
        return phone

    async def room(self, *phones: Phone, name: str = "room") -> str:
        """Of all of them, made by the first; the conversation's uuid, when all have it."""
        made = await phones[0].client.create(name, [phone.user for phone in phones[1:]])
        rooms = {}
        for phone in phones:
            rooms[phone.user] = (await phone.only_room()).uuid
        await until(lambda: self._named(phones[0], made.key))
        found = await phones[0].client.conversation(made.key)
        assert found is not None
        return found.uuid

    async def _named(self, phone: Phone, key: str) -> bool:
        found = await phone.client.conversation(key)
        return found is not None and bool(found.uuid)


@asynccontextmanager
async def street_of(simulation: Simulation, home: Path, **settings: Any) -> AsyncIterator[Street]:
    async with trio.open_nursery() as nursery:
        host = Host(simulation, home, nursery, settings)
        await host.start()
        street = Street(host)
        yield street
        for phone in street.phones:
            await phone.switch_off() if phone._client else None
        if host.is_up:
            await host.crash()
        nursery.cancel_scope.cancel()


def in_street(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    signature = inspect.signature(test)
    street, *others = signature.parameters.values()
    assert street.name == "street"

    @functools.wraps(test)
    def run(tmp_path: Path, **fixtures: object) -> None:
        async def main(simulation: Simulation) -> None:
            async with street_of(simulation, tmp_path) as street:
                await test(street, **fixtures)

        simulate(1, main)

    home = inspect.Parameter("tmp_path", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*others, home])  # type: ignore[attr-defined]
    return run


def said(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


@contextmanager
def heard(phone: Phone) -> Iterator[list[str]]:
    """How the connection is, each time that it becomes something else."""
    news, was = phone.client._news, phone.client._news.is_now
    told: list[str] = []

    def note(status: Status) -> None:
        told.append(status.connection)
        was(status)

    vars(news)["is_now"] = note
    yield told
    del vars(news)["is_now"]
