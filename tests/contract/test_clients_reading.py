"""What a device is sent, on either engine: what it missed, then what comes, and from any cursor on.

Here nobody's membership changes on the way: that is `test_clients_windows`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest
import trio
from protobuf import Oneof

from postbox.clients.reading import cursors, stream
from postbox.clients.reading.stream import ALIVE_S
from postbox.log import ring
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import Pool, Threads, World
from support.client_device import differences
from support.client_town import Leaving, Phone, Town, open_town
from support.simulated import simulated

T = TypeVar("T")


async def club(town: Town, *names: str) -> tuple[str, list[Phone]]:
    """A conversation of these users, whose phones have nothing yet."""
    phones = [await town.phone(name) for name in names]
    return await phones[0].create("club", *phones[1:]), phones


async def frames_of(phone: Phone, request: pb.SyncFromServerRequest) -> list[pb.Event]:
    async with aclosing(phone.town.reading.stream(phone.viewer, request, Leaving())) as made:
        return [pb.Event.from_binary(frame) async for frame in made]


def content(event: pb.Event) -> str:
    return "" if event.content is None else event.content.field


@simulated
async def test_a_device_that_has_nothing_gets_a_snapshot_and_then_only_what_is_new(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await ann.say(conversation, "one", "two")
        await bob.sync()
        assert bob.model.codes == ["CURSOR_NONE"]
        assert bob.model.texts(conversation) == ["one", "two"]
        await ann.say(conversation, "three")
        assert await bob.sync() == ["newMessage", "caughtUp"]
        assert bob.model.texts(conversation) == ["one", "two", "three"]


@simulated
async def test_an_event_is_sent_as_it_was_made_with_what_the_host_knows_of_it(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await ann.sync()
        await bob.sync()
        said = ann.saying(conversation, "one")
        (uuid,) = await ann.send(said)
        (event,) = [e for e in await frames_of(bob, bob.request(until_caught_up=True)) if e.uuid]
        assert event.content is not None
        assert isinstance(event.content.value, pb.NewMessage)
        assert (event.uuid, event.content.value.uuid) == (uuid, uuid)
        assert event.content.value.message is not None
        assert event.content.value.message.text == "one"
        assert (event.conversationUuid, event.conversationSeq) == (conversation, 2)
        assert event.authorUuid == ann.user_uuid
        assert event.serverTime is not None
        assert abs(event.serverTime.seconds - world.clock.now_ns() // 10**9) < 60
        assert (event.clientUuid, event.content.value.coreDataTemporaryUuid) == ("", "")
        assert not event.backfill


@simulated
async def test_only_the_device_that_made_an_event_is_told_what_it_called_it(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, _) = await club(town, "ann", "bob")
        tablet = await town.phone("ann", "tablet")
        for device in (ann, tablet):
            await device.sync()
        said = ann.saying(conversation, "one")
        await ann.send(said)
        for device in (ann, tablet):
            asked = device.request(until_caught_up=True)
            (event,) = [e for e in await frames_of(device, asked) if content(e) == "newMessage"]
            assert event.content is not None
            assert isinstance(event.content.value, pb.NewMessage)
            local = said.incoming.client_uuid if device is ann else ""
            assert (event.clientUuid, event.content.value.coreDataTemporaryUuid) == (local, local)
            assert event.content.value.message is not None
            assert event.content.value.message.text == "one"


@simulated
async def test_what_comes_while_a_device_listens_is_sent_at_once_and_once(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        leaving = Leaving()
        async with trio.open_nursery() as nursery:
            await nursery.start(bob.live, leaving)
            for number in range(5):
                await ann.say(conversation, f"{number}")
                await trio.sleep(0.1)
                assert bob.model.texts(conversation)[-1] == f"{number}"
            assert bob.model.caught_up == 1
            leaving.end()
        assert bob.model.texts(conversation) == [f"{number}" for number in range(5)]


@simulated
async def test_between_catching_up_and_living_there_is_no_gap(world: World, place: str) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, *others) = await club(town, "ann", *[f"u{n}" for n in range(8)])
        leaving = Leaving()

        async def talk(phone: Phone) -> None:
            for number in range(20):
                await phone.say(conversation, f"{phone.user} {number}")

        async with trio.open_nursery() as streams:
            async with trio.open_nursery() as talkers:
                talkers.start_soon(talk, ann)
                talkers.start_soon(talk, others[0])
                for other in others[1:]:
                    await streams.start(other.live, leaving)
            await trio.sleep(1)
            leaving.end()
        await ann.sync()
        for other in others[1:]:
            assert differences(ann.model, other.model) == []
            assert len(other.model.texts(conversation)) == 40


@simulated
async def test_a_device_goes_on_by_token_or_by_uuid_from_wherever_its_connection_broke(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        tablet = await town.phone("bob", "tablet")
        whole = await town.phone("bob", "whole")
        for device in (bob, tablet, whole):
            await device.sync()
        said = await ann.say(conversation, *[f"{number}" for number in range(10)])
        await bob.send(bob.reacting(said[3]), bob.reading(said[5]))
        await ann.send(ann.editing(said[2], "two"), ann.deleting(said[4]))
        await whole.sync()
        while "caughtUp" not in await bob.sync(frames=2):
            pass
        while "caughtUp" not in await tablet.sync(frames=3, by_uuid=True, per_frame=2):
            pass
        for device in (bob, tablet):
            assert differences(device.model, whole.model) == []
            assert device.model.uuids == whole.model.uuids


@simulated
async def test_an_events_uuid_is_a_cursor_after_a_newer_one_has_taken_its_place(
    world: World, place: str
) -> None:
    """Reading marks replace each other; what a device saw last may be one that is gone."""
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await ann.sync()
        said = await ann.say(conversation, "one", "two")
        await bob.send(bob.reading(said[0]))
        await ann.sync(by_uuid=True)
        await bob.send(bob.reading(said[1]))
        assert await ann.sync(by_uuid=True) == ["readNewMessage", "caughtUp"]
        assert ann.model.codes == ["CURSOR_NONE"]


@simulated
async def test_the_token_moves_on_when_nothing_happens_that_the_device_sees(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        cat = await town.phone("cat")
        leaving = Leaving()
        async with trio.open_nursery() as nursery:
            await nursery.start(cat.live, leaving)
            before = cat.model.token
            await ann.say(conversation, "one")
            await trio.sleep(ALIVE_S * 2.5)
            assert cat.model.caught_up == 3
            leaving.end()
        assert cat.model.token != before
        assert cat.model.uuids == []
        assert town.reading.place_of(cat.model.token) == town.kernel.tail.head
        assert bob.model.token == ""


@pytest.mark.parametrize("per_frame", [1, 3, 100, 100_000])
def test_frames_hold_as_many_events_as_the_device_wants(per_frame: int) -> None:
    @simulated
    async def run(world: World) -> None:
        async with open_town(world) as town:
            conversation, (ann, bob) = await club(town, "ann", "bob")
            await bob.sync()
            await ann.send(*[ann.saying(conversation, f"{n}") for n in range(250)])
            asked = bob.request(per_frame=per_frame, until_caught_up=True)
            made = [e for e in await frames_of(bob, asked) if content(e) != "caughtUp"]
            sizes = [len(event.events) or 1 for event in made]
            most = min(per_frame, 100)
            assert sum(sizes) == 250
            assert max(sizes) == most
            assert sum(size < most for size in sizes) <= 1
            assert all(event.resumeToken for event in made)
            assert all(event.previousUuid for event in made[1:])
            assert not any(inner.resumeToken for event in made for inner in event.events)
            await bob.sync(per_frame=per_frame)
            assert len(bob.model.texts(conversation)) == 250

    run()


@simulated
async def test_a_frame_of_large_events_has_fewer_of_them(world: World) -> None:
    async with open_town(world) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await bob.sync()
        for _ in range(3):
            await ann.send(*[ann.saying(conversation, "x" * 60_000) for _ in range(5)])
        asked = bob.request(per_frame=100, until_caught_up=True)
        sizes = [len(frame.to_binary()) for frame in await frames_of(bob, asked)]
        assert max(sizes) < 300_000
        assert len(sizes) == 5  # four frames of four at most, and one that says that this was all


# -- cursors that lead nowhere ---------------------------------------------------------------------


@simulated
async def test_a_cursor_that_is_none_gives_a_snapshot_with_the_reason(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        (private,) = await ann.send(ann.creating("ann's own"))
        (secret,) = await ann.say(private, "secret")
        await bob.sync()
        token = bob.model.token
        cases = {
            "never given out": {"lastEventUuid": "0197f4f0-0000-7000-8000-000000000001"},
            "no uuid": {"lastEventUuid": "x" * 5_000},
            "of an event that the user does not see": {"lastEventUuid": secret},
            "no token": {"resumeToken": "x" * 5_000},
            "changed": {
                "resumeToken": ("A" if token[30] != "A" else "B").join((token[:30], token[31:]))
            },
        }
        for fields in cases.values():
            asked = pb.SyncFromServerRequest(**fields, untilCaughtUp=True)  # type: ignore[arg-type]
            made = await frames_of(bob, asked)
            assert made[0].content is not None
            assert isinstance(made[0].content.value, pb.SnapshotBegin)
            assert made[0].content.value.code == "CURSOR_UNKNOWN"
            assert [content(event) for event in made[-2:]] == ["snapshotEnd", "caughtUp"]
        assert conversation in bob.model.state.conversations


@simulated
async def test_a_device_that_is_far_behind_gets_a_snapshot_instead_of_everything(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "MOST_BEHIND", 20)
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        cat = await town.phone("cat")
        for device in (bob, cat):
            await device.sync()
        await ann.say(conversation, *[f"{number}" for number in range(20)])
        near = bob.model.copied()
        await bob.sync()
        assert bob.model.codes == ["CURSOR_NONE"]
        bob.model = near
        await ann.say(conversation, "one more")
        await bob.sync()
        assert bob.model.codes == ["CURSOR_NONE", "CURSOR_TOO_OLD"]
        assert bob.model.texts(conversation)[-1] == "one more"
        await cat.sync()  # who sees nothing of it is not behind
        assert cat.model.codes == ["CURSOR_NONE"]


# -- who reads slowly, and who is gone -------------------------------------------------------------


@simulated
async def test_a_slow_reader_costs_a_cursor_and_gets_everything_from_the_store(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MAX_ENTRIES", 50)
    monkeypatch.setattr(stream, "STRETCH", 70)
    async with open_town(world, place) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await bob.sync()
        course = town.reading.stream(bob.viewer, bob.request(per_frame=100), Leaving())
        bob.model.opened()
        async with aclosing(course) as made:
            bob.model.take(await anext(made))  # caught up
            for _ in range(6):  # more than memory has
                await ann.send(*[ann.saying(conversation, "y" * 400) for _ in range(100)])
            while len(bob.model.texts(conversation)) < 600:
                bob.model.take(await anext(made))
        assert bob.model.caught_up == 2


@dataclass
class CountingThreads:
    """World's, and how often the store was read."""

    threads: Threads
    reads: int = 0

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        self.reads += pool is Pool.READER
        return await self.threads.run(pool, work)


