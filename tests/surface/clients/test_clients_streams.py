"""A device's stream: what comes on it, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

from postbox.clients.identity.callers import STREAMS_OF_DEVICE
from postbox.clients.reading.stream import ALIVE_S
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Revoke
from postbox.clients.serving.streams import SPREAD_MS, Leave, Streams, Why, spread_ms
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import World
from support.client_door import (
    DAY_MS,
    Device,
    Door,
    Refused,
    Stream,
    conversation,
    door_at,
    kind_of,
    message,
    value_of,
)
from support.simulated import simulated

ABORTED, UNAVAILABLE, UNAUTHENTICATED, RESOURCE_EXHAUSTED = 10, 14, 16, 8


async def ended(stream: Stream) -> tuple[pb.GoAway, Refused]:
    """What its last frame says, and the error behind it."""
    last = (await stream.until("goAway"))[-1]
    why = await stream.end()
    assert why is not None
    assert value_of(last).code == why.code or value_of(last).code == "RESTARTING"
    return value_of(last), why


async def test_a_message_comes_to_all_who_listen_and_to_its_sender_with_its_own_uuid(
    tmp_path: Path,
) -> None:
    async with door_at(tmp_path) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        async with bob.listening() as his, ann.listening() as hers:
            for stream in (his, hers):
                await stream.until("caughtUp")
            sent = await ann.one(message(room, "hi"))
            heard = (await his.until("newMessage"))[-1]
            assert (heard.uuid, heard.clientUuid) == (sent.uuid, "")
            assert value_of(heard).message.text == "hi"
            own = (await hers.until("newMessage"))[-1]
            assert (own.uuid, own.clientUuid) == (sent.uuid, sent.clientUuid)


async def test_who_comes_back_with_a_token_is_sent_what_was_missed_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with door_at(tmp_path) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        token = (await bob.caught_up())[-1].resumeToken
        sent = [(await ann.one(message(room, str(at)))).uuid for at in range(3)]
        frames = await bob.caught_up(resumeToken=token)
        assert [frame.uuid for frame in frames[:-1]] == sent
        assert [kind_of(frame) for frame in frames] == ["newMessage"] * 3 + ["caughtUp"]
        packed = await bob.caught_up(resumeToken=token, eventsPerFrame=10)
        assert [event.uuid for event in packed[0].events] == sent


async def test_a_devices_newest_stream_ends_the_one_before(tmp_path: Path) -> None:
    """Nobody tells a server of a stream that broke far away."""
    async with door_at(tmp_path) as door:
        phone, tablet = door.device("ann", "phone"), door.device("ann", "tablet")
        async with phone.listening() as old, tablet.listening() as other:
            await old.until("caughtUp")
            await other.until("caughtUp")
            async with phone.listening() as new:
                await new.until("caughtUp")
                said, why = await ended(old)
                assert (said.code, said.reconnectAfterMs) == ("DISPLACED", 0)
                assert (why.code, why.status) == ("DISPLACED", ABORTED)
                assert len(door.clients.streams) == 2
                for stream in (new, other):
                    assert not stream.over.is_set()


async def test_a_stream_that_only_catches_up_takes_no_other_ones_place(tmp_path: Path) -> None:
    """As what wakes a sleeping app does it."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        async with ann.listening() as stream:
            await stream.until("caughtUp")
            assert kind_of((await ann.caught_up())[-1]) == "caughtUp"
            room = await conversation(ann)
            assert (await stream.next()).conversationUuid == room


@simulated
async def test_a_quiet_stream_has_a_sign_of_life(world: World, tmp_path: Path) -> None:
    async with door_at(tmp_path, world) as door:
        async with door.device("ann").listening() as stream:
            await stream.until("caughtUp")
            begun_s = trio.current_time()
            frame = await stream.next()
            assert kind_of(frame) == "caughtUp"
            assert frame.resumeToken
            assert ALIVE_S <= trio.current_time() - begun_s < ALIVE_S + 1


