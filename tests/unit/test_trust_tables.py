"""Trust's rows in a real database: what rules put is what the directory loads."""

import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from postbox.core import Keys
from postbox.errors import SchemaTooNew, Violation
from postbox.rules import Decision, Payer, Put
from postbox.store.contract import Change, Reader, Row, Store, Table, Tx
from postbox.store.open import open_database
from postbox.store.schema import Migrations
from postbox.store.sqlite.driver import open_sqlite
from postbox.trust.directory import Directory
from postbox.trust.keys import identity_of
from postbox.trust.rules import KeyRules, introduction_draft, operator_draft
from postbox.trust.tables import (
    KEY,
    MIGRATIONS,
    TALLY,
    VOTER,
    WAITING,
    KnownKey,
    Source,
    known_key,
    row_of,
)
from postbox.trust.waiting import Waiting
from postbox.world import FileDisk
from support.rows import Rows

ALICE, LATER = identity_of("alice", b"a" * 32), identity_of("alice", b"l" * 32)

T = TypeVar("T")


def put(store: Store, decision: Decision) -> None:
    puts: dict[Table, list[Row]] = {}
    for table, row in decision.puts:
        puts.setdefault(table, []).append(row)

    def work(tx: Tx) -> None:
        tx.apply(Change(puts=puts))

    store.write(work)


@pytest.fixture(params=["sqlite", "postgres"])
def database_of_either(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "log.db")
    return str(request.getfixturevalue("database"))


def test_what_rules_put_comes_back_from_the_database(database_of_either: str) -> None:
    store = open_database(FileDisk(), database_of_either, [MIGRATIONS], b"e" * 16, b"c" * 32)
    rows = Rows()
    try:
        for number, who, voter_id in ((1, ALICE, None), (2, LATER, None), (3, LATER, LATER.id)):
            draft = operator_draft(bytes([number]) * 16, who.name, who.public_key, voter_id)
            put(store, rows.decide(KeyRules(), draft, at_ms=number))

        def work(reader: Reader) -> tuple[Directory, Row | None, Row | None]:
            directory = Directory(Keys())
            directory.load(reader)
            voters = reader.rows(VOTER, [(LATER.id,)])
            return directory, reader.rows(KEY, [("alice",)])["alice",], voters[LATER.id,]

        directory, key_row, voter_row = store.read(work)
    finally:
        store.close()
    assert key_row == rows.rows[KEY.name, ("alice",)]
    assert voter_row == (LATER.id, "alice")
    assert directory.all() == [known_key(rows.rows[KEY.name, ("alice",)])]
    assert directory.keys.keys_of("alice") == [LATER.public_key, ALICE.public_key]


def using(path: Path, migrations: Migrations, work: Callable[[Store], T]) -> T:
    store = open_sqlite(FileDisk(), str(path), [migrations], b"e" * 16, b"c" * 32)
    try:
        return work(store)
    finally:
        store.close()


def first_step(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Migrations:
    """What a binary of the first release knows."""
    package = directory / "first_trust"
    package.mkdir()
    (package / "__init__.py").touch()
    sql = files(MIGRATIONS.package).joinpath("0001_keys.sqlite.sql").read_text("utf-8")
    (package / "0001_keys.sqlite.sql").write_text(sql)
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, "first_trust", raising=False)
    return Migrations(MIGRATIONS.name, "first_trust")


OLD_ROWS = [
    KnownKey("alice", ALICE.public_key, ALICE.id, (LATER.public_key,), Source.OPERATOR, 1),
    KnownKey("bob", LATER.public_key, None, (), Source.ANSWER, 2),
    KnownKey("carol", ALICE.public_key, None, (), Source.ANSWER, 3),
    KnownKey("dave", ALICE.public_key, None, (), Source.HEY_THERE, 4),
]


@pytest.fixture
def first_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Migrations]:
    """As the first release left it, and what that release knows."""
    path, first = tmp_path / "log.db", first_step(tmp_path, monkeypatch)
    using(path, first, lambda store: None)
    database = apsw.Connection(str(path))
    rows = [row_of(known)[:6] for known in OLD_ROWS]
    database.executemany('insert into "key" values (?, ?, ?, ?, ?, ?)', rows)
    database.execute("insert into voter values (?, ?)", (ALICE.id, "alice"))
    database.close()
    return path, first


def test_the_keys_of_the_first_release_are_all_there_after_the_upgrade(
    first_database: tuple[Path, Migrations],
) -> None:
    path, _ = first_database

    def work(reader: Reader) -> tuple[Directory, Row | None, Row | None]:
        directory = Directory(Keys())
        directory.load(reader)
        voter = reader.rows(VOTER, [(ALICE.id,)])[ALICE.id,]
        return directory, voter, reader.rows(TALLY, [("told",)])["told",]

    directory, voter, tally = using(path, MIGRATIONS, lambda store: store.read(work))
    assert directory.all() == OLD_ROWS
    assert directory.room_for(Source.ANSWER) == 998
    assert voter == (ALICE.id, "alice")
    assert tally == ("told", 2)


def test_the_first_release_refuses_what_a_later_one_has_opened(
    first_database: tuple[Path, Migrations],
) -> None:
    path, first = first_database
    using(path, MIGRATIONS, lambda store: None)
    with pytest.raises(SchemaTooNew, match="migration 3"):
        using(path, first, lambda store: None)


def take_every_source_and_no_others(store: Store) -> None:
    rows = Rows()
    for source in Source:
        known = KnownKey(f"by-{source}", ALICE.public_key, None, (), source, 1)
        put(store, Decision(puts=(Put(KEY, row_of(known)),)))
    draft = introduction_draft(b"i" * 16, "erin", LATER.public_key, "e", Payer("peer", "x"))
    put(store, rows.decide(KeyRules(), draft, at_ms=9))
    bad = ("mallory", ALICE.public_key, None, b"", "hearsay", 1, 0)
    with pytest.raises(Violation):
        put(store, Decision(puts=(Put(KEY, bad),)))
    put(store, Decision(puts=(Put(WAITING, ("frank", LATER.public_key, None, "192.0.2.1", 9)),)))
    waiting = Waiting()
    store.read(waiting.load)
    assert [one.name for one in waiting.all()] == ["frank"]


def test_a_new_table_takes_every_source_and_no_others(database_of_either: str) -> None:
    store = open_database(FileDisk(), database_of_either, [MIGRATIONS], b"e" * 16, b"c" * 32)
    try:
        take_every_source_and_no_others(store)
    finally:
        store.close()


def test_the_upgraded_table_takes_the_new_sources_and_no_others(
    first_database: tuple[Path, Migrations],
) -> None:
    path, _ = first_database
    using(path, MIGRATIONS, take_every_source_and_no_others)
