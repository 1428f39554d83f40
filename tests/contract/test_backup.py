"""A backup holds all that a database holds, whichever engine it is on, and makes it anew on either.
See `postbox.store.backup`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TypeAlias

import apsw
import pytest
from msgspec.structs import replace

from postbox.errors import Full, SchemaTooNew
from postbox.hosts.applications.draft_tables import DRAFT
from postbox.hosts.applications.events import Event
from postbox.hosts.applications.own_connection import insert
from postbox.hosts.guilds.tables import GUILD
from postbox.hosts.tables import MIGRATIONS as HOSTS
from postbox.store.application import execute, open_for_application
from postbox.store.backup import (
    CannotBackUp,
    CannotRestore,
    Contents,
    copy_backup,
    fill_server,
    read_backup,
    server_epoch,
    write_backup,
)
from postbox.store.contract import Change, Entry, Lane, Row, Store
from postbox.store.open import open_database
from postbox.store.schema import Migrations
from postbox.trust.tables import KEY, WAITING
from postbox.trust.tables import MIGRATIONS as TRUST
from postbox.world import FileDisk
from support.backups import DISK, LABEL, backed_up, ended, tables
from support.postgres import Server
from support.toy_chat import CHAT, MEMBER, VERDICT
from support.toy_chat import MIGRATIONS as TOY

SETS = (TRUST, HOSTS, TOY)

Place: TypeAlias = Callable[[str], str]


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Makes the place of an empty database of the engine."""
    numbers = count()
    databases = []

    def place(engine: str) -> str:
        if engine == "sqlite":
            return str(tmp_path / f"node{next(numbers)}.db")
        postgres: Server = request.getfixturevalue("postgres")
        databases.append(postgres.database())
        return databases[-1].__enter__()

    yield place
    for database in databases:
        database.__exit__(None, None, None)


def opened(database: str, sets: tuple[Migrations, ...] = SETS) -> Store:
    return open_database(DISK, database, sets, b"epoch of the log", bytes(range(32)))


def entry(pos: int, lane: Lane = Lane.MESH, seq: int | None = None) -> Entry:
    body = bytes([pos % 256]) * (pos % 700)
    return Entry(pos, lane, b"stream", seq, pos.to_bytes(16), pos % 5, -1, b"ann", 2**40, body)


def fill(store: Store) -> None:
    """Everything that a database may hold: all lanes, numbers, entries that were erased and
    removed, what is left of the newest, and rows of all types."""
    entries = [entry(pos) for pos in range(1, 5_001)]
    entries += [entry(5_000 + n, Lane(1 + n % 4), n if n % 2 else None) for n in range(1, 21)]
    last = entries[-1].pos
    rows: dict[object, list[Row]] = {
        CHAT: [(b"\x00\xff", "ann's “chat”", 2**62), (b"", "", -1)],
        MEMBER: [(b"c", "ann"), (b"c", "bob")],
        VERDICT: [(bytes(16), "late")],
        KEY: [("ann", bytes(32), None, bytes(64), "own", 7, 1)],
        WAITING: [("bob", bytes(32), "id", "::1", 9)],
        GUILD: [("ann@a.example:2289", "b.example:2289", "g", "“Garden”", 11)],
        DRAFT: [(n, bytes([n]) * 16, "b.example:2289", "x/y", b"\x00", 12, "") for n in (3, 8)],
    }
    store.write(lambda tx: tx.apply(Change(appends=entries, puts=rows)))  # type: ignore[arg-type]
    store.write(lambda tx: tx.apply(Change(removes=[*range(100, 200), last], blanks=[7, 8])))


