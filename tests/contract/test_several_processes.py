"""Processes of one node on one PostgreSQL: each is told what all of them commit, in one order.

Interleavings by seed, on virtual time; what the server does to a listener in real time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest
import trio

from postbox.errors import HistoryChanged
from postbox.log.feed import POLL_S
from postbox.rules import Accepted, Duplicate, Rejected
from postbox.store.contract import (
    Change,
    Entry,
    Identity,
    Lane,
    News,
    Reader,
    Shared,
    Size,
    Snapshot,
    Store,
    Tx,
    Window,
)
from postbox.store.postgres.driver import PostgresStore, open_postgres
from postbox.store.postgres.news import KEPT_TURNS
from postbox.world import FileDisk, World, system_world
from support.faulty import When
from support.postgres import Server
from support.several import (
    Process,
    ToldOnce,
    check_told,
    draft_id,
    opening,
    process,
    some_draft,
    stored_in,
    told,
)
from support.simulate import MemoryDisk, Simulation, simulate
from support.simulated import simulated
from support.toy_chat import MIGRATIONS, ChatDraft
from support.witness import PATIENT_S, until

T = TypeVar("T")


def name_of(url: str) -> str:
    return url.split("@/")[1].split("?")[0]


def create(number: int) -> ChatDraft:
    return ChatDraft(draft_id(number), "create", draft_id(number))


@pytest.mark.parametrize("lost", [None, When.BEFORE_COMMIT, When.AFTER_COMMIT])
@pytest.mark.parametrize("seed", range(4))
def test_every_process_is_told_the_same_commits_in_the_same_order(
    database: str, seed: int, lost: When | None
) -> None:
    """`lost`: of every fifth commit the answer is, or all of it."""

    def fails(write: int) -> When | None:
        return lost if write % 5 == 0 else None

    async def main(simulation: Simulation) -> None:
        worlds = [simulation.node(MemoryDisk()).world for _ in range(3)]
        async with (
            process(worlds[0], database, fails) as one,
            process(worlds[1], database, fails) as two,
            process(worlds[2], database) as three,
        ):
            await one.submit(*opening())
            processes, readers = [one, two, three], [ToldOnce(), ToldOnce([Window(b"b")], 2)]
            async with trio.open_nursery() as listening:
                for each in processes:
                    listening.start_soon(catch_up_now_and_then, simulation, each)
                for reader in readers:
                    listening.start_soon(reader.read, three.tail)
                async with trio.open_nursery() as writing:
                    for writer in range(9):
                        writing.start_soon(write, simulation, processes[writer % 3], writer)
                for each in processes:
                    await each.tail.catch_up()
                for reader in readers:
                    await reader.has_read_all(three)
                listening.cancel_scope.cancel()
            stored = await stored_in(one)
            for each in processes:
                check_told(each.recorder, stored)
                assert told(each.recorder.commits) == told(one.recorder.commits)
            for reader in readers:
                reader.check(stored)
            commits = one.recorder.commits
            assert any(each.rows and not each.entries for each in commits), "no rows alone"
            assert any(each.removes for each in commits), "nothing was removed"
            assert any(each.blanks for each in commits), "nothing was erased"

    simulate(seed, main)


async def write(simulation: Simulation, own: Process, writer: int) -> None:
    for _ in range(25):
        await trio.sleep(simulation.random.fraction() / 100)
        await own.submit(some_draft(simulation.random, writer))


async def catch_up_now_and_then(simulation: Simulation, own: Process) -> None:
    while True:
        await trio.sleep(simulation.random.fraction() / 50)
        await own.tail.catch_up()


@simulated
async def test_a_turn_without_a_change_keeps_nobody_from_going_on(
    world: World, database: str
) -> None:
    async with process(world, database) as one, process(world, database) as two:
        await one.submit(create(1))
        for _ in range(3):
            await two.submit(create(1))
            await one.submit(create(1))
        await two.submit(create(2))
        await one.submit(create(3))
        await two.tail.catch_up()
        assert one.recorder.positions == two.recorder.positions == [1, 2, 3]


@simulated
async def test_a_duplicate_of_what_another_process_stored_is_answered_when_it_is_known_here(
    world: World, database: str
) -> None:
    async with process(world, database) as one, process(world, database) as two:
        assert await one.submit(create(1)) == [Accepted(1, 1)]
        assert two.recorder.positions == []
        assert await two.submit(create(1)) == [Duplicate(1, 1)]
        assert two.recorder.positions == [1]
        another = ChatDraft(draft_id(2), "create", draft_id(3))
        await one.submit(create(3))
        [refused] = await two.submit(another)
        assert isinstance(refused, Rejected)
        assert two.recorder.positions == [1, 2], "a refusal has its reason in what is known"


class Busy:
    """A real store whose others commit once more at each look at what they committed."""

    def __init__(self, store: Store, others: Callable[[], None]) -> None:
        self._store = store
        self._others = others

    @property
    def shared(self) -> Shared | None:
        return self  # type: ignore[return-value]

    def news(self, since: int, after: int, limit: int) -> list[News]:
        self._others()
        assert self._store.shared is not None
        return self._store.shared.news(since, after, limit)

    def write(self, work: Callable[[Tx], T]) -> T:
        return self._store.write(work)

    def read(self, work: Callable[[Reader], T]) -> T:
        return self._store.read(work)

    def identity(self) -> Identity:
        return self._store.identity()

    def check(self) -> list[str]:
        return self._store.check()

    def size(self) -> Size:
        return self._store.size()

    def close(self) -> None:
        self._store.close()


def opened(url: str) -> PostgresStore:
    return open_postgres(FileDisk(), url, [MIGRATIONS], bytes(16), bytes(32))


def append_next(store: Store) -> None:
    def work(tx: Tx) -> None:
        pos = tx.head + 1
        content = (b"other", None, draft_id(pos), 1, 0, b"", 1, b"")
        tx.apply(Change(appends=[Entry(pos, Lane.CLIENTS, *content)]))

    store.write(work)


@simulated
async def test_who_writes_is_answered_however_busy_the_others_are(
    world: World, database: str
) -> None:
    other = opened(database)
    try:

        def busy(store: Store) -> Store:
            return Busy(store, lambda: append_next(other))

        async with process(world, database, wrap=busy) as one:
            with trio.fail_after(PATIENT_S):
                append_next(other)
                await one.submit(create(1_000))
                await one.submit(create(1_000))
                await one.tail.catch_up()
            assert one.recorder.positions == [*range(1, one.tail.head + 1)]
    finally:
        other.close()


@simulated
async def test_a_process_that_stood_still_for_too_long_begins_anew(
    world: World, postgres: Server, database: str
) -> None:
    async with process(world, database) as one, process(world, database) as two:
        await one.submit(create(1))
        await two.submit(create(2))
        await two.submit(create(3))
        postgres.run(
            "delete from news where turn < (select max(turn) from news)", name_of(database)
        )
        with pytest.raises(HistoryChanged, match="stood still for too long"):
            await one.tail.catch_up()
        assert one.recorder.positions == [1]
        with pytest.RaisesGroup(HistoryChanged, flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.hear)


@simulated
async def test_what_everybody_goes_on_from_is_kept_however_many_turns_came_to_nothing(
    world: World, postgres: Server, database: str
) -> None:
    async with process(world, database) as one, process(world, database) as two:
        await one.submit(create(1))
        await one.submit(create(2))
        await two.tail.catch_up()
        postgres.run(f"select setval('turn', {10 * KEPT_TURNS})", name_of(database))
        async with process(world, database) as three:  # its first commit sweeps
            await three.submit(create(3))
        assert postgres.run("select head from news order by turn", name_of(database)) == [
            (2,),
            (3,),
        ]
        for each in (one, two):
            await each.tail.catch_up()
            assert each.recorder.positions == [1, 2, 3]


@simulated
async def test_a_tail_that_was_opened_on_a_turn_that_is_gone_says_so(
    world: World, postgres: Server, database: str
) -> None:
    async with process(world, database) as one:
        await one.submit(create(1))
        postgres.run("truncate news", name_of(database))
        with pytest.raises(HistoryChanged):
            await one.tail.catch_up()


@simulated
async def test_a_notification_that_was_lost_costs_a_few_seconds(
    world: World, postgres: Server, database: str
) -> None:
    """On virtual time, in which the socket says nothing before the poll is due."""
    async with process(world, database) as one:
        await one.submit(create(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.hear)
            await trio.sleep(2 * POLL_S)
            postgres.run(
                """with told as (insert into news select nextval('turn'), 2, null)
                insert into entry select 2, lane, stream, seq + 1,
                  decode(repeat('77', 16), 'hex'), kind, flags, author, at_ms, body from entry""",
                name_of(database),
            )
            await trio.sleep(2 * POLL_S)
            assert one.recorder.positions == [1, 2]
            nursery.cancel_scope.cancel()


def test_a_listening_connection_that_is_ended_is_replaced_and_nothing_is_missed(
    postgres: Server, database: str
) -> None:
    async def main() -> None:
        world = system_world()
        async with (
            process(world, database) as one,
            process(world, database) as two,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(one.hear)
            for number in range(1, 7):
                await until(lambda: bool(listeners(postgres)))
                if number % 2:
                    for pid in listeners(postgres):
                        postgres.run(f"select pg_terminate_backend({pid})")
                await two.submit(create(number))
                await until(partial(has_heard, one, number))
            nursery.cancel_scope.cancel()

    trio.run(main)


def has_heard(one: Process, head: int) -> bool:
    return one.recorder.positions == [*range(1, head + 1)]


def listeners(server: Server) -> list[int]:
    found = server.run(
        "select pid from pg_stat_activity where application_name = 'postbox listener'"
    )
    return [pid for (pid,) in found]


def test_what_is_expected_of_a_connection_is_asked_before_it_looks(database: str) -> None:
    """What is known a moment later need not be in what it sees."""
    one, other = opened(database), opened(database)

    def expect() -> Callable[[Snapshot], None]:
        append_next(other)
        known = other.read(lambda reader: reader.head)

        def check(snapshot: Snapshot) -> None:
            if snapshot.head < known:
                raise HistoryChanged("the log ends before what was known")

        return check

    try:
        one.guard(expect)
        assert one.read(lambda reader: reader.head) == 1
        one._writer.close()
        append_next(one)
        assert one.read(lambda reader: reader.head) == 3
    finally:
        one.close()
        other.close()


def test_a_connection_that_leads_to_another_log_is_not_written_to(database: str) -> None:
    def expect() -> Callable[[Snapshot], None]:
        def check(snapshot: Snapshot) -> None:
            raise HistoryChanged("another log")

        return check

    store = opened(database)
    try:
        store.guard(expect)
        store._writer.close()
        for _ in range(2):
            with pytest.raises(HistoryChanged):
                append_next(store)
            with pytest.raises(HistoryChanged):
                store.read(lambda reader: reader.head)
        store.guard(lambda: lambda snapshot: None)
        store._writer.close()
        append_next(store)
    finally:
        store.close()
