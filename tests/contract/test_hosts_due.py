"""Which hosts a worker has to look at, on either engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from postbox.errors import Unavailable
from postbox.hosts.applications.events import Event
from postbox.hosts.links.due import Direction
from postbox.hosts.tables import in_reader, in_stream
from postbox.store.contract import Reader, Store
from postbox.world import World
from support.faulty import FaultyStore, never
from support.host_kernel import B, C, open_host_kernel
from support.simulated import simulated

T = TypeVar("T")


class AwayStore(FaultyStore):
    """One that cannot be read for a while."""

    is_away = False

    def read(self, work: Callable[[Reader], T]) -> T:
        if self.is_away:
            raise Unavailable("the database does not answer")
        return super().read(work)


@simulated
async def test_a_worker_that_starts_while_the_store_is_away_begins_when_it_is_back(
    world: World, place: str
) -> None:
    stores: list[AwayStore] = []

    def away(store: Store) -> Store:
        stores.append(AwayStore(store, never))
        return stores[0]

    found: list[str] = []

    async def start() -> None:
        found.extend(await Direction(in_stream, in_reader).wait_all(a.outbox))

    async with open_host_kernel(world, place, wrap=away) as a:
        await a.arrive(Event("x/y", b"1"), sender=B)
        await a.arrive(Event("x/y", b"1"), sender=C)
        stores[0].is_away = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.sleep(10)
            assert found == []
            stores[0].is_away = False
        assert found == [B, C]
