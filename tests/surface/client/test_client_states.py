"""What a device knows is what the host says: a device that followed comes to what a new one is
told, over restores of the host, too."""

from __future__ import annotations

import trio

from postbox.client import Message, State
from support.client_town import PNG
from support.library_host import SYNC
from support.library_phone import Phone, Street, in_street, until
from support.library_state import differences, seen

OF_THE_APP = b"\x80\x04\x01"  # field 64, a number


async def agrees(street: Street, phone: Phone, number: int = 1) -> None:
    """With a device of the same user that was just taken out of its box."""
    await phone.client.drained()
    await until(phone.is_settled)
    await phone.client.caught_up()
    fresh = await street.phone(phone.user, f"fresh{number}")
    await fresh.client.caught_up()

    async def equal() -> bool:
        return differences(await seen(phone.client), await seen(fresh.client)) == []

    try:
        await until(equal, 60)
    except trio.TooSlowError:
        assert differences(await seen(phone.client), await seen(fresh.client)) == []
    await fresh.switch_off()


@in_street
async def test_a_device_that_followed_shows_what_a_new_one_is_told(street: Street) -> None:
    ann, bob, cid = [await street.phone(name) for name in ("ann", "bob", "cid")]
    room = await street.room(ann, bob, cid)
    first = await ann.client.send(room, "first")
    await ann.client.edit(first, "the first")
    await ann.client.react(first, "+1")
    reply = await bob.client.send(room, "second")
    await bob.shows(room, "the first", "second")
    await bob.client.react((await bob.client.messages(room))[0], "+1")
    answer = await bob.client.send(room, "an answre", reply, extra=OF_THE_APP)
    await bob.client.edit(answer, "an answer")
    gone = await bob.client.send(room, "gone")
    await bob.client.delete(gone)
    await bob.client.set_name("Bob B.")
    await bob.client.set_picture(PNG + b"bob")
    await cid.client.rename(room, "renamed")
    await cid.client.react((await seen_by(cid, room, "second")), "?")
    await cid.client.unreact((await seen_by(cid, room, "second")), "?")
    await ann.client.read(await seen_by(ann, room, "second"))
    reply_uuid = (await seen_by(ann, room, "second")).uuid
    other = await bob.client.create("other", ["ann"])
    await bob.client.send(other, "in the other")
    await bob.client.add(other, "cid", history=True)
    await bob.client.leave(room)
    for number, phone in enumerate((ann, bob, cid)):
        await agrees(street, phone, number)
    answered = await seen_by(ann, room, "an answer")
    assert (answered.extra, answered.reply_to, answered.is_edited) == (OF_THE_APP, reply_uuid, True)
    assert reply.key not in [each.key for each in await bob.client.messages(room)]


async def seen_by(phone: Phone, room: str, text: str) -> Message:
    async def has() -> bool:
        return text in await phone.texts(room)

    await until(has)
    [found] = [each for each in await phone.client.messages(room) if each.text == text]
    return found


