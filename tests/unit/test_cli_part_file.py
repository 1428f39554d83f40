"""A file that appears when it is complete: private, by one writer, nothing left of a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from postbox.cli.part_file import CannotWrite, part_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def names(file: Path) -> list[str]:
    return sorted(path.name for path in file.parent.iterdir())


def test_it_has_its_name_when_it_is_complete_and_not_before(file: Path) -> None:
    with part_file(file, replaces=False) as part:
        part.write_bytes(b"whole")
        assert names(file) == ["file.part"]
    assert (names(file), file.read_bytes()) == (["file"], b"whole")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_failure_leaves_what_was_there(file: Path) -> None:
    file.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), part_file(file, replaces=True) as part:
        part.write_bytes(bytes(1 // 0))
    assert (names(file), file.read_bytes()) == (["file"], b"before")


def test_of_two_writers_one_is_refused_and_harms_nothing(file: Path) -> None:
    with part_file(file, replaces=False) as part:
        part.write_bytes(b"first")
        with pytest.raises(CannotWrite, match="is being written by another process"):
            with part_file(file, replaces=False):
                pytest.fail("both write")
    assert file.read_bytes() == b"first"


def test_a_file_that_came_meanwhile_is_not_replaced(file: Path) -> None:
    with pytest.raises(CannotWrite, match="is there already"):
        with part_file(file, replaces=False):
            file.write_bytes(b"somebody's")
    assert (names(file), file.read_bytes()) == (["file"], b"somebody's")


def test_what_a_killed_writer_left_is_emptied_and_made_private(file: Path) -> None:
    part = file.with_name("file.part")
    part.write_bytes(b"half of something")
    part.chmod(0o644)
    with part_file(file, replaces=False) as again:
        assert (again, again.read_bytes()) == (part, b"")
        assert part.stat().st_mode & 0o777 == 0o600


def test_no_link_is_followed(file: Path) -> None:
    file.with_name("file.part").symlink_to(file.with_name("elsewhere"))
    with pytest.raises(CannotWrite, match="symbolic links"):
        with part_file(file, replaces=False):
            pytest.fail("it was followed")
    assert names(file) == ["file.part"]
