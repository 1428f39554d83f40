"""What the durable reader promises, on either engine. See `postbox.log.outbox`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from msgspec import Struct

from postbox.log import outbox as outbox_module
from postbox.log.outbox import LOOK_S, Outbox, UnknownReader
from postbox.log.outbox_rules import acknowledged, is_open, needs_of
from postbox.log.outbox_tables import MAX_ERROR_CHARS, DeadLetter
from postbox.rules import (
    Accepted,
    Decision,
    NewEntry,
    Outcome,
    Payer,
    Rejected,
    RowKey,
    State,
)
from postbox.store.contract import Change, Found, Lane
from postbox.world import World
from support.faulty import never
from support.kernel import Kernel, open_kernel
from support.simulated import Fails, over_every_store, simulated
from support.toy_chat import ChatDraft, ToyChat

READER = "push ann"
CHAT = b"c"
OTHER = b"d"


@dataclass(frozen=True)
class Open:
    """A kernel with an outbox, and chats for its readers to follow."""

    kernel: Kernel
    outbox: Outbox

    async def say(self, *numbers: int, chat: bytes = CHAT) -> list[int]:
        """Entries with these ids; their positions."""
        drafts = [ChatDraft(number.to_bytes(16, "big"), "send", chat) for number in numbers]
        outcomes = await self.kernel.admission.submit(ToyChat(), drafts)
        return [outcome.pos for outcome in outcomes if isinstance(outcome, Accepted)]

    async def due(self, reader: str = READER) -> list[int]:
        return [entry.pos for entry in (await self.outbox.page(reader)).entries]

    async def letters(self) -> list[int]:
        return [letter.pos for letter in await self.outbox.dead()]

    def in_ms(self, delay_s: float) -> int:
        return round(self.kernel.world.clock.now_ns() / 1e6 + delay_s * 1_000)


@asynccontextmanager
async def opened(world: World, place: str, fails: Fails = never) -> AsyncIterator[Open]:
    async with open_kernel(world, fails, database=place) as kernel:
        outbox = Outbox(world, kernel.runner, kernel.tail, kernel.admission)
        kernel.tail.follow(outbox)
        yield Open(kernel, outbox)


@asynccontextmanager
async def with_five(world: World, place: str, fails: Fails = never) -> AsyncIterator[Open]:
    """A reader of a chat with entries at 3 to 7; at 1 and 2 two chats were made."""
    async with opened(world, place, fails) as it:
        drafts = [ChatDraft(chat.rjust(16, b"\0"), "create", chat) for chat in (CHAT, OTHER)]
        await it.kernel.admission.submit(ToyChat(), drafts)
        await it.say(*range(1, 6))
        await it.outbox.add(READER, Lane.CLIENTS, [CHAT], after=2)
        yield it


async def is_waiting(it: Open, for_s: float = 1.0) -> bool:
    with trio.move_on_after(for_s) as scope:
        await it.outbox.wait_page(READER)
    return scope.cancelled_caught


@over_every_store
@simulated
async def test_a_reader_is_given_what_it_has_not_acknowledged(
    world: World, place: str, fails: Fails
) -> None:
    async with with_five(world, place, fails) as it:
        assert await it.due() == [3, 4, 5, 6, 7]
        await it.outbox.ack(READER, 4)
        assert await it.due() == [5, 6, 7]
        await it.outbox.ack(READER, 7)
        assert await it.due() == []


@simulated
async def test_a_new_reader_begins_where_it_is_told_to(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        await it.outbox.add("all", Lane.CLIENTS, [CHAT])
        await it.outbox.add("new", Lane.CLIENTS, [CHAT], after=it.kernel.tail.head)
        [pos] = await it.say(6)
        assert await it.due("all") == [1, 3, 4, 5, 6, 7, pos]
        assert await it.due("new") == [pos]


@simulated
async def test_places_times_and_letters_outlive_the_process(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        [third] = (await it.outbox.page(READER, limit=1)).entries
        await it.outbox.bury(READER, third, "never")
        await it.outbox.retry(READER, 4, it.in_ms(3_600), "not now")
        before = await it.outbox.readers(), await it.outbox.dead()
    async with opened(world, place) as it:
        assert (await it.outbox.readers(), await it.outbox.dead()) == before
        assert await it.due() == []
        due = await it.outbox.wait_page(READER)
        assert trio.current_time() >= 3_600
        assert [entry.pos for entry in due.entries] == [4, 5, 6, 7]
        assert (due.reader.attempts, due.reader.error) == (1, "not now")


@simulated
async def test_an_acknowledgement_never_goes_back(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        await it.outbox.ack(READER, 6)
        await it.outbox.ack(READER, 4)
        assert await it.due() == [7]


@over_every_store
@simulated
async def test_a_retry_holds_all_that_comes_after_until_its_time(
    world: World, place: str, fails: Fails
) -> None:
    async with with_five(world, place, fails) as it:
        at_ms = it.in_ms(200)
        await it.outbox.retry(READER, 3, at_ms, "down")
        await it.say(6)
        assert await it.due() == []
        due = await it.outbox.wait_page(READER)
        late_ms = it.in_ms(0) - at_ms
        assert 0 <= late_ms < 100
        assert [entry.pos for entry in due.entries] == [3, 4, 5, 6, 7, 8]
        assert due.reader.attempts == 1
        await it.outbox.retry(READER, 3, it.in_ms(10), "down again")
        due = await it.outbox.wait_page(READER)
        assert (due.reader.attempts, due.reader.error) == (2, "down again")
        assert due.reader.failing_since_ms < at_ms
        await it.outbox.ack(READER, 3)
        due = await it.outbox.page(READER)
        assert (due.reader.attempts, due.reader.failing_since_ms, due.reader.error) == (0, 0, "")


@simulated
async def test_the_same_retry_twice_is_one_attempt(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        at_ms = it.in_ms(5)
        await it.outbox.retry(READER, 3, at_ms, "down")
        await it.outbox.retry(READER, 3, at_ms, "down")
        assert (await it.outbox.wait_page(READER)).reader.attempts == 1


@simulated
async def test_a_reader_in_a_hurry_does_not_wait_for_its_time(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        await it.outbox.retry(READER, 3, it.in_ms(3_600), "down")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.outbox.wait_page, READER)
            await trio.sleep(1)
            await it.outbox.hurry(READER)
        assert trio.current_time() < 2
        due = await it.outbox.page(READER)
        assert [entry.pos for entry in due.entries] == [3, 4, 5, 6, 7]
        assert due.reader.attempts == 1


@simulated
async def test_waiting_ends_with_the_next_entry_of_the_readers_streams(
    world: World, place: str
) -> None:
    async with with_five(world, place) as it:
        await it.outbox.add(READER, Lane.CLIENTS, [CHAT, b"e"])
        await it.outbox.ack(READER, 7)
        assert await is_waiting(it)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.outbox.wait_page, READER)
            await trio.sleep(1)
            await it.say(20, chat=OTHER)
            await trio.sleep(1)
            assert nursery.child_tasks
            await it.say(21)
            await trio.sleep(0.1)
            assert not nursery.child_tasks


@simulated
async def test_an_entry_that_comes_while_the_page_is_read_is_not_missed(
    world: World, place: str
) -> None:
    async with with_five(world, place) as it:
        for number in range(200, 240):
            await it.outbox.ack(READER, it.kernel.tail.head)
            with trio.fail_after(LOOK_S / 2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(it.outbox.wait_page, READER)
                    await trio.sleep(0.001 * (number % 8))  # into every part of it
                    await it.say(number)


@over_every_store
@simulated
async def test_what_is_buried_is_a_dead_letter_and_the_next_is_due(
    world: World, place: str, fails: Fails
) -> None:
    async with with_five(world, place, fails) as it:
        await it.outbox.retry(READER, 3, it.in_ms(1), "down")
        due = await it.outbox.wait_page(READER)
        await it.outbox.bury(READER, due.entries[0], "refused")
        assert await it.due() == [4, 5, 6, 7]
        [letter] = await it.outbox.dead()
        assert 0 <= it.in_ms(0) - letter.buried_ms < 1_000
        number = (1).to_bytes(16, "big")
        wanted = DeadLetter(
            *(READER, 3, Lane.CLIENTS, CHAT, number, letter.buried_ms),
            *(2, "refused", False),
        )
        assert letter == wanted


@simulated
async def test_a_revived_letter_is_due_alone_and_before_all_else(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        for entry in (await it.outbox.page(READER, limit=2)).entries:
            await it.outbox.bury(READER, entry, "refused")
        assert isinstance(await it.outbox.revive(READER, 4), Accepted)
        due = await it.outbox.page(READER)
        assert ([entry.pos for entry in due.entries], due.more) == ([4], True)
        await it.outbox.ack(READER, 4)
        assert await it.due() == [5, 6, 7]
        assert await it.letters() == [3]
        await it.outbox.ack(READER, 6)
        await it.outbox.revive(READER, 3)
        await it.outbox.ack(READER, 3)
        assert await it.due() == [7], "what came after it is not due again"


@simulated
async def test_a_revived_letter_may_fail_and_be_buried_again(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        [third] = (await it.outbox.page(READER, limit=1)).entries
        await it.outbox.bury(READER, third, "refused")
        await it.outbox.revive(READER, 3)
        await it.outbox.retry(READER, 3, it.in_ms(60), "down")
        assert await it.due() == []
        assert [entry.pos for entry in (await it.outbox.wait_page(READER)).entries] == [3]
        await it.outbox.bury(READER, third, "refused again")
        assert await it.due() == [4, 5, 6, 7]
        [letter] = await it.outbox.dead()
        assert (letter.attempts, letter.error, letter.is_revived) == (2, "refused again", False)


@simulated
async def test_reviving_wakes_the_reader(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        [third] = (await it.outbox.page(READER, limit=1)).entries
        await it.outbox.bury(READER, third, "refused")
        await it.outbox.ack(READER, 7)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.outbox.wait_page, READER)
            await trio.sleep(1)
            await it.outbox.revive(READER, 3)
            await trio.sleep(1)
            assert not nursery.child_tasks


@simulated
async def test_a_letter_that_is_acknowledged_is_forgotten(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        [third] = (await it.outbox.page(READER, limit=1)).entries
        await it.outbox.bury(READER, third, "refused")
        await it.outbox.ack(READER, 3)
        assert await it.letters() == []
        assert await it.due() == [4, 5, 6, 7]


def code_of(outcome: Outcome) -> str:
    return outcome.reason.code if isinstance(outcome, Rejected) else ""


@simulated
async def test_what_cannot_be_revived_is_refused_with_the_reason(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        assert code_of(await it.outbox.revive(READER, 3)) == "unknown_letter"
        for entry in (await it.outbox.page(READER, limit=2)).entries:
            await it.outbox.bury(READER, entry, "refused")
        await it.outbox.revive(READER, 4)
        await it.kernel.runner.write(lambda tx: tx.apply(Change(removes=[3, 4])))
        assert code_of(await it.outbox.revive(READER, 3)) == "entry_gone"
        assert await it.say(1) == [8], "with the id that was at 3"
        assert code_of(await it.outbox.revive(READER, 3)) == "entry_gone"
        await it.kernel.runner.write(lambda tx: tx.apply(Change(removes=[8])))
        assert await it.due() == [5, 6, 7], "what was revived before it went is passed over"


@simulated
async def test_removed_entries_are_passed_over_and_erased_ones_are_given(
    world: World, place: str
) -> None:
    async with with_five(world, place) as it:
        await it.kernel.runner.write(lambda tx: tx.apply(Change(removes=[3, 5], blanks=[4])))
        due = await it.outbox.page(READER)
        assert [(entry.pos, entry.body) for entry in due.entries] == [(4, None), (6, b""), (7, b"")]


@simulated
async def test_of_a_removed_reader_nothing_is_left(
    world: World, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "FORGET_LETTERS", 2)
    async with with_five(world, place) as it:
        await it.outbox.add("other", Lane.CLIENTS, [CHAT], after=2)
        entries = (await it.outbox.page(READER)).entries
        await it.outbox.bury("other", entries[0], "refused")
        for entry in entries:
            await it.outbox.bury(READER, entry, "refused")
        await it.outbox.remove(READER)
        await it.outbox.remove(READER)
        assert [reader.name for reader in await it.outbox.readers()] == ["other"]
        assert [letter.reader for letter in await it.outbox.dead()] == ["other"]


async def is_told(it: Open) -> None:
    with pytest.raises(UnknownReader, match="no reader 'push ann'"):
        await it.outbox.wait_page(READER)
    assert trio.current_time() < LOOK_S / 2


@simulated
async def test_whoever_works_for_a_removed_reader_is_told(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        [third] = (await it.outbox.page(READER, limit=1)).entries
        await it.outbox.ack(READER, 7)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(is_told, it)
            await trio.sleep(1)
            await it.outbox.remove(READER)
        for call in (
            lambda: it.outbox.page(READER),
            lambda: it.outbox.ack(READER, 3),
            lambda: it.outbox.retry(READER, 3, it.in_ms(1), ""),
            lambda: it.outbox.bury(READER, third, ""),
            lambda: it.outbox.hurry(READER),
            lambda: it.outbox.backlog(READER),
        ):
            with pytest.raises(UnknownReader):
                await call()
        assert await it.letters() == []


@simulated
async def test_a_reader_that_is_added_again_keeps_its_place(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        await it.outbox.ack(READER, 5)
        await it.outbox.add(READER, Lane.CLIENTS, [CHAT])
        assert await it.due() == [6, 7]


@simulated
async def test_a_stream_that_is_added_is_waited_for_at_once(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        await it.outbox.ack(READER, 7)
        await it.outbox.add(READER, Lane.CLIENTS, [])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.outbox.wait_page, READER)
            await trio.sleep(1)
            await it.outbox.add(READER, Lane.CLIENTS, [CHAT, OTHER])
            await it.say(20, chat=OTHER)
            await trio.sleep(0.1)
            assert not nursery.child_tasks


@simulated
async def test_the_operator_sees_how_far_each_reader_is_behind(world: World, place: str) -> None:
    async with with_five(world, place) as it:
        await it.outbox.add("a host", Lane.CLIENTS, [CHAT, OTHER], after=7)
        await it.outbox.retry("a host", 8, 2**50, "no answer")
        await it.say(6)
        await it.say(7, 8, chat=OTHER)
        failing, fine = await it.outbox.readers()
        assert (failing.name, failing.attempts, failing.error) == ("a host", 1, "no answer")
        assert (fine.name, fine.acknowledged, fine.retry_ms) == (READER, 2, 0)
        assert (await it.outbox.backlog("a host")).count == 3
        assert (await it.outbox.backlog(READER)).count == 6
        assert (await it.outbox.backlog(READER, at_most=4)).count == 4
        await it.outbox.ack(READER, 10)
        assert await it.outbox.backlog(READER) == outbox_module.Backlog(0, None)


@pytest.mark.parametrize("error", ["a\0b", "lone \udc80", "é" * 5_000], ids=["nul", "lone", "long"])
@simulated
async def test_any_words_of_a_stranger_can_be_an_error(
    world: World, place: str, error: str
) -> None:
    async with with_five(world, place) as it:
        await it.outbox.retry(READER, 3, it.in_ms(60), error)
        [reader] = await it.outbox.readers()
        assert 0 < len(reader.error) <= MAX_ERROR_CHARS


@pytest.mark.parametrize(
    ("reader", "lane", "streams"),
    [
        ("", Lane.HOSTS, [b"s"]),
        ("a" * 301, Lane.HOSTS, [b"s"]),
        ("a\0b", Lane.HOSTS, [b"s"]),
        ("a", Lane.MESH, [b"s"]),
        ("a", Lane.HOSTS, [b"s"] * 65_536),
    ],
)
@simulated
async def test_what_can_be_no_reader_is_refused(
    world: World, reader: str, lane: Lane, streams: Sequence[bytes]
) -> None:
    async with opened(world, "node.db") as it:
        with pytest.raises(ValueError):
            await it.outbox.add(reader, lane, streams)


@simulated
async def test_the_longest_name_and_the_most_streams_are_stored(world: World, place: str) -> None:
    async with opened(world, place) as it:
        streams = [bytes([at % 256]) * 250 for at in range(258)]
        await it.outbox.add("é" * 300, Lane.HOSTS, streams)
        [reader] = await it.outbox.readers()
        assert reader.streams == tuple(streams)


@simulated
async def test_of_two_who_work_for_a_reader_the_later_changes_nothing(
    world: World, place: str
) -> None:
    async with with_five(world, place) as it:
        [third] = (await it.outbox.page(READER, limit=1)).entries
        await it.outbox.ack(READER, 3)
        await it.outbox.retry(READER, 3, it.in_ms(60), "the other one failed")
        await it.outbox.bury(READER, third, "the other one gave up")
        assert await it.due() == [4, 5, 6, 7]
        assert await it.letters() == []


@simulated
async def test_who_waits_in_one_process_is_woken_by_another(world: World, database: str) -> None:
    async with with_five(world, database) as one, opened(world, database) as two:
        [third] = (await one.outbox.page(READER, limit=1)).entries
        await one.outbox.bury(READER, third, "refused")
        await one.outbox.retry(READER, 4, one.in_ms(3_600), "down")
        assert await is_woken(one, partial(two.outbox.hurry, READER)) == [4, 5, 6, 7]
        await one.outbox.ack(READER, 7)
        assert await is_woken(one, partial(two.outbox.revive, READER, 3)) == [3]
        await one.outbox.ack(READER, 3)
        assert await is_woken(one, partial(two.say, 6)) == [8]


async def is_woken(it: Open, call: Callable[[], Awaitable[object]]) -> list[int]:
    """What is due then, for one who waited."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.outbox.wait_page, READER)
        await trio.sleep(1)
        assert nursery.child_tasks
        await call()
        await it.kernel.tail.catch_up()  # as its feed does, when it hears of it
        nursery.cancel_scope.deadline = trio.current_time() + 1
    assert not nursery.cancel_scope.cancelled_caught
    return await it.due()