@simulated
async def test_a_stream_that_has_slept_long_goes_on_out_of_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MAX_ENTRIES", 20)
    threads = CountingThreads(world.threads)
    async with open_town(replace(world, threads=threads)) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        private = await ann.create("ann's own")
        leaving = Leaving()
        async with trio.open_nursery() as nursery:
            await nursery.start(bob.live, leaving)
            before = threads.reads
            await ann.say(private, *[f"{number}" for number in range(50)])
            await ann.say(conversation, "after long")
            await trio.sleep(0.1)
            assert bob.model.texts(conversation) == ["after long"]
            assert threads.reads == before
            leaving.end()


@simulated
async def test_a_stream_may_be_cancelled_wherever_it_waits_and_leaves_nothing_behind(
    world: World,
) -> None:
    async with open_town(world) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await ann.say(conversation, *[f"{number}" for number in range(5)])
        for tick in range(40):
            with trio.move_on_after(tick * 0.001):
                await bob.live(Leaving())
            assert "waiting=0" in repr(town.kernel.tail)
        await bob.sync()
        assert len(bob.model.texts(conversation)) == 5


@simulated
async def test_a_stream_ends_when_the_device_is_to_leave(world: World) -> None:
    async with open_town(world) as town:
        ann = await town.phone("ann")
        leaving = Leaving()
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                await nursery.start(ann.live, leaving)
                leaving.end()


