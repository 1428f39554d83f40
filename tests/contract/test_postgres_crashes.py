"""A PostgreSQL that fails to sync, is gone for a minute, or has no room: no draft is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from postbox.errors import Full
from postbox.rules import Accepted, Outcome
from postbox.store.contract import Lane, Reader
from support.failing_sync import FailingSync
from support.kernel import Kernel, Recorder, open_kernel
from support.postgres import Server, programs, started
from support.simulate import MemoryDisk, Simulation, simulate
from support.small_disk import small_disk
from support.toy_chat import ChatDraft, ToyChat

LONG = "x" * 100_000
MINUTE_S = 60.0
TRIES_A_MINUTE = 20  # 0.05 s apart at first, 5 s in the end: see `Retries`


@pytest.fixture(scope="module")
def mortal(postgres: Server, failing_sync: FailingSync) -> Iterator[Server]:
    """A server of these tests alone, whose syncs can be made to fail."""
    found = programs()
    assert found is not None
    with contextmanager(started)(found, failing_sync.environment) as server:
        yield server


@pytest.fixture
def log(mortal: Server) -> Iterator[str]:
    with mortal.database() as url:
        yield url


async def submit(kernel: Kernel, number: int, text: str = "") -> list[Outcome]:
    draft_id = number.to_bytes(16, "big")
    draft = ChatDraft(draft_id, "create" if number == 1 else "send", b"chat", text=text)
    return await kernel.admission.submit(ToyChat(), [draft])


async def submit_for_ever(kernel: Kernel) -> None:
    while True:
        number = kernel.tail.head + 1
        assert await submit(kernel, number, LONG) == [Accepted(number, number)]


def positions(reader: Reader) -> list[int]:
    return [entry.pos for entry in reader.page(Lane.CLIENTS, None, 0, 1_000, 2**30).entries]


def test_a_log_of_the_server_that_cannot_be_synced_loses_nothing_acknowledged(
    mortal: Server, log: str, failing_sync: FailingSync
) -> None:
    """The server gives up and recovers, since it does not know what its disk has."""
    recorder = Recorder()

    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        async with open_kernel(world, database=log, followers=[recorder]) as kernel:
            for number in range(1, 21):
                if number % 5 == 0:
                    failing_sync.strike("*/pg_wal/*")
                assert await submit(kernel, number) == [Accepted(number, number)]
                assert failing_sync.has_struck
            assert kernel.store.read(positions) == list(range(1, 21))

    simulate(1, main)
    assert recorder.positions == list(range(1, 21))
    assert (mortal.folder / "log").read_text().count("PANIC:  could not fdatasync file") >= 4


def test_drafts_wait_for_a_database_that_is_gone_for_a_minute_and_are_answered(
    mortal: Server, log: str
) -> None:
    tries: list[int] = []

    def is_tried(write: int) -> None:
        tries.append(write)

    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        async with open_kernel(world, is_tried, database=log) as kernel:
            assert await submit(kernel, 1) == [Accepted(1, 1)]
            tries.clear()
            mortal.stop()
            answered: list[Outcome] = []

            async def wait_for(number: int) -> None:
                answered.extend(await submit(kernel, number))

            async with trio.open_nursery() as waiting:
                for number in (2, 3, 4):
                    waiting.start_soon(wait_for, number)
                await trio.sleep(MINUTE_S)
                assert answered == []
                assert 10 <= len(tries) <= TRIES_A_MINUTE
                mortal.start()
            assert sorted(answered, key=repr) == [Accepted(at, at) for at in (2, 3, 4)]
            assert kernel.store.read(positions) == [1, 2, 3, 4]

    simulate(1, main)


def test_a_server_whose_disk_is_full_says_so_and_takes_more_when_there_is_room(
    postgres: Server,
) -> None:
    found = programs()
    assert found is not None

    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        async with open_kernel(world, database=url) as kernel:
            assert await submit(kernel, 1) == [Accepted(1, 1)]
            filler = disk.fill()
            with pytest.raises(Full, match="make room there; nothing was written"):
                await submit_for_ever(kernel)
            stored = kernel.tail.head
            assert kernel.store.read(positions) == list(range(1, stored + 1))
            filler.unlink()
            again = await submit(kernel, stored + 1, LONG)
            assert again == [Accepted(stored + 1, stored + 1)]

    with (
        small_disk(200) as disk,
        contextmanager(started)(found, place=disk.path) as server,
        server.database() as url,
    ):
        simulate(1, main)
