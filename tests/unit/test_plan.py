"""What a batch asks of the store: sets, not single keys, and nothing that it knows already."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pytest

from postbox.log.plan import Numbers, Plan, plan_batch
from postbox.rules import Accepted
from postbox.store.contract import Change, EntryName, Found, Key, Row, Store, Table, Tx
from postbox.store.sqlite.driver import open_sqlite
from support.simulate import MemoryDisk
from support.toy_chat import MIGRATIONS, ChatDraft, ToyChat

CHATS = [b"a", b"b", b"c"]


@dataclass
class NotingTx:
    """Another one, of which it notes whose numbers were asked for."""

    tx: Tx
    is_next: bool
    asked: list[set[bytes]] = field(default_factory=list)

    @property
    def head(self) -> int:
        return self.tx.head

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        return self.tx.find(keys)

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        return self.tx.rows(table, keys)

    def last_seqs(self, streams: Collection[bytes]) -> dict[bytes, int]:
        self.asked.append(set(streams))
        return self.tx.last_seqs(streams)

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
