"""What is done under a lease is done by one process, by another when that one is gone, and never by
two at once. On a real server, whose clock no test can turn: with short terms, in real time."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from postbox.log.leases import Leases, Terms
from postbox.store.open import open_store
from postbox.world import World, system_world
from support.children import command, environment
from support.postgres import Server
from support.simulated import simulated
from support.witness import LEASE, PATIENT_S, QUICK, Witness, periods, until

AT_ONCE = Terms(beat_s=2.0, valid_s=2 * PATIENT_S, handover_s=2 * PATIENT_S)
"""Whoever waits for a last holder, or for its own time to be over, fails the test. A lease is given
back within a beat, in which the slowest disk has synced a commit."""

HASTY = Terms(beat_s=0.1, valid_s=1.0, handover_s=1.5)
"""Where it makes no difference who loses a lease, and how often."""


@asynccontextmanager
async def process(url: str, terms: Terms = QUICK) -> AsyncIterator[tuple[Leases, trio.Nursery]]:
    """What a process of the node has of it; clean at its end."""
    world = system_world()
    async with open_store(world, url) as store, trio.open_nursery() as nursery:
        leases = Leases(world, store, terms)
        nursery.start_soon(leases.run)
        yield leases, nursery
        nursery.cancel_scope.cancel()


def sessions(server: Server) -> list[int]:
    found = server.run("select pid from pg_stat_activity where application_name = 'postbox leases'")
    return [pid for (pid,) in found]


def holder(server: Server) -> int:
    """The server's process that holds the lock."""
    found = server.run(
        "select a.pid from pg_locks l join pg_stat_activity a using (pid) where l.granted"
        " and l.locktype = 'advisory' and a.application_name = 'postbox leases'"
    )
    [(pid,)] = found
    assert isinstance(pid, int)
    return pid


def name_of(url: str) -> str:
    return url.split("@/")[1].split("?")[0]


def end(server: Server, pid: int) -> None:
    assert server.run(f"select pg_terminate_backend({pid}, 10000)") == [(True,)]


@contextmanager
def stopped(pid: int) -> Iterator[int]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def child(database: str, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command("hold-a-lease", database, str(path)), env=environment()) as held:
        try:
            yield held
        finally:
            held.send_signal(signal.SIGCONT)
            held.kill()


def has_begun(path: Path, who: str) -> bool:
    return path.exists() and f"{who} begins\n" in path.read_text()


@simulated
async def test_who_has_the_log_to_itself_is_granted_everything(world: World) -> None:
    done = []

    async def work() -> None:
        done.append(leases.is_held(LEASE))

    async with open_store(world, "node.db") as store:
        leases = Leases(world, store)
        assert leases.is_held(LEASE)
        assert await leases.within(LEASE, work)
        await leases.hold(LEASE, work)
        assert leases.held is None
    assert done == [True, True]


