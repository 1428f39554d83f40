"""What runs beside the requests of devices goes on when the store fails it: none of its faults, and
no bug of ours, ends the node."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import trio

from postbox.clients.identity.callers import Caller, Callers
from postbox.clients.live.between import Between, Here
from postbox.clients.live.presence import RENEW_S
from postbox.clients.live.transitory import Transitory
from postbox.clients.live.words import Connected, read_message
from postbox.clients.rules.tombs import Forget, TombRules, tomb
from postbox.clients.tables import MIGRATIONS, TOMB
from postbox.clients.upkeep import KEEP_MS, LOOK_S, keep_up
from postbox.errors import Full, Violation
from postbox.rules import Decision, EntryKey, RowKey, State, StreamKey
from postbox.store.contract import Hearing, Reader, Shared, Store
from postbox.store.runner import StoreRunner
from postbox.world import World
from support.faulty import FaultyStore, When
from support.kernel import Kernel, open_kernel
from support.serving import logged
from support.simulated import simulated

T = TypeVar("T")

USER, EVENT = b"u" * 16, b"e" * 16
ANN = Caller("ann", USER, "phone", b"d" * 16, 2**60)


class Bury(TombRules):
    """As a retry does, long ago."""

    def needs(self, draft: Forget, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        return ()

    def decide(self, draft: Forget, state: State, at_ms: int) -> Decision:
        return Decision(puts=(tomb(EVENT, 1, at_ms - KEEP_MS - 1_000),))


@simulated
async def test_what_the_database_refuses_to_forget_is_logged_and_tried_again(world: World) -> None:
    def fails(write: int) -> When | None:
        return When.BEFORE_COMMIT if 1 < write < 4 else None

    def faulty(store: Store) -> FaultyStore:
        return FaultyStore(store, fails, lambda: Violation("no such luck"))

    async with open_kernel(world, migrations=[MIGRATIONS], wrap=faulty) as kernel:
        await kernel.admission.submit(Bury(), [Forget(bytes(16), (), 0)])
        with logged() as log, trio.move_on_after(LOOK_S / 2):
            await keep_up(world, kernel.runner, kernel.admission)
        assert "no such luck" in log.getvalue()
        assert await is_buried(kernel)
        with trio.move_on_after(2 * LOOK_S):
            await keep_up(world, kernel.runner, kernel.admission)
        assert not await is_buried(kernel)


async def is_buried(kernel: Kernel) -> bool:
    rows = await kernel.runner.read(lambda reader: reader.rows(TOMB, [(EVENT,)]))
    return rows[EVENT,] is not None


class TightStore(FaultyStore):
    """Has no room for its first few reads, as a PostgreSQL that sorts on a full disk has not, nor
    for as many words between processes."""

    def __init__(self, store: Store, failures: int) -> None:
        super().__init__(store, lambda _: None)
        self.failures = failures
        self.told: list[bytes] = []

    @property
    def shared(self) -> Shared:
        return cast("Shared", self)  # so much of it as these tests need

    def read(self, work: Callable[[Reader], T]) -> T:
        self._fail()
        return super().read(work)

    def tell(self, messages: Sequence[bytes]) -> None:
        self._fail()
        self.told += messages

    def hear(self) -> Hearing:
        self._fail()
        return Silence()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Full("no room")


class Silence:
    """Hears nobody."""

    def __init__(self) -> None:
        self._ends = os.pipe()

    def fileno(self) -> int:
        return self._ends[0]

    def take(self) -> list[bytes]:
        return []

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


@asynccontextmanager
async def tight(world: World, failures: int) -> AsyncIterator[tuple[TightStore, StoreRunner]]:
    async with open_kernel(world, migrations=[MIGRATIONS]) as kernel:
        store = TightStore(kernel.store, failures)
        yield store, StoreRunner(world.threads, store)


@simulated
async def test_who_is_connected_is_told_once_the_database_has_room_again(world: World) -> None:
    async with tight(world, failures=3) as (store, runner), trio.open_nursery() as nursery:
        transitory = Transitory(world.clock, runner, lambda _: None)
        with transitory.mail(ANN):
            nursery.start_soon(transitory.run)
            await trio.sleep(RENEW_S / 2)
            assert store.failures == 0
            nursery.cancel_scope.cancel()


@simulated
async def test_processes_speak_and_hear_once_the_database_has_room_again(world: World) -> None:
    async with tight(world, failures=5) as (store, runner), trio.open_nursery() as nursery:
        between = Between(world.clock, runner, b"m" * 8, 100)
        transitory = Transitory(world.clock, runner, between.tell)
        here = Here(lambda _: None, transitory, cast("Callers", None))
        nursery.start_soon(between.speak, transitory)
        nursery.start_soon(between.hear, here)
        with transitory.mail(ANN):
            await trio.sleep(RENEW_S / 2)
            messages = [read_message(told) for told in store.told]
            assert any(each is not None and Connected(USER) in each.words for each in messages)
            nursery.cancel_scope.cancel()
