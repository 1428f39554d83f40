"""Homes that earlier versions left are opened by today's, with everything in them; and the other
way round a database that is too new is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postbox.home import DATABASE
from postbox.node import MIGRATIONS
from support.backups import backed_up, tables
from support.command import Call
from support.golden import DISK, VERSIONS, make_home, make_server, status_of, upgraded
from support.mesh import history_lines


@pytest.fixture
def first(tmp_path: Path) -> Path:
    home = tmp_path / "first"
    make_home("first", home)
    return home


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def left(version: str, tmp_path: Path) -> Path:
    """The home that it left."""
    home = tmp_path / version
    make_home(version, home)
    return home


def said(call: Call, *words: object) -> Any:
    done = call(*words, "--json")
    assert done.code == 0, done
    return done.json


def test_a_versions_home_is_opened_with_all_that_is_in_it(
    version: str, left: Path, call: Call
) -> None:
    before, status = status_of(version), said(call, "status", "--home", left)
    assert {name: status[name] for name in before} == before
    keys = said(call, "trust", "list", "--home", left)
    assert (len(keys["keys"]), len(keys["waiting"])) == (before["keys"], version == "second")
    verified = said(call, "verify", "--home", left)
    assert (verified["checked"], verified["wrong"]) == (before["events"], [])
    assert {name: verified[name] for name in before["standings"]} == before["standings"]


def test_the_first_versions_home_goes_on_with_new_events(
    first: Path, tmp_path: Path, call: Call
) -> None:
    """Those that it has are known already, and those that it forgot are as good as new."""
    (tmp_path / "lines").write_bytes(b"\n".join(history_lines()[:10_000]))
    taken = said(call, "import", tmp_path / "lines", "--home", first)
    assert (taken["duplicates"], taken["imported"], taken["rejected"]) == (50, 9_950, 0)
    assert said(call, "status", "--home", first)["events"] == 10_000
    verified = said(call, "verify", "--home", first)
    assert (verified["checked"], verified["wrong"]) == (10_000, [])


def test_a_backup_before_the_upgrade_leaves_the_database_to_the_first_version(
    first: Path, tmp_path: Path, call: Call
) -> None:
    said(call, "backup", tmp_path / "file", "--home", first)
    connection = DISK.open_database(str(first / DATABASE))
    assert connection.execute("select version from schema").fetchall() == [(1,), (1,)]
    connection.close()
    said(call, "restore", tmp_path / "file", "--home", tmp_path / "other")
    before, status = status_of("first"), said(call, "status", "--home", tmp_path / "other")
    assert {name: status[name] for name in before} == before | {"epoch": status["epoch"]}


def test_an_upgraded_database_has_the_tables_of_a_new_one(left: Path, tmp_path: Path) -> None:
    made = []
    for path in (left / DATABASE, tmp_path / "new.db"):
        connection = DISK.open_database(upgraded(str(path)))
        made.append(connection.execute("select type, name, sql from sqlite_schema").fetchall())
        connection.close()
    assert sorted(made[0]) == sorted(made[1])


def test_a_versions_database_on_postgresql_is_the_same_node(
    version: str, left: Path, tmp_path: Path, database: str
) -> None:
    make_server(version, database)
    backed_up(upgraded(database), tmp_path / "server", MIGRATIONS)
    backed_up(upgraded(str(left / DATABASE)), tmp_path / "file", MIGRATIONS)
    assert tables(tmp_path / "server") == tables(tmp_path / "file")


@pytest.mark.parametrize("name", ["kernel", "trust"])
def test_a_database_that_a_newer_postbox_changed_is_refused_by_every_verb(
    first: Path, tmp_path: Path, call: Call, name: str
) -> None:
    connection = DISK.open_database(upgraded(str(first / DATABASE)))
    connection.execute("update schema set version = 99, compatible = 98 where name = ?", (name,))
    connection.close()
    (first / "config.toml").write_text('serve.listen = "127.0.0.1:0"\n')
    for verb in ("status", "verify", "serve", "doctor"):
        done = call(verb, "--home", first)
        text = f"the database's {name} tables need a postbox that knows migration 98; this one"
        assert (done.code, text in done.out + done.err) == (1, True), (verb, done)
    assert call("backup", tmp_path / "file", "--home", first).code == 0, "a file is copied as it is"
    done = call("restore", tmp_path / "file", "--home", tmp_path / "other")
    assert (done.code, text in done.err) == (1, True)
    assert not (tmp_path / "other").exists()
