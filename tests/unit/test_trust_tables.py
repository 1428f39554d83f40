"""Trust's rows in a real database: what rules put is what the directory loads."""

from pathlib import Path

from postbox.core import Keys
from postbox.rules import Decision
from postbox.store.contract import Change, Reader, Row, Store, Table, Tx
from postbox.store.sqlite import open_sqlite
from postbox.trust.directory import Directory
from postbox.trust.keys import identity_of
from postbox.trust.rules import KeyRules, operator_draft
from postbox.trust.tables import KEY, MIGRATIONS, VOTER, known_key
from postbox.world import FileDisk
from support.rows import Rows

ALICE, LATER = identity_of("alice", b"a" * 32), identity_of("alice", b"l" * 32)


def put(store: Store, decision: Decision) -> None:
    puts: dict[Table, list[Row]] = {}
    for table, row in decision.puts:
        puts.setdefault(table, []).append(row)

    def work(tx: Tx) -> None:
        tx.apply(Change(puts=puts))

    store.write(work)


def test_what_rules_put_comes_back_from_the_database(tmp_path: Path) -> None:
    store = open_sqlite(FileDisk(), str(tmp_path / "log.db"), [MIGRATIONS], b"e" * 16, b"c" * 32)
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
    assert voter_row == (LATER.id, "alice", 0)
    assert directory.all() == [known_key(rows.rows[KEY.name, ("alice",)])]
    assert directory.keys.keys_of("alice") == [LATER.public_key, ALICE.public_key]
