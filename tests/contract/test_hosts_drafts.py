"""Applications' drafts: what is committed in their own transactions is posted, once; on either
engine."""

from __future__ import annotations

import pytest
import trio

from postbox.hosts.applications.drafts import IDLE_S
from postbox.hosts.applications.events import BadEvent, Event
from postbox.hosts.applications.host import Host
from postbox.hosts.applications.own_connection import post_in
from postbox.store.application import execute, in_transaction, open_for_application
from postbox.trust.host_names import BadHostName
from postbox.world import World
from support.faulty import When
from support.host_kernel import A, B, C, HostKernel, open_host_kernel
from support.simulated import Fails, over_every_store, simulated

ORDER = "type.googleapis.com/shop.Order"
INSERT = "insert into draft (id, host, type_url, value) values (?, ?, ?, ?)"


def order(number: int) -> Event:
    return Event(ORDER, str(number).encode())


async def values(it: HostKernel, to: str = B) -> list[bytes]:
    return [event.value for event in await it.sent(to)]


@over_every_store
@simulated
async def test_what_an_application_commits_is_posted_once_and_in_order(
    world: World, place: str, fails: Fails
) -> None:
    async with open_host_kernel(world, place, fails) as it:
        own = open_for_application(world.disk, place)
        execute(own, "create table shop (n integer)")

        def sell() -> None:
            for number in range(150):
                execute(own, "insert into shop values (?)", (number,))
                it.host.post_in(own, B, order(number))

        in_transaction(own, sell)
        own.close()
        await trio.sleep(5)
        assert await values(it) == [str(number).encode() for number in range(150)]
        assert it.run("select count(*) from draft") == [(0,)]


@simulated
async def test_what_an_application_rolls_back_is_not_posted(world: World, place: str) -> None:
    async with open_host_kernel(world, place) as it:
        own = open_for_application(world.disk, place)

        def fail() -> None:
            it.host.post_in(own, B, order(1))
            raise RuntimeError("the shop is closed")

        with pytest.raises(RuntimeError, match="closed"):
            in_transaction(own, fail)
        own.close()
        await trio.sleep(5)
        assert await values(it) == []


@simulated
async def test_a_draft_that_was_written_while_the_node_was_down_goes_out_when_it_is_up(
    world: World, place: str
) -> None:
    async with open_host_kernel(world, place):
        pass
    own = open_for_application(world.disk, place)
    post_in(own, "B.example", order(1))
    execute(own, INSERT, (b"i" * 16, C, ORDER, b"2"))  # as any language does it
    own.close()
    async with open_host_kernel(world, place) as it:
        await trio.sleep(IDLE_S)
        assert (await values(it), await values(it, C)) == ([b"1"], [b"2"])


@simulated
async def test_a_crash_around_the_taking_of_a_draft_neither_loses_nor_doubles_it(
    world: World, place: str
) -> None:
    for writes in range(1, 6):

        def fails(write: int, writes: int = writes) -> When | None:
            return When.AFTER_COMMIT if write == writes else lost(write, writes)

        def lost(write: int, writes: int) -> When | None:
            return When.BEFORE_COMMIT if write > writes else None

        async with open_host_kernel(world, place, fails) as it:
            own = open_for_application(world.disk, place)
            post_in(own, B, order(writes))
            own.close()
            await trio.sleep(5)  # from some commit on this life gets nothing done
    async with open_host_kernel(world, place) as it:
        await trio.sleep(5)
        assert await values(it) == [b"1", b"2", b"3", b"4", b"5"]


@simulated
async def test_an_id_that_was_posted_before_is_not_posted_again(world: World, place: str) -> None:
    async with open_host_kernel(world, place) as it:
        for _ in range(2):
            it.run(INSERT, b"i" * 16, B, ORDER, b"1")
            await trio.sleep(5)
        assert await values(it) == [b"1"]
        assert it.run("select count(*) from draft") == [(0,)]


