"""What a batch asks of the store: sets, not single keys, and nothing that it knows already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from postbox.log.plan import Numbers, Plan, has_landed, plan_batch
from postbox.log.waiting import Failed
from postbox.rules import (
    Accepted,
    Decision,
    Duplicate,
    EntryKey,
    Put,
    RowKey,
    State,
    StreamKey,
)
from postbox.store.contract import (
    Change,
    EntryName,
    Found,
    Key,
    Known,
    Lane,
    Row,
    Store,
    Table,
    Tx,
    Wanted,
)
from postbox.store.sqlite.driver import open_sqlite
from support.simulate import MemoryDisk
from support.toy_chat import CHAT, MEMBER, MIGRATIONS, VERDICT, ChatDraft, ToyChat, Verb

CHATS = [b"a", b"b", b"c"]


@dataclass
class NotingTx:
    """Another one, of which it notes whose numbers were asked for."""

    tx: Tx
    is_next: bool
    asked: list[set[bytes]] = field(default_factory=list)
    questions: list[Wanted] = field(default_factory=list)

    @property
    def head(self) -> int:
        return self.tx.head

    @property
    def turn(self) -> int:
        return self.tx.turn

    def id_at(self, pos: int) -> bytes | None:
        return self.tx.id_at(pos)

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        return self.tx.find(keys)

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        return self.tx.rows(table, keys)

    def last_seqs(self, streams: Collection[bytes]) -> dict[bytes, int]:
        self.asked.append(set(streams))
        return self.tx.last_seqs(streams)

    def look_up(self, wanted: Wanted) -> Known:
        self.questions.append(wanted)
        if wanted.streams:
            self.asked.append(set(wanted.streams))
        return self.tx.look_up(wanted)

    def apply(self, change: Change) -> None:
        self.tx.apply(change)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = open_sqlite(MemoryDisk(), "node.db", [MIGRATIONS], bytes(16), bytes(32))
    yield opened
    opened.close()


def write(
    store: Store, numbers: Numbers, drafts: Collection[ChatDraft], is_next: bool = True
) -> tuple[Plan, list[set[bytes]]]:
    """As admission does; returns the plan and the streams that were asked for."""
    asked: list[set[bytes]] = []

    def work(tx: Tx) -> Plan:
        noting = NotingTx(tx, is_next, asked)
        plan = plan_batch([(ToyChat(), each) for each in drafts], noting, numbers, 0)
        tx.apply(plan.change)
        return plan

    plan = store.write(work)
    numbers.commit(plan.head)
    return plan, asked


def creates() -> list[ChatDraft]:
    return [ChatDraft(chat * 16, "create", chat) for chat in CHATS]


def sends(first: int) -> list[ChatDraft]:
    numbered = enumerate(CHATS, start=first)
    return [ChatDraft(at.to_bytes(16, "big"), "send", chat) for at, chat in numbered]


def test_the_numbers_of_all_streams_are_one_question(store: Store) -> None:
    plan, asked = write(store, Numbers(), [*creates(), *sends(1)])
    assert asked == [set(CHATS)]
    assert plan.outcomes[3:] == [Accepted(4, 2), Accepted(5, 2), Accepted(6, 2)]


def test_numbers_are_remembered_while_nobody_else_writes(store: Store) -> None:
    numbers = Numbers()
    write(store, numbers, creates())
    plan, asked = write(store, numbers, sends(1))
    assert asked == []
    assert plan.outcomes == [Accepted(4, 2), Accepted(5, 2), Accepted(6, 2)]


def test_numbers_are_read_again_after_somebody_else_wrote_entries(store: Store) -> None:
    numbers = Numbers()
    write(store, numbers, creates())
    write(store, Numbers(), sends(1))
    plan, asked = write(store, numbers, sends(4))
    assert asked == [set(CHATS)]
    assert plan.outcomes == [Accepted(7, 3), Accepted(8, 3), Accepted(9, 3)]


def test_numbers_are_read_again_after_somebody_else_may_have_written(store: Store) -> None:
    """As after a failover to a copy that had less, and grew to our head again."""
    numbers = Numbers()
    write(store, numbers, creates())
    _, asked = write(store, numbers, sends(1), is_next=False)
    assert asked == [set(CHATS)]


def planned_only(store: Store, drafts: Collection[ChatDraft]) -> Plan:
    """As when the connection is lost before the commit."""
    items = [(ToyChat(), each) for each in drafts]
    return store.write(lambda tx: plan_batch(items, tx, Numbers(), 0))


def landed(store: Store, plan: Plan) -> bool:
    return store.write(lambda tx: has_landed(plan, tx))


def test_a_plan_has_landed_when_it_was_committed(store: Store) -> None:
    assert landed(store, write(store, Numbers(), creates())[0])
    assert not landed(store, planned_only(store, sends(1)))


def test_a_plan_has_not_landed_because_another_process_committed_one_of_its_events(
    store: Store,
) -> None:
    """At the very place, too: both had the same head. The plan's other event is nowhere."""
    write(store, Numbers(), creates())
    common, mine, theirs = sends(1)
    plan = planned_only(store, [common, mine])
    write(store, Numbers(), [common, theirs])
    assert not landed(store, plan)


