"""What went wrong in other people's chats, once each: a device with the client library stands it.

Others of these have files of their own: both orders of answer and stream (`test_client_streams`),
401 (`test_client_queue`), snapshots (`test_client_states`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

from postbox.client import Message, State
from support.client_audit import audit
from support.library_faults import Faults, Fuse
from support.library_host import HISTORY, STREAM, SYNC, Host, Wish, replayed
from support.library_phone import Phone, Street, heard, in_street, said, until

DAY_S = 86_400.0


async def refuses(send: Any, status: int, **headers: str) -> None:
    """The request, in words of HTTP."""
    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": names})
    await send({"type": "http.response.body", "body": b""})


def refusing(status: int, **headers: str) -> Wish:
    async def wish(app: Any, scope: Any, receive: Any, send: Any) -> None:
        await refuses(send, status, **headers)

    return wish


async def talk(street: Street) -> tuple[Phone, Phone, str]:
    """Of Ann and Bob, who know each other's room."""
    ann, bob = await street.phone("ann"), await street.phone("bob")
    await until(bob.is_live)
    room = await street.room(ann, bob)
    await until(ann.is_settled)
    return ann, bob, room


@in_street
async def test_a_live_message_never_moves_the_cursor_over_what_was_missed(street: Street) -> None:
    """XMPP and Mattermost: one live message during the catch-up hid a month."""
    ann, bob, room = await talk(street)
    ann.lose_network()
    missed = [f"missed {number}" for number in range(250)]
    for text in missed:
        await bob.client.send(room, text)
    await bob.client.drained()
    faults = Faults(street.host, count=2)
    street.host.wishes[STREAM] = [faults.breaks_in_the_middle] * 4
    ann.find_network()
    ann.client.network_up()
    live: list[str] = []
    while street.host.wishes[STREAM]:
        live.append(f"live {len(live)}")
        await bob.client.send(room, live[-1])
        await trio.sleep(1)
    await ann.shows(room, *missed, *live)


@in_street
async def test_who_types_moves_no_cursor(street: Street) -> None:
    ann, bob, room = await talk(street)
    here = await ann.client.conversation(room)
    assert here is not None
    was = (await ann.place()).uuid
    bob.client.typing(room)
    await until(lambda: ann.hears(here, bob.client.user))
    assert (await ann.place()).uuid == was


@in_street
async def test_edits_deletions_and_removals_of_the_time_away_are_told(street: Street) -> None:
    """Rocket.Chat: a catch-up by the time of creation misses them; Mattermost lost removals."""
    ann, bob, room = await talk(street)
    other = await bob.client.create("other", ["ann"])
    texts = ("is edited", "is deleted", "stays")
    edited, deleted, _ = [await bob.client.send(room, text) for text in texts]
    await ann.shows(room, *texts)
    await until(lambda: has_rooms(ann, 2))
    ann.lose_network()
    await bob.client.edit(edited, "was edited")
    await bob.client.delete(deleted)
    await bob.client.remove(other, "ann")
    await bob.client.drained()
    ann.find_network()
    await ann.shows(room, "was edited", "stays")
    await until(lambda: has_rooms(ann, 1))


async def has_rooms(phone: Phone, count: int) -> bool:
    return len(await phone.client.conversations()) == count


@in_street
async def test_later_messages_never_overtake_one_that_fails_to_be_sent(street: Street) -> None:
    """Element: what was sent later went through, and stood first."""
    ann, bob, room = await talk(street)
    faults = Faults(street.host)
    street.host.wishes[SYNC] = [faults.is_busy, faults.never_comes, faults.answer_is_lost] * 2
    texts = [f"message {number}" for number in range(8)]
    for text in texts:
        await ann.client.send(room, text)
        await trio.sleep(1)
    await ann.client.drained()
    assert street.host.wishes[SYNC] == []
    await bob.shows(room, *texts)
    (await audit(street.host.door)).check_numbers()


@in_street
async def test_a_message_whose_answer_was_lost_a_week_ago_is_there_once(street: Street) -> None:
    """Zulip: it was sent again nearly a week later, and there twice."""
    ann, bob, room = await talk(street)
    street.host.wishes[SYNC] = [Faults(street.host).answer_is_lost]
    await ann.client.send(room, "once")
    await until(lambda: not street.host.wishes[SYNC])
    await ann.crash()
    await bob.switch_off()
    await street.host.stop()
    await trio.sleep(7 * DAY_S)
    await street.host.start()
    await bob.switch_on()
    await bob.client.send(room, "a week later")
    await bob.client.drained()
    await ann.switch_on()
    await ann.client.drained()
    await ann.shows(room, "once", "a week later")
    await bob.shows(room, "once", "a week later")


