"""Clients' rules in a real log, of either engine: batches whose events see each other, retries of
whole batches, commits whose answers are lost, and several processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias, cast

import pytest
import trio

from postbox.clients.events.incoming import (
    AddMember,
    Content,
    CreateConversation,
    DeleteMessage,
    EditMessage,
    React,
    Read,
    RemoveMember,
    SendMessage,
    Unreact,
)
from postbox.clients.rules.devices import DeviceRules
from postbox.clients.rules.draft import ClientDraft
from postbox.clients.rules.rules import ClientRules
from postbox.clients.tables import MIGRATIONS, QUEUE, TABLES, Role
from postbox.rules import Accepted, Duplicate, Outcome, Rejected
from postbox.store.contract import Entry, Key, Lane, Reader, Row, Table
from postbox.world import World
from support.client_rules import AT_MS, Device, House, code, registration, uuid
from support.client_sending import DEVICES, sent_by_seed
from support.kernel import Kernel, open_kernel
from support.simulate import FixedClock, MemoryDisk, SeededRandom, Simulation, simulate
from support.simulated import Fails, over_every_store, simulated

Answered: TypeAlias = tuple[ClientDraft, Outcome]  # as the host of dicts did

RULES = ClientRules()
ALL = 2**24


async def registered(kernel: Kernel, *names: tuple[str, str]) -> list[Device]:
    """Devices of the log's; what they make is not submitted but drafted."""
    drafts = [registration(*name) for name in names]
    outcomes = await kernel.admission.submit(DeviceRules(), drafts)
    assert {type(each) for each in outcomes} == {Accepted}
    house = House()
    return [house.device(*name) for name in names]


async def submit(kernel: Kernel, drafts: Sequence[ClientDraft]) -> list[Outcome]:
    return await kernel.admission.submit(RULES, drafts)


def lane(reader: Reader) -> Sequence[Entry]:
    return reader.page(Lane.CLIENTS, None, 0, ALL, ALL).entries


def queued(device: Device, *contents: tuple[Content, bytes | None]) -> list[ClientDraft]:
    """The device's queue from its first event on."""
    return [
        device.draft(number, content, conversation, number=number)
        for number, (content, conversation) in enumerate(contents, 1)
    ]


async def next_number(kernel: Kernel, device: Device) -> int:
    key = (device.ref.id,)
    rows = await kernel.runner.read(lambda reader: reader.rows(QUEUE, [key]))
    row = rows[key]
    return 1 if row is None else cast("int", row[1])


def an_evening_in_a_tunnel(ann: Device, bob: Device) -> list[ClientDraft]:
    """All that refers to anything refers to what stands before it in the same batch."""
    garden, one, two = uuid(1), uuid(3), uuid(4)
    return queued(
        ann,
        (CreateConversation("garden", ()), None),
        (AddMember(bob.user, Role.MEMBER, history=True), garden),
        (SendMessage("one", None), garden),
        (SendMessage("two", one), garden),
        (EditMessage(one, "won", None), None),
        (EditMessage(one, "1", None), None),
        (React(two, "+"), None),
        (React(two, "+"), None),
        (Unreact(two, "+"), None),
        (Read(one), None),
        (Read(two), None),
        (Read(one), None),
        (DeleteMessage(one), None),
        (EditMessage(one, "too late", None), None),
        (RemoveMember(bob.user), garden),
        (RemoveMember(bob.user), garden),
        (SendMessage("three", None), garden),
    )


THAT_EVENING = [
    *["stored"] * 7,
    "duplicate",
    *["stored"] * 3,
    "duplicate",
    "stored",
    "UNKNOWN_TARGET",
    "stored",
    "duplicate",
    "stored",
]


@over_every_store
@simulated
async def test_events_of_one_batch_see_each_other_and_may_come_again_together(
    world: World, place: str, fails: Fails
) -> None:
    async with open_kernel(world, fails, migrations=(MIGRATIONS,), database=place) as kernel:
        ann, bob = await registered(kernel, ("ann", "phone"), ("bob", "phone"))
        batch = an_evening_in_a_tunnel(ann, bob)
        assert [code(each) for each in await submit(kernel, batch)] == THAT_EVENING
        stored = await kernel.runner.read(lane)
        texts = {entry.id: entry.body is not None for entry in stored}
        assert not texts[ann.id(3)], "the deleted message"
        assert not texts[ann.id(5)], "its edits"
        assert not texts[ann.id(6)]
        assert ann.id(10) not in texts, "the watermark that another one replaced"
        again = [each if each == "UNKNOWN_TARGET" else "duplicate" for each in THAT_EVENING]
        for start in (0, 5, 13):
            outcomes = await submit(kernel, batch[start:])
            assert [code(each) for each in outcomes] == again[start:]
        assert await kernel.runner.read(lane) == stored
        assert await next_number(kernel, ann) == len(batch) + 1


