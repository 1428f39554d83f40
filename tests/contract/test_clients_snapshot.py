"""What a device gets that cannot go on from where it was: everything its user has, and then what
comes, on either engine."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio
from protobuf import Oneof

from postbox.clients.reading import snapshot
from postbox.clients.reading.snapshot import AT_ONCE, PATIENCE_S, TURN_S, SnapshotBusy, Turns
from postbox.clients.rules import watermarks
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import World
from support.client_device import differences
from support.client_town import Leaving, Phone, Town, open_town
from support.simulated import simulated

ANEW = pb.SyncFromServerRequest(untilCaughtUp=True)


async def lived(town: Town) -> tuple[Phone, str]:
    """A phone of ann's that was there for all of it, and a conversation."""
    ann, bob, cat = [await town.phone(name) for name in ("ann", "bob", "cat")]
    await ann.sync()
    club = await ann.create("club", bob)
    said = await ann.say(club, *[f"{number}" for number in range(60)])
    await ann.send(ann.calling_itself("Ann"), ann.showing(b"ann"), bob.showing(b"bob"))
    await ann.send(ann.editing(said[58], "first"), ann.deleting(said[57]))
    await ann.send(ann.editing(said[58], "second"), ann.editing(said[3], "long ago"))
    await bob.send(bob.reacting(said[59]), bob.reacting(said[58], "-"), bob.reading(said[50]))
    await bob.send(bob.unreacting(said[58], "-"), bob.reading(said[59]), ann.reading(said[40]))
    await ann.send(ann.adding(club, cat, role=1), ann.renaming(club, "pub"))
    other = await bob.create("other", ann, cat)
    await ann.send(ann.removing(other))
    await bob.send(bob.adding(other, ann), bob.saying(other, "again"))
    left = await cat.create("left", ann)
    await ann.send(ann.saying(left, "bye"), ann.removing(left))
    await cat.say(left, "she is gone")
    await ann.sync()
    return ann, club


@pytest.mark.parametrize("per_frame", [1, 100])
def test_a_snapshot_is_what_a_device_has_that_lived_through_it_all(
    per_frame: int, place: str
) -> None:
    @simulated
    async def run(world: World) -> None:
        async with open_town(world, place) as town:
            ann, club = await lived(town)
            anew = ann.anew()
            came = await anew.sync(per_frame=per_frame)
            assert differences(ann.model, anew.model) == []
            assert came.count("newMessage") == 51
            assert anew.model.texts(club)[-2:] == ["second", "59"]
            assert len(anew.model.state.conversations) == 2
            assert anew.model.state.images.keys() == ann.model.state.images.keys()
            await ann.say(club, "and on")
            for device in (ann, anew):
                await device.sync(by_uuid=True)
            assert differences(ann.model, anew.model) == []
            assert anew.model.codes == ["CURSOR_NONE"]

    run()


