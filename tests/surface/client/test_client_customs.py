"""Events of an app's own kinds: as safe, and as visible, as messages."""

from __future__ import annotations

import pytest
import trio

from postbox.client import Change, Custom, NotByItself, State, Unknown, What
from support.library_phone import Phone, Street, in_street, until


async def values(phone: Phone, where: str) -> list[bytes]:
    return [each.value for each in await phone.client.customs.of(where, limit=1_000)]


@in_street
async def test_what_an_app_says_in_its_own_kind_comes_to_the_others_in_order(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    changes, told = bob.client.changes(), set()
    ann.lose_network()
    sent = [await ann.client.customs.send(room, 70 + at, b"%d" % at) for at in range(3)]
    assert {(each.state, each.uuid, each.seq) for each in sent} == {(State.SENDING, "", 0)}
    assert await ann.client.customs.of(room) == sent
    ann.find_network()

    async def has_come() -> bool:
        return await values(bob, room) == [b"0", b"1", b"2"]

    await until(has_come)
    with trio.move_on_after(1):
        async for change in changes:
            told.add((change.what, change.conversation))
    assert (What.CUSTOM, room) in told
    await until(ann.is_settled)
    for phone in (ann, bob):
        found = await phone.client.customs.of(room)
        assert [(each.number, each.state) for each in found] == [
            (70, State.SENT),
            (71, State.SENT),
            (72, State.SENT),
        ]
        assert {each.author for each in found} == {ann.client.user}
    assert [each.key for each in await ann.client.customs.of(room)] == [each.key for each in sent]
    assert await ann.texts(room) == []


@in_street
async def test_what_is_for_the_users_own_devices_comes_to_those_alone(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    tablet = await street.phone("ann", "tablet")
    await street.room(ann, bob)
    await tablet.client.caught_up()
    changes, told = tablet.client.changes(), set[Change]()
    await ann.client.customs.send("", 64, b"dark")
    await ann.client.customs.send("", 64, b"light")

    async def has_come() -> bool:
        return await values(tablet, "") == [b"dark", b"light"]

    await until(has_come)
    with trio.move_on_after(1):
        async for change in changes:
            told.add(change)
    dark, light = await tablet.client.customs.of("")
    assert {Change(What.CUSTOM, "", dark.key), Change(What.CUSTOM, "", light.key)} <= told
    assert Change(What.CONVERSATION) not in told
    await ann.client.drained()
    await until(ann.is_settled)
    assert await values(ann, "") == [b"dark", b"light"]
    assert await values(bob, "") == []


@in_street
async def test_a_conversation_that_waits_to_be_made_has_nothing_of_the_users_own_devices(
    street: Street,
) -> None:
    ann = await street.phone("ann")
    await ann.client.customs.send("", 64, b"dark")
    await until(ann.is_settled)
    ann.lose_network()
    room = await ann.client.create("new")
    assert await ann.client.customs.of(room) == []
    await ann.client.customs.send(room, 64, b"here")
    assert await values(ann, room.key) == [b"here"]
    assert await values(ann, "") == [b"dark"]


@in_street
async def test_a_page_goes_back_over_what_waits_to_what_has_come(street: Street) -> None:
    ann = await street.phone("ann")
    room = (await ann.client.create("notes")).key
    for at in range(7):
        await ann.client.customs.send(room, 64, b"%d" % at)
    await ann.client.drained()
    await until(ann.is_settled)
    ann.lose_network()
    for at in range(7, 12):
        await ann.client.customs.send(room, 64, b"%d" % at)
    found: list[Custom] = []
    while page := await ann.client.customs.of(room, found[0] if found else None, limit=2):
        found = page + found
    assert [each.value for each in found] == [b"%d" % at for at in range(12)]


@in_street
async def test_what_is_refused_or_cannot_be_said_is_told(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    bob.lose_network()
    await ann.client.remove(room, "bob")
    await ann.client.drained()
    late = await bob.client.customs.send(room, 64, b"late")
    for number in (-1, 0, 63, 2**29):
        with pytest.raises(ValueError, match="have the numbers 64 to"):
            await bob.client.customs.send(room, number, b"x")
    with pytest.raises(ValueError, match="at most 65,536"):
        await bob.client.customs.send(room, 64, b"x" * 70_000)
    with pytest.raises(Unknown):
        await bob.client.customs.send("nowhere", 64, b"x")
    with pytest.raises(TypeError, match="value is a bytes"):
        await bob.client.customs.send(room, 64, "text")  # type: ignore[arg-type]
    assert await bob.client.customs.of("nowhere") == []
    bob.find_network()
    await bob.client.drained()
    [refused] = await bob.client.queue()
    assert (refused.local, refused.code) == (late.key, "NOT_A_MEMBER")
    await bob.client.dismiss(late.key)
    assert await bob.client.queue() == []
    alone = await bob.client.create("alone", ["nobody"])
    gone = await bob.client.customs.send(alone, 64, b"gone")
    await bob.client.customs.send(alone, 64, b"said")
    await bob.client.drained()
    await bob.client.dismiss(gone.key)
    assert await bob.client.customs.of(alone, gone) == []  # else who pages on begins anew
    with pytest.raises(NotByItself):
        await bob.client.dismiss(alone.key)
    await bob.client.dismiss(alone.key, whole=True)
    assert await bob.client.queue() == []
