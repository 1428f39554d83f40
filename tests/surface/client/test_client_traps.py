"""What an app does without a second thought, and gets away with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from postbox.client import Incoming, Message, SignInNeeded, State
from postbox.client.store import outbox
from postbox.clients.reading import cursors
from support.library_host import HISTORY, STREAM, SYNC
from support.library_phone import Phone, Street, in_street, until


@in_street
async def test_an_app_that_marks_as_read_whenever_it_is_told_of_a_change_comes_to_rest(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    await ann.client.send(room, "hello")
    await bob.shows(room, "hello")
    told = 0
    with trio.move_on_after(60):
        changes = bob.client.changes()
        await bob.client.read((await bob.client.messages(room))[-1])
        async for _ in changes:
            told += 1
            assert told < 200, "each reading is a change, and each change is a reading"
            await bob.client.read((await bob.client.messages(room))[-1])
    assert len(sent(street, "readNewMessage")) == 1


def sent(street: Street, kind: str) -> list[str]:
    """What the host was asked to store of that kind."""
    return [
        event.uuid
        for asked in street.host.asked_for(SYNC)
        for event in asked.batch.events
        if event.content is not None and event.content.field == kind
    ]


@in_street
async def test_older_messages_come_page_by_page_to_an_app_that_holds_on_to_its_conversation(
    street: Street,
) -> None:
    ann = await street.phone("ann")
    made = await ann.client.create("notes")
    for number in range(130):
        await ann.client.send(made, f"{number}")
    await ann.client.drained()
    tablet = await street.phone("ann", "tablet")
    room = await tablet.only_room()
    pages = 1
    while await tablet.client.older(room, 20):
        pages += 1
        assert pages < 10, "it is told of the same page for ever"
    assert await tablet.texts(room) == [f"{number}" for number in range(130)]


@in_street
async def test_what_is_said_in_a_conversation_that_the_user_leaves_fails_as_a_message(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    uuid = await street.room(ann, bob)
    room = await bob.client.conversation(uuid)
    assert room is not None
    bob.lose_network()
    await bob.client.leave(room)
    sent = await bob.client.send(room, "too late")
    assert (sent.text, sent.state) == ("too late", State.SENDING)
    bob.find_network()
    await bob.client.drained()
    [waiting] = await bob.client.queue()
    assert waiting.code == "NOT_A_MEMBER"


@in_street
async def test_what_was_sent_once_is_returned_even_if_it_was_deleted_since(street: Street) -> None:
    ann = await street.phone("ann")
    room = await ann.client.create("notes")
    sent = await ann.client.send(room, "hello", once="word")
    await ann.client.delete(sent)
    for _ in range(2):
        again = await ann.client.send(room, "hello", once="word")
        assert again.key == sent.key
        await ann.client.drained()
        await until(ann.is_settled)
    assert await ann.texts(room) == []


@in_street
async def test_a_new_bot_that_wants_only_what_is_new_is_not_given_what_its_first_snapshot_brings(
    street: Street,
) -> None:
    ann, old = await street.phone("ann"), await street.phone("bot", "old")
    room = await street.room(ann, old)
    await ann.client.send(room, "said before there was a bot")
    await old.shows(room, "said before there was a bot")
    bot = await street.phone("bot", "new")
    incoming = bot.client.incoming(only_new=True)
    with trio.move_on_after(30) as waited:
        found = await anext(incoming)
        raise AssertionError(found.text)
    assert waited.cancelled_caught
    await ann.client.send(room, "for it")
    assert (await anext(incoming)).text == "for it"


@in_street
async def test_a_status_that_is_live_names_no_time_to_try_again(street: Street) -> None:
    ann = await street.phone("ann")
    await ann.client.caught_up()
    ann.lose_network()
    ann.client.network_up()
    await until(lambda: ann.client.status.connection == "offline")
    assert ann.client.status.next_s is not None
    ann.find_network()
    await until(ann.is_live)
    assert ann.client.status.next_s is None


@in_street
async def test_a_rename_that_was_superseded_can_be_tried_again(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    seen = await bob.client.conversation(room)
    assert seen is not None
    await ann.client.rename(room, "ann's")
    await until(lambda: _is_named(bob, room, "ann's"))
    await bob.client.rename(room, "bob's", based_on=seen.change)
    await bob.client.drained()
    [refused] = await bob.client.queue()
    assert refused.code == "SUPERSEDED"
    await bob.client.again(refused.local)
    await bob.client.drained()
    await until(bob.is_settled)
    await until(lambda: _is_named(ann, room, "bob's"))


async def _is_named(phone: Phone, room: str, name: str) -> bool:
    found = await phone.client.conversation(room)
    return found is not None and found.name == name


@in_street
async def test_a_bot_whose_token_is_of_no_use_any_more_is_told_so(street: Street) -> None:
    ann = await street.phone("ann", token=street.host.token("ann", "phone", days=0.001))
    incoming = ann.client.incoming()
    with trio.fail_after(600), pytest.raises(SignInNeeded):
        await anext(incoming)
    ann.client.sign_in(street.host.token("ann", "phone"))
    bob = await street.phone("bob")
    await bob.client.send(await bob.client.create("room", ["ann"]), "hello")
    assert (await anext(incoming)).text == "hello"


@in_street
async def test_a_stream_that_lasts_does_not_make_the_file_grow_by_all_that_was_ever_sent(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "KEEP_ROWS", 3)
    ann = await street.phone("ann")
    room = await ann.client.create("notes")
    messages = [await ann.client.send(room, f"{number}") for number in range(10)]
    await until(ann.is_settled)
    await trio.sleep(3_600)
    kept = [await ann.client.why(message.key) for message in messages]
    assert [each is not None for each in kept] == [False] * 7 + [True] * 3
    assert len(street.host.asked_for(STREAM)) == 1


@in_street
async def test_a_bot_that_was_down_until_it_needs_a_snapshot_is_given_each_message(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "MOST_BEHIND", 100)
    ann, bot = await street.phone("ann"), await street.phone("bot")
    room = await street.room(ann, bot)
    await ann.client.send(room, "0")
    incoming = bot.client.incoming()
    assert (await anext(incoming)).text == "0"
    await bot.switch_off()
    for number in range(1, 260):
        await ann.client.send(room, f"{number}")
    await ann.client.drained()
    await bot.switch_on()
    with trio.fail_after(600):
        found = [message.text async for message in first(260, bot.client.incoming())]
    assert found == [f"{number}" for number in range(260)]
    assert street.host.asked_for(HISTORY)


async def first(count: int, incoming: Incoming) -> AsyncIterator[Message]:
    for _ in range(count):
        yield await anext(incoming)
