"""Migrations: every set's own numbers, and what an old binary may still open."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from postbox.errors import Fatal, SchemaTooNew
from postbox.store.contract import Query
from postbox.store.open import open_database
from postbox.store.schema import KERNEL, Engine, Migrations, load_steps
from postbox.store.sqlite.tables import split_statements
from postbox.trust.tables import MIGRATIONS as TRUST
from postbox.world import FileDisk
from support.toy_chat import CHAT, MIGRATIONS

NEWEST = len(load_steps(KERNEL, "sqlite"))
"""The number of the kernel's last migration."""


class Place:
    """A database of one of the engines, to be opened more than once."""

    def __init__(self, database: str) -> None:
        self._database = database

    def open_and_close(self, *sets: Migrations) -> dict[str, int]:
        store = open_database(FileDisk(), self._database, sets, bytes(16), bytes(32))
        try:
            return dict(store.identity().schema)
        finally:
            store.close()

    def columns(self, table: str) -> list[str]:
        store = open_database(FileDisk(), self._database, [], bytes(16), bytes(32))
        try:
            return [str(name) for (name,) in store.read(lambda r: r.query(COLUMNS, name=table))]
        finally:
            store.close()


COLUMNS = Query(
    "columns",
    "select name from pragma_table_info(:name)",
    postgres="select attname::text from pg_attribute where attrelid = to_regclass(%(name)s::text)"
    " and attnum > 0 and not attisdropped order by attnum",
)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(str(tmp_path / "node.db"))
    return Place(request.getfixturevalue("database"))


def make_set(directory: Path, monkeypatch: pytest.MonkeyPatch, *files: str) -> Migrations:
    """A package with these migrations, numbered in order, for both engines."""
    package = directory / "door"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for number, sql in enumerate(files, start=1):
        for engine in ("sqlite", "postgres"):
            (package / f"{number:04}_step.{engine}.sql").write_text(sql)
    (package / "0001_step.other.sql").write_text("not for these engines")
    monkeypatch.syspath_prepend(directory)
    monkeypatch.delitem(sys.modules, "door", raising=False)
    return Migrations("door", "door")


ONE = "-- compatible: 1\ncreate table door (a text);\ncreate index door_a on door (a);\n"
TWO_ADDS = "-- compatible: 1\nalter table door add column b text;\n"
TWO_BREAKS = "-- compatible: 2\nalter table door rename column a to b;\n"


def test_a_doors_tables_come_from_its_own_package(place: Place) -> None:
    schema = place.open_and_close(MIGRATIONS)
    assert schema == {KERNEL.name: NEWEST, MIGRATIONS.name: 1}
    assert place.columns(CHAT.name) == [column.name for column in CHAT.columns]


def test_a_later_migration_is_run_once_on_a_database_that_has_the_first(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open_and_close(make_set(tmp_path / "old", monkeypatch, ONE))
    new = make_set(tmp_path / "new", monkeypatch, ONE, TWO_ADDS)
    assert place.open_and_close(new)["door"] == 2
    assert place.open_and_close(new)["door"] == 2
    assert place.columns("door") == ["a", "b"]


def test_an_old_binary_opens_a_newer_database_that_it_can_still_read(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open_and_close(make_set(tmp_path / "new", monkeypatch, ONE, TWO_ADDS))
    old = make_set(tmp_path / "old", monkeypatch, ONE)
    assert place.open_and_close(old)["door"] == 2


def test_an_old_binary_refuses_a_newer_database_that_it_cannot_read(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open_and_close(make_set(tmp_path / "new", monkeypatch, ONE, TWO_BREAKS))
    old = make_set(tmp_path / "old", monkeypatch, ONE)
    with pytest.raises(SchemaTooNew, match=r"door tables need .* migration 2; this one knows 1"):
        place.open_and_close(old)


def test_a_database_with_the_tables_of_a_door_that_is_gone_still_opens(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open_and_close(make_set(tmp_path / "with", monkeypatch, ONE))
    assert place.open_and_close() == {"door": 1, KERNEL.name: NEWEST}


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.open_and_close()
    broken = make_set(tmp_path / "broken", monkeypatch, ONE + "create nonsense;\n")
    with pytest.raises(Fatal):
        place.open_and_close(broken)
    assert place.columns("door") == []
    assert place.open_and_close() == {KERNEL.name: NEWEST}


def test_a_migration_without_a_compatibility_number_is_refused(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Fatal, match="compatible"):
        place.open_and_close(make_set(tmp_path / "x", monkeypatch, "select 1;\n"))


def test_a_set_without_files_for_an_engine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = make_set(tmp_path / "half", monkeypatch, ONE, TWO_ADDS)
    (tmp_path / "half" / "door" / "0001_step.postgres.sql").unlink()
    assert len(load_steps(half, "sqlite")) == 2
    with pytest.raises(Fatal, match="door for postgres"):
        load_steps(half, "postgres")


@pytest.mark.parametrize("migrations", [KERNEL, TRUST], ids=lambda each: each.name)
def test_both_engines_have_the_same_numbers(migrations: Migrations) -> None:
    def numbers(engine: Engine) -> list[tuple[int, int]]:
        return [(step.number, step.compatible) for step in load_steps(migrations, engine)]

    assert numbers("sqlite") == numbers("postgres")


def test_statements_are_split_where_they_end_and_nowhere_else() -> None:
    trigger = "create trigger t after insert on a begin\n  delete from a;\n  delete from b;\nend;\n"
    sql = f"-- a comment; with a semicolon\ncreate table a (b text default ';');\n{trigger}"
    statements = list(split_statements(sql))
    assert len(statements) == 2
    assert statements[1] == trigger
