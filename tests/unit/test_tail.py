"""Pages and waiting, out of memory and out of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
import trio

from postbox.log import ring
from postbox.log.committed import Committed, Interest
from postbox.store.contract import Entry, Lane, Page, Reader, Window
from postbox.world import Pool, Threads, World
from support.kernel import Kernel, Recorder, open_kernel
from support.simulated import simulated
from support.toy_chat import ChatDraft, ToyChat

RULES = ToyChat()

T = TypeVar("T")


def create(chat: bytes) -> ChatDraft:
    return ChatDraft(chat.rjust(16, b"\0"), "create", chat)


def send(number: int, chat: bytes = b"a", text: str = "hello") -> ChatDraft:
    return ChatDraft(number.to_bytes(16, "big"), "send", chat, text=text)


async def fill(kernel: Kernel, count: int = 30) -> None:
    """Positions 1 and 2 make the chats a and b, the others take turns in them, in 3 commits."""
    drafts = [create(b"a"), create(b"b"), *[send(at, b"ab"[at % 2 :][:1]) for at in range(count)]]
    third = len(drafts) // 3 + 1
    for at in range(0, len(drafts), third):
        await kernel.admission.submit(RULES, drafts[at : at + third])


async def both_pages(
    kernel: Kernel, windows: Sequence[Window] | None, after: int, limit: int, max_bytes: int
) -> tuple[Page, Page]:
    page = await kernel.tail.page(Lane.CLIENTS, windows, after, limit, max_bytes)
    stored = await kernel.runner.read(
        lambda reader: reader.page(Lane.CLIENTS, windows, after, limit, max_bytes)
    )
    return page, stored


WINDOWS: list[list[Window] | None] = [
    None,
    [],
    [Window(b"a")],
    [Window(b"a", 3, 9), Window(b"b", 20), Window(b"a", 7, 12), Window(b"none")],
]


@pytest.mark.parametrize("windows", WINDOWS)
@simulated
async def test_a_page_from_memory_is_the_page_from_the_store(
    world: World, windows: list[Window] | None
) -> None:
    async with open_kernel(world) as kernel:
        await fill(kernel)
        gone = ChatDraft(bytes(15) + b"x", "remove", b"a", target=send(4).id)
        blank = ChatDraft(bytes(15) + b"y", "blank", b"a", target=send(6).id)
        await kernel.admission.submit(RULES, [gone, blank])
        for after in range(kernel.tail.head + 2):
            for limit, max_bytes in ((1, 99), (3, 99), (100, 12), (100, 2**20)):
                page, stored = await both_pages(kernel, windows, after, limit, max_bytes)
                assert page == stored


@simulated
async def test_following_next_reads_everything_once_in_order(world: World) -> None:
    async with open_kernel(world) as kernel:
        await fill(kernel)
        seen: list[int] = []
        after, more = 0, True
        while more:
            page = await kernel.tail.page(Lane.CLIENTS, None, after, limit=7)
            seen += [entry.pos for entry in page.entries]
            after, more = page.next, page.more
        assert seen == list(range(1, 33))


@simulated
async def test_what_is_not_in_memory_any_more_comes_from_the_store(world: World) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(RULES, [create(b"a")])
        many = [send(1_000 + at) for at in range(ring.MAX_ENTRIES + 100)]
        await kernel.admission.submit(RULES, many)
        page = await kernel.tail.page(Lane.CLIENTS, None, 0, limit=3)
        assert [entry.pos for entry in page.entries] == [1, 2, 3]
        newest = await kernel.tail.page(Lane.CLIENTS, None, len(many))
        assert [entry.pos for entry in newest.entries] == [len(many) + 1]


@simulated
async def test_a_tail_opened_on_a_log_starts_at_its_head_and_reads_what_was_before(
    world: World,
) -> None:
    async with open_kernel(world) as kernel:
        await fill(kernel)
    async with open_kernel(world) as kernel:
        assert kernel.tail.head == 32
        page = await kernel.tail.page(Lane.CLIENTS, None, 30)
        assert [entry.pos for entry in page.entries] == [31, 32]


@simulated
async def test_who_waits_wakes_when_a_commit_touches_its_stream_and_not_before(
    world: World,
) -> None:
    woken: list[str] = []
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(RULES, [create(b"a"), create(b"b"), create(b"c")])
        head = kernel.tail.head

        async def wait(name: str, interest: Interest) -> None:
            await kernel.tail.wait(interest, head)
            woken.append(name)

        async with trio.open_nursery() as nursery:
            interests = {
                "a": Interest(Lane.CLIENTS, frozenset([b"a"])),
                "b and c": Interest(Lane.CLIENTS, frozenset([b"b", b"c"])),
                "mesh": Interest(Lane.MESH, frozenset([b"a"])),
                "all": Interest(Lane.CLIENTS),
            }
            for name, interest in interests.items():
                nursery.start_soon(wait, name, interest)
            await trio.testing.wait_all_tasks_blocked()
            await kernel.admission.submit(RULES, [send(1, b"c")])
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(woken) == ["all", "b and c"]
            await kernel.admission.submit(RULES, [send(2, b"a")])
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(woken) == ["a", "all", "b and c"]
            nursery.cancel_scope.cancel()


@simulated
async def test_who_asks_too_late_does_not_wait(world: World) -> None:
    async with open_kernel(world) as kernel:
        await fill(kernel)
        with trio.fail_after(1):
            await kernel.tail.wait(Interest(Lane.CLIENTS, frozenset([b"a"])), kernel.tail.head - 2)
            await kernel.tail.wait(Interest(Lane.CLIENTS), 0)
        with trio.move_on_after(1) as waiting:
            await kernel.tail.wait(Interest(Lane.MESH), 0)
        assert waiting.cancelled_caught


@simulated
async def test_waiting_for_what_is_not_in_memory_any_more_returns_at_once(world: World) -> None:
    async with open_kernel(world) as kernel:
        await fill(kernel)
    async with open_kernel(world) as kernel:
        with trio.fail_after(1):
            await kernel.tail.wait(Interest(Lane.CLIENTS, frozenset([b"a"])), 3)


@simulated
async def test_a_watch_says_where_to_read_on_however_much_was_committed_meanwhile(
    world: World,
) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(RULES, [create(b"a"), create(b"b")])
        with kernel.tail.watch(Interest(Lane.CLIENTS, frozenset([b"a"]))) as watch:

            async def others() -> None:
                await trio.testing.wait_all_tasks_blocked()
                await fill_one(kernel, b"b", 20)
                await kernel.admission.submit(RULES, [send(100, b"a")])
                await fill_one(kernel, b"b", 5, first=50)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(others)
                after = await watch.wait(kernel.tail.head)
            assert after == 22
            page = await kernel.tail.page(Lane.CLIENTS, [Window(b"a")], after)
            assert [entry.pos for entry in page.entries] == [23]
            assert page.next == kernel.tail.head == 28


@simulated
async def test_a_watch_misses_nothing_that_was_committed_while_nobody_waited(
    world: World,
) -> None:
    async with open_kernel(world) as kernel:
        await kernel.admission.submit(RULES, [create(b"a"), create(b"b")])
        with kernel.tail.watch(Interest(Lane.CLIENTS, frozenset([b"a"]))) as watch:
            head = kernel.tail.head
            await kernel.admission.submit(RULES, [send(1, b"a")])
            await kernel.admission.submit(RULES, [send(2, b"b")])
            with trio.fail_after(1):
                assert await watch.wait(head) == head
                assert await watch.wait(0) == 0
            with trio.move_on_after(1) as waiting:
                await watch.wait(head + 1)
            assert waiting.cancelled_caught
            await kernel.admission.submit(RULES, [send(3, b"a")])
            with trio.fail_after(1):
                assert await watch.wait(head + 1) == head + 1


async def fill_one(kernel: Kernel, chat: bytes, count: int, first: int = 10) -> None:
    for number in range(first, first + count):
        await kernel.admission.submit(RULES, [send(number, chat)])


@simulated
async def test_nothing_is_kept_of_a_reader_that_is_cancelled(world: World) -> None:
    async with open_kernel(world) as kernel:
        idle = repr(kernel.tail)
        with trio.move_on_after(1):
            await kernel.tail.wait(Interest(Lane.CLIENTS, frozenset([b"a", b"b"])), 0)
        assert repr(kernel.tail) == idle


@simulated
async def test_a_follower_is_rebuilt_from_a_lane_and_misses_and_repeats_nothing(
    world: World,
) -> None:
    taken: list[Entry] = []
    async with open_kernel(world) as kernel:
        await fill(kernel)
    recorder = Recorder()
    async with open_kernel(world, followers=[recorder], is_running=False) as kernel:
        reached = await kernel.tail.replay(Lane.CLIENTS, taken.extend)
        assert reached == 32
        async with trio.open_nursery() as nursery:
            await nursery.start(kernel.admission.run)
            await kernel.admission.submit(RULES, [send(500)])
            nursery.cancel_scope.cancel()
    assert [entry.pos for entry in taken] + recorder.positions == list(range(1, 34))


@simulated
async def test_what_a_rebuild_raises_comes_out_as_it_is(world: World) -> None:
    def refuse(entries: Sequence[Entry]) -> None:
        raise ValueError("not these")

    async with open_kernel(world) as kernel:
        await fill(kernel)
        with pytest.raises(ValueError, match="not these"):
            await kernel.tail.replay(Lane.CLIENTS, refuse)
        with pytest.raises(OverflowError):  # the store's, which takes no such number
            await kernel.tail.replay(Lane.CLIENTS, refuse, after=2**70)


class SlowReaders:
    """A second until a thread is there to read, and one until what it read is back."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        pause_s = 1.0 if pool is Pool.READER else 0.0
        await trio.sleep(pause_s)
        found = await self._threads.run(pool, work)
        await trio.sleep(pause_s)
        return found


@simulated
async def test_who_joins_while_others_write_has_read_what_was_before_and_misses_nothing(
    world: World,
) -> None:
    """A commit that was read may come once more, in its order."""
    positions: list[int] = []

    class Joiner:
        def applied(self, committed: Committed) -> None:
            positions.extend(entry.pos for entry in committed.entries)

    def load(reader: Reader) -> None:
        page = reader.page(Lane.CLIENTS, None, 0, 1_000, 2**20)
        positions.extend(entry.pos for entry in page.entries)

    async def write(kernel: Kernel) -> None:
        for number in range(40):
            await kernel.admission.submit(RULES, [send(number)])
            await trio.sleep(0.1)

    async with open_kernel(replace(world, threads=SlowReaders(world.threads))) as kernel:
        await kernel.admission.submit(RULES, [create(b"a")])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, kernel)
            await trio.sleep(0.5)
            await kernel.tail.join(Joiner(), load)
    firsts = list(dict.fromkeys(positions))
    assert firsts == list(range(1, kernel.tail.head + 1))