def restored(file: Path, place: Place, engine: str) -> str:
    """As the verb does it, but for the new epoch."""
    path = place("sqlite")
    ended(copy_backup(DISK, str(file), path))
    opened(path).close()
    if engine == "sqlite":
        return path
    url = place("postgres")
    ended(fill_server(DISK, path, url, SETS))
    return url


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
@pytest.mark.parametrize("source", ["sqlite", "postgres"])
def test_what_is_restored_is_what_was_backed_up_on_either_engine(
    places: Place, tmp_path: Path, source: str, target: str
) -> None:
    database = places(source)
    store = opened(database)
    fill(store)
    store.close()
    first, second = tmp_path / "first", tmp_path / "second"
    assert backed_up(database, first, SETS) == Contents(
        None, b"epoch of the log", 5_020, 4_919, 4_905
    )
    assert read_backup(DISK, str(first), SETS) == (LABEL, backed_up(database, second, SETS))

    again = restored(first, places, target)
    backed_up(again, second, SETS)
    assert tables(second) == tables(first)
    assert {
        len(rows) for name, rows in tables(first).items() if name in ("chat", "toy_member")
    } == {2}
    assert len(tables(first)["entry"]) == 4_920, "what is left of the removed head is in it"


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_an_application_can_post_into_a_restored_database(
    places: Place, tmp_path: Path, target: str
) -> None:
    database = places("sqlite")
    store = opened(database)
    fill(store)
    store.close()
    backed_up(database, tmp_path / "file", SETS)
    own = open_for_application(DISK, restored(tmp_path / "file", places, target))
    insert(own, b"i" * 16, "b.example:2289", Event("x/y", b""))
    assert execute(own, "select n from draft order by n") == [(3,), (8,), (9,)]
    own.close()


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_a_restored_log_goes_on_where_it_was(places: Place, tmp_path: Path, target: str) -> None:
    database = places("sqlite")
    store = opened(database)
    fill(store)
    store.close()
    backed_up(database, tmp_path / "file", SETS)
    store = opened(restored(tmp_path / "file", places, target))
    assert store.write(lambda tx: (tx.head, tx.last_seqs([b"stream"]))) == (5_020, {b"stream": 19})
    store.write(lambda tx: tx.apply(Change(appends=[entry(5_021, Lane.CLIENTS, 20)])))
    assert store.read(lambda reader: reader.head) == 5_021
    store.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_backup_is_of_one_moment_and_hinders_nobody_who_writes(
    places: Place, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbox.store.sqlite.backup.STEP_PAGES", 50)  # of about 600
    database = places(engine)
    store = opened(database)
    fill(store)
    steps = write_backup(DISK, database, SETS, str(tmp_path / "file"), LABEL)
    next(steps)
    for pos in range(5_021, 5_031):
        store.write(
            lambda tx, pos=pos: tx.apply(  # type: ignore[misc]
                Change(appends=[entry(pos)], puts={VERDICT: [(bytes(16), "changed")]}, blanks=[9])
            )
        )
    contents = ended(steps)
    store.close()
    assert contents.head == 5_020
    found = tables(tmp_path / "file")
    assert found["verdict"] == [(bytes(16), "late")]
    assert max(row[0] for row in found["entry"]) == 5_020  # type: ignore[type-var]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_backup_that_is_given_up_leaves_the_database_alone(
    places: Place, tmp_path: Path, engine: str
) -> None:
    database = places(engine)
    store = opened(database)
    fill(store)
    steps = write_backup(DISK, database, SETS, str(tmp_path / "file"), LABEL)
    next(steps)
    steps.close()
    store.write(lambda tx: tx.apply(Change(appends=[entry(5_021)])))
    store.close()


def test_tables_that_this_postbox_does_not_know_are_never_left_out(
    places: Place, tmp_path: Path
) -> None:
    """Of a file all pages are copied; of a server's database what cannot be named is refused."""
    path, url = places("sqlite"), places("postgres")
    for database in (path, url):
        store = opened(database)
        fill(store)
        store.close()
    backed_up(path, tmp_path / "file", ())
    assert len(tables(tmp_path / "file")["chat"]) == 2
    with pytest.raises(SchemaTooNew, match=r"does not know \(chat\)"):
        backed_up(url, tmp_path / "other", (TRUST, HOSTS))
    with pytest.raises(SchemaTooNew, match=r"does not know \(chat, hosts, trust\)"):
        ended(fill_server(DISK, path, places("postgres"), ()))


