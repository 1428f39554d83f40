"""`postbox backup` and `restore`: of a node that serves or stands still, cut short or not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from postbox.log.anchor import write_anchor
from postbox.log.epoch import Anchor
from postbox.store.backup import server_epoch
from postbox.world import FileDisk
from support.command import (
    TIMEOUT_S,
    Call,
    counted_at_line,
    environment,
    killed_at_line,
    served,
    stepwise,
    told,
)
from support.homes import Imported
from support.mesh import HISTORY, small_history
from support.postgres import Server

FEW = small_history(300)


@pytest.fixture
def home(tmp_path: Path, call: Call) -> Path:
    """Of a node with a few events."""
    home = tmp_path / "home"
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(FEW))
    assert call("import", tmp_path / "history.jsonl", "--home", home).code == 0
    return home


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_of_a_serving_node_makes_an_equal_one(
    home: Path, tmp_path: Path, call: Call
) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    with served(home):
        made = call("backup", file, "--home", home, "--json").json
        status = call("status", "--home", home, "--json").json
    assert (made["events"], made["head"]) == (300, status["head"])
    assert (made["name"], made["epoch"]) == (status["name"], status["epoch"])
    assert (made["engine"], made["bytes"]) == ("sqlite", file.stat().st_size)
    assert (file.stat().st_mode & 0o777, "file.part" in listed(tmp_path)) == (0o600, False)

    restored = call("restore", file, "--home", other, "--json").json
    assert (restored["events"], restored["former_epoch"]) == (300, status["epoch"])
    again = call("status", "--home", other, "--json").json
    others: dict[str, object] = {
        "epoch": 0,
        "url": None,
        "uptime_s": None,
        "disk": {},
        "renewed": None,
        "hosts": None,
        "recovery": None,
    }
    assert {**again, **others} == {**status, **others}
    assert again["epoch"] == restored["epoch"] != status["epoch"]
    keys = [call("keys", "show", "--home", each, "--json").json for each in (home, other)]
    assert keys[0] == keys[1]


def test_what_the_home_remembers_of_the_lost_log_does_not_renew_the_epoch_again(
    home: Path, tmp_path: Path, call: Call
) -> None:
    """As of a log that had got another epoch since the backup."""
    call("backup", tmp_path / "file", "--home", home)
    for path in home.glob("postbox.db*"):
        path.unlink()
    write_anchor(home, Anchor(bytes(16), 1_000, bytes(16)))
    restored = call("restore", tmp_path / "file", "--home", home, "--json").json
    status = call("status", "--home", home, "--json").json
    assert status["epoch"] == restored["epoch"]
    assert status["renewed"]["why"] == "restored"


def test_a_backup_during_an_import_holds_a_part_of_it(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "file"
    with stepwise("import", HISTORY, "--home", home) as importing:
        counted = counted_at_line(2, importing)
        told("backup", file, "--home", home)
    told("restore", file, "--home", tmp_path / "other")
    verified = told("verify", "--home", tmp_path / "other")
    assert counted <= verified["checked"] < 80_000
    assert verified["wrong"] == []


def test_a_backup_leaves_the_home_of_a_stopped_node_as_it_was(
    home: Path, tmp_path: Path, call: Call
) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    done = call("backup", tmp_path / "file", "--home", home)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before
    name = call("keys", "show", "--home", home, "--json").json["name"]
    assert done.out.startswith(f"300 events of {name} are in {tmp_path / 'file'}, ")


def test_a_file_that_is_there_is_replaced_only_if_that_is_said(
    home: Path, tmp_path: Path, call: Call
) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    done = call("backup", file, "--home", home)
    assert (done.code, done.err) == (
        1,
        f"postbox: {file} is there already: name another file, or say --replace\n",
    )
    assert file.read_text() == "precious"
    assert call("backup", file, "--replace", "--home", home).code == 0
    assert call("restore", file, "--home", tmp_path / "other").code == 0
    for in_the_way in (tmp_path, tmp_path / "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(file)
        done = call("backup", in_the_way, "--replace", "--home", home)
        assert "name a plain file" in done.err
    done = call("backup", tmp_path / "missing" / "file", "--home", home, "--json")
    assert done.json["error"].endswith("No such file or directory")


def test_where_there_is_no_node_nothing_is_made(tmp_path: Path, call: Call) -> None:
    done = call("backup", tmp_path / "file", "--home", tmp_path / "home")
    assert (done.code, done.out) == (1, "")
    assert "there is no node in" in done.err
    assert listed(tmp_path) == []
    done = call("restore", tmp_path / "file", "--home", tmp_path / "home")
    assert (done.code, listed(tmp_path)) == (1, [])
    assert f"there is no file {tmp_path / 'file'}" in done.err


def test_a_backup_that_is_interrupted_leaves_nothing(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    home = copy_of(imported)
    with stepwise("backup", tmp_path / "file", "--home", home) as process:
        counted_at_line(1, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, listed(tmp_path)) == (130, ["home"])


def test_what_a_killed_backup_left_is_taken_over_by_the_next(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    home = copy_of(imported)
    killed_at_line(1, "backup", tmp_path / "file", "--home", home)
    assert listed(tmp_path) == ["file.part", "home"]
    told("backup", tmp_path / "file", "--home", home)
    assert listed(tmp_path) == ["file", "home"]


# -- restoring ----------------------------------------------------------------------------------


@pytest.fixture
def file(home: Path, tmp_path: Path, call: Call) -> Path:
    file = tmp_path / "file"
    assert call("backup", file, "--home", home).code == 0
    return file


def test_what_is_restored_is_said_and_also_what_that_means(
    home: Path, file: Path, tmp_path: Path, call: Call
) -> None:
    name = call("status", "--home", home, "--json").json["name"]
    done = call("restore", file, "--home", tmp_path / "other")
    epoch = call("status", "--home", tmp_path / "other", "--json").json["epoch"]
    first, second, third = done.out.splitlines()
    assert first.startswith(f"300 events of {name} are in {tmp_path / 'other'}, as they were at 20")
    assert second.startswith(f"The log's new epoch is {epoch}: ")
    assert third.startswith(f"This is {name} now: ")


def test_a_node_is_restored_into_no_other_nodes_home(
    home: Path, file: Path, tmp_path: Path, call: Call
) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    done = call("restore", file, "--home", home)
    assert (done.code, "has a database already (postbox.db)" in done.err) == (1, True)
    call("status", "--home", tmp_path / "another")
    (tmp_path / "another" / "postbox.db").unlink()
    done = call("restore", file, "--home", tmp_path / "another")
    assert (done.code, "is the home of another node" in done.err) == (1, True)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before
    assert listed(tmp_path / "another") == [".gitignore", "anchor", "lock", "node.key"]


def test_a_node_that_lost_its_database_is_restored_where_it_was(
    home: Path, file: Path, call: Call
) -> None:
    """But not beside a log of changes, which SQLite would take for the restored database's."""
    digest = call("status", "--home", home, "--json").json["digest"]
    (home / "config.toml").write_text("[node]\nmemory = 1000\n".replace("1000", '"1000"'))
    (home / "postbox.db").rename(home / "postbox.db-wal")
    assert "has a database already (postbox.db-wal)" in call("restore", file, "--home", home).err
    (home / "postbox.db-wal").unlink()
    assert call("restore", file, "--home", home).code == 0
    status = call("status", "--home", home, "--json").json
    assert (status["digest"], status["capacity"]) == (digest, 1_000)


