"""A device with the client library, in a process of its own that is killed at any moment.

It makes numbered things without an end. `once` is the number: what a life before made, and did not
live to tell of, it makes again, and it must not be there twice.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Literal, TypeAlias

import anyio
from msgspec import Struct

from postbox.client import Client, Message, open_client
from postbox.client.transport.open import Kind
from support.simulate import SeededRandom

PAUSE_S = 0.1  # at most, from one to the next
LONGEST_QUEUE = 40  # while its host is away
PAGE = 200
EDITS, REACTS, READS = 3, 5, 7  # of ten numbers

View: TypeAlias = dict[str, list["Line"]]
"""Of each conversation what its user reads, from the first line to the last."""


class Device(Struct, frozen=True):
    url: str
    user: str
    name: str
    token: str
    path: str
    rooms: tuple[str, ...]
    loop: Literal["trio", "asyncio"]
    transport: Kind
    makes: bool = True

    def room_of(self, number: int) -> str:
        return self.rooms[number % len(self.rooms)]

    def text_of(self, number: int) -> str:
        """When it is done with it."""
        edited = " edited" if number % 10 == EDITS else ""
        return f"{self.user}/{self.name}/{number} " + "x" * (number * 37 % 200) + edited


class Line(Struct, frozen=True, array_like=True):
    uuid: str
    text: str
    reactions: list[str]  # and the user of each


def live(pipe: Connection, device: Device, told: int) -> None:
    """Until it is killed, or told to end. `told`: so many it has told of in the lives before."""
    anyio.run(_live, pipe, device, told, backend=device.loop)


async def _live(pipe: Connection, device: Device, told: int) -> None:
    random, before = SeededRandom(told), told
    async with open_client(
        device.url, device.token, device.path, transport=device.transport
    ) as client:
        await client.caught_up()
        # The first one always: it may be there, made by a life that did not live to tell of it.
        while device.makes and (told == before or not pipe.poll()):
            if told == before or len(await client.queue(LONGEST_QUEUE)) < LONGEST_QUEUE:
                told += 1
                await _make(client, device, told)
                pipe.send(told)
            await anyio.sleep(random.fraction() * PAUSE_S)
        client.network_up()  # its host was away for long, perhaps, and it waits by the minute
        await client.drained()
        while True:
            await _asked(pipe)
            pipe.send(await _view(client, device))


async def _asked(pipe: Connection) -> None:
    while not pipe.poll():  # noqa: ASYNC110  (what is waited for is in another process)
        await anyio.sleep(0.02)
    pipe.recv()


async def _make(client: Client, device: Device, number: int) -> None:
    room, text = device.room_of(number), device.text_of(number)
    message = await client.send(room, text.removesuffix(" edited"), once=str(number))
    match number % 10:
        case n if n == EDITS:
            await client.edit(message, text)
        case n if n == REACTS:
            await client.react(message, "ok")
        case n if n == READS:
            await client.read(message)


async def _view(client: Client, device: Device) -> View:
    view = {}
    for room in device.rooms:
        while await client.older(room, PAGE):
            pass
        view[room] = [_line(message) for message in await _all(client, room)]
    return view


async def _all(client: Client, room: str) -> list[Message]:
    found = await client.messages(room, limit=PAGE)
    while page := await client.messages(room, before=found[0] if found else "", limit=PAGE):
        if not found:
            break
        found = page + found
    return found


def _line(message: Message) -> Line:
    reactions = [f"{each.reaction} {user}" for each in message.reactions for user in each.users]
    return Line(message.uuid, message.text, reactions)
