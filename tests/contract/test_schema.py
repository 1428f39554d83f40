"""Migrations: every set's own numbers, and what an old binary may still open."""

from __future__ import annotations

import sys
from pathlib import Path

import apsw
import pytest

from postbox.errors import Fatal, SchemaTooNew
from postbox.store.schema import KERNEL, Migrations
from postbox.store.sqlite.driver import open_sqlite
from postbox.store.sqlite.tables import split_statements
from postbox.world import FileDisk
from support.toy_chat import CHAT, MIGRATIONS


def make_set(directory: Path, monkeypatch: pytest.MonkeyPatch, *files: str) -> Migrations:
    """A package with these migrations, numbered in order."""
    package = directory / "door"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for number, sql in enumerate(files, start=1):
        (package / f"{number:04}_step.sqlite.sql").write_text(sql)
    (package / "0001_step.postgres.sql").write_text("not for this engine")
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, "door", raising=False)
    return Migrations("door", "door")


def open_and_close(path: Path, *sets: Migrations) -> dict[str, int]:
    store = open_sqlite(FileDisk(), str(path), sets, bytes(16), bytes(32))
    try:
        return dict(store.identity().schema)
    finally:
        store.close()


def columns(path: Path, table: str) -> list[str]:
    connection = apsw.Connection(str(path))
    try:
        return [str(row[1]) for row in connection.execute(f"pragma table_info({table})")]
    finally:
        connection.close()


ONE = "-- compatible: 1\ncreate table door (a text);\ncreate index door_a on door (a);\n"
TWO_ADDS = "-- compatible: 1\nalter table door add column b text;\n"
TWO_BREAKS = "-- compatible: 2\nalter table door rename column a to b;\n"


def test_a_doors_tables_come_from_its_own_package(tmp_path: Path) -> None:
    schema = open_and_close(tmp_path / "node.db", MIGRATIONS)
    assert schema == {KERNEL.name: 1, MIGRATIONS.name: 1}
    assert columns(tmp_path / "node.db", CHAT.name) == [column.name for column in CHAT.columns]


def test_a_later_migration_is_run_once_on_a_database_that_has_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.db"
    open_and_close(path, make_set(tmp_path / "old", monkeypatch, ONE))
    new = make_set(tmp_path / "new", monkeypatch, ONE, TWO_ADDS)
    assert open_and_close(path, new)["door"] == 2
    assert open_and_close(path, new)["door"] == 2
    assert columns(path, "door") == ["a", "b"]


def test_an_old_binary_opens_a_newer_database_that_it_can_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.db"
    open_and_close(path, make_set(tmp_path / "new", monkeypatch, ONE, TWO_ADDS))
    old = make_set(tmp_path / "old", monkeypatch, ONE)
    assert open_and_close(path, old)["door"] == 2


def test_an_old_binary_refuses_a_newer_database_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.db"
    open_and_close(path, make_set(tmp_path / "new", monkeypatch, ONE, TWO_BREAKS))
    old = make_set(tmp_path / "old", monkeypatch, ONE)
    with pytest.raises(SchemaTooNew, match=r"door tables need .* migration 2; this one knows 1"):
        open_and_close(path, old)


def test_a_database_with_the_tables_of_a_door_that_is_gone_still_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.db"
    open_and_close(path, make_set(tmp_path / "with", monkeypatch, ONE))
    assert open_and_close(path) == {"door": 1, KERNEL.name: 1}


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.db"
    open_and_close(path)
    broken = make_set(tmp_path / "broken", monkeypatch, ONE + "create nonsense;\n")
    with pytest.raises(Fatal):
        open_and_close(path, broken)
    assert columns(path, "door") == []
    assert open_and_close(path) == {KERNEL.name: 1}


def test_a_migration_without_a_compatibility_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Fatal, match="compatible"):
        open_and_close(tmp_path / "node.db", make_set(tmp_path / "x", monkeypatch, "select 1;\n"))


def test_statements_are_split_where_they_end_and_nowhere_else() -> None:
    trigger = "create trigger t after insert on a begin\n  delete from a;\n  delete from b;\nend;\n"
    sql = f"-- a comment; with a semicolon\ncreate table a (b text default ';');\n{trigger}"
    statements = list(split_statements(sql))
    assert len(statements) == 2
    assert statements[1] == trigger