@in_street
async def test_a_reaction_that_is_sent_twice_is_one_and_no_error(street: Street) -> None:
    """Zulip: the second one broke a rule of the database, and the queue with it."""
    ann, bob, room = await talk(street)
    message = await ann.client.send(room, "hello")
    faults = Faults(street.host)
    street.host.wishes[SYNC] = [faults.answer_is_late, faults.comes_twice]
    await ann.client.react(message, "+1")
    await ann.client.react(message, "+1")
    await ann.client.drained()
    await until(ann.is_settled)
    await until(lambda: has_reactions(bob, room, ["+1"]))


async def has_reactions(phone: Phone, room: str, reactions: list[str]) -> bool:
    found = await phone.client.messages(room)
    return bool(found) and [each.reaction for each in found[-1].reactions] == reactions


@in_street
async def test_who_is_told_to_slow_down_does_not_ask_in_a_loop(street: Street) -> None:
    """hercycle: 429 was answered by the next request at once, for ever."""
    ann, bob, room = await talk(street)
    street.host.wishes[SYNC] = [refusing(429, retry_after="40")] * 3
    await ann.client.send(room, "patience")
    await trio.sleep(1)
    asked = len(street.host.asked_by(ann.token))
    await trio.sleep(110)
    assert len(street.host.asked_by(ann.token)) - asked <= 2
    await bob.shows(room, "patience")


@in_street
async def test_a_poisoned_message_at_the_head_of_the_queue_is_refused_and_nothing_else(
    street: Street,
) -> None:
    """Replicache, PowerSync: the queue never drained. And an error of the books is none of the
    message's: it is not given up for that."""
    ann, bob, room = await talk(street)
    ann.lose_network()
    for text in ("before", "poison", "behind"):
        await ann.client.send(room, text)
    street.host.wishes[SYNC] = [falls_over_poison(street.host)]
    ann.find_network()
    await ann.client.drained()
    await bob.shows(room, "before", "behind")
    states = {message.text: message.state for message in await ann.client.messages(room)}
    assert states.pop("poison") is State.FAILED
    assert states.keys() == {"before", "behind"}
    [row] = [row for row in await ann.client.queue() if row.code]
    assert row.code == "INVALID"


def falls_over_poison(host: Host) -> Wish:
    """The whole batch that has it: INVALID."""

    async def wish(app: Any, scope: Any, receive: Any, send: Any) -> None:
        host.wishes[SYNC].append(wish)
        body = (await receive())["body"]
        if b"poison" in body:
            await refuses(send, 400, postbox_code="INVALID")
        else:
            await app(scope, replayed(body, receive), send)

    return wish


@pytest.mark.parametrize("status", [400, 404, 500, 502, 503])
@in_street
async def test_no_error_of_whoever_stands_in_between_costs_a_message(
    street: Street, status: int
) -> None:
    ann, bob, room = await talk(street)
    street.host.wishes[SYNC] = [refusing(status)] * 5
    await ann.client.send(room, "kept")
    await until(lambda: not street.host.wishes[SYNC])
    await bob.shows(room, "kept")
    assert await until(ann.is_settled) < 60


@in_street
async def test_a_401_keeps_what_waits(street: Street) -> None:
    """hercycle: a 401 was permanent, and the queue deleted."""
    ann, bob, room = await talk(street)
    street.host.wishes[SYNC] = [refusing(401, postbox_code="NO_SESSION")]
    await ann.client.send(room, "kept")
    await until(lambda: ann.client.status.connection == "needs sign-in")
    [row] = await ann.client.queue()
    assert row.standing.name == "QUEUED"
    ann.client.sign_in(street.host.token("ann", "phone"))
    await bob.shows(room, "kept")


@in_street
async def test_one_who_stopped_typing_without_a_word_types_no_more(street: Street) -> None:
    """Element: somebody typed since 07:40."""
    ann, bob, room = await talk(street)
    here = await ann.client.conversation(room)
    assert here is not None
    bob.client.typing(room)
    await until(lambda: ann.hears(here, bob.client.user))
    await bob.crash()
    assert await until(lambda: ann.hears(here)) < 12


@in_street
async def test_a_read_marker_never_goes_back(street: Street) -> None:
    """tuwunel: the device that was away for longest pulled it back."""
    ann, bob, room = await talk(street)
    tablet = await street.phone("ann", "tablet")
    for number in range(4):
        await bob.client.send(room, f"message {number}")
    for phone in (ann, tablet):
        await until(lambda phone=phone: has_texts(phone, room, 4))
    tablet.lose_network()
    await ann.client.read((await ann.client.messages(room))[-1])
    await ann.client.drained()
    await tablet.client.read((await tablet.client.messages(room))[0])
    tablet.find_network()
    await tablet.client.drained()
    for phone in (ann, tablet):
        await until(lambda phone=phone: has_read_all(phone, room))
    await trio.sleep(60)
    for phone in (ann, tablet):
        assert await has_read_all(phone, room)
        assert await phone.client.unread() == {}


