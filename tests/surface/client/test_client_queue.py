"""What waits to be sent: it says why, nothing blocks it for good, and no answer loses it."""

from __future__ import annotations

import pytest
import trio

from postbox.client import (
    AnotherOwner,
    NotByItself,
    SignInNeeded,
    Standing,
    State,
    Unknown,
    Waits,
    What,
)
from postbox.client.reasons import MEANINGS
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Revoke
from support.client_door import Door
from support.library_host import SYNC
from support.library_phone import Phone, Street, in_street, until


@in_street
async def test_what_is_refused_is_shown_and_blocks_nothing_behind_it(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    bob.lose_network()
    await ann.client.remove(room, "bob")
    await ann.client.drained()
    refused = await bob.client.send(room, "am I still here?")
    edit_of_it = await bob.client.send(room, "and this?")
    await bob.client.edit(edit_of_it, "and that?")
    own = await bob.client.create("my own")
    await bob.client.send(own, "at last")
    bob.find_network()
    await bob.client.drained()
    await until(lambda: has_rows(bob, 3))
    rows = await bob.client.queue()
    assert [row.code for row in rows] == ["NOT_A_MEMBER", "NOT_A_MEMBER", "DEPENDENCY_REFUSED"]
    assert await bob.texts(own) == ["at last"]
    why = await bob.client.why(refused.key)
    assert why is not None
    assert (why.waits_for, why.queued.code) == (Waits.THE_APP, "NOT_A_MEMBER")
    assert why.queued.detail


async def has_rows(phone: Phone, count: int) -> bool:
    return len(await phone.client.queue()) == count


@in_street
async def test_a_message_that_failed_is_dismissed_or_tried_again_as_something_new(
    street: Street,
) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    for each in (ann, bob):
        await until(each.is_settled)
    early = await ann.client.send(room, "early")
    await ann.client.drained()
    await bob.shows(room, "early")
    bob.lose_network()
    reply = await bob.client.send(room, "a reply", early)
    other = await bob.client.send(room, "another", early)
    await ann.client.delete(early)
    await ann.client.drained()
    changes = bob.client.changes()
    bob.find_network()
    await bob.client.drained()
    failed = await bob.client.message(reply.key)
    assert failed is not None
    assert (failed.state, failed.code) == (State.FAILED, "UNKNOWN_TARGET")
    told = set()
    with trio.move_on_after(1):
        async for change in changes:
            told.add(change.what)
    assert {What.QUEUE, What.MESSAGE} <= told
    await bob.client.dismiss(reply.key)
    assert await bob.client.message(reply.key) is None
    again = await bob.client.again(other.key)
    assert again.local == other.key
    waiting = await bob.client.message(other.key)
    assert waiting is not None
    assert (waiting.state, waiting.code) == (State.SENDING, "")
    await ann.shows(room, "another")  # what it answered is gone: it answers nothing
    tried = await bob.client.message(other.key)
    assert tried is not None
    assert (tried.text, tried.reply_to) == ("another", "")
    assert tried.state is not State.FAILED
    for gone in (reply.key, early.uuid, "nonsense"):
        with pytest.raises(Unknown):
            await bob.client.again(gone)
        with pytest.raises(Unknown):
            await bob.client.dismiss(gone)


@in_street
async def test_a_conversation_that_was_refused_is_tried_again_with_all_that_was_made_in_it(
    street: Street,
) -> None:
    ann = await street.phone("ann")
    await until(ann.is_live)
    room = await ann.client.create("lunch", ["bob"])  # whom the host does not know
    first = await ann.client.send(room, "noodles?", once="first")
    await ann.client.edit(first, "Noodles?")
    await ann.client.drained()
    second = await ann.client.send(room, "At noon?")  # by who has not seen yet that it was refused
    await ann.client.drained()
    assert {row.standing for row in await ann.client.queue()} == {Standing.REFUSED}
    with pytest.raises(NotByItself, match="again"):
        await ann.client.again(first.key)
    with pytest.raises(NotByItself, match="2 messages"):
        await ann.client.dismiss(room.key)
    bob = await street.phone("bob")
    await until(bob.is_live)
    again = await ann.client.again(room.key)
    assert again.local == room.key
    assert await ann.states(room) == [State.SENDING] * 2
    third = await ann.client.send(room, "Hello?")
    await ann.client.drained()
    await until(ann.is_settled)
    theirs = await bob.only_room()
    await bob.shows(theirs, "Noodles?", "At noon?", "Hello?")
    [mine] = await ann.client.conversations()
    assert (mine.key, mine.uuid, mine.state) == (room.key, theirs.uuid, State.SENT)
    shown = await ann.client.messages(room)
    assert [each.key for each in shown] == [first.key, second.key, third.key]
    assert (await ann.client.send(room, "noodles?", once="first")).key == first.key


@in_street
async def test_a_conversation_that_was_refused_is_dropped_as_a_whole(street: Street) -> None:
    ann = await street.phone("ann")
    await until(ann.is_live)
    empty = await ann.client.create("empty", ["nobody"])
    room = await ann.client.create("lunch", ["nobody"])
    await ann.client.send(room, "noodles?")
    await ann.client.drained()
    ann.lose_network()
    await ann.client.send(room, "no answer?")
    await ann.client.dismiss(empty.key)
    changes = ann.client.changes()
    await ann.client.dismiss(room.key, whole=True)
    assert (await anext(changes)).what is What.QUEUE
    assert await ann.client.queue() == []
    assert await ann.client.conversations() == []
    ann.find_network()
    await ann.client.create("another")
    await ann.client.drained()


@in_street
async def test_an_unattended_device_drops_all_that_was_refused_long_ago(street: Street) -> None:
    ann = await street.phone("ann")
    kept = await ann.client.create("kept")
    for number in range(2):
        room = await ann.client.create(f"{number}", ["nobody"])
        await ann.client.send(room, "into nothing")
        await ann.client.drained()
        await trio.sleep(3_600)
    changes, told = ann.client.changes(), set()
    assert await ann.client.dismiss_refused(7_200 + 60) == 0
    assert await ann.client.dismiss_refused(3_600 + 60) == 2
    assert [row.code for row in await ann.client.queue()] == [
        "UNKNOWN_TARGET",
        "DEPENDENCY_REFUSED",
    ]
    assert await ann.client.dismiss_refused() == 2
    assert await ann.client.queue() == []
    assert [each.key for each in await ann.client.conversations()] == [kept.key]
    with trio.move_on_after(1):
        async for change in changes:
            told.add(change.what)
    assert {What.QUEUE, What.CONVERSATION} <= told
    assert await ann.client.dismiss_refused(1e300) == 0


@in_street
async def test_the_queue_explains_itself(street: Street) -> None:
    ann = await street.phone("ann")
    room = await ann.client.create("room")
    await ann.client.drained()
    await until(ann.is_settled)
    ann.lose_network()
    await until(lambda: ann.client.status.connection == "offline")
    first, second = [await ann.client.send(room, text) for text in ("first", "second")]
    one, other = await ann.client.why(first.key), await ann.client.why(second.key)
    assert one is not None
    assert other is not None
    assert (one.waits_for, one.ahead) == (Waits.THE_HOST, 0)
    assert (other.waits_for, other.ahead) == (Waits.ITS_TURN, 1)
    assert [row.kind for row in await ann.client.queue()] == ["sendingNewMessage"] * 2
    status = ann.client.status
    assert (status.why, status.connection) == ("UNREACHABLE", "offline")
    assert status.text
    assert status.next_s is not None
    assert 0 < status.next_s - ann.client.now_s() <= 60
    ann.find_network()
    await ann.client.drained()
    await until(ann.is_settled)
    done = await ann.client.why(first.key)
    assert done is not None
    assert done.waits_for is Waits.NOTHING
    assert await ann.client.why("nonsense") is None


@in_street
async def test_an_answer_that_was_no_answer_is_told_to_who_asks_why(street: Street) -> None:
    ann = await street.phone("ann")
    await until(ann.is_live)

    async def busy(app: object, scope: object, receive: object, send: object) -> None:
        start = {"type": "http.response.start", "status": 503, "headers": []}
        await send(start)  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"starting"})  # type: ignore[operator]

    street.host.wishes[SYNC] = [busy] * 3
    room = await ann.client.create("room")
    await until(lambda: was_tried(ann, room.key))
    await ann.client.drained()
    assert street.host.wishes[SYNC] == []
    await until(ann.is_settled)