def test_a_home_that_somebody_has_open_is_not_restored_into(
    file: Path, tmp_path: Path, call: Call
) -> None:
    with served(tmp_path / "other"):
        done = call("restore", file, "--home", tmp_path / "other")
    assert (done.code, "is open in another process" in done.err) == (1, True)


KILLED_AT = """
import os, sys
from postbox.cli.main import main
left = int(sys.argv[1])
def counted(function):
    def call(*arguments, **named):
        global left
        left -= os.path.lexists(arguments[0])  # what is not there changes nothing
        if left == 0:
            os._exit(9)
        return function(*arguments, **named)
    return call
for name in ("replace", "link", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
main(sys.argv[2:])
"""
"""The command, killed before its n-th change of the folder."""


def restore_killed_at(number: int, *words: str | Path) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(number), "restore", *map(str, words)],
        env=environment(),
        timeout=TIMEOUT_S,
        capture_output=True,
        check=False,
    )
    return ran.returncode


def test_a_restore_that_is_killed_says_so_and_is_done_again(
    home: Path, file: Path, tmp_path: Path, call: Call
) -> None:
    """Killed before each change that it makes to the home."""
    own = {"epoch": 0, "disk": {}, "renewed": None}
    status = call("status", "--home", home, "--json").json
    number, was_told = 0, 0
    while True:
        number += 1
        other = tmp_path / f"other{number}"
        code = restore_killed_at(number, file, "--home", other)
        if (other / "restoring").exists():
            refused = call("status", "--home", other)
            assert (refused.code, "was cut short: run the same" in refused.err) == (1, True)
            assert "was cut short" in call("backup", tmp_path / "x", "--home", other).err
            was_told += 1
        elif code == 9:
            assert not (other / "postbox.db").exists() or (other / "node.key").exists()
        if not (other / "node.key").exists() or (other / "restoring").exists():
            assert call("restore", file, "--home", other).code == 0
        again = call("status", "--home", other, "--json").json
        assert {**again, **own} == {**status, **own}
        left = [name for name in listed(other) if not name.endswith(".new")]  # nobody reads those
        assert left == [".gitignore", "anchor", "lock", "node.key", "postbox.db"]
        if code == 0:
            break
    assert was_told >= 5, "the test has lost its way"