@over_every_store
@simulated
async def test_a_hole_in_the_queue_stops_what_is_behind_it_and_leaves_nothing(
    world: World, place: str, fails: Fails
) -> None:
    async with open_kernel(world, fails, migrations=(MIGRATIONS,), database=place) as kernel:
        ann, bob = await registered(kernel, ("ann", "phone"), ("bob", "phone"))
        batch = an_evening_in_a_tunnel(ann, bob)
        before = await kernel.runner.read(lane)
        outcomes = await submit(kernel, batch[1:])
        assert {code(each) for each in outcomes} == {"QUEUE_HOLE"}
        assert await kernel.runner.read(lane) == before
        assert [code(each) for each in await submit(kernel, batch)] == THAT_EVENING


# -- whatever devices send -------------------------------------------------------------------------


def still(simulation: Simulation) -> World:
    """A node whose clock stands, as that of the host of dicts does."""
    return dataclasses.replace(simulation.node(MemoryDisk()).world, clock=FixedClock(AT_MS * 10**6))


async def check_same(kernel: Kernel, house: House) -> None:
    def rows(reader: Reader) -> dict[tuple[str, Key], Row]:
        keys: dict[Table, list[Key]] = {table: [] for table in TABLES}
        by_name = {table.name: table for table in TABLES}
        for name, key in house.model.rows:
            keys[by_name[name]].append(key)
        return {
            (table.name, key): row
            for table, wanted in keys.items()
            for key, row in reader.rows(table, wanted).items()
            if row is not None
        }

    assert {entry.pos: entry for entry in await kernel.runner.read(lane)} == house.model.entries
    assert await kernel.runner.read(rows) == house.model.rows


def batches(random: SeededRandom, sent: Sequence[Answered]) -> list[Sequence[Answered]]:
    parted: list[Sequence[Answered]] = []
    while sent:
        size = 1 + int(random.fraction() * 30)
        parted.append(sent[:size])
        sent = sent[size:]
    return parted


@pytest.mark.parametrize("seed", range(3))
@over_every_store
def test_in_batches_of_any_size_the_log_is_what_one_event_at_a_time_makes_it(
    place: str, fails: Fails, seed: int
) -> None:
    async def main(simulation: Simulation) -> None:
        world, house = still(simulation), House()
        async with open_kernel(world, fails, migrations=(MIGRATIONS,), database=place) as kernel:
            await registered(kernel, *DEVICES)
            sent = sent_by_seed(house, seed, 120).sent
            for batch in batches(simulation.random, sent):
                outcomes = await submit(kernel, [draft for draft, _ in batch])
                assert outcomes == [outcome for _, outcome in batch]
            await check_same(kernel, house)

    simulate(seed, main)


@pytest.mark.parametrize("seed", range(2))
def test_through_two_processes_in_turn_the_log_is_the_same(database: str, seed: int) -> None:
    async def main(simulation: Simulation) -> None:
        worlds, house = [still(simulation) for _ in range(2)], House()
        async with (
            open_kernel(worlds[0], migrations=(MIGRATIONS,), database=database) as one,
            open_kernel(worlds[1], migrations=(MIGRATIONS,), database=database) as two,
        ):
            await registered(one, *DEVICES)
            sent = sent_by_seed(house, seed, 120).sent
            for turn, batch in enumerate(batches(simulation.random, sent)):
                outcomes = await submit((one, two)[turn % 2], [draft for draft, _ in batch])
                assert outcomes == [outcome for _, outcome in batch]
            await check_same(one, house)

    simulate(seed, main)


def test_a_queue_that_is_sent_to_two_processes_at_once_is_stored_once(database: str) -> None:
    async def main(simulation: Simulation) -> None:
        worlds = [simulation.node(MemoryDisk()).world for _ in range(2)]
        async with (
            open_kernel(worlds[0], migrations=(MIGRATIONS,), database=database) as one,
            open_kernel(worlds[1], migrations=(MIGRATIONS,), database=database) as two,
        ):
            ann, bob = await registered(one, ("ann", "phone"), ("bob", "phone"))
            batch = an_evening_in_a_tunnel(ann, bob)
            answers: list[list[Outcome]] = []
            async with trio.open_nursery() as nursery:
                for kernel in (one, two):
                    nursery.start_soon(answered, kernel, batch, answers)
                await trio.sleep(0.01)
                for kernel in (one, two):
                    await kernel.tail.catch_up()
            kinds = [[type(each) for each in outcomes] for outcomes in answers]
            for first, second, code_ in zip(*kinds, THAT_EVENING, strict=True):
                expected = {"stored": {Accepted, Duplicate}, "duplicate": {Duplicate}}
                assert {first, second} == expected.get(code_, {Rejected})
            numbers = [entry.seq for entry in await one.runner.read(lane) if entry.seq]
            assert numbers == list(range(1, len(numbers) + 1))

    simulate(1, main)


async def answered(
    kernel: Kernel, batch: Sequence[ClientDraft], answers: list[list[Outcome]]
) -> None:
    answers.append(await submit(kernel, batch))