async def was_tried(phone: Phone, key: str) -> bool:
    why = await phone.client.why(key)
    return why is not None and why.queued.tries > 0 and "503" in why.queued.last_error


async def revoke(door: Door, user: str, device: str) -> None:
    draft = DeviceDraft(door.node.world.new_id(), user, device, Revoke())
    await door.node.admission.submit(DeviceRules(), [draft])


# -- signing in ------------------------------------------------------------------------------------


@in_street
async def test_a_401_keeps_the_queue_and_signing_in_goes_on(street: Street) -> None:
    token = street.host.token("ann", "phone", days=0.01)
    ann, bob = await street.phone("ann", token=token), await street.phone("bob")
    room = await street.room(ann, bob)
    await until(ann.is_settled)
    await trio.sleep(0.02 * 86_400)
    await until(lambda: ann.client.status.connection == "needs sign-in")
    assert ann.client.status.why == "TOKEN_EXPIRED"
    assert "sign_in" in ann.client.status.text
    for text in ("one", "two"):
        await ann.client.send(room, text)
    asked = len(street.host.asked_by(token))
    await trio.sleep(3_600)
    assert len(street.host.asked_by(token)) == asked, "nobody is asked in vain"
    for wait in (ann.client.drained, ann.client.caught_up):
        with pytest.raises(SignInNeeded):
            await wait()
    with pytest.raises(AnotherOwner):
        ann.client.sign_in(street.host.token("bob", "phone"))
    with pytest.raises(ValueError, match="no token"):
        ann.client.sign_in("nonsense")
    assert ann.client.status.connection == "needs sign-in"
    ann.client.sign_in(street.host.token("ann", "phone"))
    await ann.client.drained()
    await bob.shows(room, "one", "two")


