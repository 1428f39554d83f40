"""The way into the log, over a store that works and over stores that fail at every first try."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import pytest
import trio
from msgspec.structs import replace

from postbox.errors import DraftFault, Fatal, Full, Stopped, Violation
from postbox.log.admission import Admission
from postbox.log.committed import Committed
from postbox.log.waiting import MAX_BATCH_DRAFTS
from postbox.rules import (
    Accepted,
    Decision,
    Duplicate,
    EntryKey,
    NewEntry,
    Outcome,
    Reason,
    Rejected,
    RowKey,
    State,
    StreamKey,
    Unread,
)
from postbox.store.contract import Found, Identity, Lane, Reader, Shared, Size, Store, Table, Tx
from postbox.world import World
from support.faulty import FaultyStore, When
from support.kernel import Recorder, open_kernel
from support.serving import logged
from support.simulated import Fails, over_every_store, simulated
from support.toy_chat import CHAT, VERDICT, ChatDraft, ToyChat

T = TypeVar("T")
CHAT_RULES = ToyChat()


def number(value: int) -> bytes:
    return value.to_bytes(16, "big")


def draft(value: int, verb: str = "send", **fields: object) -> ChatDraft:
    return replace(ChatDraft(number(value), "send", b"c"), verb=verb, **fields)


CREATE = draft(1, "create", text="a name")


def sends(first: int, count: int, user: str = "ann") -> list[ChatDraft]:
    return [draft(value, user=user) for value in range(first, first + count)]


@over_every_store
@simulated
async def test_a_draft_is_accepted_with_its_position_and_number(world: World, fails: Fails) -> None:
    async with open_kernel(world, fails) as kernel:
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, *sends(2, 2)])
        assert outcomes == [Accepted(1, 1), Accepted(2, 2), Accepted(3, 3)]
        page = await kernel.tail.page(Lane.CLIENTS, None, 0)
        assert [(entry.id, entry.seq) for entry in page.entries] == [
            (number(1), 1),
            (number(2), 2),
            (number(3), 3),
        ]


@over_every_store
@simulated
async def test_no_drafts_have_no_outcomes(world: World, fails: Fails) -> None:
    async with open_kernel(world, fails) as kernel:
        assert await kernel.admission.submit(CHAT_RULES, []) == []


@over_every_store
@simulated
async def test_the_same_id_again_is_a_duplicate_with_the_place_of_the_first(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        twice = await kernel.admission.submit(CHAT_RULES, [CREATE, draft(2), draft(2)])
        assert twice == [Accepted(1, 1), Accepted(2, 2), Duplicate(2, 2)]
        assert await kernel.admission.submit(CHAT_RULES, [draft(2)]) == [Duplicate(2, 2)]
        assert kernel.tail.head == 2


@over_every_store
@simulated
async def test_a_refusal_is_a_value_and_leaves_the_others_alone(world: World, fails: Fails) -> None:
    async with open_kernel(world, fails) as kernel:
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, draft(2, "create"), draft(3)])
        assert outcomes == [Accepted(1, 1), Rejected(Reason("exists")), Accepted(2, 2)]


@over_every_store
@simulated
async def test_a_remembered_refusal_holds_when_its_cause_is_gone(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        early, join = draft(2, user="bob"), draft(3, "join", user="bob")
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, early, join])
        assert outcomes == [Accepted(1, 1), Rejected(Reason("stranger")), Accepted(2, 2)]
        again = await kernel.admission.submit(CHAT_RULES, [early, draft(4, user="bob")])
        assert again == [Rejected(Reason("stranger")), Accepted(3, 3)]


@over_every_store
@simulated
async def test_a_draft_sees_what_the_drafts_before_it_in_the_batch_did(
    world: World, fails: Fails
) -> None:
    renames = [draft(at, "rename", based_on=at - 1, text=str(at)) for at in (2, 3, 4)]
    async with open_kernel(world, fails) as kernel:
        outcomes = await kernel.admission.submit(
            CHAT_RULES, [CREATE, *renames, draft(9, "rename", based_on=2)]
        )
        assert outcomes[:4] == [Accepted(at, at) for at in (1, 2, 3, 4)]
        assert outcomes[4] == Rejected(Reason("stale"))
        rows = await kernel.runner.read(lambda reader: reader.rows(CHAT, [(b"c",)]))
        assert rows == {(b"c",): (b"c", "4", 4)}


@over_every_store
@simulated
async def test_removing_and_blanking_reach_followers_and_readers(
    world: World, fails: Fails
) -> None:
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        await kernel.admission.submit(CHAT_RULES, [CREATE, *sends(2, 3)])
        gone = [draft(9, "remove", target=number(2)), draft(10, "blank", target=number(3))]
        await kernel.admission.submit(CHAT_RULES, gone)
        assert recorder.commits[-1].removes == [2]
        assert recorder.commits[-1].blanks == [3]
        page = await kernel.tail.page(Lane.CLIENTS, None, 0)
        assert [(entry.pos, entry.body) for entry in page.entries] == [
            (1, b"a name"),
            (3, None),
            (4, b""),
        ]


@over_every_store
@simulated
async def test_numbers_stay_dense_when_the_newest_entry_is_removed(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        remove = draft(9, "remove", target=number(2))
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, draft(2), remove])
        assert outcomes == [Accepted(1, 1), Accepted(2, 2), Accepted(2, None)]
        assert await kernel.admission.submit(CHAT_RULES, [draft(3)]) == [Accepted(3, 3)]


@over_every_store
@simulated
async def test_an_id_is_free_again_in_the_batch_that_removed_its_entry(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        remove = draft(9, "remove", target=number(2))
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, draft(2), remove, draft(2)])
        assert outcomes[3] == Accepted(3, 3)
        page = await kernel.tail.page(Lane.CLIENTS, None, 0)
        assert [entry.pos for entry in page.entries] == [1, 3]


# Order: commit, followers, answers.


class LoggingStore:
    """Notes when a commit is known to have happened."""

    def __init__(self, store: Store, log: list[str]) -> None:
        self._store = store
        self._log = log

    def write(self, work: Callable[[Tx], T]) -> T:
        result = self._store.write(work)
        self._log.append("committed")
        return result

    def read(self, work: Callable[[Reader], T]) -> T:
        return self._store.read(work)

    def identity(self) -> Identity:
        return self._store.identity()

    @property
    def shared(self) -> Shared | None:
        return self._store.shared

    def check(self) -> list[str]:
        return self._store.check()

    def size(self) -> Size:
        return self._store.size()

    def close(self) -> None:
        self._store.close()


class LoggingFollower:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def applied(self, committed: Committed) -> None:
        self._log.append("followed")


@over_every_store
@simulated
async def test_the_commit_comes_first_then_the_followers_and_then_the_answer(
    world: World, fails: Fails
) -> None:
    log: list[str] = []
    wrap: Callable[[Store], Store] = lambda store: LoggingStore(store, log)  # noqa: E731
    async with open_kernel(world, fails, wrap=wrap, followers=[LoggingFollower(log)]) as kernel:
        await kernel.admission.submit(CHAT_RULES, [CREATE])
        log.append("answered")
    assert log == ["committed", "followed", "answered"]


@over_every_store
@simulated
async def test_followers_are_told_of_every_commit_once_and_in_order(
    world: World, fails: Fails
) -> None:
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        await kernel.admission.submit(CHAT_RULES, [CREATE])
        async with trio.open_nursery() as nursery:
            for at in range(20):
                chunk = sends(100 * (at + 1), 10)
                nursery.start_soon(kernel.admission.submit, CHAT_RULES, chunk)
    assert recorder.positions == list(range(1, 202))
    assert [commit.head for commit in recorder.commits][-1] == 201


@simulated
async def test_a_follower_that_raises_stops_the_writer(world: World) -> None:
    class Broken:
        def applied(self, committed: Committed) -> None:
            raise KeyError("a bug in a follower")

    with pytest.RaisesGroup(KeyError):
        async with open_kernel(world, followers=[Broken()]) as kernel:
            with pytest.raises(Stopped):
                await kernel.admission.submit(CHAT_RULES, [CREATE])
            await trio.sleep_forever()


# Batches.


async def submit_each(
    admission: Admission, drafts: Iterable[ChatDraft], answered: list[bytes] | None = None
) -> None:
    """One call a draft, all at once."""

    async def submit(one: ChatDraft) -> None:
        await admission.submit(CHAT_RULES, [one])
        if answered is not None:
            answered.append(one.id)

    async with trio.open_nursery() as nursery:
        for one in drafts:
            nursery.start_soon(submit, one)


@over_every_store
@simulated
async def test_all_that_waits_goes_into_one_commit(world: World, fails: Fails) -> None:
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        await submit_each(kernel.admission, [CREATE])
        await submit_each(kernel.admission, sends(2, 500))
    assert [len(commit.entries) for commit in recorder.commits] == [1, 500]


@over_every_store
@simulated
async def test_what_arrives_during_a_commit_goes_into_the_next_one(
    world: World, fails: Fails
) -> None:
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.admission.submit, CHAT_RULES, [CREATE])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(submit_each, kernel.admission, sends(2, 10))
            nursery.start_soon(kernel.admission.submit, CHAT_RULES, sends(20, 10))
    assert [len(commit.entries) for commit in recorder.commits] == [1, 20]


@over_every_store
@simulated
async def test_a_call_of_many_batches_is_answered_once_with_all_outcomes_in_order(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, *sends(2, 3_000)])
    assert outcomes == [Accepted(at, at) for at in range(1, 3_002)]


@over_every_store
@simulated
async def test_a_payer_with_much_does_not_delay_one_with_little(world: World, fails: Fails) -> None:
    answered: list[str] = []
    positions: dict[str, int] = {}

    async with open_kernel(world, fails, is_running=False) as kernel:

        async def submit(name: str, drafts: Sequence[ChatDraft]) -> None:
            outcomes: list[Outcome] = await kernel.admission.submit(CHAT_RULES, drafts)
            answered.append(name)
            assert isinstance(outcomes[0], Accepted)
            positions[name] = outcomes[0].pos

        async with trio.open_nursery() as writer:
            async with trio.open_nursery() as callers:
                callers.start_soon(submit, "much", [CREATE, *sends(2, 10 * MAX_BATCH_DRAFTS)])
                await trio.testing.wait_all_tasks_blocked()
                little = draft(100_000, "create", chat=b"d", user="bob")
                callers.start_soon(submit, "little", [little])
                await trio.testing.wait_all_tasks_blocked()
                await writer.start(kernel.admission.run)
            writer.cancel_scope.cancel()
    assert answered == ["little", "much"]
    assert positions["little"] <= MAX_BATCH_DRAFTS


# Bugs of doors cost the draft they strike, and no other.


class Poisoned:
    """The toy chat with a bug: a text that says where to raise."""

    lane = ToyChat.lane
    tables = ToyChat.tables

    def needs(self, draft: ChatDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        if draft.text == "needs":
            raise ZeroDivisionError
        if draft.text == "unread":
            return ()
        return CHAT_RULES.needs(draft, state)

    def decide(self, draft: ChatDraft, state: State, at_ms: int) -> Decision:
        if draft.text == "decide":
            raise ZeroDivisionError
        if draft.text == "unread":
            state[VERDICT, (b"never named",)]
        decision = CHAT_RULES.decide(draft, state, at_ms)
        if draft.text == "refuses and writes":
            return replace(decision, refuse=Reason("both"))
        return decision

    def replaces(self, draft: ChatDraft, stored: Found) -> bool:
        return draft.text == "replaces without removing"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("needs", ZeroDivisionError),
        ("decide", ZeroDivisionError),
        ("unread", Unread),
        ("refuses and writes", ValueError),
    ],
)
@over_every_store
@simulated
async def test_rules_that_raise_fail_their_own_draft_only(
    world: World, fails: Fails, text: str, error: type[Exception]
) -> None:
    async with open_kernel(world, fails) as kernel:
        drafts = [CREATE, draft(2), draft(3, text=text), draft(4)]
        with pytest.raises(DraftFault, match="draft 2 raised") as raised:
            await kernel.admission.submit(Poisoned(), drafts)
        assert isinstance(raised.value.failures[2], error)
        assert raised.value.outcomes == [Accepted(1, 1), Accepted(2, 2), None, Accepted(3, 3)]
        assert await kernel.admission.submit(CHAT_RULES, [draft(5)]) == [Accepted(4, 4)]


@over_every_store
@simulated
async def test_a_replacement_that_does_not_remove_the_old_entry_fails_alone(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        again = draft(2, text="replaces without removing")
        with pytest.raises(DraftFault) as raised:
            await kernel.admission.submit(Poisoned(), [CREATE, draft(2), again, draft(3)])
        assert list(raised.value.failures) == [2]
        assert raised.value.outcomes[3] == Accepted(3, 3)


@over_every_store
@simulated
async def test_a_constraint_that_fires_fails_its_own_draft_only(world: World, fails: Fails) -> None:
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        culprit = draft(50, "create", chat=bytes(256))  # no stream is that long
        drafts = [CREATE, *sends(2, 30), culprit, *sends(60, 30)]
        with pytest.raises(DraftFault) as raised:
            await kernel.admission.submit(CHAT_RULES, drafts)
        assert isinstance(raised.value.failures[31], Violation)
        good = [outcome for outcome in raised.value.outcomes if outcome is not None]
        assert good == [Accepted(at, at) for at in range(1, 62)]
        assert recorder.positions == list(range(1, 62))


@over_every_store
@simulated
async def test_callers_whose_drafts_were_fine_do_not_notice_a_bug_in_the_same_batch(
    world: World, fails: Fails
) -> None:
    async with open_kernel(world, fails) as kernel:
        await kernel.admission.submit(CHAT_RULES, [CREATE])
        answered: list[bytes] = []
        bad = [draft(90, "create", chat=bytes(256)), draft(91, text="decide")]

        async def submit_bad(one: ChatDraft) -> None:
            with pytest.raises(DraftFault):
                await kernel.admission.submit(Poisoned(), [one])

        async with trio.open_nursery() as nursery:
            for one in bad:
                nursery.start_soon(submit_bad, one)
            nursery.start_soon(submit_each, kernel.admission, sends(2, 20), answered)
        assert len(answered) == 20


# An id that is stored already, and what takes its place.


class Standing:
    """As the mesh does it: an event of a higher standing takes the place of the same with less."""

    lane = Lane.MESH
    tables: tuple[Table, ...] = ()

    def needs(self, draft: ChatDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        return ()

    def decide(self, draft: ChatDraft, state: State, at_ms: int) -> Decision:
        stored = state.entry(Lane.MESH, draft.id)
        entry = NewEntry(Lane.MESH, b"mesh", draft.id, 1, b"ann", 0, b"body", flags=draft.based_on)
        return Decision((entry,), removes=(stored.pos,) if stored else ())

    def replaces(self, draft: ChatDraft, stored: Found) -> bool:
        return draft.based_on > stored.flags


@pytest.mark.parametrize("is_one_batch", [True, False])
@over_every_store
@simulated
async def test_a_replacement_gets_a_new_position_and_the_old_entry_goes(
    world: World, fails: Fails, is_one_batch: bool
) -> None:
    weak, strong, other = draft(1, based_on=0), draft(1, based_on=2), draft(2)
    recorder = Recorder()
    async with open_kernel(world, fails, followers=[recorder]) as kernel:
        calls = [[weak, other, strong, weak]] if is_one_batch else [[weak], [other, strong], [weak]]
        outcomes = [
            outcome for call in calls for outcome in await kernel.admission.submit(Standing(), call)
        ]
        assert outcomes == [
            Accepted(1, None),
            Accepted(2, None),
            Accepted(3, None),
            Duplicate(3, None),
        ]
        page = await kernel.tail.page(Lane.MESH, None, 0)
        assert [(entry.pos, entry.flags) for entry in page.entries] == [(2, 0), (3, 2)]
        assert [pos for commit in recorder.commits for pos in commit.removes] == [1]


# What the store may do.


@simulated
async def test_a_duplicate_is_still_one_when_the_commits_answer_is_lost(world: World) -> None:
    def lose_second(write: int) -> When | None:
        return When.AFTER_COMMIT if write == 2 else None

    async with open_kernel(world, lose_second) as kernel:
        await kernel.admission.submit(CHAT_RULES, [CREATE])
        outcomes = await kernel.admission.submit(CHAT_RULES, [CREATE, draft(2)])
        assert outcomes == [Duplicate(1, 1), Accepted(2, 2)]


@simulated
async def test_a_store_that_is_away_for_long_is_waited_for(world: World) -> None:
    def away(write: int) -> When | None:
        return When.BEFORE_COMMIT if write < 30 else None

    async with open_kernel(world, away) as kernel:
        assert await kernel.admission.submit(CHAT_RULES, [CREATE]) == [Accepted(1, 1)]
        assert trio.current_time() > 60


@simulated
async def test_a_full_disk_fails_the_batch_and_nothing_happened(world: World) -> None:
    def full(store: Store) -> Store:
        first_fails: Fails = lambda write: When.BEFORE_COMMIT if write == 1 else None  # noqa: E731
        return FaultyStore(store, first_fails, lambda: Full("no room"))

    async with open_kernel(world, wrap=full) as kernel:
        with pytest.raises(Full, match="no room"):
            await kernel.admission.submit(CHAT_RULES, [CREATE, draft(2)])
        assert kernel.tail.head == 0
        assert await kernel.admission.submit(CHAT_RULES, [CREATE]) == [Accepted(1, 1)]


@simulated
async def test_a_disk_that_does_not_keep_its_word_stops_the_writer_and_everybody_is_told(
    world: World,
) -> None:
    def broken(store: Store) -> Store:
        return FaultyStore(store, lambda _: When.AFTER_COMMIT, lambda: Fatal("fsync failed"))

    with pytest.RaisesGroup(Fatal):
        async with open_kernel(world, wrap=broken) as kernel:
            with pytest.raises(Fatal):
                await kernel.admission.submit(CHAT_RULES, [CREATE])
            with pytest.raises(Fatal):
                await kernel.admission.submit(CHAT_RULES, [CREATE])
            await trio.sleep_forever()


@over_every_store
@simulated
async def test_who_still_waits_when_the_writer_stops_is_told(world: World, fails: Fails) -> None:
    async with open_kernel(world, fails, is_running=False) as kernel:

        async def submit() -> None:
            with pytest.raises(Stopped, match="Submit it again"):
                await kernel.admission.submit(CHAT_RULES, [CREATE])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await kernel.admission.run()
        with pytest.raises(Stopped):
            await kernel.admission.submit(CHAT_RULES, [CREATE])


@simulated
async def test_that_the_database_does_not_answer_is_said_and_not_with_every_try(
    world: World,
) -> None:
    tries = 30
    with logged() as stream:
        async with open_kernel(
            world, lambda write: When.BEFORE_COMMIT if write < tries else None
        ) as kernel:
            draft = ChatDraft(b"1" * 16, "create", b"a")
            assert await kernel.admission.submit(ToyChat(), [draft]) == [Accepted(1, 1)]
    lines = stream.getvalue().splitlines()
    assert 0 < len(lines) < tries / 2
    assert "the connection was lost" in lines[0]
