"""How other chat systems lose and double what their users wrote, and that this one does not.

Each story was told of a system in use: of a cursor that passes over what is committed late, of a
gap between the snapshot and what comes, of queues that grow or drop, of cursors that lead nowhere,
of access that comes later than the cursor.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing

import trio

from postbox.log.epoch import renew_epoch
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import World
from support.client_device import differences
from support.client_town import Leaving, Phone, Town, open_town
from support.simulate import MemoryDisk, Simulation, simulate
from support.simulated import simulated


async def two_in_a_club(town: Town) -> tuple[str, Phone, Phone]:
    """Of whom both have caught up."""
    ann, bob = await town.phone("ann"), await town.phone("bob")
    conversation = await ann.create("club", bob)
    await ann.sync()
    await bob.sync()
    return conversation, ann, bob


async def hear(town: Town) -> None:
    """What other processes commit; until cancelled."""
    while True:
        await trio.sleep(0.003)
        await town.kernel.tail.catch_up()


def moved(phone: Phone, town: Town) -> Phone:
    """The same device, connected to another process."""
    phone.town = town
    return phone


# -- a cursor passes over what is committed later --------------------------------------------------


def test_a_reader_never_passes_over_an_event_that_another_process_commits_later(
    database: str,
) -> None:
    """commanded/eventstore#3, protean#1088, atproto#1167: positions from a sequence."""

    async def main(simulation: Simulation) -> None:
        async with AsyncExitStack() as stack:
            towns = [
                await stack.enter_async_context(
                    open_town(simulation.node(MemoryDisk()).world, database)
                )
                for _ in range(3)
            ]
            conversation, ann, bob = await two_in_a_club(towns[0])
            cat = await towns[1].phone("cat")
            await ann.send(ann.adding(conversation, cat))
            leaving = Leaving()
            async with trio.open_nursery() as background:
                for town in towns:
                    background.start_soon(hear, town)
                async with trio.open_nursery() as streams:
                    moved(bob, towns[2])
                    await streams.start(bob.live, leaving)
                    async with trio.open_nursery() as writers:
                        for phone in (ann, cat):
                            texts = [f"{phone.user} {number}" for number in range(25)]
                            writers.start_soon(phone.say, conversation, *texts)
                    await trio.sleep(1)
                    leaving.end()
                background.cancel_scope.cancel()
            assert len(bob.model.texts(conversation)) == 50
            assert bob.model.numbers == list(range(2, 53))
            await ann.sync()
            assert differences(ann.model, bob.model) == []

    simulate(1, main)


def test_a_cursor_of_a_process_that_is_ahead_is_good_at_one_that_is_behind(database: str) -> None:
    """synapse#14158: a token ahead of what the next worker's cache has."""

    async def main(simulation: Simulation) -> None:
        worlds = [simulation.node(MemoryDisk()).world for _ in range(2)]
        async with open_town(worlds[0], database) as one, open_town(worlds[1], database) as two:
            conversation, ann, bob = await two_in_a_club(one)
            await ann.say(conversation, "one")
            await bob.sync()
            assert two.kernel.tail.head < one.kernel.tail.head
            moved(bob, two)
            leaving = Leaving()
            async with trio.open_nursery() as streams:
                await streams.start(bob.live, leaving)
                await ann.say(conversation, "two")
                await two.kernel.tail.catch_up()
                await trio.sleep(0.1)
                leaving.end()
            assert bob.model.texts(conversation) == ["one", "two"]
            assert bob.model.codes == ["CURSOR_NONE"]

    simulate(1, main)


# -- a gap between what was missed and what comes --------------------------------------------------


