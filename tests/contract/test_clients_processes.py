"""Two processes of a node on one PostgreSQL, and the devices of its users now here, now there."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from postbox.clients.ids import text_of, user_id
from postbox.clients.live.words import Opened, read_message
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Hearing
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.world import World, system_world
from support.client_door import (
    Device,
    Door,
    Refused,
    Stream,
    conversation,
    door_at,
    message,
    until,
    value_of,
)
from support.client_town import Leaving, Phone, open_town
from support.postgres import Server
from support.serving import FixedClock
from support.simulated import simulated
from support.witness import PATIENT_S


@dataclass
class Pair:
    one: Door
    two: Door

    def elsewhere(self, device: Device) -> Device:
        """The same device, as it calls the other process."""
        other = self.two if device.door is self.one else self.one
        return Device(other, device.user, device.name, device.token, made=1_000)


@asynccontextmanager
async def two_processes(
    home: Path, database: str, server: Server, world: World | None = None, **clients: Any
) -> AsyncIterator[Pair]:
    """Both of them hear the other one."""
    async with door_at(home / "one", world, store=database, **clients) as one:
        (home / "two").mkdir()
        shutil.copy(home / "one" / KEY_FILE, home / "two" / KEY_FILE)
        async with door_at(home / "two", world, store=database, **clients) as two:
            with trio.fail_after(PATIENT_S):
                while len(who_hear(server, database)) < 2:  # noqa: ASYNC110  (it has no event)
                    await trio.sleep(0.02)
            yield Pair(one, two)


def who_hear(server: Server, database: str) -> list[int]:
    name = database.split("@/")[1].split("?")[0]
    found = server.run(
        f"select pid from pg_stat_activity where datname = '{name}' and state = 'idle'"
        " and query like 'listen %messages'"
    )
    return [pid for (pid,) in found]


def uuid(device: Device) -> str:
    return text_of(user_id(device.user))


class Telling:
    """Hears what the processes tell each other, in the order in which they hear it."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing

    async def opened(self, device: Device) -> None:
        """Waits until all were told of a stream of this device. Before, the next one may be told
        first, and then that one would be the earlier."""
        with trio.fail_after(PATIENT_S):
            while not self._was_told(device.id):
                await trio.lowlevel.wait_readable(self._hearing.fileno())

    def _was_told(self, device_id: bytes) -> bool:
        messages = [read_message(packed) for packed in self._hearing.take()]
        words = [word for message in messages if message for word in message.words]
        return any(isinstance(word, Opened) and word.device == device_id for word in words)


@asynccontextmanager
async def telling(door: Door) -> AsyncIterator[Telling]:
    with closing(await door.node.store.hear()) as hearing:
        yield Telling(hearing)


async def is_displaced(stream: Stream) -> None:
    with trio.fail_after(PATIENT_S):  # signs of life come all the while
        frame = (await stream.until("goAway"))[-1]
    assert value_of(frame).code == "DISPLACED"
    why = await stream.end()
    assert why is not None
    assert why.code == "DISPLACED"


async def is_alive(stream: Stream, sender: Device, room: str) -> None:
    await sender.one(message(room, "are you there?"))
    await stream.until("newMessage")


