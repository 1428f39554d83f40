"""What an app is told of: names, once each, however slowly it listens."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import pytest
import trio

from postbox.client.errors import Closed
from postbox.client.listening import EVERYTHING, MOST_NAMES, Change, Changes, Listeners, What


def message(number: int) -> Change:
    return Change(What.MESSAGE, "room", f"message {number}")


async def as_it_is(changes: Sequence[Change]) -> Sequence[Change]:
    return changes


def listen_to(listeners: Listeners) -> Changes:
    return Changes(listeners.listen(), as_it_is)


async def test_what_changed_twice_is_told_once_and_in_order() -> None:
    listeners = Listeners()
    changes = listen_to(listeners)
    listeners.tell(message(1), message(2), message(1))
    assert [await anext(changes), await anext(changes)] == [message(1), message(2)]
    listeners.tell(message(1))
    assert await anext(changes) == message(1)


async def test_a_listener_that_reads_nothing_keeps_so_much_and_is_told_of_everything() -> None:
    listeners = Listeners()
    slow, quick = listen_to(listeners), listen_to(listeners)
    for number in range(20 * MOST_NAMES):
        listeners.tell(message(number))
        assert await anext(quick) == message(number)
        assert len(slow._listener.waiting) <= MOST_NAMES
    assert await anext(slow) == EVERYTHING
    listeners.tell(message(1))
    assert await anext(slow) == message(1)


async def test_who_waits_is_woken_and_who_is_cancelled_has_missed_nothing() -> None:
    listeners = Listeners()
    changes = listen_to(listeners)
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
    changes = listen_to(listeners)
    listeners.tell(message(1))
    listeners.end()
    assert [change async for change in changes] == [message(1)]
    assert [change async for change in listen_to(listeners)] == []


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
    one, other = listen_to(listeners), listen_to(listeners)
    listeners.tell(message(1))
    assert await anext(one) == message(1)
    assert await anext(other) == message(1)
    if ends:
        listeners.end()
        with pytest.raises(StopAsyncIteration):
            await anext(one)


async def test_all_that_waits_is_named_at_once_and_who_is_cancelled_meanwhile_misses_nothing() -> (
    None
):
    listeners, looks = Listeners(), list[int]()

    async def named(changes: Sequence[Change]) -> Sequence[Change]:
        looks.append(len(changes))
        await trio.sleep(1)
        return [Change(change.what, "key", change.uuid) for change in changes]

    changes = Changes(listeners.listen(), named)
    listeners.tell(*map(message, range(5)))
    with trio.move_on_after(0.5) as scope:
        await anext(changes)
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.5)
        first = await anext(changes)
    listeners.tell(message(0), message(9))
    others = [await anext(changes) for _ in range(6)]
    assert [first, *others] == [
        Change(What.MESSAGE, "key", f"message {n}") for n in (0, 1, 2, 3, 4, 0, 9)
    ]
    assert looks == [5, 5, 2]


async def test_who_wants_to_know_that_anything_changed_looks_once_for_all() -> None:
    listeners = Listeners()
    listener = listeners.listen()
    listeners.tell(*map(message, range(5)))
    await listener.changed()
    with trio.move_on_after(1) as scope:
        await listener.changed()
    assert scope.cancelled_caught
    listeners.end()
    with pytest.raises(Closed, match="open_client"):
        await listener.changed()