@simulated
async def test_a_live_message_during_catching_up_hides_nothing_that_lies_before_it(
    world: World, place: str
) -> None:
    """fluux-messenger#534, mattermost#3836: the cursor was the newest message in the store."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        await ann.say(conversation, *[f"{number}" for number in range(10)])
        bob.model.opened()
        stream = town.reading.stream(bob.viewer, bob.request(), Leaving())
        async with aclosing(stream) as made:
            for _ in range(3):
                bob.model.take(await anext(made))
            await ann.say(conversation, "live")
            bob.model.take(await anext(made))
        await bob.sync(by_uuid=True)
        assert bob.model.texts(conversation) == [*[f"{number}" for number in range(10)], "live"]


@simulated
async def test_edits_and_deletions_made_while_a_device_was_away_reach_it(
    world: World, place: str
) -> None:
    """Rocket.Chat#40981: catching up went by the time of creation."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        said = await ann.say(conversation, "old", "older", "fine")
        await bob.sync()
        await ann.send(ann.editing(said[0], "new"), ann.deleting(said[1]))
        await bob.sync()
        assert bob.model.texts(conversation) == ["new", "fine"]


@simulated
async def test_a_snapshot_takes_away_what_is_gone(world: World, place: str) -> None:
    """Nosdesk#234: what was deleted long ago stayed on devices for ever."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        other = await ann.create("other", bob)
        said = await ann.say(conversation, "one", "two")
        await bob.sync()
        await ann.send(ann.deleting(said[0]), ann.removing(other, bob))
        bob.model.token = "lost"
        await bob.sync()
        assert bob.model.codes[-1] == "CURSOR_UNKNOWN"
        assert bob.model.texts(conversation) == ["two"]
        assert other not in bob.model.state.conversations


@simulated
async def test_a_connection_that_breaks_inside_of_a_commit_loses_nothing_of_it(
    world: World, place: str
) -> None:
    """synapse#20171: a token inside of a batch."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        await ann.send(*[ann.saying(conversation, f"{number}") for number in range(30)])
        while "caughtUp" not in await bob.sync(per_frame=4, frames=1):
            pass
        assert bob.model.texts(conversation) == [f"{number}" for number in range(30)]


# -- queues that grow, or drop ---------------------------------------------------------------------


@simulated
async def test_a_device_that_asks_from_the_same_place_again_and_again_leaves_nothing_behind(
    world: World, place: str
) -> None:
    """synapse#19924: a wedged client piled up a thousand rows; zulip#39769: a queue a client."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        await ann.say(conversation, *[f"{number}" for number in range(5)])
        before, head = bob.model.copied(), town.kernel.tail.head
        for _ in range(20):
            bob.model = before.copied()
            assert await bob.sync(per_frame=2) == [*["newMessage"] * 5, "caughtUp"]
        assert town.kernel.tail.head == head
        assert "waiting=0" in repr(town.kernel.tail)


@simulated
async def test_a_stalled_device_is_neither_cut_off_nor_skipped_nor_kept_in_memory(
    world: World, place: str
) -> None:
    """mattermost: lossy beyond 128 + 256; AT Proto: cut off at 500."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        stream = town.reading.stream(bob.viewer, bob.request(per_frame=50), Leaving())
        bob.model.opened()
        async with aclosing(stream) as made:
            bob.model.take(await anext(made))
            for _ in range(12):
                await ann.send(*[ann.saying(conversation, "x") for _ in range(100)])
                await trio.sleep(3_600)
            while len(bob.model.texts(conversation)) < 1_200:
                bob.model.take(await anext(made))


# -- cursors that lead nowhere ---------------------------------------------------------------------


def test_after_a_restore_a_device_begins_anew_once_and_then_goes_on() -> None:
    """electric#3855: a tight loop of refusals; claudecode_webui#1984: silence."""

    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        async with open_town(simulation.node(disk).world) as town:
            conversation, ann, bob = await two_in_a_club(town)
            await ann.say(conversation, "kept")
            backup = disk.copied()
            await ann.say(conversation, "lost")
            await bob.sync()
        world = simulation.node(backup).world
        async with open_town(world) as town:
            await renew_epoch(town.kernel.runner, world)
        async with open_town(simulation.node(backup).world) as town:
            moved(ann, town)
            moved(bob, town)
            tablet = Phone(town, "bob", "phone")
            tablet.model = bob.model.copied()
            before = bob.model.epoch
            await bob.sync()
            assert bob.model.codes[-1] == "EPOCH_CHANGED"
            assert bob.model.epoch != before
            assert bob.model.texts(conversation) == ["kept"]
            await tablet.sync(by_uuid=True)  # its last event is not there any more
            assert tablet.model.codes[-1] == "CURSOR_UNKNOWN"
            await ann.say(conversation, "after")
            for device in (bob, tablet):
                assert await device.sync() == ["newMessage", "caughtUp"]
                assert device.model.texts(conversation) == ["kept", "after"]

    simulate(1, main)


