"""The log is put back to an earlier moment, behind the node's back: the epoch changes, once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.log.anchor import FILE as ANCHOR
from support.command import Call, postbox, served, told
from support.mesh import small_history
from support.postgres import Server, programs
from support.tailing import name_of
from support.witness import until

EVENTS = 60


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node that will have a log of its own: only the verbs with `--store` differ."""
    return tmp_path / "home"


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    early, late, history = tmp_path / "early", tmp_path / "late", small_history(2 * EVENTS)
    early.write_bytes(b"\n".join(history[:EVENTS]))
    late.write_bytes(b"\n".join(history[EVENTS:]))
    return early, late


def status(call: Call, home: Path, *words: object) -> Any:
    done = call("status", "--home", home, "--json", *words)
    assert done.code == 0, done
    return done.json


def check_went_back(call: Call, home: Path, before: Any, after: Any) -> None:
    """Once, and it is said where an operator looks."""
    assert after["epoch"] != before["epoch"]
    assert (after["events"], after["renewed"]["why"]) == (EVENTS, "went back")
    assert after["renewed"]["known"] == before["head"]
    assert status(call, home)["epoch"] == after["epoch"], "it changed again"
    assert "the log went back" in call("status", "--home", home).out
    findings = call("doctor", "--home", home, "--json").json["findings"]
    [epoch] = [each for each in findings if each["what"] == "epoch"]
    assert (epoch["state"], "start over" in epoch["text"]) == ("warning", True)
    assert "send again what is missing" in epoch["cure"]


def test_an_older_copy_of_the_file_changes_the_epoch_at_the_next_start(
    call: Call, home: Path, tmp_path: Path, halves: tuple[Path, Path]
) -> None:
    early, late = halves
    call("import", early, "--home", home)
    first = status(call, home)
    shutil.copy(home / "postbox.db", tmp_path / "older.db")
    call("import", late, "--home", home)
    before = status(call, home)
    assert (before["epoch"], before["renewed"]) == (first["epoch"], None)
    shutil.copy(tmp_path / "older.db", home / "postbox.db")
    check_went_back(call, home, before, status(call, home))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"\xff{")])
def test_without_a_sound_anchor_the_node_starts_and_keeps_its_epoch(
    call: Call, home: Path, halves: tuple[Path, Path], damage: Callable[[Path], object]
) -> None:
    call("import", halves[0], "--home", home)
    before = status(call, home)
    sound = (home / ANCHOR).read_bytes()
    damage(home / ANCHOR)
    assert status(call, home)["epoch"] == before["epoch"]
    assert (home / ANCHOR).read_bytes() == sound, "there is one again"


def second_process(call: Call, home: Path, url: str) -> Path:
    other = home.with_name("other")
    other.mkdir(mode=0o700)
    shutil.copy(home / "node.key", other)
    status(call, other, "--store", url)
    return other


def test_an_older_dump_in_the_database_changes_the_epoch_once_whoever_starts_first(
    call: Call,
    home: Path,
    tmp_path: Path,
    halves: tuple[Path, Path],
    postgres: Server,
    database: str,
) -> None:
    early, late = halves
    call("import", early, "--home", home, "--store", database)
    tools, dump = programs(), tmp_path / "dump"
    assert tools is not None
    subprocess.run([tools / "pg_dump", "--schema=public", "--file", dump, database], check=True)
    call("import", late, "--home", home)
    other = second_process(call, home, database)
    before = status(call, other)
    assert before["events"] == 2 * EVENTS
    postgres.run("drop schema public cascade", name_of(database))
    restore = [tools / "psql", "--quiet", "--set=ON_ERROR_STOP=1", "--file", dump, database]
    subprocess.run([str(word) for word in restore], check=True, stdout=subprocess.DEVNULL)
    after = status(call, home)
    check_went_back(call, home, before, after)
    # This one's anchor is of the former epoch, and beyond the end of the log.
    assert status(call, other)["epoch"] == after["epoch"]
    assert status(call, other)["renewed"] == after["renewed"]


def test_a_server_that_is_put_back_under_a_serving_node_changes_the_epoch_once(
    home: Path, tmp_path: Path, halves: tuple[Path, Path], own_postgres: Server
) -> None:
    early, late = halves
    url, kept = own_postgres.url(), own_postgres.folder / "kept"
    told("import", early, "--home", home, "--store", url)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shutil.copy(home / "node.key", other)
    with served(home), served(other, "--store", url):
        own_postgres.stop()
        subprocess.run(["cp", "-a", own_postgres.data, kept], check=True)
        own_postgres.start()
        trio.run(until, lambda: answers(home) and answers(other))
        told("import", late, "--home", home)
        before = told("status", "--home", other)
        own_postgres.stop()
        shutil.rmtree(own_postgres.data)
        kept.rename(own_postgres.data)
        own_postgres.start()
        trio.run(until, lambda: epoch_of(home) not in (None, before["epoch"]))
        trio.run(until, lambda: epoch_of(other) not in (None, before["epoch"]))
        one, two = told("status", "--home", home), told("status", "--home", other)
        assert one["epoch"] == two["epoch"]
        assert one["renewed"] == two["renewed"]
        assert one["events"] == two["events"] == EVENTS
        assert told("import", late, "--home", other)["imported"] == EVENTS


def answers(home: Path) -> bool:
    return epoch_of(home) is not None


def epoch_of(home: Path) -> Any:
    """None while it does not answer."""
    done = postbox("status", "--home", home, "--json")
    return done.json["epoch"] if done.code == 0 else None
