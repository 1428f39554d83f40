"""How other chat systems lose, double and hold up what users send, and that this one does not.

Each story was told of a system in use; those of what comes down are told in
tests/contract/test_clients_failure_stories.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from postbox.clients.tables import MAX_REFUSED
from postbox.home import DATABASE
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_door import (
    Device,
    Door,
    Refused,
    conversation,
    door_at,
    kind_of,
    message,
    value_of,
)


def moved(device: Device, door: Door) -> Device:
    """The same device at the same host, which has started again."""
    return Device(door, device.user, device.name, device.token, device.made)


async def texts(device: Device, room: str) -> list[str]:
    """What was said, in its order."""
    events = (await device.history(room, limit=200)).events
    return [value_of(event).message.text for event in events if kind_of(event) == "newMessage"]


def code_of(answer: pb.Event) -> str:
    return str(value_of(answer).code) if kind_of(answer) == "eventRefused" else ""


async def test_a_message_that_is_sent_again_a_week_later_is_stored_once(tmp_path: Path) -> None:
    """zulip-mobile#3584: re-sent nearly a week later, and there twice; mattermost and matrix
    remember what they were sent for 30 seconds and for a day."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        event = ann.event(message(room, "once"))
        [first] = (await ann.sync(event)).events
        for number in range(100):
            await ann.one(message(room, str(number)))
    async with door_at(tmp_path) as door:
        ann = moved(ann, door)
        [again] = (await ann.sync(event)).events
        assert again.duplicate
        assert (again.uuid, value_of(again).uuid) == (first.uuid, first.uuid)
        page = await ann.history(room, before=10)
        assert [one.uuid for one in page.events].count(first.uuid) == 1


async def test_a_later_message_never_overtakes_one_that_was_lost(tmp_path: Path) -> None:
    """element-web#1502: the message behind one that failed was sent, and stood before it."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        lost, later = (ann.event(message(room, text)) for text in ("first", "second"))
        with pytest.raises(Refused, match="QUEUE_HOLE") as hole:
            await ann.sync(later, first=2)
        assert hole.value.metadata["postbox-next-queue-number"] == "1"
        assert await texts(ann, room) == []
        await ann.sync(lost, later, first=1)
        assert await texts(ann, room) == ["first", "second"]


async def test_what_is_refused_at_the_head_of_a_queue_is_settled(tmp_path: Path) -> None:
    """Replicache, reflect: a mutation that is invalid is sent for ever, and all behind it waits."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        queue = [
            ann.event(message("", "nowhere")),
            ann.event(message(room, "x" * 70_000)),
            ann.event(pb.MessageDeleted(uuid=room)),
            ann.event(message(room, "said")),
        ]
        for is_again in (False, True):
            answer = await ann.sync(*queue, first=1)
            codes = [code_of(each) for each in answer.events]
            assert codes == ["INVALID", "TOO_LARGE", "UNKNOWN_TARGET", ""]
            assert answer.nextQueueNumber == 5
            assert answer.events[3].duplicate is is_again
        assert await texts(ann, room) == ["said"]


async def test_who_is_not_let_in_or_sends_too_fast_loses_nothing_of_the_queue(
    tmp_path: Path,
) -> None:
    """hercycle#313: a 401 and a 429 were taken for answers to the events, which were dropped."""
    async with door_at(tmp_path, events_per_second=1, burst=10) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        queue = [ann.event(message(room, str(number))) for number in range(9)]
        good, ann.token = ann.token, "no token"
        with pytest.raises(Refused) as unknown:
            await ann.sync(*queue, first=1)
        assert unknown.value.code == "NO_SESSION"
        ann.token = good
        await ann.sync(*queue, first=1)
        more = [ann.event(message(room, f"more {number}")) for number in range(9)]
        with pytest.raises(Refused) as hasty:
            await ann.sync(*more, first=10)
        assert hasty.value.code == "RATE_LIMITED"
        assert int(hasty.value.metadata["retry-after"]) > 0
    async with door_at(tmp_path) as door:
        answer = await moved(ann, door).sync(*more, first=10)
        assert answer.nextQueueNumber == 19
        assert not any(each.duplicate for each in answer.events)