@pytest.mark.parametrize(
    ("host", "type_url", "value"),
    [
        (A, ORDER, b"1"),  # this host itself
        ("http://b.example", ORDER, b"1"),
        ("127.0.0.1:80", ORDER, b"1"),
        (B, "no type", b"1"),
        (B, "type.googleapis.com/postbox.v1.GuildJoined", b"\xff"),
    ],
)
@simulated
async def test_a_draft_that_can_never_be_posted_is_kept_with_its_problem_and_stops_nobody(
    world: World, place: str, host: str, type_url: str, value: bytes
) -> None:
    async with open_host_kernel(world, place) as it:
        it.run(INSERT, b"i" * 16, host, type_url, value)
        it.run(INSERT, b"j" * 16, B, ORDER, b"2")
        await trio.sleep(5)
        assert await values(it) == [b"2"]
        [(*row, problem)] = it.run("select host, value, problem from draft")
        assert (row, bool(problem)) == ([host, value], True)


@pytest.mark.parametrize(
    ("host", "type_url"),
    [("b.example\0" + "x" * 400, ORDER), ("b.example", f"{ORDER}\0" + "x" * 600)],
    ids=["host", "type"],
)
@simulated
async def test_a_draft_with_a_nul_in_a_text_stops_nobody(
    world: World, place: str, host: str, type_url: str
) -> None:
    async with open_host_kernel(world, place) as it:
        try:
            it.run(INSERT, b"i" * 16, host, type_url, b"1")
        except Exception as error:
            assert "NUL" in str(error), "PostgreSQL takes none"  # noqa: PT017
        it.run(INSERT, b"j" * 16, B, ORDER, b"2")
        await trio.sleep(5)
        assert await values(it) == [b"2"]


@simulated
async def test_the_database_refuses_a_row_that_no_event_can_be(world: World, place: str) -> None:
    rows = [
        (b"short", B, ORDER, b""),
        (b"i" * 16, "", ORDER, b""),
        (b"i" * 16, "h" * 301, ORDER, b""),
        (b"i" * 16, B, "", b""),
        (b"i" * 16, B, ORDER, bytes(1_000_001)),
    ]
    async with open_host_kernel(world, place) as it:
        for row in rows:
            with pytest.raises(Exception, match=r"(?i)constraint"):
                it.run(INSERT, *row)


@simulated
async def test_a_posting_by_hand_is_checked_at_once(world: World, place: str) -> None:
    async with open_host_kernel(world, place) as it:
        own = open_for_application(world.disk, place)
        with pytest.raises(BadHostName, match="this node itself"):
            it.host.post_in(own, "a.example", order(1))
        with pytest.raises(BadEvent):
            it.host.post_in(own, B, Event("no type", b""))
        with pytest.raises(TypeError, match=r"apsw.Connection or a psycopg.Connection"):
            it.host.post_in(object(), B, order(1))  # type: ignore[arg-type]
        own.close()
        with pytest.raises(BadHostName):
            await it.host.post("a.example:2289", order(1))
        assert await it.host.post("b.example", order(1)) == 1
        assert await it.host.post_many("b.example", [order(2), order(3)]) == 2
        assert await values(it) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("when", When)
@simulated
async def test_what_an_application_posts_while_its_node_is_opened_again_is_posted_once(
    world: World, place: str, when: When
) -> None:
    host, numbers = Host(), list[int]()

    async def post() -> None:
        numbers.append(await host.post(B, order(1)))

    async with trio.open_nursery() as application:
        async with open_host_kernel(world, place, lambda write: when, host=host):
            application.start_soon(post)
            await trio.sleep(1)
            assert numbers == [], "nothing is answered while the database is away"
        async with open_host_kernel(world, place, host=host) as it:
            await trio.sleep(1)
            assert (numbers, await values(it)) == ([1], [b"1"])


@simulated
async def test_as_much_as_one_commit_bears_is_posted_at_once(world: World, place: str) -> None:
    async with open_host_kernel(world, place) as it:
        for events in ([], [order(1)] * 1_001, [Event(ORDER, bytes(600_000))] * 2):
            with pytest.raises(ValueError, match=r"at most|at least"):
                await it.host.post_many(B, events)
        assert await it.host.post_many(B, [order(1)] * 1_000) == 1
        assert await it.host.post(B, Event(ORDER, bytes(1_000_000))) == 1_001