@in_street
async def test_a_device_that_was_away_for_long_gets_a_snapshot_that_replaces_all(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room, left = await street.room(ann, bob), await street_room(street, ann, bob)
    await ann.client.send(left, "in what ann leaves")
    await ann.client.drained()
    ann.lose_network()
    pending = await ann.client.send(room, "from the tunnel")
    tablet = await street.phone("ann", "tablet")
    await tablet.client.caught_up()
    await tablet.client.leave(left)
    for number in range(60):
        await bob.client.send(room, f"message {number}")
    await bob.client.drained()
    await forget_place(ann)
    ann.find_network()
    ann.client.network_up()
    await ann.client.drained()
    await until(ann.is_settled)
    assert await ann.client.conversation(left) is None
    assert (await ann.texts(room))[-2:] == ["message 59", "from the tunnel"]
    assert (await ann.client.message(pending.key)) is not None
    await agrees(street, ann)


async def street_room(street: Street, ann: Phone, bob: Phone) -> str:
    made = await ann.client.create("left", ["bob"])
    await ann.client.drained()
    await until(ann.is_settled)
    found = await ann.client.conversation(made.key)
    assert found is not None
    return found.uuid


async def forget_place(phone: Phone) -> None:
    """As if it were out of the host's reach: it is told anew from the beginning."""
    with_place = "update place set token = 'nonsense', uuid = ''"
    await phone.client._shelf.write(lambda store: store._writer.execute(with_place))


@in_street
async def test_what_a_restored_host_still_has_is_not_shown_as_said_just_now(
    street: Street,
) -> None:
    """A snapshot has the last of a conversation; what is older was offered again, and was shown at
    its end until the second `caughtUp`; and a room that the user had left once was hidden."""
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    left = await street_room(street, ann, bob)
    await bob.client.add(left, "ann")
    await bob.client.drained()
    await ann.client.leave(left)
    await ann.client.drained()
    await bob.client.add(left, "ann")
    await until(lambda: is_there(ann, left))
    texts = [f"message {number}" for number in range(120)]
    for text in texts:
        await ann.client.send(room, text)
    await ann.client.drained()
    await until(ann.is_settled)
    backup = street.host.disk.copied()
    await ann.client.send(room, "lost")
    await ann.client.drained()
    await until(ann.is_settled)
    await street.host.put_back(backup)
    ann.client.network_up()
    await until(lambda: ann.is_live() and street.host.asked_by(ann.token)[-1].path == SYNC)
    await ann.client.drained()
    assert await ann.texts(room) == [*texts[-50:], "lost"]
    assert await ann.client.conversation(left) is not None
    assert State.SENDING not in await ann.states(room)
    assert await until(ann.is_settled) < 5


async def is_there(phone: Phone, room: str) -> bool:
    return await phone.client.conversation(room) is not None


@in_street
async def test_after_a_restore_of_the_host_what_was_answered_is_offered_again(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    await ann.client.send(room, "before the backup")
    await ann.client.drained()
    await until(ann.is_settled)
    await bob.shows(room, "before the backup")
    backup = street.host.disk.copied()
    for text in ("one", "two"):
        await ann.client.send(room, text)
    await ann.client.react((await ann.client.messages(room))[0], "+1")
    later = await ann.client.create("made later", ["bob"])
    await ann.client.send(later, "in it")
    await bob.client.send(room, "three")
    for phone in (ann, bob):
        await phone.client.drained()
        await until(phone.is_settled)
    keys = [message.key for message in await ann.client.messages(room)]
    await street.host.put_back(backup)
    for phone in (ann, bob):
        phone.client.network_up()
    await until(lambda: all_read(bob, room, ["before the backup", "one", "two", "three"]))
    for number, phone in enumerate((ann, bob)):
        await agrees(street, phone, number)
        assert State.SENDING not in await phone.states(room)
    assert sorted(message.key for message in await ann.client.messages(room)) == sorted(keys)
    found = await ann.client.conversation(later.key)
    assert found is not None
    assert await bob.texts(found.uuid) == ["in it"]
    [first] = [each for each in await bob.client.messages(room) if each.text == "before the backup"]
    assert [each.reaction for each in first.reactions] == ["+1"]


async def all_read(phone: Phone, room: str, texts: list[str]) -> bool:
    return sorted(await phone.texts(room)) == sorted(texts)


@in_street
async def test_delivered_and_read_are_told_of_own_messages(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    bob.lose_network()
    sent = await ann.client.send(room, "hello")
    await ann.client.drained()
    await until(ann.is_settled)
    assert await ann.states(room) == [State.SENT]
    bob.find_network()
    await bob.shows(room, "hello")
    assert await bob.client.unread() == {room: 1}
    await until(lambda: is_in(ann, room, State.DELIVERED))
    await bob.client.read((await bob.client.messages(room))[0])
    assert await bob.client.unread() == {}
    await until(lambda: is_in(ann, room, State.READ))
    read = await ann.client.message(sent.key)
    assert read is not None
    assert (read.delivered_to, read.read_by, read.others) == (1, 1, 1)


async def is_in(phone: Phone, room: str, state: State) -> bool:
    return await phone.states(room) == [state]
