"""What an app is told of changes, by the names that it knows things by; and that a client which is
closed says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from postbox.client import Change, Client, Closed, Message, What
from support.library_phone import Street, in_street, until


@asynccontextmanager
async def hearing(client: Client) -> AsyncIterator[list[Change]]:
    """All that it is told in the block, as it comes."""
    told: list[Change] = []
    changes = client.changes()

    async def hear() -> None:
        while True:
            told.append(await anext(changes))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        yield told
        nursery.cancel_scope.cancel()


@in_street
async def test_a_change_says_the_key_of_what_was_made_here_from_its_making_on(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    await until(lambda: ann.is_live() and bob.is_live())
    async with hearing(ann.client) as told:
        room = await ann.client.create("lunch", ["bob"])
        mine = await ann.client.send(room, "Noodles?")
        theirs = await bob.only_room()
        await bob.shows(theirs, "Noodles?")
        await until(ann.is_settled)
        assert Change(What.MESSAGE, room.key, mine.key) in told
        told.clear()
        [heard] = await bob.client.messages(theirs)
        await bob.client.react(heard, "+1")
        reply = await bob.client.send(theirs, "Rice", heard)
        await ann.shows(room, "Noodles?", "Rice")
        bob.client.typing(theirs)
        await until(lambda: ann.hears(room, bob.client.user))  # also of what `create` gave
        await bob.client.rename(theirs, "dinner")
        await until(lambda: is_called(ann.client, room.key, "dinner"))
        answered = await ann.client.messages(room)
        assert {change.conversation for change in told} == {room.key, ""}
        assert {
            Change(What.MESSAGE, room.key, mine.key),
            Change(What.MESSAGE, room.key, answered[1].key),
            Change(What.TYPING, room.key, bob.client.user),
            Change(What.CONVERSATION, room.key),
        } <= {*told}
        assert [(each.conversation, each.reply_to) for each in answered] == [
            (room.key, ""),
            (room.key, mine.key),
        ]
        assert {each.conversation for each in await ann.client.members(room)} == {room.key}
        assert await ann.client.unread() == {room.key: 1}
        assert reply.reply_to == heard.key


@in_street
async def test_what_a_message_answers_has_its_key_from_its_making_on(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    mine = await ann.client.send(room, "Noodles?")
    await bob.shows(room, "Noodles?")
    await until(ann.is_settled)
    theirs = await bob.client.send(room, "Rice")
    await ann.shows(room, "Noodles?", "Rice")
    own, heard = await ann.client.messages(room)
    assert own.key == mine.key != own.uuid
    ann.lose_network()
    elsewhere = "00000000-0000-8000-8000-000000000007"  # the host may have it
    for name, key in [
        (own.uuid, own.key),
        (own.uuid.upper(), own.key),
        (heard.uuid.upper(), heard.key),
        (elsewhere, elsewhere),
        ("", ""),
    ]:
        assert (await ann.client.send(room, "so be it", name)).reply_to == key
    assert theirs.key != heard.key


async def is_called(client: Client, room: str, name: str) -> bool:
    found = await client.conversation(room)
    return found is not None and found.name == name


@in_street
async def test_a_message_that_is_gone_is_named_no_more(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    said = await ann.client.send(room, "oops")
    await bob.shows(room, "oops")
    async with hearing(bob.client) as told:
        await ann.client.delete(said)
        await bob.shows(room)
        await trio.sleep(1)
    assert [change for change in told if change.what is What.MESSAGE] == [
        Change(What.MESSAGE, room),
    ]


@in_street
async def test_a_bot_that_has_much_to_hear_looks_once_for_all(street: Street) -> None:
    ann, bot = await street.phone("ann"), await street.phone("bot")
    room = await street.room(ann, bot)
    shelf, reads = bot.client._shelf, 0
    read = shelf.read

    async def counted(work: object) -> object:
        nonlocal reads
        reads += 1
        return await read(work)  # type: ignore[arg-type]

    heard: list[Message] = []

    async def listen() -> None:
        incoming = bot.client.incoming(only_new=True)
        while True:
            heard.append(await anext(incoming))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.sleep(1)
        vars(shelf)["read"] = counted
        ann.lose_network()
        for number in range(20):
            await ann.client.react(await ann.client.send(room, f"message {number}"), "+1")
        ann.find_network()
        await until(lambda: len(heard) == 20)
        await trio.sleep(1)
        assert reads <= 20 + 10, "one a message, and some for what comes at once"
        nursery.cancel_scope.cancel()


@in_street
async def test_a_client_that_is_closed_says_so_to_who_asks_and_to_who_waits(street: Street) -> None:
    ann, said = street.off("ann"), list[str]()

    async def wait(name: str, client: Client) -> None:
        with pytest.raises(Closed, match="open that again"):
            await getattr(client, name)()
        said.append(name)

    async def listen(client: Client) -> None:
        assert [change async for change in client.changes()]
        assert [message async for message in client.incoming()] == []
        said.append("listened")

    async with trio.open_nursery() as nursery:
        async with ann.opened() as client:
            await client.caught_up()
            room = await client.create("room")
            message = await client.send(room, "hello")
            await client.drained()
            ann.lose_network()
            client.network_up()
            await client.send(room, "kept")
            for name in ("drained", "caught_up"):
                nursery.start_soon(wait, name, client)
            nursery.start_soon(listen, client)
            await trio.sleep(10)
            assert said == []
    assert sorted(said) == ["caught_up", "drained", "listened"]
    assert client.status.connection == "stopped"
    asks = (
        client.conversations,
        lambda: client.messages(room),
        lambda: client.send(room, "too late"),
        lambda: client.delete(message),
        lambda: client.older(room),
        lambda: client.typists(room),
        lambda: client.again(message.key),
        lambda: client.dismiss(message.key),
        client.queue,
        client.drained,
        client.caught_up,
    )
    for ask in asks:
        with pytest.raises(Closed):
            await ask()
    client.network_up()
    client.take_over()
    client.set_active(False)
    client.typing(room)
    client.sign_in(street.host.token("ann", "phone"))
    assert client.status.connection == "stopped"
    assert [change async for change in client.changes()] == []
    ann.find_network()
    async with ann.opened() as client:
        await client.drained()
        assert await client.queue() == []
