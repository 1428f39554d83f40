"""The directory: what the rows hold, in memory, however it got there."""

from collections.abc import Collection
from typing import NamedTuple

import pytest

from postbox.core import Keys
from postbox.log.committed import Follower, committed
from postbox.rules import Payer
from postbox.store.contract import (
    Change,
    Entry,
    EntryName,
    Found,
    Key,
    Lane,
    Page,
    Query,
    Row,
    Scalar,
    Table,
    Windows,
)
from postbox.trust.directory import Directory, Learned
from postbox.trust.keys import identity_of
from postbox.trust.rules import (
    KeyDraft,
    KeyRules,
    introduction_draft,
    operator_draft,
    proof_draft,
    replacement_message,
)
from postbox.trust.tables import ALL_KEYS, KEY, KIND_KEY, STREAM
from support.rows import Rows

ALICE, BOB = identity_of("alice", b"a" * 32), identity_of("bob", b"b" * 32)
LATER = identity_of("alice", b"c" * 32)


class Commit(NamedTuple):
    entries: list[Entry]


class Log:
    """Drafts through the rules on a dict, and what would be committed."""

    def __init__(self) -> None:
        self.state = Rows()
        self.head = 0

    def commit(self, *drafts: KeyDraft) -> Commit:
        entries = []
        for draft in drafts:
            for new in self.state.decide(KeyRules(), draft, at_ms=5).entries:
                self.head += 1
                entries.append(
                    Entry(self.head, new.lane, new.stream, None, new.id, new.kind, new.flags,
                          new.author, new.at_ms, new.body)
                )  # fmt: skip
        return Commit(entries)

    # what a reader does, as far as the directory reads
    def query(self, query: Query, **params: Scalar) -> list[Row]:
        assert query is ALL_KEYS
        return [row for (table, _), row in sorted(self.state.rows.items()) if table == KEY.name]

    def page(
        self, lane: Lane, windows: Windows | None, after: int, limit: int, max_bytes: int
    ) -> Page:
        raise NotImplementedError

    turn = 0

    def id_at(self, pos: int) -> bytes | None:
        raise NotImplementedError

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        raise NotImplementedError

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        raise NotImplementedError


def added(who: object, number: int) -> KeyDraft:
    assert isinstance(who, type(ALICE))
    return operator_draft(bytes([number]) * 16, who.name, who.public_key, who.id)


@pytest.fixture
def log() -> Log:
    return Log()


def test_it_can_follow_the_log() -> None:
    follower: Follower = Directory(Keys())
    follower.applied(committed(Change(), head=3))


def test_a_commit_makes_keys_and_ids_known_to_the_core(log: Log) -> None:
    directory = Directory(Keys())
    directory.applied(log.commit(added(ALICE, 1), added(BOB, 2)))
    assert directory.keys.keys_of("alice") == [ALICE.public_key]
    assert directory.keys.name_of(BOB.id) == "bob"
    assert len(directory) == len(directory.keys) == 2


def test_old_keys_still_verify_and_only_the_current_one_opens_the_door(log: Log) -> None:
    directory = Directory(Keys())
    directory.applied(log.commit(added(ALICE, 1)))
    proof = ALICE.sign(replacement_message("alice", ALICE.public_key, LATER.public_key))
    draft = proof_draft("alice", ALICE.public_key, LATER.public_key, proof, Payer("peer", "alice"))
    directory.applied(log.commit(draft))
    assert directory.keys.keys_of("alice") == [LATER.public_key, ALICE.public_key]
    assert directory.keys.name_of(ALICE.id) == "alice"
    assert directory.key_of("alice") == LATER.public_key


def test_a_stranger_has_no_key() -> None:
    directory = Directory(Keys())
    assert directory.key_of("alice") is None
    assert directory.get("alice") is None
    assert directory.keys.keys_of("alice") == []


def test_listeners_hear_of_each_change_once(log: Log) -> None:
    directory, heard = Directory(Keys()), list[Learned]()
    directory.listen(heard.append)
    commit = log.commit(added(ALICE, 1), added(BOB, 2))
    directory.applied(commit)
    directory.applied(commit)
    directory.applied(log.commit(added(ALICE, 3)))
    assert heard == [Learned(("alice", "bob"), (ALICE.id, BOB.id))]
    without_id = operator_draft(b"4" * 16, "carol", LATER.public_key, None)
    directory.applied(log.commit(without_id))
    assert heard[1:] == [Learned(("carol",), ())]


def test_an_id_that_is_only_claimed_is_not_told_to_the_core_nor_to_listeners(log: Log) -> None:
    directory, heard = Directory(Keys()), list[Learned]()
    directory.listen(heard.append)
    payer = Payer("peer", "100.64.0.7")
    claim = introduction_draft(b"i" * 16, "alice", ALICE.public_key, ALICE.id, payer)
    directory.applied(log.commit(claim))
    loaded = Directory(Keys())
    loaded.load(log)
    for one in (directory, loaded):
        assert one.keys.name_of(ALICE.id) is None
        assert one.keys.keys_of("alice") == [ALICE.public_key]
    directory.applied(log.commit(added(ALICE, 2)))
    assert directory.keys.name_of(ALICE.id) == "alice"
    assert heard == [Learned(("alice",), ()), Learned(("alice",), (ALICE.id,))]


def test_several_changes_of_one_name_in_one_commit_end_with_the_last(log: Log) -> None:
    directory, heard = Directory(Keys()), list[Learned]()
    directory.listen(heard.append)
    directory.applied(log.commit(added(ALICE, 1), added(LATER, 2)))
    assert directory.keys.keys_of("alice") == [LATER.public_key, ALICE.public_key]
    assert directory.keys.name_of(LATER.id) == "alice"
    assert heard == [Learned(("alice",), (ALICE.id, LATER.id))]


def test_one_that_is_loaded_is_equal_to_one_that_followed(log: Log) -> None:
    followed, heard = Directory(Keys()), list[Learned]()
    for drafts in ([added(ALICE, 1)], [added(BOB, 2), added(LATER, 3)]):
        followed.applied(log.commit(*drafts))
    loaded = Directory(Keys())
    loaded.listen(heard.append)
    loaded.load(log)
    assert loaded.all() == followed.all()
    for directory in (loaded, followed):
        assert directory.keys.keys_of("alice") == [LATER.public_key, ALICE.public_key]
        assert directory.keys.name_of(LATER.id) == "alice"
        assert directory.keys.name_of(ALICE.id) is None
    assert heard == [Learned(("alice", "bob"), (LATER.id, BOB.id))]


def test_entries_of_others_are_passed_over(log: Log) -> None:
    directory = Directory(Keys())
    (entry,) = log.commit(added(ALICE, 1)).entries
    for lane, stream, kind in (
        (Lane.MESH, STREAM, KIND_KEY),
        (Lane.NODE, b"other", KIND_KEY),
        (Lane.NODE, STREAM, KIND_KEY + 1),
    ):
        other = Entry(9, lane, stream, None, entry.id, kind, 0, b"", 0, entry.body)
        directory.applied(Commit([other]))
    directory.applied(
        Commit([Entry(9, Lane.NODE, STREAM, None, entry.id, KIND_KEY, 0, b"", 0, None)])
    )
    assert len(directory) == 0
