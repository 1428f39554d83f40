"""A client is cancelled, or crashes, at each of its waits: opened again, it goes on, and what was
made is stored and seen once and in order.

`POSTBOX_CANCEL_EVERY=1` looks at every wait; else at some, other ones by each kind of end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from postbox.client import Client
from postbox.client.transport.open import Kind
from support.library_phone import Phone, Street, street_of
from support.library_state import differences, seen
from support.simulate import Simulation, simulate, suppress_severed
from support.task_steps import at_step

EVERY = int(os.environ.get("POSTBOX_CANCEL_EVERY", "0"))


async def use(client: Client, number: int) -> None:
    """What an app does, and does again after whatever end it came to."""
    rooms = await client.conversations()
    room = rooms[0] if rooms else await client.create(f"room {number}", ["bob"])
    first = await client.send(room, "one", once=f"{number} one")
    await client.edit(first, "One")
    await client.send(room, "two", once=f"{number} two")
    await client.drained()
    await client.caught_up()
    changes = client.changes()
    while await client.queue():
        await anext(changes)


async def life(phone: Phone, number: int, at: int, end: Callable[[Phone], None]) -> int:
    """To its end at that step, or to that of the app; the steps that it had."""
    with trio.CancelScope() as scope, suppress_severed():

        def over() -> None:
            end(phone)
            scope.cancel()

        with at_step(at, over) as steps:
            phone.begin_life()
            async with phone.opened() as client:
                await use(client, number)
    return steps.count


def cancelled(phone: Phone) -> None:
    """In order: what is cleaned up reaches the file."""


def crashed(phone: Phone) -> None:
    phone.sever()


async def sweep(street: Street, transport: Kind, end: Callable[[Phone], None], every: int) -> int:
    bob = await street.phone("bob")
    await bob.client.caught_up()
    at = every
    while True:
        phone = street.off(f"u{at}", transport=transport)
        steps = await life(phone, at, at, end)
        if steps < at:
            break
        await life(phone, at, 0, end)
        await is_whole(phone, bob, at)
        street.phones.remove(phone)
        at += every
    return at


async def is_whole(phone: Phone, bob: Phone, number: int) -> None:
    phone.begin_life()
    async with phone.opened() as client:
        [room] = await client.conversations()
        assert [message.text for message in await client.messages(room)] == ["One", "two"]
        assert await client.queue() == []
        await bob.shows(room.uuid, "One", "two")
        there = await bob.client.conversation(room.uuid)
        assert there is not None
        assert there.name == f"room {number}"


@pytest.mark.parametrize(
    ("transport", "end", "every"),
    [
        ("connect", cancelled, EVERY or 41),
        ("connect", crashed, EVERY or 47),
        ("grpc", cancelled, EVERY or 83),
        ("grpc", crashed, EVERY or 79),
    ],
)
def test_a_client_that_ends_at_any_of_its_waits_has_lost_and_doubled_nothing(
    tmp_path: Path, transport: Kind, end: Callable[[Phone], None], every: int
) -> None:
    async def main(simulation: Simulation) -> None:
        async with street_of(simulation, tmp_path) as street:
            last = await sweep(street, transport, end, every)
            assert last > 100, "the test has lost its way"
            bob = street.phones[0]
            fresh = await street.phone("bob", "fresh")
            await fresh.client.caught_up()
            assert differences(await seen(bob.client), await seen(fresh.client)) == []

    simulate(1, main)
