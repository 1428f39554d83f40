"""What devices are told that is not stored, and what they have stored: through the door, on virtual
time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from postbox.clients.ids import text_of, user_id
from postbox.clients.live.delivery import COALESCED_S
from postbox.clients.live.presence import CONNECTED_S, RENEW_S
from postbox.clients.live.typists import MERGED_S, TYPING_S
from postbox.clients.tables import DEVICE_PLACE
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import World
from support.client_door import (
    Device,
    Door,
    Stream,
    conversation,
    door_at,
    kind_of,
    message,
    value_of,
)
from support.simulated import simulated

SOON_S = 1.0
"""From what is said to when all have been told."""


def uuid(device: Device) -> str:
    return text_of(user_id(device.user))


async def type_in(device: Device, room: str, *, is_over: bool = False) -> None:
    said = pb.UserIsTyping(conversationUuid=room, isOver=is_over)
    (answer,) = (await device.sync(device.event(said, conversationUuid=room, uuid=""))).events
    assert kind_of(answer) != "eventRefused", answer


def heard(stream: Stream, kind: str = "userIsTyping") -> list[pb.Event]:
    """Since it was last looked at, of that kind."""
    frames = [pb.Event.from_binary(frame) for frame in stream.answer.messages[stream._taken :]]
    stream._taken = len(stream.answer.messages)
    return [frame for frame in frames if kind_of(frame) == kind]


def typists(stream: Stream) -> list[tuple[str, bool]]:
    return [(value_of(frame).userUuid, value_of(frame).ttlMs > 0) for frame in heard(stream)]


@asynccontextmanager
async def caught_up(*devices: Device, **request: object) -> AsyncIterator[list[Stream]]:
    async with AsyncExitStack() as streams:
        opened = [await streams.enter_async_context(each.listening(**request)) for each in devices]
        for stream in opened:
            await stream.until("caughtUp")
        yield opened


@simulated
async def test_typing_is_shown_to_the_other_members_and_the_other_devices_of_who_types(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob, cat = (door.device(name) for name in ("ann", "bob", "cat"))
        tablet = door.device("ann", "tablet")
        room = await conversation(ann, bob)
        await conversation(ann, cat)
        async with caught_up(ann, tablet, bob, cat) as (own, other, member, stranger):
            await type_in(ann, room)
            await trio.sleep(SOON_S)
            assert typists(member) == typists(other) == [(uuid(ann), True)]
            assert typists(own) == typists(stranger) == []


@simulated
async def test_who_is_in_no_such_conversation_is_not_shown_to_type_in_it(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob, eve = (door.device(name) for name in ("ann", "bob", "eve"))
        room = await conversation(ann, bob, eve)
        left = pb.MemberLeft(conversationUuid=room, userUuid=uuid(eve))
        await eve.one(left, conversationUuid=room)
        async with caught_up(ann, eve) as (member, stranger):
            await type_in(eve, room)
            await type_in(eve, text_of(b"n" * 16))
            await type_in(bob, room)
            await trio.sleep(SOON_S)
            assert typists(member) == [(uuid(bob), True)]
            assert typists(stranger) == []


@simulated
async def test_who_leaves_while_listening_is_not_shown_any_more_who_types(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, eve = door.device("ann"), door.device("eve")
        room = await conversation(ann, eve)
        async with caught_up(eve) as (stream,):
            await type_in(ann, room)
            await trio.sleep(SOON_S)
            assert len(typists(stream)) == 1
            left = pb.MemberLeft(conversationUuid=room, userUuid=uuid(eve))
            await eve.one(left, conversationUuid=room)
            await trio.sleep(TYPING_S)
            await type_in(ann, room)
            await trio.sleep(SOON_S)
            assert typists(stream) == []


@simulated
async def test_a_device_may_name_the_conversation_by_its_own_uuid_of_it(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        for device in (ann, bob):
            await device.sync()
        created = ann.event(pb.ConversationCreated(members=[pb.User(name="bob")]))
        (answer,) = (await ann.sync(created)).events
        async with caught_up(bob) as (stream,):
            await type_in(ann, created.uuid)
            await trio.sleep(SOON_S)
            (frame,) = heard(stream)
            assert value_of(frame).conversationUuid == answer.uuid


@simulated
async def test_typing_is_told_with_the_time_that_it_has_left_and_ends_by_itself(
    world: World, tmp_path: Path
) -> None:
    """ "Transitory state that never ends": nobody is relied upon to say that it is over."""
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        await type_in(ann, room)
        await trio.sleep(SOON_S)
        for waited_s in (4, 4):
            await trio.sleep(waited_s)
            async with caught_up(bob) as (late,):
                await trio.sleep(0.5)
                frames = heard(late)
                assert [kind_of(frame) for frame in frames] == ["userIsTyping"]
                assert 0 < value_of(frames[0]).ttlMs <= 1_000 * (TYPING_S - waited_s)
        await trio.sleep(TYPING_S)
        async with caught_up(bob) as (later,):
            await trio.sleep(SOON_S)
            assert typists(later) == []


@simulated
async def test_typing_is_over_when_its_device_says_so_and_when_that_has_gone(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob, cat = (door.device(name) for name in ("ann", "bob", "cat"))
        room = await conversation(ann, bob, cat)
        async with caught_up(cat) as (stream,):
            async with caught_up(bob):
                await type_in(ann, room)
                await type_in(bob, room)
                await trio.sleep(MERGED_S)
                await type_in(ann, room, is_over=True)
                await trio.sleep(SOON_S)
                assert typists(stream) == [
                    (uuid(ann), True),
                    (uuid(bob), True),
                    (uuid(ann), False),
                ]
            await trio.sleep(SOON_S)
            assert typists(stream) == [(uuid(bob), False)]


@simulated
async def test_a_message_ends_the_typing_of_its_author_without_a_word(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        async with caught_up(bob) as (stream,):
            await type_in(ann, room)
            await ann.one(message(room))
            await trio.sleep(MERGED_S)
            assert typists(stream) == [], "it was told after the message had come"
            await type_in(ann, room)
            await trio.sleep(SOON_S)
            await ann.one(message(room))
            async with caught_up(door.device("bob", "tablet")) as (later,):
                await trio.sleep(SOON_S)
                assert typists(later) == []
            assert typists(stream) == [(uuid(ann), True)]


@simulated
async def test_what_a_device_says_of_one_conversation_is_told_once_in_three_seconds(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        async with caught_up(bob) as (stream,):
            for _ in range(30):
                await type_in(ann, room)
                await trio.sleep(0.3)
            await type_in(ann, room, is_over=True)
            await trio.sleep(MERGED_S + SOON_S)
            told = typists(stream)
            assert 3 <= len(told) <= 5
            assert told[-1] == (uuid(ann), False)


@simulated
async def test_a_device_that_nobody_looks_at_is_told_nothing_of_it(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob, cat = (door.device(name) for name in ("ann", "bob", "cat"))
        room = await conversation(ann, bob, cat)
        async with caught_up(bob, inactive=True) as (still,), caught_up(cat) as (active,):
            await type_in(ann, room)
            await trio.sleep(CONNECTED_S)
            assert typists(active) == [(uuid(ann), True)]
            assert typists(still) == []
            assert heard(active, "userIsConnected") == [], "bob counts as connected"


@simulated
async def test_a_user_is_connected_as_long_as_a_stream_lives_for_those_in_its_conversations(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob, eve = (door.device(name) for name in ("ann", "bob", "eve"))
        await conversation(ann, bob)
        await eve.sync()
        async with caught_up(bob, eve) as (stream, stranger):
            async with caught_up(ann) as (own,):
                await trio.sleep(SOON_S)
                (frame,) = heard(own, "userIsConnected")
                assert value_of(frame).userUuid == uuid(bob)
                assert 1_000 * (CONNECTED_S - 5) < value_of(frame).ttlMs <= 1_000 * CONNECTED_S
                await trio.sleep(3 * RENEW_S)
                connected = heard(stream, "userIsConnected")
                assert [value_of(frame).userUuid for frame in connected] == [uuid(ann)] * 4
            await trio.sleep(CONNECTED_S + 2 * RENEW_S)
            assert heard(stream, "userIsConnected") == []
            async with caught_up(door.device("bob", "tablet")) as (late,):
                await trio.sleep(SOON_S)
                assert heard(late, "userIsConnected") == [], "ann has been away for long"
            assert heard(stranger, "userIsConnected") == []


@simulated
async def test_who_comes_into_a_conversation_is_told_who_of_it_is_connected(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann)
        await bob.sync()
        async with caught_up(ann, bob) as (hers, his):
            await trio.sleep(SOON_S)
            added = pb.MemberJoined(conversationUuid=room, user=pb.User(name="bob"))
            await ann.one(added, conversationUuid=room)
            await trio.sleep(SOON_S)
            (frame,) = heard(his, "userIsConnected")
            assert value_of(frame).userUuid == uuid(ann)
            (frame,) = heard(hers, "userIsConnected")
            assert value_of(frame).userUuid == uuid(bob), "at once, and not with the next lease"


@simulated
async def test_who_is_in_a_new_conversation_is_told_at_once_who_of_it_is_connected(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        await ann.sync()
        await bob.sync()
        async with caught_up(ann, bob) as (hers, his):
            await trio.sleep(SOON_S)
            await conversation(ann, bob)
            await trio.sleep(SOON_S)
            for stream, other in ((hers, bob), (his, ann)):
                (frame,) = heard(stream, "userIsConnected")
                assert value_of(frame).userUuid == uuid(other)


def delivered(stream: Stream) -> list[tuple[str, int]]:
    return [(frame.authorUuid, value_of(frame).seq) for frame in heard(stream, "deliveredUpTo")]


@simulated
async def test_delivered_comes_of_the_tokens_of_what_devices_have_stored(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        async with caught_up(ann, bob) as (hers, his):
            await ann.sync(*[ann.event(message(room, f"{number}")) for number in range(3)])
            frames = await his.until("newMessage")
            frames += await his.until("newMessage")
            await trio.sleep(SOON_S)
            assert delivered(hers) == [], "nobody has said so yet"
            await bob.sync(token=frames[-1].resumeToken)
            await trio.sleep(SOON_S)
            assert delivered(hers) == [(uuid(bob), 3)]
            await bob.sync(token=frames[-1].resumeToken)
            await trio.sleep(COALESCED_S + SOON_S)
            assert delivered(hers) == [], "nothing new"
        rows = await places(door, bob)
        assert rows == [frames_place(door, frames[-1].resumeToken)]


@simulated
async def test_a_stream_that_begins_says_what_its_device_has(world: World, tmp_path: Path) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        await ann.one(message(room))
        token = (await bob.caught_up())[-1].resumeToken
        async with caught_up(ann) as (hers,):
            await bob.caught_up(resumeToken=token)
            await trio.sleep(SOON_S)
            assert delivered(hers) == [(uuid(bob), 2)]


@simulated
async def test_what_devices_say_within_five_seconds_is_one_event_for_each_conversation(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room, other = await conversation(ann, bob), await conversation(ann, bob)
        async with caught_up(ann) as (hers,):
            for _ in range(10):
                await ann.sync(ann.event(message(room)), ann.event(message(other)))
                phone, tablet = bob, door.device("bob", "tablet")
                for device in (phone, tablet):
                    token = (await device.caught_up())[-1].resumeToken
                    await device.sync(token=token)
                await trio.sleep(0.5)
            await trio.sleep(COALESCED_S + SOON_S)
            told = heard(hers, "deliveredUpTo")
            for each in (room, other):
                seqs = [value_of(f).seq for f in told if f.conversationUuid == each]
                assert 2 <= len(seqs) <= 3
                assert seqs == sorted(seqs)
                assert seqs[-1] == 11


@simulated
async def test_delivered_never_goes_back_however_far_behind_another_device_is(
    world: World, tmp_path: Path
) -> None:
    """ "Read markers that go backwards": the stalest device pulls no line back."""
    async with door_at(tmp_path, world) as door:
        ann, bob, tablet = door.device("ann"), door.device("bob"), door.device("bob", "tablet")
        room = await conversation(ann, bob)
        await ann.one(message(room))
        old = (await tablet.caught_up())[-1].resumeToken
        await ann.one(message(room))
        new = (await bob.caught_up())[-1].resumeToken
        async with caught_up(ann) as (hers,):
            await bob.sync(token=new)
            await trio.sleep(COALESCED_S + SOON_S)
            await tablet.sync(token=old)
            await bob.sync(token=old)
            await trio.sleep(COALESCED_S + SOON_S)
            assert delivered(hers) == [(uuid(bob), 3)]
        assert await places(door, bob) == [frames_place(door, new)]
        assert await places(door, tablet) == [frames_place(door, old)]


@simulated
async def test_what_a_user_wrote_itself_is_not_delivered_to_it(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        await bob.one(message(room))
        await ann.one(message(room))
        token = (await ann.caught_up())[-1].resumeToken
        async with caught_up(bob) as (his,):
            await ann.sync(token=token)
            await trio.sleep(SOON_S)
            assert delivered(his) == [(uuid(ann), 2)], "up to what bob wrote"


async def places(door: Door, device: Device) -> list[object]:
    """Up to where its row says that it has everything."""
    rows = await door.node.store.read(lambda reader: reader.rows(DEVICE_PLACE, [(device.id,)]))
    return [row[1] for row in rows.values() if row is not None]


def frames_place(door: Door, token: str) -> int | None:
    return door.clients.reading.place_of(token)
