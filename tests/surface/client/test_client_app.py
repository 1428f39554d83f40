"""What an app builds on: messages to handle, who types, older messages, and calls that are refused
before they are promised."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from postbox.client import CallFailed, Client, State, Unknown, What
from support.library_host import HISTORY
from support.library_phone import Street, in_street, until


async def handled(client: Client, count: int, name: str = "bot") -> list[str]:
    """The texts of the next so many; the last one is not done yet."""
    found: list[str] = []
    async for message in client.incoming(name):
        found.append(message.text)
        if len(found) == count:
            break
    return found


@in_street
async def test_each_message_of_others_is_handled_in_order_and_the_last_one_again_after_a_crash(
    street: Street,
) -> None:
    ann, bot = await street.phone("ann"), await street.phone("bot")
    room = await street.room(ann, bot)
    await bot.client.send(room, "its own")
    for number in range(4):
        await ann.client.send(room, f"message {number}")
    assert await handled(bot.client, 3) == ["message 0", "message 1", "message 2"]
    await bot.crash()
    await ann.client.send(room, "message 4")
    await bot.switch_on()
    assert await handled(bot.client, 3) == ["message 2", "message 3", "message 4"]
    assert await handled(bot.client, 1, "another purpose") == ["message 0"]
    with trio.move_on_after(5) as waited:
        incoming = bot.client.incoming("bot")
        assert (await anext(incoming)).text == "message 4"
        await anext(incoming)
    assert waited.cancelled_caught, "there is no more"
    late = bot.client.incoming("late", only_new=True)
    with trio.move_on_after(5) as waited:
        await anext(late)
    assert waited.cancelled_caught
    await ann.client.send(room, "message 5")
    assert (await anext(late)).text == "message 5"


@in_street
async def test_what_was_being_handled_in_a_conversation_that_was_left_is_not_given_again(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    await until(bob.is_live)
    room = await ann.client.create("lunch", ["bob"])
    await ann.client.add(room, "bob", is_owner=True)
    await ann.client.drained()
    theirs = await bob.only_room()
    for text in ("one", "two"):
        await bob.client.send(theirs, text)
    await ann.shows(room, "one", "two")
    incoming = ann.client.incoming()
    assert (await anext(incoming)).text == "one"
    await ann.client.leave(room)
    await ann.client.drained()
    await until(ann.is_settled)
    with trio.move_on_after(1) as scope:
        await anext(incoming)
    assert scope.cancelled_caught
    await bob.client.add(theirs, "ann", history=True)
    assert (await anext(incoming)).text == "two"


@in_street
async def test_a_bot_that_crashes_between_answering_and_going_on_answers_once(
    street: Street,
) -> None:
    ann, bot = await street.phone("ann"), await street.phone("bot")
    room = await street.room(ann, bot)
    await ann.client.send(room, "hello")
    for life in range(4):
        message = await anext(bot.client.incoming("bot"))
        sent = await bot.client.send(room, "hello yourself", message, once=message.uuid)
        assert sent.text == "hello yourself"
        if life % 2:
            await bot.client.drained()
        await bot.crash()
        await bot.switch_on()
    await bot.client.drained()
    await ann.shows(room, "hello", "hello yourself")
    await bot.shows(room, "hello", "hello yourself")


@in_street
async def test_who_types_and_who_is_connected_is_told_and_ends_by_itself(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    here = await bob.client.conversation(room)
    assert here is not None
    await until(lambda: bob.is_live() and ann.is_live())
    await until(lambda: ann.client.user in bob.client.connected())
    changes, told = bob.client.changes(), set()
    asked = len(street.host.asked_by(ann.token))
    for _ in range(30):
        ann.client.typing(room)
        await trio.sleep(0.1)
    assert await bob.hears(here, ann.client.user)
    assert len(street.host.asked_by(ann.token)) - asked == 1, "told once in 4 s"
    ann.client.stopped_typing(room)
    await until(lambda: bob.hears(here))
    ann.client.typing(room)
    await until(lambda: bob.hears(here, ann.client.user))
    await ann.client.send(room, "done")
    await bob.shows(room, "done")
    assert await bob.hears(here)
    ann.client.typing(room)
    await until(lambda: bob.hears(here, ann.client.user))
    ann.lose_network()
    assert await until(lambda: bob.hears(here)) < 12
    assert await until(lambda: bob.client.connected() == []) < 100
    ann.client.typing(room)
    with trio.move_on_after(1):
        async for change in changes:
            told.add(change.what)
    assert {What.TYPING, What.CONNECTED} <= told


@in_street
async def test_nobody_who_does_not_look_is_seen_or_sent_who_types(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    bob.client.set_active(False)
    await trio.sleep(5)
    await until(bob.is_live)
    assert bob.client.status.is_live
    ann.client.typing(room)
    await trio.sleep(100)
    here = await bob.client.conversation(room)
    assert here is not None
    assert await bob.hears(here)
    assert ann.client.connected() == []
    await ann.client.send(room, "still there?")
    await bob.shows(room, "still there?")
    bob.client.set_active(True)
    await until(lambda: bool(ann.client.connected()))


@in_street
async def test_a_page_that_is_none_is_a_call_that_failed(street: Street) -> None:
    ann = await street.phone("ann")
    room = (await ann.client.create("long")).key
    for number in range(60):
        await ann.client.send(room, f"message {number}")
    await ann.client.drained()
    tablet = await street.phone("ann", "tablet")
    await until(tablet.is_live)
    [here] = await tablet.client.conversations()

    async def nonsense(app: object, scope: object, receive: object, send: Any) -> None:
        headers = [(b"content-type", b"application/proto")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"nonsense"})

    street.host.wishes[HISTORY] = [nonsense]
    with pytest.raises(CallFailed, match="History cannot be read") as failed:
        await tablet.client.older(here)
    assert failed.value.code == "INTERNAL"
    assert await tablet.client.older(here) in (True, False)
    assert len(await tablet.texts(here)) == 60


@in_street
async def test_older_messages_come_from_the_host_page_by_page(street: Street) -> None:
    ann = await street.phone("ann")
    room = await street.room(ann)
    for number in range(130):
        await ann.client.send(room, f"message {number}")
    await ann.client.drained()
    tablet = await street.phone("ann", "tablet")
    await tablet.client.caught_up()
    assert await tablet.texts(room) == [f"message {number}" for number in range(80, 130)]
    assert await tablet.client.older(room)
    assert await tablet.texts(room) == [f"message {number}" for number in range(30, 130)]
    while await tablet.client.older(room):
        pass
    assert await tablet.texts(room) == await ann.texts(room)
    assert len(await tablet.texts(room)) == 130
    found = await tablet.client.conversation(room)
    assert found is not None
    assert not found.has_older
    page = await tablet.client.messages(room, limit=10)
    before = await tablet.client.messages(room, page[0], limit=10)
    assert [each.text for each in before] == [f"message {number}" for number in range(110, 120)]


@in_street
async def test_looking_back_without_a_network_says_so(street: Street) -> None:
    ann = await street.phone("ann")
    room = await street.room(ann)
    for number in range(60):
        await ann.client.send(room, f"message {number}")
    await ann.client.drained()
    tablet = await street.phone("ann", "tablet")
    await tablet.client.caught_up()
    tablet.lose_network()
    with pytest.raises(CallFailed) as failed:
        await tablet.client.older(room)
    assert failed.value.code == "UNREACHABLE"


@in_street
async def test_what_no_host_would_take_is_refused_before_it_is_promised(street: Street) -> None:
    ann = street.off("ann")
    async with ann.opened() as client:
        room = await client.create("room")
        sent = await client.send(room, "hello")
        for wrong in (
            client.create("x" * 257),
            client.create("a\nb"),
            client.create("room", "bob"),
            client.send(room, "x" * 70_000),
            client.react(sent, ""),
            client.set_picture(b"no picture"),
        ):
            with pytest.raises(ValueError):
                await wrong
        for unknown in (
            client.send("nowhere", "hello"),
            client.edit("nothing", "hello"),
            client.read("nothing"),
            client.leave("nowhere"),
        ):
            with pytest.raises(Unknown, match="on this device"):
                await unknown
        assert len(await client.queue()) <= 2


@in_street
async def test_what_is_done_offline_is_seen_at_once(street: Street) -> None:
    ann = await street.phone("ann")
    client = ann.client
    ann.lose_network()
    room = await client.create("lunch", ["bob"])
    first = await client.send(room, "frist")
    await client.edit(first, "first")
    await client.react(first, "+1")
    reply = await client.send(room, "second", first)
    gone = await client.send(room, "gone")
    await client.delete(gone)
    await client.rename(room, "dinner")
    await client.add(room, "cid")
    await client.set_name("Ann A.")
    [shown] = await client.conversations()
    assert (shown.name, shown.state) == ("dinner", State.SENDING)
    one, two = await client.messages(room)
    assert (one.text, one.is_edited, one.is_pending) == ("first", True, True)
    assert [each.reaction for each in one.reactions] == ["+1"]
    assert (two.reply_to, two.key) == (first.key, reply.key)
    profile = await client.profile()
    assert profile is not None
    assert profile.shown == "Ann A."
    assert sorted(each.name for each in await client.members(room)) == ["ann", "bob", "cid"]


@in_street
async def test_of_two_who_change_the_same_the_later_wins_or_is_asked(street: Street) -> None:
    ann, tablet = await street.phone("ann"), await street.phone("ann", "tablet")
    room = await street.room(ann)
    there = await tablet.only_room()
    seen = await ann.client.conversation(room)
    assert seen is not None
    ann.lose_network()
    await tablet.client.rename(there, "from the tablet")
    await tablet.client.drained()
    await ann.client.rename(room, "from the phone", based_on=seen.change)
    ann.find_network()
    await ann.client.drained()
    [row] = await ann.client.queue()
    assert row.code == "SUPERSEDED"
    found = await ann.client.conversation(room)
    assert found is not None
    assert found.name == "from the tablet"
    await ann.client.rename(room, "from the phone")
    await ann.client.drained()

    async def renamed() -> bool:
        found = await tablet.client.conversation(there)
        return found is not None and found.name == "from the phone"

    await until(renamed)
