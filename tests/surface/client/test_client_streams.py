"""A device and its host over a network that comes and goes: what is asked in which order, and that
nothing is lost or doubled whatever comes first."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from postbox.client import Displaced, State
from postbox.client.core.copies import COPY_S
from postbox.client.transport.open import Kind
from support.library_host import STREAM, SYNC, Gate
from support.library_phone import Phone, Street, heard, in_street, until

TRANSPORTS: list[Kind] = ["connect", "grpc"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@in_street
async def test_what_is_said_offline_arrives_in_order_when_there_is_a_network(
    street: Street, transport: Kind
) -> None:
    ann, bob = street.off("ann", transport=transport), await street.phone("bob")
    ann.lose_network()
    await ann.switch_on()
    room = await ann.client.create("lunch", ["bob"])
    for text in ("one", "two", "three"):
        sent = await ann.client.send(room, text)
        assert (sent.state, sent.text, sent.uuid) == (State.SENDING, text, "")
    assert [found.name for found in await ann.client.conversations()] == ["lunch"]
    assert await ann.texts(room) == ["one", "two", "three"]
    ann.find_network()
    theirs = await bob.only_room()
    await bob.shows(theirs, "one", "two", "three")
    await ann.client.drained()
    await until(ann.is_settled)
    assert await ann.texts(room) == ["one", "two", "three"]
    assert State.SENDING not in await ann.states(room)
    assert (await ann.only_room()).uuid == theirs.uuid
    assert {found.key for found in await ann.client.conversations()} == {room.key}


@pytest.mark.parametrize("transport", TRANSPORTS)
@in_street
async def test_each_connection_asks_for_a_stream_from_the_last_uuid_before_the_queue_is_sent(
    street: Street, transport: Kind
) -> None:
    """Cut and counted: one SyncFromServer each time, and nothing before it."""
    ann, bob = await street.phone("ann", transport=transport), await street.phone("bob")
    room, expected = await street.room(ann, bob), []
    await until(ann.is_settled)
    for cut in range(5):
        ann.lose_network()
        await bob.client.send(room, f"missed {cut}")
        await bob.client.drained()
        await ann.client.send(room, f"queued {cut}")
        expected += [f"missed {cut}", f"queued {cut}"]
        was, asked = await ann.place(), len(street.host.asked_by(ann.token))
        assert was.uuid
        ann.find_network()
        await ann.shows(room, *expected)
        mine = street.host.asked_by(ann.token)[asked:]
        assert mine[0].path == STREAM
        assert mine[0].place == (was.uuid, was.token)
        assert [each.path for each in mine].count(STREAM) == 1
        assert mine[1].path == SYNC
    await bob.shows(room, *expected)


@in_street
async def test_the_stream_may_bring_an_event_before_its_answer(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    gate = Gate()
    street.host.wishes[SYNC] = [gate.answers_later]
    sent = await ann.client.send(room, "hello")
    await gate.arrived.wait()
    await until(ann.is_settled)
    await once(ann, room, sent.key)
    gate.is_open.set()
    await ann.client.send(room, "again")  # goes behind the answer
    await ann.client.drained()
    await until(ann.is_settled)
    await ann.shows(room, "hello", "again")
    await bob.shows(room, "hello", "again")
    await once(ann, room, sent.key)


@in_street
async def test_the_answer_may_come_before_the_stream_brings_the_event(street: Street) -> None:
    ann, bob = street.off("ann"), await street.phone("bob")
    await until(bob.is_live)
    gate = Gate()
    street.host.wishes[STREAM] = [gate.goes_on_later]
    await ann.switch_on()
    room = await street.room(ann, bob)
    await until(ann.is_settled)
    gate.arrived.set()  # from now on its stream stands still
    sent = await ann.client.send(room, "hello")
    await ann.client.drained()
    [queued] = await ann.client.queue()
    assert queued.standing.name == "SENT"
    [message] = await ann.client.messages(room)
    assert (message.key, message.state, message.seq) == (sent.key, State.SENT, 0)
    assert message.uuid
    await bob.shows(room, "hello")
    gate.is_open.set()
    await until(ann.is_settled)
    await once(ann, room, sent.key)


async def once(phone: Phone, room: str, key: str) -> None:
    """That message is there once, under its old name, and was stored."""
    [message] = [found for found in await phone.client.messages(room) if found.key == key]
    assert message.state is not State.SENDING
    assert message.seq > 0
    again = await phone.client.message(message.uuid)
    assert again is not None
    assert again.key == key


@pytest.mark.parametrize("transport", TRANSPORTS)
@in_street
async def test_an_answer_that_is_lost_costs_nothing(street: Street, transport: Kind) -> None:
    ann, bob = await street.phone("ann", transport=transport), await street.phone("bob")
    room = await street.room(ann, bob)

    async def lost(app: Any, scope: Any, receive: Any, send: Any) -> None:
        async def cut(event: Any) -> None:
            ann.lose_network()

        await app(scope, receive, cut)

    for number in range(3):
        street.host.wishes[SYNC] = [lost]
        await ann.client.send(room, f"message {number}")
        await until(lambda: not street.host.wishes[SYNC] and not ann.is_live())
        ann.find_network()
        await ann.client.drained()
    await until(ann.is_settled)
    expected = [f"message {number}" for number in range(3)]
    await bob.shows(room, *expected)
    assert await ann.texts(room) == expected


@in_street
async def test_a_restarting_host_is_asked_again_when_it_said_and_the_queue_goes_on(
    street: Street,
) -> None:
    phones = [await street.phone(name) for name in ("ann", "bob", "cid", "dan")]
    room = await street.room(*phones)
    await until(lambda: all(phone.is_live() for phone in phones))
    await street.host.stop()
    for number, phone in enumerate(phones):
        assert phone.client.status.connection == "offline"
        assert phone.client.status.why == "RESTARTING"
        assert phone.client.status.next_s is not None
        await phone.client.send(room, f"meanwhile {number}")
    whens = {phone.client.status.next_s for phone in phones}
    assert len(whens) == 4, "they come back one by one"
    asked = len(street.host.asked)
    await street.host.start()
    for phone in phones:
        await phone.client.drained()
    assert [each.path for each in street.host.asked[asked:]].count(STREAM) == 4
    for phone in phones:
        await until(phone.is_settled)
        assert sorted(await phone.texts(room)) == [f"meanwhile {n}" for n in range(4)]
    assert len({tuple(await phone.texts(room)) for phone in phones}) == 1


@in_street
async def test_a_request_of_its_own_that_comes_late_costs_a_device_a_pause(street: Street) -> None:
    """A proxy held it back while its process was killed and came again."""
    ann = await street.phone("ann")
    for _ in range(3):
        await until(ann.is_live)
        late = await street.phone("ann")
        await until(lambda: ann.client.status.why == "DISPLACED")
        assert "take_over" not in ann.client.status.text, "it comes back by itself"
        await late.switch_off()
        await ann.client.create("meanwhile")
        await ann.client.drained()
        assert await until(ann.is_live) < 5
        await trio.sleep(COPY_S + 1)


@in_street
async def test_of_two_copies_of_a_device_one_stops_until_it_is_told_to_take_over(
    street: Street,
) -> None:
    ann = await street.phone("ann")
    await until(ann.is_live)
    twin = await street.phone("ann")  # the same device, on a copy of nothing
    await one_stops(street, ann, twin, streams=4)  # each has gone on once
    await ann.client.create("kept")
    ann.client.take_over()
    await one_stops(street, twin, ann, streams=5)
    await ann.client.drained()
    await trio.sleep(COPY_S + 1)
    twin.client.take_over()
    await one_stops(street, ann, twin, streams=8)


async def one_stops(street: Street, stops: Phone, lives: Phone, streams: int) -> None:
    await until(lambda: stops.client.status.connection == "displaced")
    await until(lives.is_live)
    await trio.sleep(COPY_S / 4)
    assert stops.client.status.connection == "displaced"
    assert "take_over" in stops.client.status.text
    assert lives.is_live()
    assert len(street.host.asked_for(STREAM)) == streams
    with pytest.raises(Displaced):
        await stops.client.caught_up()


@in_street
async def test_nobody_is_hurried_and_nothing_is_lost_while_the_host_is_down(
    street: Street,
) -> None:
    ann = await street.phone("ann")
    await until(ann.is_live)
    await street.host.crash()
    await ann.client.create("room")
    with heard(ann) as told:
        await trio.sleep(3_600)
    tries = [status for status in told if status == "connecting"]
    assert 3_600 / 60 < len(tries) < 3_600 / 10
    await street.host.start()
    ann.client.network_up()
    assert await until(ann.is_settled) < 5
