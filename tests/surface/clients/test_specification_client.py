"""A device that is compiled from the specification's block alone, and a node, on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
import trio
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.clients.ids import text_of, user_id
from postbox.rpc.postbox.v1 import clients_pb as pb
from support.client_door import Device, conversation, door_at, kind_of, message, value_of
from support.serving import served
from support.specification_client import (
    SpecificationClient,
    compile_specification,
    found,
    specification_client,
)

P = ParamSpec("P")
T = TypeVar("T")

BOB = text_of(user_id("bob"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60_000)


def uuid(number: int) -> str:
    return f"11111111-1111-4111-8111-{number:012x}"


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The client waits where it is called."""
    return await trio.to_thread.run_sync(partial(work, *args, **kwargs))  # noqa: TID251


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compile_specification(tmp_path_factory.mktemp("specification"))


@dataclass
class Scene:
    """Ann has a device of ours and bob one of the specification's, and they are in one room. That
    bob hears of it takes a name that it was given since: creation is no word of the block."""

    ann: Device
    bob: SpecificationClient
    room: str


@asynccontextmanager
async def scene(home: Path, block: Any) -> AsyncIterator[Scene]:
    async with door_at(home) as door, served(door.app) as here:
        ann, bob = door.device("ann"), door.device("bob", "plain")
        room = await conversation(ann, bob)
        await ann.one(pb.ConversationNameChanged(conversationUuid=room, newName="the room"))
        with specification_client(here.url, bob.token, block) as client:
            yield Scene(ann, client, room)


def test_the_block_has_nothing_that_the_server_reads_otherwise(block: Any) -> None:
    """Every field of every message, by name, number and type."""
    names = {name for name in vars(block) if isinstance(getattr(pb, name, None), type)}
    assert {"Event", "NewMessage", "SubmitEventOutput"} <= names
    for name in names - {"Message_"}:  # what all are made of
        ours = {field.number: field for field in getattr(pb, name).desc().fields}
        for field in getattr(block, name).desc().fields:
            same = ours[field.number]
            assert (field.name, type(field.value)) == (same.name, type(same.value)), name


async def test_what_it_sends_is_stored_once_under_the_uuid_that_it_is_answered(
    tmp_path: Path, block: Any
) -> None:
    async with scene(tmp_path, block) as it:
        event = it.bob.message(uuid(1), it.room, "hello")
        [answer] = await in_thread(it.bob.sync, event)
        assert answer.content.field == "sentNewMessage"
        assert answer.content.value.uuid == answer.uuid
        again, other = await in_thread(
            it.bob.sync, event, it.bob.message(uuid(2), it.room, "and you?")
        )
        assert (again.uuid, again.content.value.uuid) == (answer.uuid, answer.uuid)
        page = await it.ann.history(it.room)
        said = [value_of(one) for one in page.events if kind_of(one) == "newMessage"]
        assert [(one.uuid, one.message.text) for one in said] == [
            (answer.uuid, "hello"),
            (other.uuid, "and you?"),
        ]


async def test_all_that_its_user_does_is_understood(tmp_path: Path, block: Any) -> None:
    async with scene(tmp_path, block) as it:
        said = (await it.ann.one(message(it.room, "hi"))).uuid
        bob, at = it.bob, Timestamp(seconds=1_000_000_000)
        renamed = {"conversationUuid": it.room, "newName": "new", "authorUuid": BOB}
        events = [
            bob.event(uuid(1), "displayNameChanged", userUuid=BOB, newName="Bob"),
            bob.event(uuid(2), "profilePictureChanged", userUuid=BOB, pngImage=PNG),
            bob.event(uuid(3), "conversationNameChanged", **renamed, occuredAt=at),
            bob.event(uuid(4), "readNewMessage", uuid=said),
        ]
        answers = await in_thread(bob.sync, *events)
        assert all(answer.uuid for answer in answers)
        heard = {
            kind_of(one): one
            for frame in await it.ann.caught_up()
            for one in (frame, *frame.events)
        }
        assert value_of(heard["profilePictureChanged"]).pngImage == PNG
        assert value_of(heard["readNewMessage"]).uuid == said
        names = (await it.ann.history(it.room)).events
        _, name = [one for one in names if kind_of(one) == "conversationNameChanged"]
        assert (name.uuid, value_of(name).newName) == (answers[2].uuid, "new")
        assert (name.clientTime, name.authorUuid) == (at, BOB)


async def test_a_refusal_keeps_nothing_behind_it_waiting(tmp_path: Path, block: Any) -> None:
    """It reads as an answer without content: the block has no word for it."""
    async with scene(tmp_path, block) as it:
        nowhere = it.bob.message(uuid(1), uuid(9), "to nobody")
        refused, answer = await in_thread(
            it.bob.sync, nowhere, it.bob.message(uuid(2), it.room, "to all")
        )
        assert refused.content is None
        assert kind_of(pb.Event.from_binary(refused.to_binary())) == "eventRefused"
        assert answer.content.field == "sentNewMessage"


async def test_from_an_empty_request_on_it_is_told_what_is_and_what_comes(
    tmp_path: Path, block: Any
) -> None:
    async with scene(tmp_path, block) as it:
        [own] = await in_thread(it.bob.sync, it.bob.message(uuid(1), it.room, "mine"))
        hers = (await it.ann.one(message(it.room, "hers"))).uuid
        with it.bob.listening() as events:
            name = await in_thread(
                found, events, "conversationNameChanged", conversationUuid=it.room
            )
            assert name.content.value.newName == "the room"
            mine = await in_thread(found, events, "newMessage", uuid=own.uuid)
            assert mine.content.value.coreDataTemporaryUuid == uuid(1)
            others = await in_thread(found, events, "newMessage", uuid=hers)
            assert (others.uuid, others.content.value.coreDataTemporaryUuid) == (hers, "")
            await it.ann.one(pb.ProfilePictureChanged(pngImage=PNG))
            picture = await in_thread(found, events, "profilePictureChanged", pngImage=PNG)
            assert picture.content.value.userUuid == text_of(user_id("ann"))
            [now] = await in_thread(it.bob.sync, it.bob.message(uuid(2), it.room, "now"))
            came = await in_thread(found, events, "newMessage", uuid=now.uuid)
            assert came.content.value.coreDataTemporaryUuid == uuid(2)


async def test_what_it_does_not_know_survives_being_kept(tmp_path: Path, block: Any) -> None:
    """And is there for the release of it that knows more."""
    async with scene(tmp_path, block) as it:
        said = (await it.ann.one(message(it.room, "hi"))).uuid
        with it.bob.listening() as events:
            await in_thread(found, events, "newMessage", uuid=said)
            reacted = (await it.ann.one(pb.ReactionAdded(uuid=said, reaction="+1"))).uuid
            event = await in_thread(_named, events, reacted)
        assert event.content is None
        kept = pb.Event.from_binary(event.to_binary())
        assert value_of(kept) == pb.ReactionAdded(uuid=said, reaction="+1")
        assert kept.conversationSeq == 4


def _named(events: Any, wanted: str) -> Any:
    return next(event for event in events if event.uuid == wanted)
