"""Cancelling a caller at every moment: its drafts are in the log whole, or they never were."""

from __future__ import annotations

import pytest
import trio

from postbox.log.waiting import MAX_BATCH_DRAFTS
from postbox.rules import Accepted, Duplicate
from postbox.store.contract import Lane
from postbox.world import World
from support.kernel import Kernel, Recorder, open_kernel
from support.simulated import Fails, over_every_store, simulated
from support.toy_chat import ChatDraft, ToyChat

RULES = ToyChat()


def create(number: int) -> ChatDraft:
    return ChatDraft(number.to_bytes(16, "big"), "create", number.to_bytes(4, "big"))


async def stored(kernel: Kernel) -> list[int]:
    page = await kernel.tail.page(Lane.CLIENTS, None, 0, limit=10_000)
    return [int.from_bytes(entry.id, "big") for entry in page.entries]


@over_every_store
@simulated
async def test_a_caller_cancelled_while_its_drafts_wait_leaves_no_trace(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.admission.submit, RULES, [create(1)])
            await trio.testing.wait_all_tasks_blocked()  # the first is being committed
            with trio.CancelScope() as scope:
                scope.cancel()
                await kernel.admission.submit(RULES, [create(2)])
            assert scope.cancelled_caught
        assert await stored(kernel) == [1]
        assert await kernel.admission.submit(RULES, [create(2)]) == [Accepted(2, 1)]


@over_every_store
@simulated
async def test_a_caller_cancelled_after_its_drafts_were_taken_loses_the_answer_only(
    world: World, fails: Fails
) -> None:
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.admission.submit, RULES, [create(1)])
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await kernel.admission.submit(RULES, [create(1)]) == [Duplicate(1, 1)]
        assert recorder.positions == [1]


@over_every_store
@simulated
async def test_of_a_long_call_that_is_cancelled_only_the_batch_that_was_taken_is_stored(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        async with trio.open_nursery() as nursery:
            many = [create(number) for number in range(1, 3 * MAX_BATCH_DRAFTS)]
            nursery.start_soon(kernel.admission.submit, RULES, many)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await kernel.admission.submit(RULES, [create(0)])
        assert await stored(kernel) == [*range(1, MAX_BATCH_DRAFTS + 1), 0]


@pytest.mark.parametrize("at_ms", [0, 1, 2, 3, 5, 8, 13, 30, 51, 52, 55, 60, 100])
@over_every_store
@simulated
async def test_whenever_callers_are_cancelled_their_calls_are_whole_and_others_are_answered(
    world: World, fails: Fails, at_ms: int
) -> None:
    recorder = Recorder()
    answered: list[int] = []
    async with open_kernel(world, fails, followers=[recorder]) as kernel:

        async def submit(first: int, delay_s: float, is_cancelled: bool) -> None:
            await trio.sleep(delay_s)
            deadline_s = at_ms / 1_000 if is_cancelled else 1_000.0
            with trio.move_on_after(deadline_s):
                await kernel.admission.submit(RULES, [create(first), create(first + 1)])
                answered.append(first)

        async with trio.open_nursery() as nursery:
            for at in range(30):
                nursery.start_soon(submit, 10 * at, at / 1_000, at % 2 == 1)
        ids = await stored(kernel)
        assert recorder.positions == list(range(1, len(ids) + 1))
        assert all(number + 1 in ids for number in ids if number % 10 == 0)
        assert {10 * at for at in range(0, 30, 2)} <= set(answered)
        assert set(answered) <= set(ids)


@over_every_store
@simulated
async def test_a_writer_that_is_cancelled_during_a_commit_still_answers_it(
    world: World, fails: Fails
) -> None:
    """The commit runs to its end in its thread; only a store that is away leaves it open."""
    recorder = Recorder()
    outcomes: list[object] = []
    async with open_kernel(world, fails, followers=[recorder], is_running=False) as kernel:

        async def submit() -> None:
            try:
                outcomes.extend(await kernel.admission.submit(RULES, [create(1)]))
            except Exception as error:
                outcomes.append(type(error).__name__)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            with trio.CancelScope() as writer:
                async with trio.open_nursery() as inner:
                    await inner.start(kernel.admission.run)
                    await trio.testing.wait_all_tasks_blocked()
                    writer.cancel()
        if fails(1) is None:
            assert outcomes == [Accepted(1, 1)]
            assert recorder.positions == [1]
        else:
            assert outcomes == ["Stopped"]