# -- on a server --------------------------------------------------------------------------------


def test_a_node_moves_to_postgresql_and_back(
    home: Path, file: Path, tmp_path: Path, call: Call, database: str
) -> None:
    """The second time from a node that serves."""
    status = call("status", "--home", home, "--json").json
    moved, back = tmp_path / "moved", tmp_path / "back"
    assert call("restore", file, "--home", moved, "--store", database).code == 0
    assert listed(moved) == [".gitignore", "lock", "node.key", "store"]
    with served(moved):
        there = call("status", "--home", moved, "--json").json
        made = call("backup", tmp_path / "second", "--home", moved, "--json").json
    assert (made["engine"], made["events"], made["head"]) == ("postgres", 300, status["head"])
    assert call("restore", tmp_path / "second", "--home", back).code == 0
    again = call("status", "--home", back, "--json").json
    assert status["digest"] == there["digest"] == again["digest"]
    assert len({status["epoch"], there["epoch"], again["epoch"]}) == 3
    assert call("verify", "--home", back, "--json").json["wrong"] == []


def test_a_server_that_has_a_node_is_not_restored_into(
    home: Path, file: Path, tmp_path: Path, call: Call, database: str
) -> None:
    call("status", "--home", tmp_path / "another", "--store", database)
    done = call("restore", file, "--home", tmp_path / "other", "--store", database)
    assert (done.code, "has a node already" in done.err) == (1, True)
    assert listed(tmp_path / "other") == [".gitignore", "lock"]
    done = call("backup", tmp_path / "second", "--home", home, "--store", database)
    assert (done.code, "the log of another node" in done.err) == (1, True)
    assert not (tmp_path / "second").exists()
    assert not (tmp_path / "second.part").exists()


def test_a_restore_to_a_server_that_is_killed_is_done_again(
    home: Path, file: Path, tmp_path: Path, call: Call, postgres: Server
) -> None:
    """Killed before each change that it makes to the home, before and after the commit."""
    number, had_committed = 0, 0
    while True:
        number += 1
        other = tmp_path / f"other{number}"
        with postgres.database() as database:
            words = (file, "--home", other, "--store", database)
            code = restore_killed_at(number, *words)
            epoch = server_epoch(FileDisk(), database)
            if not (other / "node.key").exists() or (other / "restoring").exists():
                done = call("restore", *words, "--json")
                assert done.code == 0, done
                assert epoch is None or epoch.hex() == done.json["epoch"], "it was there already"
                had_committed += epoch is not None
            assert [name for name in listed(other) if "postbox.db" in name] == []
        if code == 0:
            break
    assert had_committed >= 3, "the test has lost its way"
