"""Handlers and the inbox: what is handed over, how often, and in which order; on either engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from postbox.errors import Full
from postbox.hosts.applications.events import Event
from postbox.hosts.applications.handled_types import HandledTypes
from postbox.hosts.applications.handlers import Delivery, Loss
from postbox.hosts.applications.host import Host
from postbox.hosts.applications.inbox import FIRST_RETRY_S, MAX_ATTEMPTS, Inbox
from postbox.hosts.links.retention import Keep, Retention
from postbox.hosts.links.room import Room
from postbox.hosts.tables import in_reader, in_stream
from postbox.rpc.postbox.v1.hosts_pb import GuildJoined
from postbox.store.application import Connection, execute
from postbox.store.contract import Lane, Store, Window
from postbox.world import World
from support.faulty import FaultyStore, When
from support.host_kernel import A, B, C, open_host_kernel
from support.simulated import Fails, over_every_store, simulated

ORDER = "type.googleapis.com/shop.Order"
OTHER = "type.googleapis.com/shop.Other"
ALL_S = 600.0  # more than all attempts take


def order(number: int) -> Event:
    return Event(ORDER, str(number).encode())


class Recording:
    """A handler that notes what it is given, after `fails` said whether it raises."""

    def __init__(self, fails: Callable[[Delivery[bytes]], bool] = lambda delivery: False) -> None:
        self.seen: list[bytes] = []
        self.tried: list[Delivery[bytes]] = []
        self._fails = fails

    async def __call__(self, delivery: Delivery[bytes]) -> None:
        self.tried.append(delivery)
        if self._fails(delivery):
            raise RuntimeError(f"cannot handle {delivery.message!r}")
        self.seen.append(delivery.message)


def host_with(handler: Any) -> Host:
    host = Host()
    host.on(ORDER, handler)
    return host


@over_every_store
@simulated
async def test_each_event_is_handed_over_once_and_in_order(
    world: World, place: str, fails: Fails
) -> None:
    handler = Recording()
    async with open_host_kernel(world, place, fails, host=host_with(handler)) as it:
        await it.arrive(*[order(number) for number in range(250)])
        await it.arrive(*[order(number) for number in range(240, 260)], start=241)
        await trio.sleep(5)
        assert await it.is_idle()
    assert handler.seen == [str(number).encode() for number in range(260)]
    first = handler.tried[0]
    assert (first.host, first.number, first.posted_ms, first.type_url) == (B, 1, 1_001, ORDER)
    assert len({delivery.id for delivery in handler.tried}) == 260


@simulated
async def test_what_is_there_when_the_node_opens_is_handed_over(world: World, place: str) -> None:
    handler = Recording(lambda delivery: True)
    async with open_host_kernel(world, place, host=host_with(handler)) as it:
        await it.arrive(order(1), order(2))
        await trio.sleep(FIRST_RETRY_S / 2)
    assert [delivery.message for delivery in handler.tried] == [b"1"]
    again = Recording()
    async with open_host_kernel(world, place, host=host_with(again)) as it:
        await trio.sleep(FIRST_RETRY_S * 2)
    assert again.seen == [b"1", b"2"]
    assert again.tried[0].id == handler.tried[0].id, "by which a handler knows it again"


@simulated
async def test_types_without_a_handler_are_passed_over_and_stay(world: World, place: str) -> None:
    handler = Recording()
    async with open_host_kernel(world, place, host=host_with(handler)) as it:
        await it.arrive(Event(OTHER, b"\xff"), order(1), Event(OTHER, b""))
        await trio.sleep(1)
        assert await it.is_idle()
        [(count,)] = it.run("select count(*) from entry where stream = ?", b"in/" + B.encode())
        assert count == 3
    assert handler.seen == [b"1"]


@simulated
async def test_what_had_a_handler_once_is_not_passed_over_where_none_is(
    world: World, place: str
) -> None:
    """A plain `postbox serve` on the home of an application: nothing is lost without a word."""
    handler = Recording()
    host = host_with(handler)
    lost: list[Loss] = []

    async def note(delivery: Delivery[Loss]) -> None:
        lost.append(delivery.message)

    host.on_loss(note)
    async with open_host_kernel(world, place, host=host) as it:
        await it.arrive(order(1))
        await trio.sleep(1)
    async with open_host_kernel(world, place) as it:
        await it.arrive(Event(OTHER, b"nobody's"), order(2), start=2)
        await it.lose(4, 6)
        await it.arrive(order(7), start=7)
        await trio.sleep(2 * ALL_S)
        letters = await it.outbox.dead()
        assert [letter.attempts for letter in letters] == [MAX_ATTEMPTS] * 3
        assert "has no handler for shop.Order" in letters[0].error
        for letter in letters:
            await it.outbox.revive(letter.reader, letter.pos)
    async with open_host_kernel(world, place, host=host) as it:
        await trio.sleep(ALL_S)
        assert (handler.seen, len(lost)) == ([b"1", b"2", b"7"], 1)
        assert await it.outbox.dead() == []


@simulated
async def test_a_node_without_handlers_keeps_up_by_few_commits(world: World, place: str) -> None:
    async with open_host_kernel(world, place) as it:
        for start in range(1, 2_001, 500):
            await it.arrive(*map(order, range(500)), start=start)
        await trio.sleep(1)
        assert await it.is_idle()
        assert isinstance(it.kernel.store, FaultyStore)
        assert it.kernel.store.writes < 15


@simulated
async def test_an_event_that_no_handler_can_stand_becomes_a_dead_letter_and_the_link_goes_on(
    world: World, place: str
) -> None:
    handler = Recording(lambda delivery: delivery.message == b"2")
    async with open_host_kernel(world, place, host=host_with(handler)) as it:
        await it.arrive(*map(order, (1, 2, 3)))
        await it.arrive(order(9), sender=C)
        await trio.sleep(FIRST_RETRY_S / 2)
        assert handler.seen == [b"1", b"9"], "another host's inbox does not wait"
        await trio.sleep(ALL_S)
        assert handler.seen == [b"1", b"9", b"3"]
        assert [each.message for each in handler.tried].count(b"2") == MAX_ATTEMPTS
        [letter] = await it.outbox.dead()
        assert (letter.reader, letter.attempts) == (in_reader(B), MAX_ATTEMPTS)
        assert letter.error == "RuntimeError: cannot handle b'2'"


@simulated
async def test_a_dead_letter_that_is_revived_is_handed_over_again(world: World, place: str) -> None:
    broken = [True]
    handler = Recording(lambda delivery: delivery.message == b"2" and broken[0])
    async with open_host_kernel(world, place, host=host_with(handler)) as it:
        await it.arrive(*map(order, (1, 2, 3)))
        await trio.sleep(ALL_S)
        broken.clear()
        broken.append(False)
        [letter] = await it.outbox.dead()
        await it.outbox.revive(letter.reader, letter.pos)
        await trio.sleep(1)
        assert handler.seen == [b"1", b"3", b"2"]
        assert await it.outbox.dead() == []


@simulated
async def test_attempts_and_pauses_outlive_the_process(world: World, place: str) -> None:
    tried = 0
    for _ in range(MAX_ATTEMPTS):
        handler = Recording(lambda delivery: True)
        async with open_host_kernel(world, place, host=host_with(handler)) as it:
            if not tried:
                await it.arrive(order(1))
            await trio.sleep(61)
            tried += len(handler.tried)
    assert tried == MAX_ATTEMPTS


@simulated
async def test_bytes_that_are_not_of_the_handlers_type_do_not_reach_it(
    world: World, place: str
) -> None:
    host, seen = Host(), []

    async def joined(delivery: Delivery[GuildJoined]) -> None:
        seen.append(delivery.message)

    host.on(GuildJoined, joined)
    async with open_host_kernel(world, place, host=host) as it:
        await it.host.deal(f"ann@{A}", B)
        message = GuildJoined(user=f"ann@{A}", guild="g", name="G")
        assert await it.arrive(message, Event("x/postbox.v1.GuildJoined", b"\xff"), order(3)) == 1
        await trio.sleep(1)
        assert seen == [message]
        assert [guild.name for guild in await it.host.guilds_of("ann@a.example")] == ["G"]


@simulated
async def test_a_loss_is_handed_over_in_its_place(world: World, place: str) -> None:
    seen: list[object] = []
    host = Host()

    async def note(delivery: Delivery[Any]) -> None:
        seen.append(delivery.message)

    host.on(ORDER, note)
    host.on_loss(note)
    async with open_host_kernel(world, place, host=host) as it:
        await it.arrive(order(1))
        await it.lose(2, 4)
        await it.arrive(order(5), start=5)
        await trio.sleep(1)
    assert seen == [b"1", Loss(2, 4), b"5"]


def effect(delivery: Delivery[bytes], connection: Connection) -> None:
    execute(connection, "insert into effect (message) values (?)", (delivery.message.decode(),))


def host_in_transaction(handler: Any = effect) -> Host:
    host = Host()
    host.on_in_transaction(ORDER, handler)
    return host


CREATE = "create table effect (message text not null)"


@over_every_store
@simulated
async def test_a_handlers_transaction_is_committed_once_for_each_event(
    world: World, place: str, fails: Fails
) -> None:
    async with open_host_kernel(world, place, fails, host=host_in_transaction()) as it:
        it.run(CREATE)
        await it.arrive(*map(order, range(120)))
        await trio.sleep(5)
        assert [row[0] for row in it.run("select message from effect")] == [*map(str, range(120))]
        assert it.run("select count(*) from handled") == [(0,)], "the notes go with the acks"


@simulated
async def test_a_crash_between_effect_and_acknowledgement_does_not_double_the_effect(
    world: World, place: str
) -> None:
    is_lost = [False]

    def fails(write: int) -> When | None:
        return When.BEFORE_COMMIT if is_lost[0] else None

    def fatal(delivery: Delivery[bytes], connection: Connection) -> None:
        effect(delivery, connection)
        is_lost[0] = True  # from here on nothing of the log is committed in this life

    async with open_host_kernel(world, place, fails, host=host_in_transaction(fatal)) as it:
        it.run(CREATE)
        await it.arrive(order(1), order(2))
        await trio.sleep(5)
        assert it.run("select count(*) from handled") == [(2,)]
    async with open_host_kernel(world, place, host=host_in_transaction()) as it:
        await it.arrive(order(3), start=3)
        await trio.sleep(5)
        assert it.run("select message from effect") == [("1",), ("2",), ("3",)]
        assert it.run("select count(*) from handled") == [(0,)]


@simulated
async def test_a_full_disk_delays_handlers_and_drafts_and_counts_as_no_attempt(
    world: World, place: str
) -> None:
    is_full, handler = [False], Recording()

    def wrap(store: Store) -> Store:
        def fails(write: int) -> When | None:
            return When.BEFORE_COMMIT if is_full[0] else None

        return FaultyStore(store, fails, lambda: Full("no room"))

    async with open_host_kernel(world, place, host=host_with(handler), wrap=wrap) as it:
        await it.arrive(order(1))
        is_full[0] = True
        post = "insert into draft (id, host, type_url, value) values (?, ?, ?, ?)"
        it.run(post, b"i" * 16, C, OTHER, b"2")
        await trio.sleep(ALL_S)
        is_full[0] = False
        await trio.sleep(30)
        assert await it.is_idle()
        assert set(handler.seen) == {b"1"}
        assert [event.value for event in await it.sent(C)] == [b"2"]
        assert await it.outbox.dead() == []


@simulated
async def test_what_is_kept_too_long_waits_for_room_on_a_full_disk(
    world: World, place: str
) -> None:
    is_full = [False]

    def wrap(store: Store) -> Store:
        def fails(write: int) -> When | None:
            return When.BEFORE_COMMIT if is_full[0] else None

        return FaultyStore(store, fails, lambda: Full("no room"))

    async with open_host_kernel(world, place, host=host_with(Recording()), wrap=wrap) as it:
        await it.arrive(order(1))
        await trio.sleep(30)
        assert await it.is_idle()
        is_full[0] = True
        parts = (it.kernel.runner, it.outbox, it.kernel.admission, it.rules)
        room = Room(world.clock, it.kernel.runner, retain_mib=1)
        retention = Retention(world, *parts, Keep(days=0, mib=0), room)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(retention.run)
            await trio.sleep(ALL_S)
            is_full[0] = False
            await trio.sleep(30)
            nursery.cancel_scope.cancel()
        windows = [Window(in_stream(B))]
        page = await it.kernel.runner.read(
            lambda reader: reader.page(Lane.HOSTS, windows, 0, 10, 2**20)
        )
        assert [entry for entry in page.entries if entry.body] == []


@simulated
async def test_what_a_handler_did_before_it_raised_is_undone(world: World, place: str) -> None:
    failures = [1, 2]

    def clumsy(delivery: Delivery[bytes], connection: Connection) -> None:
        effect(delivery, connection)
        if failures:
            raise RuntimeError(f"failure {failures.pop()}")

    async with open_host_kernel(world, place, host=host_in_transaction(clumsy)) as it:
        it.run(CREATE)
        await it.arrive(order(1), order(2))
        await trio.sleep(30)
        assert it.run("select message from effect") == [("1",), ("2",)]


@simulated
async def test_a_handler_posts_in_the_transaction_of_its_effect(world: World, place: str) -> None:
    host = Host()

    def reply(delivery: Delivery[bytes], connection: Connection) -> None:
        host.post_in(connection, delivery.host, Event(OTHER, delivery.message))
        if delivery.number == 2 and len(tried) < 2:
            tried.append(delivery.number)
            raise RuntimeError("after it has posted")

    tried: list[int] = []
    host.on_in_transaction(ORDER, reply)
    async with open_host_kernel(world, place, host=host) as it:
        await it.arrive(*map(order, (1, 2, 3)))
        await trio.sleep(30)
        assert [event.value for event in await it.sent(B)] == [b"1", b"2", b"3"]


@simulated
async def test_two_that_both_believe_to_hold_the_lease_have_the_effect_once(
    world: World, place: str
) -> None:
    async with open_host_kernel(world, place, host=host_in_transaction()) as it:
        it.run(CREATE)
        types = HandledTypes(world, it.kernel.runner, it.kernel.admission, it.host.handlers)
        other = Inbox(world, it.outbox, it.kernel.admission, it.host.handlers, types, place)
        it.kernel.tail.follow(other)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            for number in range(40):
                await it.arrive(order(number), start=number + 1)
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
        assert [row[0] for row in it.run("select message from effect")] == [*map(str, range(40))]
        assert it.run("select count(*) from handled") == [(0,)]


@simulated
async def test_who_comes_late_with_a_lease_that_is_lost_does_nothing(
    world: World, place: str
) -> None:
    """The event was acknowledged meanwhile, and its note is gone."""
    from postbox.hosts.applications.transactions import Transactions

    async with open_host_kernel(world, place, host=host_in_transaction()) as it:
        it.run(CREATE)
        await it.arrive(order(1))
        await trio.sleep(5)
        [(pos,)] = it.run("select acknowledged from outbox where reader = ?", in_reader(B))
        assert isinstance(pos, int)
        late = Transactions(world.disk, place)
        late.run(in_reader(B), pos, lambda connection: pytest.fail("it was handled"))
        late.close()
        assert it.run("select count(*) from handled") == [(0,)]


def test_two_handlers_of_one_type_are_refused() -> None:
    host = host_with(Recording())
    with pytest.raises(ValueError, match="has a handler already"):
        host.on("example.org/shop.Order", Recording())
