"""A host that sends more than there is room for: it is told to come later, and nothing is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from postbox.hosts.links.bodies import content
from postbox.hosts.links.retention import LOOK_S, SOON_S, Keep
from postbox.hosts.links.room import ENTRY_BYTES, MEASURE_S, NoRoom
from postbox.hosts.sending.intake import Taken
from postbox.hosts.wire import read_event
from support.link_ends import GOOD, End, MemoryShelf
from support.simulate import Simulation, simulate

A, B = "a.example:2289", "b.example:2289"
LARGE = 600_000
KEEP = Keep(30, 1)
"""So that there is room for three large ones, and a fourth is taken yet."""


def between_two(main: Callable[[End, End], Awaitable[None]], place: str = "node.db") -> None:
    """The second keeps little."""

    async def run(_: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            a = End(A, B, MemoryShelf(), nursery)
            b = End(B, A, MemoryShelf(place), nursery)
            b.retain_mib = KEEP.mib
            await a.start()
            await b.start()
            await main(a, b)
            await a.stop()
            await b.stop()

    simulate(1, run, limit_s=2 * LOOK_S)


async def post_large(a: End, count: int) -> None:
    for n in range(count):
        await a.post([(GOOD, b"%d" % n * LARGE)])


async def send(a: End, b: End, after: int) -> Taken:
    """One."""
    [each] = await a.links.numbered(B, after, 1)
    return await b.intake.take(A, [read_event(each.body)])


async def handle(end: End, count: int) -> None:
    for _ in range(count):
        await end.handle(1)


def test_from_a_host_that_has_sent_too_much_no_more_is_taken_until_there_is_room(
    place: str,
) -> None:
    async def main(a: End, b: End) -> None:
        await post_large(a, 6)
        for n in range(4):
            await send(a, b, n)
        with pytest.raises(NoRoom, match=f"no room for more from {A}: 2 MiB of it are here"):
            await send(a, b, 4)
        assert (await b.links.place_of(A)).seq == 4
        await b.trim(KEEP)
        await trio.sleep(MEASURE_S)
        with pytest.raises(NoRoom):  # which nobody is done with
            await send(a, b, 4)
        await handle(b, 4)
        await b.trim(KEEP)
        assert (await send(a, b, 4)).place.seq == 5
        assert len(await b.inbox(0)) == 2

    between_two(main, place)


def test_what_was_here_before_the_start_counts() -> None:
    async def main(a: End, b: End) -> None:
        await post_large(a, 5)
        for n in range(4):
            await send(a, b, n)
        await b.stop()
        await b.start()
        with pytest.raises(NoRoom):
            await send(a, b, 4)

    between_two(main)


def test_events_without_numbers_need_room_as_well() -> None:
    async def main(_: End, b: End) -> None:
        large = read_event(content(bytes(16), GOOD, bytes(900_000), 1))
        for n in range(3):
            assert await b.intake.take_plain(A, large, bytes((n,)) * 16) is None
        with pytest.raises(NoRoom):
            await b.intake.take_plain(A, large, bytes(16))

    between_two(main)


def test_an_event_of_a_few_bytes_counts_for_what_it_takes_in_the_log() -> None:
    async def main(a: End, b: End) -> None:
        many = 7_000
        assert many * 100 < 2 * KEEP.mib * 2**20 < many * (ENTRY_BYTES + 100)
        await a.post([(GOOD, b"")] * (many + 1))
        for after in range(0, many, 1_000):
            page = await a.links.numbered(B, after, 1_000)
            await b.intake.take(A, [read_event(each.body) for each in page])
        with pytest.raises(NoRoom):
            await send(a, b, many)

    between_two(main)


def test_what_came_is_looked_at_as_soon_as_it_is_much() -> None:
    async def main(a: End, b: End) -> None:
        await post_large(a, 7)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.retain, KEEP)
            await trio.sleep(SOON_S / 3)
            for n in range(4):
                await send(a, b, n)
            await handle(b, 4)
            await trio.sleep(SOON_S)
            for n in range(4, 7):  # there is room for them before the hour is over
                await send(a, b, n)
            nursery.cancel_scope.cancel()

    between_two(main)
