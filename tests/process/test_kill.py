"""kill -9 in the middle of an import: whatever was counted is there, and nothing is half there."""

from __future__ import annotations

from pathlib import Path

from support.command import killed_at_line, postbox, stepwise, told
from support.homes import Imported
from support.mesh import HISTORY


def test_an_import_that_is_killed_loses_nothing_that_it_had_counted(
    imported: Imported, tmp_path: Path
) -> None:
    """Again and again on one home, at ever later moments; then it is let through."""
    home = tmp_path / "home"
    for line in (1, 5):
        counted = killed_at_line(line, "import", HISTORY, "--home", home)
        assert counted > 0
        status = postbox("status", "--home", home, "--json")
        assert status.code == 0
        assert counted <= status.json["events"] < 80_000
    verified = told("verify", "--home", home)
    assert (verified["checked"], verified["wrong"]) == (status.json["events"], [])
    report = told("import", HISTORY, "--home", home)
    assert (report["rejected"], report["pruned"]) == (0, 0)
    assert report["imported"] + report["duplicates"] == 80_000
    status = told("status", "--home", home)
    assert (status["events"], status["digest"]) == (80_000, imported.digest)


def test_an_import_that_is_killed_as_it_begins_leaves_a_home_that_works(tmp_path: Path) -> None:
    """While the key and the database are made."""
    for number, wait_for in enumerate(("node.key", "postbox.db")):
        home = tmp_path / str(number)
        with stepwise("import", HISTORY, "--home", home) as process:
            while not (home / wait_for).exists():
                assert process.poll() is None
            process.kill()
        assert told("status", "--home", home)["events"] < 80_000