class Handled(Struct, frozen=True):
    """A door's effect of an entry: another one, in a stream of its own."""

    id: bytes
    entry_pos: int

    @property
    def payer(self) -> Payer:
        return Payer("operator", "a handler")

    @property
    def size_bytes(self) -> int:
        return 1


class Handler:
    """Makes the effect and the acknowledgement in one decision; the drafts' ids say nothing."""

    lane = Lane.HOSTS
    tables = ()

    def needs(self, draft: Handled, state: State) -> Iterable[RowKey]:
        return needs_of(state, READER, draft.entry_pos)

    def decide(self, draft: Handled, state: State, at_ms: int) -> Decision:
        if not is_open(state, READER, draft.entry_pos):
            return Decision()
        body = str(draft.entry_pos).encode()
        effect = NewEntry(Lane.HOSTS, b"effects", draft.id, 1, b"", at_ms, body)
        done = acknowledged(state, READER, draft.entry_pos)
        return Decision((effect,), done.puts, done.drops)

    def replaces(self, draft: Handled, stored: Found) -> bool:
        return False


@over_every_store
@simulated
async def test_an_effect_in_the_acknowledgements_decision_happens_once(
    world: World, place: str, fails: Fails
) -> None:
    async with with_five(world, place, fails) as it:
        done: list[int] = []

        async def work() -> None:
            """As two processes would that both believe to be the one."""
            while len(done) < 10:
                entries = (await it.outbox.page(READER, limit=2)).entries
                drafts = [Handled(world.new_id(), entry.pos) for entry in entries]
                await it.kernel.admission.submit(Handler(), drafts)
                done.append(len(entries))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            nursery.start_soon(work)
        page = await it.kernel.tail.page(Lane.HOSTS, None, 0)
        assert [entry.body for entry in page.entries] == [b"3", b"4", b"5", b"6", b"7"]
        assert await it.due() == []