async def test_a_stream_in_one_process_ends_the_one_of_its_device_in_another(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    async with two_processes(tmp_path, database, postgres) as pair:
        ann, bob = pair.one.device("ann"), pair.one.device("bob")
        room = await conversation(ann, bob)
        async with telling(pair.one) as told, ann.listening() as first:
            await told.opened(ann)
            async with pair.elsewhere(ann).listening() as second:
                await told.opened(ann)
                await is_displaced(first)
                async with ann.listening() as third:
                    await is_displaced(second)
                    await is_alive(third, bob, room)


async def test_of_two_streams_that_a_device_opens_at_once_exactly_one_lives(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    async with two_processes(tmp_path, database, postgres) as pair:
        ann = pair.one.device("ann")
        await ann.sync()
        async with ann.listening() as first, pair.elsewhere(ann).listening() as second:
            await until(lambda: first.over.is_set() or second.over.is_set())
            await trio.sleep(0.5)  # in which the other one would end, too
            assert first.over.is_set() != second.over.is_set()


async def test_typing_and_presence_are_seen_in_every_process(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    async with two_processes(tmp_path, database, postgres) as pair:
        ann, bob = pair.one.device("ann"), pair.two.device("bob")
        room = await conversation(ann, pair.elsewhere(bob))
        async with bob.listening() as his:
            await his.until("caughtUp")
            async with ann.listening() as hers:
                assert value_of((await hers.until("userIsConnected"))[-1]).userUuid == uuid(bob)
                assert value_of((await his.until("userIsConnected"))[-1]).userUuid == uuid(ann)
                await ann.sync(ann.event(typing(room), conversationUuid=room, uuid=""))
                shown = value_of((await his.until("userIsTyping"))[-1])
                assert (shown.userUuid, shown.ttlMs > 0) == (uuid(ann), True)
            over = value_of((await his.until("userIsTyping"))[-1])
            assert (over.userUuid, over.ttlMs) == (uuid(ann), 0), "her device has gone"


async def test_what_a_device_has_spent_in_one_process_counts_in_the_other(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    """On a clock that stands still: nothing is given back meanwhile."""
    still = replace(system_world(), clock=FixedClock())
    async with two_processes(
        tmp_path, database, postgres, still, events_per_second=1, burst=10
    ) as pair:
        ann, bob = pair.one.device("ann"), pair.two.device("bob")
        room = await conversation(ann, pair.elsewhere(bob))
        async with bob.listening() as his, ann.listening():
            await ann.sync(*[ann.event(message(room)) for _ in range(7)])
            await ann.sync(ann.event(typing(room), conversationUuid=room, uuid=""))
            await his.until("userIsTyping")  # what she has spent was told before it
        there, sent = pair.elsewhere(ann), 0
        while await is_let_in(there, room):
            sent += 1
        assert sent < 3, "it has what it may send twice, once in each process"


def typing(room: str) -> Any:
    return pb.UserIsTyping(conversationUuid=room)


async def is_let_in(device: Device, room: str) -> bool:
    try:
        await device.one(message(room))
    except Refused:
        return False
    return True


async def test_streams_opened_while_a_process_was_cut_off_are_told_of_again(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    """Neither process hears the other when the second stream is opened."""
    async with two_processes(tmp_path, database, postgres) as pair:
        ann, bob = pair.one.device("ann"), pair.two.device("bob")
        room = await conversation(ann, pair.elsewhere(bob))
        async with ann.listening() as first, bob.listening() as his:
            await first.until("caughtUp")
            await his.until("caughtUp")
            await until(lambda: len(pair.one.clients.streams) == 1)
            await trio.sleep(1.5)  # streams opened within a second are not told apart by age
            for pid in who_hear(postgres, database):
                postgres.run(f"select pg_terminate_backend({pid})")
            async with pair.elsewhere(ann).listening() as second:
                await is_displaced(first)
                await is_alive(second, bob, room)


async def test_a_word_from_nobody_is_passed_over(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    async with two_processes(tmp_path, database, postgres) as pair:
        ann, bob = pair.one.device("ann"), pair.two.device("bob")
        await conversation(ann, pair.elsewhere(bob))
        strange = b"\x92\xc4\x08stranger\x92\x93\xa5types\x01\x02\x91\xa7unknown"
        await pair.one.node.store.tell([b"no message", b"", strange])
        async with ann.listening() as hers, bob.listening() as his:
            for stream in (hers, his):
                await stream.until("userIsConnected")


async def test_what_devices_have_is_delivered_whichever_process_they_told(
    database: str, postgres: Server, tmp_path: Path
) -> None:
    async with two_processes(tmp_path, database, postgres) as pair:
        ann, bob = pair.one.device("ann"), pair.two.device("bob")
        room = await conversation(ann, pair.elsewhere(bob))
        await ann.one(message(room))
        async with ann.listening() as hers:
            await hers.until("caughtUp")
            token = (await bob.caught_up())[-1].resumeToken
            await bob.one(message(room))
            await bob.sync(token=token)
            told = (await hers.until("deliveredUpTo"))[-1]
            assert (told.authorUuid, value_of(told).seq) == (uuid(bob), 2)


@simulated
async def test_the_last_word_before_a_leaving_comes_where_the_log_is_known_late(
    world: World, database: str
) -> None:
    """What the device may see is read from the database, which may be ahead of what this process
    has been told of the log. The other one is told nothing before it asks."""
    async with open_town(world, database) as one, open_town(world, database) as other:
        ann, bob = await one.phone("ann"), await one.phone("bob")
        room = await ann.create("club")
        await ann.send(ann.adding(room, bob))
        await bob.sync()
        await other.kernel.tail.catch_up()
        (goodbye,) = await ann.say(room, "goodbye")
        await ann.send(ann.removing(room, bob))
        there, leaving = Phone(other, bob.user, bob.name), Leaving()
        there.model = bob.model
        async with trio.open_nursery() as nursery:
            await nursery.start(there.live, leaving)
            await other.kernel.tail.catch_up()
            await trio.sleep(1)
            leaving.end()
        assert goodbye in there.model.uuids
        assert room not in there.model.state.conversations