class Letters:
    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._wake = trio.Event()

    def see(self, streams: frozenset[bytes]) -> None:
        """It shows whatever there is."""

    def wake(self, event: trio.Event) -> None:
        self._wake = event
        if self._events:
            event.set()

    def take(self) -> list[bytes]:
        taken, self._events = self._events, []
        return taken

    def add(self, event: pb.Event) -> None:
        self._events.append(event.to_binary())
        self._wake.set()


@simulated
async def test_transitory_events_come_after_all_that_is_stored_and_move_no_cursor(
    world: World,
) -> None:
    async with open_town(world) as town:
        conversation, (ann, bob) = await club(town, "ann", "bob")
        await ann.say(conversation, "one")
        mail, leaving = Letters(), Leaving()
        typing = pb.Event()
        user = pb.UserIsTyping(userUuid=ann.user_uuid)
        typing.content = Oneof("userIsTyping", user)  # type: ignore[assignment]
        mail.add(typing)
        async with trio.open_nursery() as nursery:
            await nursery.start(bob.live, leaving, mail)
            assert bob.model.transitory == []
            await trio.sleep(0.01)
            assert len(bob.model.transitory) == 1
            token = bob.model.token
            mail.add(typing)
            await trio.sleep(0.01)
            assert len(bob.model.transitory) == 2
            assert bob.model.token == token
            await ann.say(conversation, "two")
            await trio.sleep(0.1)
            assert bob.model.texts(conversation) == ["one", "two"]
            leaving.end()
