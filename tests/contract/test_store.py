"""What every store promises, whatever it is made of. See `postbox.store.contract`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from postbox.errors import Fatal, Fault, Full, Unavailable, Violation
from postbox.store.contract import (
    IDENTITY,
    MAX_BODY_BYTES,
    Change,
    Entry,
    Found,
    Key,
    Known,
    Lane,
    Query,
    Reader,
    Store,
    Table,
    Tx,
    Wanted,
    Window,
)
from postbox.store.postgres.driver import open_postgres
from postbox.store.sqlite.driver import open_sqlite, renamed
from postbox.world import FileDisk
from support.simulate import MemoryDisk
from support.toy_chat import CHAT, MEMBER, MIGRATIONS

Reopen = Callable[[], Store]


@pytest.fixture(params=["file", "memory", "postgres"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reopen]:
    """Opens the same database each time it is called, and closes the one before."""
    opened: list[Store] = []
    open_one: Callable[[bytes, bytes], Store]
    match request.param:
        case "file":
            path = str(tmp_path / "node.db")
            open_one = partial(open_sqlite, FileDisk(), path, [MIGRATIONS])
        case "memory":
            open_one = partial(open_sqlite, MemoryDisk(), "node.db", [MIGRATIONS])
        case _:
            url = request.getfixturevalue("database")
            open_one = partial(open_postgres, FileDisk(), url, [MIGRATIONS])

    def reopen() -> Store:
        for store in opened:
            store.close()
        number = len(opened)
        store = open_one(bytes([number] * 16), bytes([number] * 32))
        opened.append(store)
        return store

    yield reopen
    if opened:
        opened[-1].close()


@pytest.fixture
def store(reopen: Reopen) -> Store:
    return reopen()


def entry(
    pos: int,
    *,
    lane: Lane = Lane.CLIENTS,
    stream: bytes = b"chat",
    seq: int | None = None,
    body: bytes | None = b"hello",
) -> Entry:
    return Entry(pos, lane, stream, seq, pos.to_bytes(16, "big"), 1, 2, b"ann", 3, body)


def apply(store: Store, change: Change) -> None:
    store.write(lambda tx: tx.apply(change))


def append(store: Store, *entries: Entry) -> None:
    apply(store, Change(appends=entries))


def positions(
    store: Store,
    lane: Lane = Lane.CLIENTS,
    windows: Sequence[Window] | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[int]:
    page = store.read(lambda reader: reader.page(lane, windows, after, limit, 2**20))
    return [found.pos for found in page.entries]


def head(store: Store) -> int:
    return store.read(lambda reader: reader.head)


def last_seq(store: Store, stream: bytes) -> int:
    return store.write(lambda tx: tx.last_seqs([stream]))[stream]


def test_what_was_written_is_there_after_reopening_byte_for_byte(reopen: Reopen) -> None:
    first, second = entry(1, seq=1, body=bytes(range(256))), entry(2, body=None)
    append(reopen(), first, second)
    page = reopen().read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10, 2**20))
    assert page.entries == [first, second]


def test_epoch_and_cursor_key_are_made_once(reopen: Reopen) -> None:
    made = reopen().identity()
    assert made.epoch == bytes(16)
    assert made.cursor_key == bytes(32)
    assert reopen().identity() == made


def test_the_epoch_changes_when_its_row_does(store: Store) -> None:
    apply(store, Change(puts={IDENTITY: [("epoch", b"another epoch...")]}))
    assert store.identity().epoch == b"another epoch..."


def test_find_tells_lanes_apart_and_leaves_out_what_is_not_there(store: Store) -> None:
    append(store, entry(1, lane=Lane.MESH), entry(2, seq=1))
    one, two, three = (number.to_bytes(16, "big") for number in (1, 2, 3))
    keys = [(Lane.MESH, one), (Lane.CLIENTS, one), (Lane.CLIENTS, two), (Lane.CLIENTS, three)]
    expected = {
        (Lane.MESH, one): Found(1, b"chat", None, 1, 2, b"ann"),
        (Lane.CLIENTS, two): Found(2, b"chat", 1, 1, 2, b"ann"),
    }
    assert store.read(lambda reader: reader.find(keys)) == expected
    assert store.write(lambda tx: tx.find(keys)) == expected
    assert store.read(lambda reader: reader.find([])) == {}


def test_rows_are_read_by_key_with_none_for_the_missing(store: Store) -> None:
    ann, bob = (b"c", "ann"), (b"c", "bob")
    apply(store, Change(puts={CHAT: [(b"c", "name", 1)], MEMBER: [ann]}))
    chats = store.read(lambda reader: reader.rows(CHAT, [(b"c",), (b"d",)]))
    assert chats == {(b"c",): (b"c", "name", 1), (b"d",): None}
    assert store.write(lambda tx: tx.rows(MEMBER, [ann, bob])) == {ann: ann, bob: None}
    assert store.write(lambda tx: tx.rows(MEMBER, [])) == {}


def test_what_is_looked_up_together_is_what_each_question_answers(store: Store) -> None:
    append(store, entry(1, lane=Lane.MESH), entry(2, seq=1))
    ann, bob = (b"c", "ann"), (b"c", "bo\0b")
    apply(store, Change(puts={CHAT: [(b"c", "name", 1)], MEMBER: [ann]}))
    ids = [(lane, at.to_bytes(16, "big")) for lane in (Lane.MESH, Lane.CLIENTS) for at in (1, 2)]
    rows: dict[Table, list[Key]] = {CHAT: [(b"c",), (b"d",)], MEMBER: [ann, bob]}

    def apart(tx: Tx) -> Known:
        read = {table: tx.rows(table, keys) for table, keys in rows.items()}
        return Known(tx.find(ids), read, tx.last_seqs([b"chat", b"none"]))

    def together(tx: Tx) -> Known:
        return tx.look_up(Wanted(ids, rows, [b"chat", b"none"]))

    known = store.write(together)
    assert known == store.write(apart)
    assert (len(known.entries), known.rows[MEMBER][bob]) == (2, None)
    assert known.last_seqs == {b"chat": 1, b"none": 0}
    assert store.write(lambda tx: tx.look_up(Wanted([], {}, []))) == Known({}, {}, {})


@pytest.mark.parametrize("name", ["ann", "\U0001f4ee", "", "'; --", "a\n\\b\t\x01"])
def test_rows_are_found_by_any_text(store: Store, name: str) -> None:
    apply(store, Change(puts={IDENTITY: [(name, b"x")]}))
    assert store.read(lambda reader: reader.rows(IDENTITY, [(name,)])) == {(name,): (name, b"x")}


def test_a_text_with_nul_is_refused_and_not_found(store: Store) -> None:
    """PostgreSQL cannot store it, and what one engine cannot store the other does not."""
    with pytest.raises(Violation, match="NUL"):
        apply(store, Change(puts={MEMBER: [(b"c", "ann"), (b"c", "ann\0")]}))
    apply(store, Change(puts={MEMBER: [(b"c", "ann")], IDENTITY: [("ann", b"x")]}))
    members = store.read(lambda reader: reader.rows(MEMBER, [(b"c", "ann\0")]))
    assert members == {(b"c", "ann\0"): None}
    rows = store.write(lambda tx: tx.rows(IDENTITY, [("ann\0",), ("ann",)]))
    assert rows == {("ann\0",): None, ("ann",): ("ann", b"x")}
    apply(store, Change(drops={MEMBER: [(b"c", "ann\0")]}))


def test_a_put_takes_the_place_of_the_row_with_its_key_and_a_drop_removes_it(
    store: Store,
) -> None:
    apply(store, Change(puts={CHAT: [(b"c", "old", 1), (b"d", "other", 1)]}))
    apply(store, Change(puts={CHAT: [(b"c", "new", 2)]}, drops={CHAT: [(b"d",)]}))
    rows = store.read(lambda reader: reader.rows(CHAT, [(b"c",), (b"d",)]))
    assert rows == {(b"c",): (b"c", "new", 2), (b"d",): None}


def test_a_named_query_takes_parameters_by_name(store: Store) -> None:
    apply(store, Change(puts={CHAT: [(b"c", "one", 1), (b"d", "two", 2)]}))
    newer = Query("newer_chats", "select name from chat where version > :version")
    assert store.read(lambda reader: reader.query(newer, version=1)) == [("two",)]


def test_a_whole_lane_pages_in_order_of_position(store: Store) -> None:
    append(store, *[entry(pos, lane=Lane.MESH if pos % 2 else Lane.NODE) for pos in range(1, 9)])
    assert positions(store, Lane.MESH) == [1, 3, 5, 7]
    assert positions(store, Lane.NODE) == [2, 4, 6, 8]
    assert positions(store, Lane.MESH, after=3) == [5, 7]
    assert positions(store, Lane.NODE, limit=1, after=2) == [4]


@pytest.mark.parametrize("lane", list(Lane))
def test_windows_choose_streams_and_stretches_of_them_and_may_overlap(
    store: Store, lane: Lane
) -> None:
    streams = [b"a", b"b", b"c"]
    append(store, *[entry(pos, lane=lane, stream=streams[pos % 3]) for pos in range(1, 13)])
    windows = [Window(b"b"), Window(b"a", 3, 9), Window(b"a", 5, 12), Window(b"none")]
    assert positions(store, lane, windows) == [1, 4, 6, 7, 9, 10, 12]
    assert positions(store, lane, windows, after=6, limit=2) == [7, 9]
    assert positions(store, lane, []) == []


def test_a_page_says_where_to_go_on_and_whether_there_is_more(store: Store) -> None:
    append(store, *[entry(pos) for pos in range(1, 6)])
    first = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 3, 2**20))
    assert (first.next, first.more) == (3, True)
    rest = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 3, 3, 2**20))
    assert (rest.next, rest.more) == (5, False)
    exact = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 2, 3, 2**20))
    assert (exact.next, exact.more) == (5, False)


def test_a_page_passes_over_what_is_not_wanted(store: Store) -> None:
    append(store, entry(1), *[entry(pos, stream=b"other") for pos in range(2, 9)])
    page = store.read(lambda r: r.page(Lane.CLIENTS, [Window(b"chat")], 0, 3, 2**20))
    assert (page.next, page.more) == (8, False)


def test_a_page_ends_before_too_many_bytes_but_holds_one_entry_at_least(store: Store) -> None:
    append(store, *[entry(pos, body=bytes(100)) for pos in range(1, 5)])

    def numbers(max_bytes: int) -> list[int]:
        page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10, max_bytes))
        return [found.pos for found in page.entries]

    assert numbers(250) == [1, 2]
    assert numbers(200) == [1, 2]
    assert numbers(1) == [1]


def test_a_read_sees_one_snapshot_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    store = open_sqlite(FileDisk(), str(tmp_path / "node.db"), [], bytes(16), bytes(32))
    append(store, entry(1))

    def work(reader: Reader) -> list[int]:
        append(store, entry(2))
        return [found.pos for found in reader.page(Lane.CLIENTS, None, 0, 9, 99).entries]

    assert store.read(work) == [1]
    assert positions(store) == [1, 2]
    store.close()


def test_a_removal_leaves_a_hole_and_a_blank_leaves_the_entry_without_its_body(
    store: Store,
) -> None:
    append(store, *[entry(pos) for pos in range(1, 5)])
    apply(store, Change(removes=[2, 77], blanks=[3]))
    page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10, 2**20))
    assert [(found.pos, found.body) for found in page.entries] == [
        (1, b"hello"),
        (3, None),
        (4, b"hello"),
    ]


def test_an_id_is_free_again_after_its_entry_was_removed(store: Store) -> None:
    append(store, entry(1), entry(2))
    again = Entry(3, Lane.CLIENTS, b"chat", None, (1).to_bytes(16, "big"), 1, 1, b"", 1, b"")
    apply(store, Change(removes=[1], appends=[again]))
    found = store.read(lambda reader: reader.find([(Lane.CLIENTS, again.id)]))
    assert found[Lane.CLIENTS, again.id].pos == 3


def test_the_head_never_goes_back_when_its_entry_is_removed(reopen: Reopen) -> None:
    store = reopen()
    append(store, entry(1), entry(2))
    apply(store, Change(removes=[1, 2]))
    store = reopen()
    assert head(store) == 2
    assert positions(store) == []
    assert store.read(lambda r: r.find([(Lane.CLIENTS, (2).to_bytes(16, "big"))])) == {}


def test_what_one_write_appends_and_then_removes_keeps_its_position(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.apply(Change(appends=[entry(1), entry(2)]))
        tx.apply(Change(removes=[2]))

    store.write(work)
    assert (head(store), positions(store)) == (2, [1])


def test_a_streams_last_number_never_goes_back_when_its_entry_is_removed(reopen: Reopen) -> None:
    store = reopen()
    append(store, entry(1, seq=1), entry(2, seq=2), entry(3, stream=b"other", seq=1))
    apply(store, Change(removes=[1, 2]))
    store = reopen()
    assert last_seq(store, b"chat") == 2
    assert last_seq(store, b"other") == 1
    assert last_seq(store, b"none") == 0
    assert positions(store, windows=[Window(b"chat")]) == []


def test_nothing_is_left_of_a_removed_entry_once_its_place_is_taken_over(store: Store) -> None:
    count = Query("count", "select count(*) from entry")
    append(store, entry(1, seq=1), entry(2, seq=2))
    apply(store, Change(removes=[2]))
    assert store.read(lambda reader: reader.query(count)) == [(2,)]
    append(store, entry(3, stream=b"other"))  # the head, but not the number
    assert store.read(lambda reader: reader.query(count)) == [(3,)]
    append(store, entry(4, seq=3))
    assert store.read(lambda reader: reader.query(count)) == [(3,)]
    assert positions(store) == [1, 3, 4]


def test_no_content_is_left_of_a_removed_entry_that_keeps_its_place(store: Store) -> None:
    append(store, entry(1, seq=1))
    apply(store, Change(removes=[1]))
    left = Query("left", "select stream, seq, id, kind, flags, author, at_ms, body from entry")
    assert store.read(lambda reader: reader.query(left)) == [
        (b"chat", 1, bytes(16), 0, 0, b"", 0, None)
    ]


def test_a_change_may_remove_and_blank_what_it_appends_itself(store: Store) -> None:
    appended = [entry(1, seq=1), entry(2, seq=2), entry(3, stream=b"other")]
    apply(store, Change(removes=[2, 3], blanks=[1], appends=appended))
    assert head(store) == 3
    assert last_seq(store, b"chat") == 2
    page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10, 2**20))
    assert [(found.pos, found.body) for found in page.entries] == [(1, None)]
    append(store, entry(4, seq=3))
    count = Query("count", "select count(*) from entry")
    assert store.read(lambda reader: reader.query(count)) == [(2,)]


WRONG = {
    "an id twice in a lane": [entry(1), replace(entry(2), id=entry(1).id)],
    "a number twice in a stream": [entry(1, seq=1), entry(2, seq=1)],
    "an id that is not 16 bytes": [replace(entry(1), id=b"short")],
    "a stream that is too long": [entry(1, stream=bytes(256))],
    "a body that is too long": [entry(1, body=bytes(MAX_BODY_BYTES + 1))],
    "a number below 1": [entry(1, seq=0)],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_database_itself_refuses(store: Store, name: str) -> None:
    with pytest.raises(Violation):
        append(store, *WRONG[name])
    assert head(store) == 0


def test_what_raises_leaves_nothing_behind(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.apply(Change(appends=[entry(1)], puts={CHAT: [(b"c", "name", 1)]}))
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        store.write(work)
    assert head(store) == 0
    assert store.read(lambda reader: reader.rows(CHAT, [(b"c",)])) == {(b"c",): None}
    append(store, entry(1))


def test_a_disk_that_is_full_says_so_and_nothing_happened(tmp_path: Path) -> None:
    class SmallDisk(FileDisk):
        def open_database(self, path: str) -> apsw.Connection:
            connection = apsw.Connection(path)
            connection.pragma("max_page_count", 40)
            return connection

    store = open_sqlite(SmallDisk(), str(tmp_path / "node.db"), [], bytes(16), bytes(32))
    with pytest.raises(Full, match="make room"):
        append(store, entry(1, body=bytes(500_000)))
    assert store.read(lambda reader: reader.head) == 0
    append(store, entry(1))
    store.close()


class FullFile(apsw.VFSFile):
    """Takes the first page, by which a file becomes a database, and no more."""

    def xWrite(self, data: bytes, offset: int) -> None:
        if offset >= 4096:
            raise apsw.FullError("no space left on device")
        super().xWrite(data, offset)


class FullVfs(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("full", "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return FullFile("", name, flags)


def test_a_disk_that_is_too_full_for_a_new_database_says_so(tmp_path: Path) -> None:
    """SQLite has rolled back by itself then."""
    vfs, path = FullVfs(), str(tmp_path / "node.db")

    class FullDisk(FileDisk):
        def open_database(self, path: str) -> apsw.Connection:
            return apsw.Connection(path, vfs="full")

    with pytest.raises(Full, match="make room"):
        open_sqlite(FullDisk(), path, [], bytes(16), bytes(32))
    vfs.unregister()
    open_sqlite(FileDisk(), path, [], bytes(16), bytes(32)).close()


def no_room_beside_the_log() -> apsw.Error:
    """What apsw raises where the disk is so full that `node.db-shm` cannot grow."""
    error = apsw.IOError()
    setattr(error, "extendedresult", apsw.SQLITE_IOERR_SHMSIZE)  # noqa: B010  (apsw's stub has none)
    return error


RENAMED: list[tuple[apsw.Error, type[Fault]]] = [
    (no_room_beside_the_log(), Full),
    (apsw.BusyError(), Unavailable),
    (apsw.FullError(), Full),
    (apsw.ConstraintError(), Violation),
    (apsw.IOError(), Fatal),
    (apsw.CorruptError(), Fatal),
    (apsw.SQLError(), Fatal),
]


@pytest.mark.parametrize(("error", "fault"), RENAMED, ids=lambda value: str(value))
def test_errors_of_the_database_are_renamed_to_what_is_to_be_done(
    error: apsw.Error, fault: type[Fault]
) -> None:
    assert type(renamed(error, "node.db")) is fault
