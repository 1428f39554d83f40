"""`postbox verify` on homes that something else has changed: it says what, and exits 1."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from postbox.home import DATABASE
from postbox.world import system_world
from support.command import Call, served
from support.mesh import small_history
from support.postgres import Server

EVENTS = 400
PAGE_BYTES = 4096


@pytest.fixture
def home(tmp_path: Path, call: Call) -> Path:
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(small_history(EVENTS)))
    assert call("import", tmp_path / "history.jsonl", "--home", tmp_path / "home").code == 0
    return tmp_path / "home"


def change(home: Path, *statements: str) -> None:
    disk = system_world().disk
    with closing(disk.open_database(str(home / DATABASE))) as connection:
        for statement in statements:
            connection.execute(statement)


def flipped(home: Path, page: int) -> None:
    """The head of a page, which says how its cells lie."""
    at = page * PAGE_BYTES + 3
    whole = bytearray((home / DATABASE).read_bytes())
    whole[at] ^= 0x5A
    (home / DATABASE).write_bytes(whole)


def test_a_flipped_byte_in_any_page_is_told_of(home: Path, tmp_path: Path, call: Call) -> None:
    """Most pages keep the node from opening; it is asked for by name all the same."""
    pages = (home / DATABASE).stat().st_size // PAGE_BYTES
    assert pages > 40
    for page in range(1, pages, 4):
        damaged = tmp_path / f"damaged{page}"
        shutil.copytree(home, damaged)
        flipped(damaged, page)
        done = call("verify", "--home", damaged, "--json")
        assert done.code == 1, page
        assert done.json["database"], page
        shown = call("verify", "--home", damaged)
        assert shown.code == 1
        assert "in the database: " in shown.out
        assert "restore a backup" in shown.out
        assert "Traceback" not in done.err + shown.err


def test_damage_that_keeps_only_the_writer_from_its_work_is_told_of(home: Path, call: Call) -> None:
    disk = system_world().disk
    with closing(disk.open_database(str(home / DATABASE))) as connection:
        [(page,)] = connection.execute(
            "select rootpage from sqlite_schema where name = 'entry_id_1'"
        )
    flipped(home, page - 1)
    done = call("verify", "--home", home, "--json")
    assert (done.code, done.json["checked"]) == (1, 0)
    assert done.json["database"], "what is wrong with the database itself"


def test_an_index_that_is_gone_is_named(home: Path, call: Call) -> None:
    change(home, "drop index entry_stream_3")
    done = call("verify", "--home", home, "--json")
    assert (done.code, done.json["wrong"]) == (1, [])
    assert done.json["database"] == ["the index entry_stream_3 is missing"]
    assert done.json["checked"] == EVENTS


def test_an_event_that_is_gone_from_under_a_serving_node_is_named(home: Path, call: Call) -> None:
    with served(home):
        assert call("verify", "--home", home).code == 0
        change(
            home,
            "delete from entry where lane = 2 and pos in (select pos from entry"
            " where lane = 2 order by pos limit 2 offset 100)",
        )
        done = call("verify", "--home", home, "--json")
    assert (done.code, done.json["checked"], done.json["wrong"]) == (1, EVENTS - 2, [])
    assert len(done.json["database"]) == 2
    assert all("is not in the log: the ledger has it" in text for text in done.json["database"])


def test_an_event_that_came_into_the_log_behind_a_serving_node_is_named(
    home: Path, call: Call
) -> None:
    """At a position that the node has passed."""
    keep = "create table kept as select * from entry where lane = 2 order by pos limit 1 offset 9"
    change(home, keep, "delete from entry where pos = (select pos from kept)")
    with served(home):
        assert call("verify", "--home", home).code == 0
        change(home, "insert into entry select * from kept")
        done = call("verify", "--home", home, "--json")
    (wrong,) = done.json["wrong"]
    assert (done.code, wrong["problem"]) == (1, "in the log, and not in the ledger")


def test_an_event_under_another_id_is_named(home: Path, call: Call) -> None:
    one = "select pos from entry where lane = 2 limit 1 offset 40"
    change(home, f"update entry set id = zeroblob(16) where pos = ({one})")
    done = call("verify", "--home", home, "--json")
    ((wrong),) = done.json["wrong"]
    assert wrong["problem"] == "stored under another id than its own"
    assert done.code == 1


def test_a_log_on_postgresql_is_looked_at_in_the_same_way(
    tmp_path: Path, call: Call, postgres: Server, database: str
) -> None:
    home, name = tmp_path / "home", database.split("/")[3].split("?")[0]
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(small_history(EVENTS)))
    assert call("import", tmp_path / "history.jsonl", "--home", home, "--store", database).code == 0
    done = call("verify", "--home", home, "--json")
    assert (done.code, done.json["checked"], done.json["database"]) == (0, EVENTS, [])
    one = "select pos from entry where lane = 2 order by pos limit 1 offset 40"
    postgres.run("drop index entry_id_2", name)
    postgres.run(f"update entry set id = decode(repeat('ab', 16), 'hex') where pos = ({one})", name)
    done = call("verify", "--home", home, "--json")
    ((wrong),) = done.json["wrong"]
    assert (done.code, wrong["problem"]) == (1, "stored under another id than its own")
    assert done.json["database"] == ["the index entry_id_2 is missing"]


def test_a_log_larger_than_the_memory_of_the_verb_is_no_fault(home: Path, call: Call) -> None:
    done = call("verify", "--home", home, "--memory", "50", "--json")
    assert (done.code, done.json["checked"]) == (0, EVENTS)