async def has_texts(phone: Phone, room: str, count: int) -> bool:
    return len(await phone.texts(room)) == count


async def has_read_all(phone: Phone, room: str) -> bool:
    found = await phone.client.conversation(room)
    return found is not None and found.read_seq == found.newest_seq and not found.unread


@in_street
async def test_what_was_shown_is_still_there_after_a_crash_wherever_it_hits(
    street: Street,
) -> None:
    """Electric: a crash between showing and flushing left the client ahead of its own store."""
    ann, bob, room = await talk(street)
    expected: list[str] = []
    for steps in range(0, 60, 6):
        expected.append(f"message {steps}")
        fuse = Fuse(ann, steps, ann.die)
        fuse.light()
        shown: list[Message] = []
        await bob.client.send(room, expected[-1])
        with trio.move_on_after(2):
            while ann.is_on:
                shown = await looked(ann, room) or shown
                await trio.sleep(0.001)
        fuse.put_out()
        ann.lose_network()
        await ann.switch_off()
        await ann.switch_on()
        assert (await ann.texts(room))[: len(shown)] == said(shown)
        ann.find_network()
        ann.client.network_up()
        await ann.shows(room, *expected)


async def looked(phone: Phone, room: str) -> list[Message]:
    """Nothing, if the device ends meanwhile."""
    try:
        return await phone.client.messages(room)
    except Exception:
        if phone.is_on:
            raise
        return []


@in_street
async def test_a_host_that_went_back_in_time_takes_and_tells_all_that_is_new(
    street: Street,
) -> None:
    """Replicache: every push was accepted, and every pull said that there is nothing."""
    ann, bob, room = await talk(street)
    backup = street.host.disk.copied()
    for number in range(5):
        await bob.client.send(room, f"lost by the host {number}")
    await until(lambda: has_texts(ann, room, 5))
    await bob.client.drained()
    await street.host.put_back(backup)
    for phone in (ann, bob):
        phone.client.network_up()
    await ann.client.send(room, "new")
    await until(lambda: has_texts(bob, room, 6))
    await until(lambda: has_texts(ann, room, 6))
    assert await ann.texts(room) == await bob.texts(room)
    texts = [text for text in await ann.texts(room) if text != "new"]
    assert texts == [f"lost by the host {number}" for number in range(5)]


@in_street
async def test_an_impossible_cursor_heals_and_is_no_loop(street: Street) -> None:
    """Electric, Synapse: a token from the future, or of nothing, blocked for ever."""
    ann, bob, room = await talk(street)
    await bob.client.send(room, "there")
    await ann.shows(room, "there")
    ann.lose_network()
    forged = "update place set token = 'nonsense', uuid = '00000000-0000-8000-8000-00000000dead'"
    await ann.client._shelf.write(lambda store: store._writer.execute(forged))
    await bob.client.send(room, "missed")
    await bob.client.drained()
    asked = len(street.host.asked_by(ann.token))
    ann.find_network()
    ann.client.network_up()
    await ann.shows(room, "there", "missed")
    mine = [each.path for each in street.host.asked_by(ann.token)[asked:]]
    assert Counter(mine)[STREAM] <= 2


@in_street
async def test_who_is_let_in_later_finds_what_was_said_before(street: Street) -> None:
    """Couchbase, go-foks: the cursor was past the old rows already."""
    ann, bob, room = await talk(street)
    cid = await street.phone("cid")
    await until(cid.is_live)
    for text in ("one", "two"):
        await ann.client.send(room, text)
    await ann.client.drained()
    await ann.client.add(room, "cid", history=True)
    theirs = await cid.only_room()
    while await cid.client.older(await cid.only_room()):
        pass
    await cid.shows(theirs, "one", "two")
    assert len(street.host.asked_for(HISTORY)) < 5
    await bob.client.send(room, "three")
    await cid.shows(theirs, "one", "two", "three")


@in_street
async def test_a_herd_comes_back_spread_over_time(street: Street) -> None:
    """Slack, Zulip: a mass that was cut off came back at once, and the host fell again."""
    phones = [await street.phone(f"user{number}") for number in range(8)]
    for phone in phones:
        await until(phone.is_live)
    with heard(phones[0]) as told:
        await street.host.crash()
        await trio.sleep(30)
    assert told.count("connecting") < 12
    whens = {round(phone.client.status.next_s or 0, 1) for phone in phones}
    assert len(whens) > 5
    await street.host.start()
    for phone in phones:
        assert await until(phone.is_live) < 70