def test_a_cursor_from_the_future_begins_anew_instead_of_waiting_for_ever() -> None:
    """synapse#17274: a token ahead of the log blocked all syncing; electric#3563."""

    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        async with open_town(simulation.node(disk).world) as town:
            conversation, ann, bob = await two_in_a_club(town)
            backup = disk.copied()
            await ann.say(conversation, *[f"lost {number}" for number in range(5)])
            await bob.sync()
        async with open_town(simulation.node(backup).world) as town:  # which nobody noticed
            await moved(bob, town).sync()
            assert bob.model.codes[-1] == "CURSOR_AHEAD"
            assert bob.model.texts(conversation) == []
            await moved(ann, town).say(conversation, "now")
            assert await bob.sync() == ["newMessage", "caughtUp"]

    simulate(1, main)


def test_a_restart_of_the_host_is_nothing_to_a_cursor() -> None:
    """claudecode_webui#1984: a restart began to count anew."""

    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        async with open_town(simulation.node(disk).world) as town:
            conversation, ann, bob = await two_in_a_club(town)
            await ann.say(conversation, "before")
        async with open_town(simulation.node(disk).world) as town:
            tablet = Phone(town, "bob", "phone")
            tablet.model = bob.model.copied()
            assert await moved(bob, town).sync() == ["newMessage", "caughtUp"]
            assert await tablet.sync(by_uuid=True) == ["newMessage", "caughtUp"]
            assert bob.model.codes == ["CURSOR_NONE"]

    simulate(1, main)


@simulated
async def test_a_device_gets_what_is_strictly_beyond_its_cursor(world: World, place: str) -> None:
    """indigo#837: one implementation sent the cursor's own event again, the other did not."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        said = await ann.say(conversation, "one", "two")
        for number, uuid in enumerate(said, 1):
            asked = pb.SyncFromServerRequest(lastEventUuid=uuid, untilCaughtUp=True)
            async with aclosing(town.reading.stream(bob.viewer, asked, Leaving())) as made:
                came = [pb.Event.from_binary(frame) async for frame in made]
            assert [event.uuid for event in came[:-1]] == said[number:]


# -- access that comes later than the cursor -------------------------------------------------------


@simulated
async def test_what_was_said_before_a_user_joined_reaches_devices_that_are_past_it(
    world: World, place: str
) -> None:
    """Couchbase#31, WatermelonDB#1264: the cursor was beyond the old rows already."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        cat = await town.phone("cat")
        await ann.say(conversation, "one", "two")
        await cat.sync()
        leaving = Leaving()
        tablet = await town.phone("cat", "tablet")
        await tablet.sync()
        async with trio.open_nursery() as nursery:
            await nursery.start(cat.live, leaving)
            await ann.send(ann.adding(conversation, cat))
            await trio.sleep(0.1)
            leaving.end()
        await tablet.sync()
        for device in (cat, tablet):
            assert device.model.texts(conversation) == ["one", "two"]
            assert device.model.codes == ["CURSOR_NONE"]
        await bob.sync()
        assert differences(bob.model, cat.model) == []


@simulated
async def test_a_removal_while_the_device_was_away_is_told_to_it(world: World, place: str) -> None:
    """mattermost#35619: it went on to show the channel."""
    async with open_town(world, place) as town:
        conversation, ann, bob = await two_in_a_club(town)
        await ann.send(ann.removing(conversation, bob))
        await ann.say(conversation, "secret")
        assert await bob.sync() == ["memberLeft", "caughtUp"]
        assert conversation not in bob.model.state.conversations