async def test_a_stopping_node_tells_each_device_when_to_come_back(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door, AsyncExitStack() as open_:
        devices = [door.device("ann", f"device{number}") for number in range(4)]
        streams = [await open_.enter_async_context(device.listening()) for device in devices]
        for stream in streams:
            await stream.until("caughtUp")
        door.clients.end_streams()
        for stream, device in zip(streams, devices, strict=True):
            said, why = await ended(stream)
            assert (said.code, said.reconnectAfterMs) == ("RESTARTING", spread_ms(device.id))
            assert (why.code, why.status) == ("STOPPING", UNAVAILABLE)
        async with devices[0].listening() as late:
            assert (await ended(late))[0].code == "RESTARTING"


def test_devices_come_back_spread_over_half_a_minute() -> None:
    ids = [bytes([first, second]) * 8 for first in range(256) for second in (0, 128)]
    waits = sorted(spread_ms(device) for device in ids)
    assert (waits[0], waits[-1] < SPREAD_MS) == (0, True)
    gaps = [after - before for before, after in pairwise(waits)]
    assert max(gaps) < SPREAD_MS / 400


async def test_a_revoked_device_hears_no_more(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        async with ann.listening() as stream:
            await stream.until("caughtUp")
            await revoke(door, ann)
            said, why = await ended(stream)
            assert (said.code, said.reconnectAfterMs) == ("DEVICE_REVOKED", 0)
            assert (why.code, why.status) == ("DEVICE_REVOKED", UNAUTHENTICATED)
        with pytest.raises(Refused) as refused:
            await ann.sync()
        assert refused.value.code == "DEVICE_REVOKED"


@simulated
async def test_a_stream_does_not_outlive_its_token(world: World, tmp_path: Path) -> None:
    async with door_at(tmp_path, world) as door:
        ann = door.device("ann", days=60_000 / DAY_MS)
        began_s = trio.current_time()
        async with ann.listening() as stream:
            said, why = await ended(stream)
            assert said.code == "TOKEN_EXPIRED"
            assert (why.code, why.status) == ("TOKEN_EXPIRED", UNAUTHENTICATED)
            assert 59 < trio.current_time() - began_s < 61  # and not with the next sign of life
            assert 60 <= trio.current_time() < 60 + ALIVE_S + 1


def unread(app: ASGIFramework) -> ASGIFramework:
    """Its answers are begun, and nobody takes anything of them."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def begin(event: ASGISendEvent) -> None:
            await send(event)
            if event["type"] == "http.response.body":
                await trio.sleep_forever()

        await app(scope, receive, begin)

    return answer


@simulated
async def test_a_device_that_does_not_read_its_streams_is_given_few_and_stops_nobody(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door, AsyncExitStack() as open_:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        token = (await ann.caught_up())[-1].resumeToken
        slow = door.device("ann")
        slow.door = Door(door.node, door.clients, door.metrics, unread(door.app))
        for _ in range(STREAMS_OF_DEVICE):
            stream = await open_.enter_async_context(slow.listening(resumeToken=token))
            await stream.next()
        async with ann.listening() as one_more:
            why = await one_more.end()
            assert why is not None
            assert (why.code, why.status) == ("RATE_LIMITED", RESOURCE_EXHAUSTED)
        async with bob.listening() as stream:
            await stream.until("caughtUp")
            await ann.one(message(room, "hi"))
            assert value_of((await stream.until("newMessage"))[-1]).message.text == "hi"


def test_a_stream_ends_for_the_first_reason_that_it_is_given() -> None:
    streams, opened, closed = Streams(), list[bytes](), list[bytes]()
    streams.listen(opened.append, closed.append)
    with streams.one(b"a" * 16, 0) as first, streams.one(b"b" * 16, 0) as other:
        with streams.one(b"a" * 16, 0) as second:
            assert (first.why, second.why) == (Why.DISPLACED, None)
            streams.end_all()
            assert (first.why, second.why) == (Why.DISPLACED, Why.RESTARTING)
        assert len(streams) == 1
    assert other.why is Why.RESTARTING
    other.end(Why.DEVICE_REVOKED)
    assert other.why is Why.RESTARTING
    assert opened == [b"a" * 16, b"b" * 16, b"a" * 16]
    assert closed == [b"a" * 16, b"b" * 16]
    assert len(streams) == 0


def test_who_waits_for_the_end_of_a_stream_is_woken_also_when_it_came_before() -> None:
    before, after = trio.Event(), trio.Event()
    leave = Leave(b"a" * 16, 0)
    leave.wake(before)
    assert not before.is_set()
    leave.end(Why.DISPLACED)
    leave.wake(after)
    assert before.is_set()
    assert after.is_set()


def revoke(door: Door, device: Device) -> Awaitable[object]:
    draft = DeviceDraft(door.node.world.new_id(), device.user, device.name, Revoke())
    return door.node.admission.submit(DeviceRules(), [draft])