async def test_one_is_at_work_and_when_it_stops_another_goes_on_at_once(
    database: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    one, other = Witness(path, "one"), Witness(path, "other")
    async with process(database, AT_ONCE) as (later, nursery):
        async with process(database, AT_ONCE) as (first, tasks):
            await tasks.start(first.hold, LEASE, one.work)
            await until(lambda: one.is_at_work)
            assert (first.is_held(LEASE), first.held) == (True, [LEASE])
            await nursery.start(later.hold, LEASE, other.work)
            await trio.sleep(1.2 * AT_ONCE.beat_s)
            assert (later.is_held(LEASE), later.held) == (False, [])
        await until(lambda: other.is_at_work)
    assert periods(path) == ["one", "other"]


async def test_a_lease_that_is_not_wanted_any_more_is_given_back(
    database: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    one, other = Witness(path, "one"), Witness(path, "other")
    async with (
        process(database, AT_ONCE) as (first, tasks),
        process(database, AT_ONCE) as (second, nursery),
    ):
        async with trio.open_nursery() as loops:
            loops.start_soon(first.hold, LEASE, one.work)
            await until(lambda: one.is_at_work)
            nursery.start_soon(second.hold, LEASE, other.work)
            loops.cancel_scope.cancel()
        await until(lambda: other.is_at_work)
        assert not first.is_held(LEASE)
        tasks.start_soon(first.hold, LEASE, one.work)  # may be wanted again
        await trio.sleep(1.2 * AT_ONCE.beat_s)
    assert periods(path)[:2] == ["one", "other"]  # a holder that is late loses it again


async def test_work_that_is_done_gives_its_lease_back(database: str) -> None:
    async with (
        process(database, AT_ONCE) as (first, _),
        process(database, AT_ONCE) as (second, _),
    ):
        for leases in (first, second, first):
            with trio.fail_after(PATIENT_S):
                await leases.hold(LEASE, trio.lowlevel.checkpoint)


async def test_leases_of_other_names_are_had_by_others(database: str) -> None:
    async with (
        process(database, AT_ONCE) as (first, tasks),
        process(database, AT_ONCE) as (second, nursery),
    ):
        await tasks.start(first.hold, "mesh", trio.sleep_forever)
        await nursery.start(second.hold, "retention", trio.sleep_forever)
        assert (first.held, second.held) == (["mesh"], ["retention"])


async def test_a_process_that_lost_its_connection_ends_its_work_and_takes_it_up_again(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """Nobody came in between: it need not wait for itself."""
    path = tmp_path / "trace"
    one = Witness(path, "one")
    async with process(database, AT_ONCE) as (leases, nursery):
        nursery.start_soon(leases.hold, LEASE, one.work)
        for times in range(1, 4):
            await until(lambda: one.is_at_work)
            end(postgres, holder(postgres))
            await until(lambda: len(periods(path)) > times)  # noqa: B023
    assert periods(path) == ["one"] * 4


async def test_who_takes_a_lease_that_was_not_given_back_waits_for_its_last_holder(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    one, other = Witness(path, "one"), Witness(path, "other")
    name = name_of(database)
    async with process(database) as (first, tasks), process(database) as (second, nursery):
        tasks.start_soon(first.hold, LEASE, one.work)
        await until(lambda: one.is_at_work)
        await nursery.start(second.hold, LEASE, other.work)
        postgres.run(f"alter database {name} allow_connections false")  # it does not come back
        since_s = trio.current_time()
        end(postgres, holder(postgres))
        await until(lambda: other.is_at_work)
        assert trio.current_time() - since_s >= QUICK.handover_s
        postgres.run(f"alter database {name} allow_connections true")
    assert periods(path) == ["one", "other"]


async def test_what_another_server_says_of_the_last_holder_is_not_believed(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """A standby that took over may not know of who came after."""
    path = tmp_path / "trace"
    name = name_of(database)
    async with process(database, AT_ONCE) as (leases, _):
        await leases.hold(LEASE, trio.lowlevel.checkpoint)
    other = Witness(path, "other")
    since_s = trio.current_time()
    postgres.run("update lease set server = server - interval '1 day'", name)
    assert postgres.run("select is_released from lease", name) == [(True,)]
    async with process(database) as (leases, nursery):
        nursery.start_soon(leases.hold, LEASE, other.work)
        await until(lambda: other.is_at_work)
    assert trio.current_time() - since_s >= QUICK.handover_s


async def test_who_gives_up_while_it_waits_leaves_the_wait_to_the_next(
    postgres: Server, database: str
) -> None:
    name = name_of(database)
    async with process(database, AT_ONCE) as (leases, _):
        await leases.hold(LEASE, trio.lowlevel.checkpoint)
    postgres.run("update lease set is_released = false", name)
    for _ in range(2):
        async with process(database, AT_ONCE) as (leases, _):
            for _ in range(2):
                async with trio.open_nursery() as loops:
                    await loops.start(leases.hold, LEASE, trio.sleep_forever)
                    assert not leases.is_held(LEASE)
                    loops.cancel_scope.cancel()
    assert postgres.run("select is_released from lease", name) == [(False,)]


async def test_who_does_not_hear_from_the_server_stops_its_work(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """Its process there stands still for a while; the connection comes through it."""
    path = tmp_path / "trace"
    one = Witness(path, "one")
    async with process(database, Terms(beat_s=3.0, valid_s=3.5)) as (leases, nursery):
        nursery.start_soon(leases.hold, LEASE, one.work)
        await until(lambda: one.is_at_work)
        with stopped(holder(postgres)) as server:
            await until(lambda: not one.is_at_work)
            assert not leases.is_held(LEASE)
        await until(lambda: one.is_at_work)
        assert holder(postgres) == server
    assert periods(path) == ["one", "one"]


async def test_a_server_that_does_not_answer_is_given_up(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    one = Witness(tmp_path / "trace", "one")
    async with process(database) as (leases, nursery):
        nursery.start_soon(leases.hold, LEASE, one.work)
        await until(lambda: one.is_at_work)
        with stopped(holder(postgres)) as server:
            await until(lambda: [pid for pid in sessions(postgres) if pid != server] != [])
        await until(lambda: one.is_at_work)
        assert holder(postgres) != server


async def test_what_runs_within_a_lease_ends_with_it_and_is_not_begun_without_it(
    postgres: Server, database: str
) -> None:
    async with process(database, AT_ONCE) as (leases, nursery):
        assert not await leases.within(LEASE, trio.sleep_forever)
        await nursery.start(leases.hold, LEASE, trio.sleep_forever)
        assert await leases.within(LEASE, trio.lowlevel.checkpoint)

        async def cut() -> None:
            end(postgres, holder(postgres))

        nursery.start_soon(cut)
        with trio.fail_after(PATIENT_S):
            assert not await leases.within(LEASE, trio.sleep_forever)
        assert not leases.is_held(LEASE)


async def test_another_goes_on_when_a_process_is_killed(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    one = Witness(path, "one")
    with child(database, path) as killed:
        await until(lambda: has_begun(path, "child"))
        async with process(database) as (leases, nursery):
            await nursery.start(leases.hold, LEASE, one.work)
            assert not leases.is_held(LEASE)
            killed.kill()
            await until(lambda: one.is_at_work)
    assert periods(path, killed="child") == ["child", "one"]


async def test_another_goes_on_when_a_process_stands_still_and_that_one_ends_when_it_wakes(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    """The step that it was in the middle of is the last: see the decision."""
    path = tmp_path / "trace"
    one = Witness(path, "one")
    with child(database, path) as frozen:
        await until(lambda: has_begun(path, "child"))
        async with process(database) as (leases, nursery):
            await nursery.start(leases.hold, LEASE, one.work)
            frozen.send_signal(signal.SIGSTOP)
            await until(lambda: one.is_at_work)
            before = path.read_text()
            assert "child ends" not in before
            frozen.send_signal(signal.SIGCONT)
            await until(lambda: "child ends" in path.read_text())
            await trio.sleep(2 * QUICK.beat_s)
            await until(lambda: one.is_at_work)
    woken = [line for line in path.read_text()[len(before) :].splitlines() if "child" in line]
    # What comes behind its end is of a machine that was late: it was granted the lease anew.
    last = woken[: woken.index("child ends") + 1]
    assert last in (["child ends"], ["child works", "child ends"])


async def test_three_whose_connections_are_cut_again_and_again_are_never_two_at_work(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    witnesses = [Witness(path, who) for who in ("ann", "bob", "cid")]
    async with (
        process(database, HASTY) as a,
        process(database, HASTY) as b,
        process(database, HASTY) as c,
    ):
        for (leases, nursery), witness in zip((a, b, c), witnesses, strict=True):
            nursery.start_soon(leases.hold, LEASE, witness.work)
        for cut in range(12):
            await until(lambda: any(witness.is_at_work for witness in witnesses))
            await trio.sleep(cut % 4 * HASTY.beat_s)
            for pid in sessions(postgres)[: 1 + cut % 3]:
                end(postgres, pid)
        await until(lambda: any(witness.is_at_work for witness in witnesses))
    assert len(periods(path)) >= 2


async def test_a_database_that_is_away_is_tried_until_it_is_back(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    one = Witness(tmp_path / "trace", "one")
    name = name_of(database)
    async with process(database) as (leases, nursery):
        postgres.run(f"alter database {name} allow_connections false")
        postgres.cut(name)
        with trio.fail_after(PATIENT_S):
            await nursery.start(leases.hold, LEASE, one.work)  # does not wait for it
        assert not leases.is_held(LEASE)
        postgres.run(f"alter database {name} allow_connections true")
        await until(lambda: one.is_at_work)