def test_a_server_that_has_a_node_already_is_not_filled(places: Place) -> None:
    path, url = places("sqlite"), places("postgres")
    assert server_epoch(DISK, url) is None
    opened(path).close()
    store = opened(url)
    fill(store)
    store.close()
    with pytest.raises(CannotRestore, match="has a node already"):
        ended(fill_server(DISK, path, url, SETS))
    assert server_epoch(DISK, url) == b"epoch of the log"


def test_a_server_without_a_node_is_not_backed_up(places: Place, tmp_path: Path) -> None:
    with pytest.raises(CannotBackUp, match="no node in it"):
        backed_up(places("postgres"), tmp_path / "file", SETS)


def test_filling_a_server_that_breaks_off_leaves_it_empty(places: Place) -> None:
    path, url = places("sqlite"), places("postgres")
    store = opened(path)
    fill(store)
    store.close()
    steps = fill_server(DISK, path, url, SETS)
    next(steps)
    steps.close()
    assert server_epoch(DISK, url) is None
    ended(fill_server(DISK, path, url, SETS))
    assert server_epoch(DISK, url) == b"epoch of the log"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "another file": lambda whole: b"hello" * 2_000,
    "cut": lambda whole: whole[: len(whole) // 2],
    "without its end": lambda whole: whole[:-4_096],
    "a page of zeros": lambda whole: whole[:81_920] + bytes(4_096) + whole[86_016:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_whole_backup_is_refused(places: Place, tmp_path: Path, damage: str) -> None:
    database, file = places("sqlite"), tmp_path / "file"
    store = opened(database)
    fill(store)
    store.close()
    backed_up(database, file, SETS)
    assert read_backup(DISK, str(file), SETS)[0] == LABEL
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(CannotRestore, match="no backup, or damaged"):
        read_backup(DISK, str(file), SETS)


def test_a_nodes_database_is_no_backup(places: Place) -> None:
    """It has no key in it."""
    database = places("sqlite")
    opened(database).close()
    with pytest.raises(CannotRestore, match="no backup"):
        read_backup(DISK, database, SETS)


def test_a_backup_of_a_newer_postbox_is_refused_by_name(places: Place, tmp_path: Path) -> None:
    database, file = places("sqlite"), tmp_path / "file"
    opened(database).close()
    backed_up(database, file, SETS)
    connection = DISK.open_database(str(file))
    connection.execute("update schema set version = 99, compatible = 99 where name = 'trust'")
    with pytest.raises(SchemaTooNew, match="trust tables need a postbox that knows migration 99"):
        read_backup(DISK, str(file), SETS)
    connection.execute("update backup set format = 2")
    with pytest.raises(CannotRestore, match="made by a newer postbox"):
        read_backup(DISK, str(file), SETS)


def test_reading_a_backup_writes_nothing_beside_it(places: Place, tmp_path: Path) -> None:
    database, folder = places("sqlite"), tmp_path / "backups"
    folder.mkdir()
    opened(database).close()
    backed_up(database, folder / "file", SETS)
    raw = (folder / "file").read_bytes()
    assert raw[18:20] == b"\x01\x01", "it has no write-ahead log, which would lie beside it"
    (folder / "file").chmod(0o400)
    read_backup(DISK, str(folder / "file"), SETS)
    ended(copy_backup(DISK, str(folder / "file"), str(tmp_path / "copy")))
    assert [each.name for each in folder.iterdir()] == ["file"]
    assert (folder / "file").read_bytes() == raw


class SmallDisk(FileDisk):
    """Files named `small` have room for 40 pages, of which 160 KiB can be written."""

    def open_database(self, path: str) -> apsw.Connection:
        connection = super().open_database(path)
        if Path(path).name == "small":
            connection.pragma("max_page_count", 40)
        return connection


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_file_without_room_is_named(places: Place, tmp_path: Path, engine: str) -> None:
    database = places(engine)
    store = opened(database)
    fill(store)
    store.close()
    with pytest.raises(Full, match=r"no room for .*/small: make room on its disk"):
        ended(write_backup(SmallDisk(), database, SETS, str(tmp_path / "small"), LABEL))


def test_the_label_shows_no_key() -> None:
    assert "key" not in repr(replace(LABEL, key=b"the key's file"))