async def test_the_same_reaction_twice_is_one_and_no_error(tmp_path: Path) -> None:
    """zulip-mobile#3247: the second one met a constraint of the database, and was answered 500."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        said = (await ann.one(message(room))).uuid
        like: Any = pb.ReactionAdded(uuid=said, reaction="+1")
        events = [ann.event(like) for _ in range(3)]
        answers = (await ann.sync(*events)).events
        assert [each.duplicate for each in answers] == [False, True, True]
        assert all(each.uuid for each in answers)
        page = await ann.history(room)
        assert [kind_of(event) for event in page.events].count("reactionAdded") == 1


async def test_a_device_knows_its_own_message_when_the_stream_brings_it_first(
    tmp_path: Path,
) -> None:
    """element-x-ios#939: the local and the remote echo were both shown."""
    async with door_at(tmp_path) as door:
        ann, other = door.device("ann"), door.device("ann", "tablet")
        room = await conversation(ann, other)
        event = ann.event(message(room, "mine"))
        async with ann.listening() as own, other.listening() as others:
            await own.until("caughtUp")
            await others.until("caughtUp")
            [answer] = (await ann.sync(event)).events
            came = (await own.until("newMessage"))[-1]
            seen = (await others.until("newMessage"))[-1]
        assert (came.uuid, came.clientUuid) == (answer.uuid, event.uuid)
        assert value_of(came).coreDataTemporaryUuid == event.uuid
        assert (seen.uuid, seen.clientUuid) == (answer.uuid, "")
        assert value_of(seen).coreDataTemporaryUuid == ""


async def test_a_message_that_refers_to_a_refused_one_is_refused_and_not_lost_in_silence(
    tmp_path: Path,
) -> None:
    """powersync-js#1058: a queue that never drains, since one row refers to what is not there."""
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        created = ann.event(pb.ConversationCreated(members=[pb.User(name="nobody")]))
        queue = [
            created,
            *(ann.event(message(created.uuid, str(n))) for n in range(MAX_REFUSED // 2)),
        ]
        answer = await ann.sync(*queue, first=1)
        codes = [code_of(each) for each in answer.events]
        assert codes == ["UNKNOWN_TARGET"] + ["DEPENDENCY_REFUSED"] * (MAX_REFUSED // 2)
        assert answer.nextQueueNumber == len(queue) + 1


async def test_what_was_acknowledged_and_lost_with_a_restore_can_be_offered_again(
    tmp_path: Path,
) -> None:
    """todo-nextjs#13: on a server that was put back every push was accepted and did nothing."""
    backup = tmp_path / "backup"
    async with door_at(tmp_path) as door:
        ann = door.device("ann")
        room = await conversation(ann)
        kept = ann.event(message(room, "kept"))
        await ann.sync(kept, first=1)
    shutil.copy(tmp_path / DATABASE, backup)
    async with door_at(tmp_path) as door:
        ann = moved(ann, door)
        lost = ann.event(message(room, "lost"))
        [before] = (await ann.sync(lost, first=2)).events
        cursor = (await ann.caught_up())[-1].resumeToken
    shutil.copy(backup, tmp_path / DATABASE)
    async with door_at(tmp_path) as door:
        ann = moved(ann, door)
        begin = (await ann.caught_up(resumeToken=cursor))[0]
        assert value_of(begin).code == "EPOCH_CHANGED"
        assert await texts(ann, room) == ["kept"]
        again = await ann.sync(kept, lost, ann.event(message(room, "new")), first=2)
        assert [each.duplicate for each in again.events] == [True, False, False]
        assert again.events[1].uuid == before.uuid
        assert await texts(ann, room) == ["kept", "lost", "new"]
