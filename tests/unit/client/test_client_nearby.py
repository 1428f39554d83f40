"""Who types and who is connected: for the time that the host gave, and no longer."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

import trio

from postbox.client.listening import Change, What
from postbox.client.nearby import Nearby
from support.simulate import Simulation, simulate

TYPING, CONNECTED = Change(What.TYPING, "room", "ann"), Change(What.CONNECTED, "", "ann")


def watched(test: Callable[[Nearby, list[Change]], Awaitable[None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        async def main(simulation: Simulation) -> None:
            told: list[Change] = []
            nearby = Nearby(trio.current_time, told.append)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(nearby.watch)
                await test(nearby, told)
                nursery.cancel_scope.cancel()

        simulate(1, main)

    del run.__wrapped__
    return run


@watched
async def test_typing_ends_by_itself_and_is_told_twice(nearby: Nearby, told: list[Change]) -> None:
    nearby.heard("room", "ann", 10_000)
    assert (nearby.typists("room"), nearby.typists("other"), nearby.connected()) == (
        ["ann"],
        [],
        [],
    )
    await trio.sleep(9)
    nearby.heard("room", "ann", 10_000)
    await trio.sleep(9.9)
    assert nearby.typists("room") == ["ann"]
    assert told == [TYPING]
    await trio.sleep(0.2)
    assert nearby.typists("room") == []
    assert told == [TYPING, TYPING]


@watched
async def test_what_is_over_by_itself_is_told_though_nobody_asks(
    nearby: Nearby, told: list[Change]
) -> None:
    nearby.heard("", "ann", 90_000)
    nearby.heard("room", "ann", 10_000)
    await trio.sleep(10.1)
    assert told == [CONNECTED, TYPING, TYPING]
    assert nearby.connected() == ["ann"]
    await trio.sleep(80)
    assert (told[3:], nearby.connected()) == ([CONNECTED], [])
    assert nearby._until_s == {}


@watched
async def test_a_message_and_a_word_end_it_at_once(nearby: Nearby, told: list[Change]) -> None:
    nearby.heard("room", "ann", 10_000)
    nearby.said("room", "bob")
    assert nearby.typists("room") == ["ann"]
    nearby.said("room", "ann")
    assert nearby.typists("room") == []
    nearby.heard("room", "ann", 10_000)
    nearby.heard("room", "ann", 0)
    nearby.heard("room", "ann", 0)
    assert (nearby.typists("room"), told) == ([], [TYPING] * 4)