@in_street
async def test_a_device_that_was_revoked_keeps_its_queue_and_signs_in_anew(street: Street) -> None:
    ann = await street.phone("ann")
    await until(ann.is_live)
    await trio.sleep(200)  # what is issued a minute before a revocation counts as before it
    await revoke(street.host.door, "ann", "phone")
    await until(lambda: ann.client.status.why == "DEVICE_REVOKED")
    assert ann.client.status.connection == "needs sign-in"
    await ann.client.create("kept")
    await trio.sleep(200)
    ann.client.sign_in(street.host.token("ann", "phone"))
    await ann.client.drained()
    assert [room.name for room in await ann.client.conversations()] == ["kept"]


@in_street
async def test_an_app_that_gives_tokens_is_asked_for_them_and_again_if_it_fails(
    street: Street,
) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked in (2, 4):
            raise ConnectionError("no network")
        return street.host.token("ann", "phone", days=0.01)

    ann = street.off("ann", token=token)
    async with ann.opened() as client:
        assert asked == 1
    async with ann.opened() as client:
        assert client.device == "phone"
        await client.create("made before there is a token")
        await client.drained()
        assert asked == 3
        await trio.sleep(0.02 * 86_400)
        await client.create("made when it is none any more")
        await client.drained()
        assert asked == 5
        assert client.status.is_live


@in_street
async def test_a_device_whose_host_is_stopped_says_so_in_words(street: Street) -> None:
    ann = await street.phone("ann")
    await ann.client.caught_up()
    await street.host.stop()
    await until(lambda: ann.client.status.connection == "offline")
    status = ann.client.status
    assert (status.why, status.text) == ("RESTARTING", MEANINGS["RESTARTING"])
    assert status.next_s is not None


@in_street
async def test_an_app_whose_user_has_to_do_something_says_so(street: Street) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise SignInNeeded("ann has to enter her password")
        return street.host.token("ann", "phone", days=0.01)

    ann = street.off("ann", token=token)
    async with ann.opened() as client:
        await client.caught_up()
        await trio.sleep(0.02 * 86_400)
        await until(lambda: client.status.connection == "needs sign-in")
        assert client.status.text.endswith("ann has to enter her password")
        await client.create("kept")
        with pytest.raises(SignInNeeded, match="password"):
            await client.drained()


@in_street
async def test_a_new_file_needs_a_token_to_know_whose_it_is(street: Street) -> None:
    async def no_token() -> str:
        raise SignInNeeded("not before there is a network")

    ann = street.off("ann", token=no_token)
    with pytest.raises(SignInNeeded, match="not before"):
        async with ann.opened():
            pytest.fail("it opened")
    ann.token = "nonsense"
    with pytest.raises(ValueError, match="no token"):
        async with ann.opened():
            pytest.fail("it opened")

    async def nothing() -> str:
        return ""

    for ann.token in ("", nothing):
        with pytest.raises(SignInNeeded, match="there is none"):
            async with ann.opened():
                pytest.fail("it opened")
    ann.token = street.host.token("ann", "phone")
    async with ann.opened() as client:
        await client.caught_up()


@in_street
async def test_what_the_app_raises_in_its_block_comes_out_as_it_is(street: Street) -> None:
    async def app() -> None:
        async with street.off("ann", transport="grpc").opened() as client:
            await client.caught_up()
            raise KeyError("the app's")

    with pytest.raises(KeyError, match="the app's"):
        await app()


@in_street
async def test_a_file_is_one_devices_and_says_so(street: Street) -> None:
    ann = street.off("ann")
    async with ann.opened():
        pass
    ann.token = street.host.token("bob", "phone")
    with pytest.raises(AnotherOwner, match="file of its own"):
        async with ann.opened():
            pytest.fail("it opened")
    ann.token = street.host.token("ann", "tablet")
    with pytest.raises(AnotherOwner, match="'tablet'"):
        async with ann.opened():
            pytest.fail("it opened")