@simulated
async def test_what_changes_while_a_snapshot_is_read_comes_after_it(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read piece by piece, a piece being true later than the one before."""
    monkeypatch.setattr(snapshot, "PIECE_CONVERSATIONS", 1)
    async with open_town(world, place) as town:
        ann, bob, cat = [await town.phone(name) for name in ("ann", "bob", "cat")]
        clubs = [await ann.create(f"{number}", bob) for number in range(6)]
        left = await ann.create("left", bob)
        await ann.say(left, "before")
        said = [await ann.say(each, "one", "two", "three") for each in clubs]
        await ann.send(*[ann.editing(messages[0], "uno") for messages in said])
        await bob.sync()
        anew = bob.anew()
        anew.model.opened()
        asked = anew.request(until_caught_up=True)
        step = 0
        async with aclosing(town.reading.stream(anew.viewer, asked, Leaving())) as made:
            async for frame in made:
                assert b"secret" not in frame
                taken = anew.model.take(frame)
                if taken == ["snapshotBegin"]:
                    await ann.send(ann.removing(left, bob))
                    await ann.say(left, "secret")
                if "newMessage" in taken and step < 6:
                    await _change(clubs[step], said[step], step, ann, bob, cat)
                    step += 1
        assert step == 6
        await bob.sync()
        await anew.sync()
        assert differences(bob.model, anew.model) == []
        assert len(anew.model.state.conversations) == 5


async def _change(
    club: str, said: list[str], step: int, ann: Phone, bob: Phone, cat: Phone
) -> None:
    await ann.send(ann.editing(said[0], "eins"), ann.saying(club, "four"), ann.deleting(said[1]))
    await bob.send(bob.reacting(said[2]), bob.reading(said[2]))
    await ann.send(ann.renaming(club, "pub"), ann.adding(club, cat), ann.calling_itself(f"{step}"))
    if step == 3:
        await ann.send(ann.removing(club, bob), ann.saying(club, "secret"))
    if step == 4:
        await ann.send(ann.removing(club, bob), ann.adding(club, bob))


@simulated
async def test_a_snapshot_that_was_cut_is_begun_anew_and_leaves_the_device_as_it_was(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, _ = await lived(town)
        whole = await ann.anew().sync()
        anew = ann.anew()
        for frames in range(1, len(whole) - 1):
            await anew.sync(frames=frames)
            if "snapshotEnd" not in whole[:frames]:
                assert anew.model.state.conversations == {}
                assert anew.model.token == ""
        await anew.sync()
        assert differences(ann.model, anew.model) == []


@simulated
async def test_a_conversation_with_more_text_than_a_snapshot_holds_is_told_with_its_newest_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MESSAGE_BYTES", 1_000)
    async with open_town(world) as town:
        ann = await town.phone("ann")
        clubs = [await ann.create(f"{number}") for number in range(3)]
        for each in clubs:
            await ann.say(each, "x" * 1_000, "newest")
        anew = ann.anew()
        await anew.sync()
        told = sorted(len(anew.model.texts(each)) for each in clubs)
        assert told == [1, 1, 2]
        assert all(anew.model.texts(each)[-1] == "newest" for each in clubs)


@simulated
async def test_what_a_neighbour_knows_of_the_user_is_part_of_the_snapshot(world: World) -> None:
    async with open_town(world) as town:
        ann, bob = await town.phone("ann"), await town.phone("bob")
        entered = pb.Event()
        guild = pb.GuildEntered(host="b.example", guild="g")
        entered.content = Oneof("guildEntered", guild)  # type: ignore[assignment]
        guilds = {"ann": [entered.to_binary()]}
        town.reading.neighbours = lambda reader, user: guilds.get(user, [])
        for phone in (ann, bob):
            await phone.sync()
        assert ann.model.state.guilds == {("b.example", "g")}
        assert bob.model.state.guilds == set()


@simulated
async def test_users_are_called_in_a_snapshot_what_they_are_called_now(
    world: World, place: str
) -> None:
    """The newest event may be one that named them when it was made."""
    async with open_town(world, place) as town:
        ann, bob = await town.phone("ann"), await town.phone("bob")
        await ann.sync()
        await bob.create("club", ann)
        await bob.send(bob.calling_itself("Robert"), bob.showing(b"face"))
        await ann.sync()
        anew = ann.anew()
        await anew.sync()
        assert anew.model.state.profiles[bob.user_uuid].display == "Robert"
        assert differences(ann.model, anew.model) == []


@simulated
async def test_in_a_large_conversation_who_has_read_what_is_told_to_the_users_own_devices(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watermarks, "MAX_MEMBERS_TOLD", 1)
    async with open_town(world, place) as town:
        ann, bob = await town.phone("ann"), await town.phone("bob")
        tablet = await town.phone("bob", "tablet")
        club = await ann.create("club", bob)
        said = await ann.say(club, "one", "two")
        for device in (ann, tablet):
            await device.sync()
        await bob.send(bob.reading(said[1]))
        for device, marks in ((ann, {}), (tablet, {(bob.user_uuid, "read"): 3})):
            for phone in (device, device.anew()):
                await phone.sync()
                assert phone.model.state.conversations[club].watermarks == marks


# -- turns -----------------------------------------------------------------------------------------


async def stalled(phone: Phone, *, task_status: trio.TaskStatus[None]) -> None:
    """A device that takes one frame of its snapshot, and no more."""
    async with aclosing(phone.town.reading.stream(phone.viewer, ANEW, Leaving())) as made:
        await anext(made)
        task_status.started()
        await trio.sleep_forever()


@simulated
async def test_few_snapshots_are_made_at_once_and_the_others_wait_or_are_told_when_to_come(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "TURN_S", PATIENCE_S * 3)
    async with open_town(world) as town:
        phones = [await town.phone(f"u{number}") for number in range(AT_ONCE + 1)]
        async with trio.open_nursery() as nursery:
            for phone in phones[:-1]:
                await nursery.start(stalled, phone)
            begun = trio.current_time()
            with pytest.raises(SnapshotBusy, match="come again in 10 s"):
                await phones[-1].sync()
            assert trio.current_time() - begun == pytest.approx(PATIENCE_S, abs=0.1)
            nursery.cancel_scope.cancel()
        await phones[-1].sync()


@simulated
async def test_who_does_not_take_its_snapshot_in_is_not_waited_for(world: World) -> None:
    async with open_town(world) as town:
        phones = [await town.phone(f"u{number}") for number in range(AT_ONCE + 1)]
        async with trio.open_nursery() as nursery:
            for phone in phones[:-1]:
                await nursery.start(stalled, phone)
            begun = trio.current_time()
            await phones[-1].sync()
            assert trio.current_time() - begun == pytest.approx(TURN_S, abs=0.5)
            nursery.cancel_scope.cancel()


@simulated
async def test_turns_are_given_in_the_order_in_which_they_were_asked_for(world: World) -> None:
    turns, taken = Turns(), list[int]()

    async def take(number: int) -> None:
        async with turns.one(b"%d" % number):
            taken.append(number)
            await trio.sleep(1)

    async def give_up(number: int) -> None:
        with trio.move_on_after(0.5):
            await take(number)

    async with trio.open_nursery() as nursery:
        for number in range(AT_ONCE * 5):
            nursery.start_soon(take if number % AT_ONCE or not number else give_up, number)
            await trio.sleep(0.01)
    late = [number for number in range(AT_ONCE, AT_ONCE * 5) if number % AT_ONCE]
    assert taken == [*range(AT_ONCE), *late]


@simulated
async def test_one_user_takes_one_turn_however_many_devices_begin_anew(world: World) -> None:
    async with open_town(world) as town:
        tablets = [await town.phone("ann", f"{number}") for number in range(AT_ONCE + 2)]
        bob = await town.phone("bob")
        async with trio.open_nursery() as nursery:
            begun = trio.current_time()
            await nursery.start(stalled, tablets[0])
            for tablet in tablets[2:]:
                nursery.start_soon(nursery.start, stalled, tablet)
            await bob.sync()
            assert trio.current_time() - begun < 1
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            begun = trio.current_time()
            await nursery.start(stalled, tablets[0])
            await tablets[1].sync()
            assert trio.current_time() - begun == pytest.approx(TURN_S, abs=0.5)
            nursery.cancel_scope.cancel()
