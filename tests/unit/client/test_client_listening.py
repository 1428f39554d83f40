"""What an app is told of: names, once each, however slowly it listens."""

from __future__ import annotations

import gc

import pytest
import trio

from postbox.client.listening import EVERYTHING, MOST_NAMES, Change, Listeners, What


def message(number: int) -> Change:
    return Change(What.MESSAGE, "room", f"message {number}")


async def test_what_changed_twice_is_told_once_and_in_order() -> None:
    listeners = Listeners()
    changes = listeners.listen()
    listeners.tell(message(1), message(2), message(1))
    assert [await anext(changes), await anext(changes)] == [message(1), message(2)]
    listeners.tell(message(1))
    assert await anext(changes) == message(1)


async def test_a_listener_that_reads_nothing_keeps_so_much_and_is_told_of_everything() -> None:
    listeners = Listeners()
    slow, quick = listeners.listen(), listeners.listen()
    for number in range(20 * MOST_NAMES):
        listeners.tell(message(number))
        assert await anext(quick) == message(number)
        assert len(slow._waiting) <= MOST_NAMES
    assert await anext(slow) == EVERYTHING
    listeners.tell(message(1))
    assert await anext(slow) == message(1)


async def test_who_waits_is_woken_and_who_is_cancelled_has_missed_nothing() -> None:
    listeners = Listeners()
    changes = listeners.listen()
    with trio.CancelScope() as scope:
        scope.cancel()
        listeners.tell(message(1))
        await anext(changes)
    assert scope.cancelled_caught
    assert await anext(changes) == message(1)
    heard = []

    async def listen() -> None:
        heard.append(await anext(changes))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await trio.testing.wait_all_tasks_blocked()
        listeners.tell(message(2))
    assert heard == [message(2)]


async def test_the_end_comes_behind_what_was_told_and_comes_to_late_listeners_too() -> None:
    listeners = Listeners()
    changes = listeners.listen()
    listeners.tell(message(1))
    listeners.end()
    assert [change async for change in changes] == [message(1)]
    assert [change async for change in listeners.listen()] == []


async def test_who_drops_its_iterator_costs_nothing_more() -> None:
    listeners = Listeners()
    kept = listeners.listen()
    for _ in range(100):
        listeners.listen()
    gc.collect()
    listeners.tell(message(1))
    assert [listener() for listener in listeners._all] == [kept]


@pytest.mark.parametrize("ends", [True, False])
async def test_several_listen_each_for_itself(ends: bool) -> None:
    listeners = Listeners()
    one, other = listeners.listen(), listeners.listen()
    listeners.tell(message(1))
    assert await anext(one) == message(1)
    assert await anext(other) == message(1)
    if ends:
        listeners.end()
        with pytest.raises(StopAsyncIteration):
            await anext(one)