@pytest.mark.parametrize("verb", ["remove", "blank"])
def test_a_plan_that_takes_back_what_it_stores_is_known_again(store: Store, verb: Verb) -> None:
    write(store, Numbers(), creates())
    (send, *_) = sends(1)
    undo = ChatDraft(b"u" * 16, verb, b"a", target=send.id)
    plan = planned_only(store, [send, undo])
    assert not landed(store, plan)
    assert landed(store, write(store, Numbers(), [send, undo])[0])


class ThrowingChat(ToyChat):
    """Whose `needs` has a bug."""

    def needs(self, draft: ChatDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        raise RuntimeError("a bug")


def test_what_drafts_name_at_once_is_one_question_with_their_own_entries(store: Store) -> None:
    drafts = [*creates(), *sends(1)]

    def work(tx: Tx) -> list[Wanted]:
        noting = NotingTx(tx, is_next=True)
        plan_batch([(ToyChat(), each) for each in drafts], noting, Numbers(), 0)
        return noting.questions

    [wanted] = store.write(work)
    assert set(wanted.entries) == {(Lane.CLIENTS, draft.id) for draft in drafts}
    assert {table: len(wanted.rows[table]) for table in wanted.rows} == {
        VERDICT: 6,
        CHAT: 3,
        MEMBER: 3,
    }


def test_rules_that_fail_on_a_draft_fail_none_that_is_stored_already(store: Store) -> None:
    [stored, *_], new = creates(), sends(1)[0]
    write(store, Numbers(), [stored])
    items = [(ThrowingChat(), stored), (ThrowingChat(), new)]
    plan = store.write(lambda tx: plan_batch(items, tx, Numbers(), 0))
    assert plan.outcomes[0] == Duplicate(1, 1)
    assert isinstance(plan.outcomes[1], Failed)


class SayingItOnce(ToyChat):
    """What says what its target says needs no entry. Looks at what is stored already, too."""

    def decide(self, draft: ChatDraft, state: State, at_ms: int) -> Decision:
        same = state.entry(self.lane, draft.target or draft.id)
        if same is None:
            return super().decide(draft, state, at_ms)
        puts = (Put(VERDICT, (draft.id, "same")),)
        return Decision(puts=puts, same_as=Duplicate(same.pos, same.seq))

    def replaces(self, draft: ChatDraft, stored: Found) -> bool:
        return True


def test_what_says_the_same_as_an_entry_is_its_duplicate_and_may_put_rows(store: Store) -> None:
    write(store, Numbers(), creates())
    said = sends(1)[0]
    same = ChatDraft(b"=" * 16, "send", b"a", target=said.id)
    items = [(SayingItOnce(), draft) for draft in (said, same, said)]
    plan = store.write(lambda tx: plan_batch(items, tx, Numbers(), 0))
    assert plan.outcomes == [Accepted(4, 2), Duplicate(4, 2), Duplicate(4, 2)]
    assert plan.change.puts[VERDICT] == [(same.id, "same"), (said.id, "same")]
    assert len(plan.change.appends) == 1


class SayingItTwice(ToyChat):
    def decide(self, draft: ChatDraft, state: State, at_ms: int) -> Decision:
        made = super().decide(draft, state, at_ms)
        return replace(made, same_as=Duplicate(1, 1))


def test_a_decision_that_finds_the_same_stored_and_has_an_entry_fails_its_draft(
    store: Store,
) -> None:
    items = [(SayingItTwice(), draft) for draft in creates()[:1]]
    plan = store.write(lambda tx: plan_batch(items, tx, Numbers(), 0))
    assert isinstance(plan.outcomes[0], Failed)
    assert plan.change.is_empty()
