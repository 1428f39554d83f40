"""`Store.check` names what was done to a database behind the node's back; `Store.size` weighs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import shake_128
from pathlib import Path

import pytest

from postbox.errors import Fatal
from postbox.log.audit import find_gaps
from postbox.store.contract import Change, Entry, Lane, Store
from postbox.store.open import open_database
from postbox.trust.tables import MIGRATIONS as TRUST
from postbox.world import FileDisk
from support.postgres import Server
from support.toy_chat import MIGRATIONS as CHAT

ENTRIES = 400
PAGE_BYTES = 4096


def filled(store: Store) -> Store:
    """Mesh events, and chats of dense numbers."""
    entries = []
    for pos in range(1, ENTRIES + 1):
        entry_id = pos.to_bytes(2, "big") * 8
        lane, stream, seq = (Lane.CLIENTS, b"chat", pos // 2) if pos % 2 == 0 else MESH
        entries.append(Entry(pos, lane, stream, seq, entry_id, 1, 2, b"ann", 3, b"body" * 20))
    store.write(lambda tx: tx.apply(Change(appends=entries)))
    return store


MESH = (Lane.MESH, b"mesh", None)


@dataclass
class Place:
    """A store that is open, and who can do anything to its database."""

    store: Store
    run: Callable[[str], object]
    path: str = ""


def opened(database: str) -> Store:
    return open_database(FileDisk(), database, [TRUST, CHAT], bytes(16), bytes(32))


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Place]:
    path = tmp_path / "node.db"
    store = filled(opened(str(path)))
    with closing(FileDisk().open_database(str(path))) as other:
        yield Place(store, lambda sql: list(other.execute(sql)), str(path))
    store.close()


@pytest.fixture
def served(postgres: Server, database: str) -> Iterator[Place]:
    store = filled(opened(database))
    name = database.split("/")[3].split("?")[0]
    yield Place(store, lambda sql: postgres.run(sql, name))
    store.close()


@pytest.fixture(params=["sqlite", "served"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


def gaps(store: Store) -> list[str]:
    return store.read(find_gaps)


# -- both engines -------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_database_that_only_postbox_wrote_to(place: Place) -> None:
    assert place.store.check() == []
    assert gaps(place.store) == []


def test_other_tables_in_the_database_are_nobodys_business(place: Place) -> None:
    place.run("create table of_the_operator (id integer primary key, text varchar(3) not null)")
    place.run("create index of_the_operator_too on of_the_operator (text)")
    assert place.store.check() == []


def test_an_index_that_was_dropped_is_named(place: Place) -> None:
    place.run("drop index entry_stream_4")
    assert place.store.check() == ["the index entry_stream_4 is missing"]


def test_an_index_that_is_another_one_is_named(place: Place) -> None:
    place.run("drop index entry_number")
    place.run("create index entry_number on entry (stream)")
    (found,) = place.store.check()
    assert found.startswith("the index entry_number is `")
    assert "unique" in found.lower().partition("has to be")[2]


def test_a_table_that_was_dropped_is_named(place: Place) -> None:
    place.run("drop table voter")
    assert [found for found in place.store.check() if "voter is missing" in found]


def test_a_row_that_is_gone_from_the_midst_of_a_numbered_stream_is_named(place: Place) -> None:
    place.run("delete from entry where pos in (40, 42)")
    expected = "in the stream chat number 22 comes after 19: what was between them is gone"
    assert gaps(place.store) == [expected]


def test_what_left_a_numbered_stream_from_its_beginning_is_no_gap(place: Place) -> None:
    removes = list(range(2, ENTRIES + 1, 2))
    place.store.write(lambda tx: tx.apply(Change(removes=removes)))
    after = Entry(
        ENTRIES + 1, Lane.CLIENTS, b"chat", ENTRIES // 2 + 1, b"n" * 16, 1, 2, b"", 3, b""
    )
    place.store.write(lambda tx: tx.apply(Change(appends=[after])))
    assert gaps(place.store) == []


def test_numbers_in_another_order_than_positions_are_named(place: Place) -> None:
    place.run(f"update entry set pos = {ENTRIES + 1} where pos = 40")
    assert gaps(place.store) == [
        f"in the stream chat number 20 is at position {ENTRIES + 1}, and 21 at 42"
    ]


def test_the_size_is_that_of_the_tables_and_grows_with_them(place: Place) -> None:
    before = place.store.size()
    more = [
        Entry(pos, Lane.MESH, b"mesh", None, pos.to_bytes(16, "big"), 1, 2, b"", 3, noise(pos))
        for pos in range(ENTRIES + 1, ENTRIES + 101)
    ]
    place.store.write(lambda tx: tx.apply(Change(appends=more)))
    assert before.used_bytes > 50_000
    assert 1_000_000 <= place.store.size().used_bytes - before.used_bytes < 2_000_000


def noise(seed: int) -> bytes:
    """10,000 bytes that PostgreSQL cannot pack."""
    return shake_128(seed.to_bytes(8, "big")).digest(10_000)


def damage_in(path: str) -> list[str]:
    try:
        with closing(opened(path)) as store:
            return store.check()
    except Fatal as fault:  # some pages are needed to open it
        return [str(fault)]


# -- SQLite -------------------------------------------------------------------------------------


def test_a_flipped_byte_in_a_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    filled(opened(str(path))).close()
    whole = path.read_bytes()
    found = []
    for page in range(1, len(whole) // PAGE_BYTES):
        # The head of a page, which says how its cells lie.
        at = page * PAGE_BYTES + 3
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        found.append(damage_in(str(path)))
    assert len(found) > 20
    assert all(found), "a page whose damage goes unseen"


def test_a_row_that_is_not_in_its_index_is_named(sqlite: Place) -> None:
    """As after a write of which the disk lost a part: the index is hidden during a change."""
    with closing(FileDisk().open_database(sqlite.path)) as other:
        other.execute("pragma writable_schema = on")
        sql = other.execute("select sql, rootpage from sqlite_schema where name = 'entry_node'")
        text, page = next(sql)
        other.execute("delete from sqlite_schema where name = 'entry_node'")
    with closing(FileDisk().open_database(sqlite.path)) as other:
        other.execute(
            "insert into entry values (9999, 1, x'', null, zeroblob(16), 1, 1, x'', 1, null)"
        )
        other.execute("pragma writable_schema = on")
        row = ("index", "entry_node", "entry", page, text)
        other.execute("insert into sqlite_schema values (?, ?, ?, ?, ?)", row)
    found = sqlite.store.check()
    assert any("missing from index entry_node" in text for text in found)


def test_the_size_counts_what_is_written_ahead_and_what_is_free_and_the_room(sqlite: Place) -> None:
    sqlite.run("delete from entry")
    size = sqlite.store.size()
    files = [Path(sqlite.path + end).stat().st_size for end in ("", "-wal")]
    assert files[1] > 0
    assert size.used_bytes == sum(files)
    assert size.free_bytes is not None
    assert size.free_bytes > 10 * PAGE_BYTES
    assert size.room_bytes is not None
    assert size.room_bytes > 0


# -- PostgreSQL ---------------------------------------------------------------------------------


def test_a_constraint_that_was_dropped_is_named_with_the_rows_that_break_it(served: Place) -> None:
    served.run("alter table entry drop constraint entry_stream_check")
    served.run("update entry set stream = convert_to(repeat('m', 300), 'utf8') where pos < 4")
    missing, broken = served.store.check()
    assert missing == "the constraint entry_stream_check of entry is missing"
    assert broken.startswith("rows of the table entry that break its rules: 3 (")


def test_a_constraint_that_was_never_validated_is_named(served: Place) -> None:
    served.run("alter table entry drop constraint entry_author_check")
    check = "check (octet_length(author) <= 256) not valid"
    served.run(f"alter table entry add constraint entry_author_check {check}")
    (found,) = served.store.check()
    assert "NOT VALID` and has to be" in found


def test_an_index_that_is_not_valid_is_named(served: Place) -> None:
    """As an interrupted `create index concurrently` leaves it."""
    served.run("update pg_index set indisvalid = false where indexrelid = 'entry_node'::regclass")
    (found,) = served.store.check()
    assert found.startswith("the index entry_node is `")
    assert "(not valid)" in found


def test_an_id_that_is_there_twice_is_named(served: Place) -> None:
    served.run("drop index entry_id_2")
    served.run("update entry set id = decode(repeat('ab', 16), 'hex') where pos in (1, 3)")
    assert served.store.check() == [
        "the index entry_id_2 is missing",
        f"the id {'ab' * 16} is 2 times in lane 2",
    ]


def test_an_index_without_a_row_that_is_in_its_table_is_named_by_amcheck(served: Place) -> None:
    served.run("create extension amcheck")
    assert served.store.check() == []
    # Taken for valid and kept up to date, though it was made when its table was emptier.
    lay_still = "update pg_index set indisready = {0}, indisvalid = {0} where indexrelid = {1}"
    node = "'entry_id_2'::regclass"
    served.run(lay_still.format("false", node))
    served.run(
        "update entry set author = 'bob', id = decode(repeat('cd', 16), 'hex') where pos = 1"
    )
    served.run(lay_still.format("true", node))
    (found,) = served.store.check()
    assert found.startswith("the index entry_id_2: heap tuple")
