"""An error that nobody expected, told: one line, what to do, and where the traceback is."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from support.command import Call


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a postbox with a bug: what should be seconds is a text."""
    monkeypatch.setattr("postbox.cli.node.IN_USE_S", "five")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temp"))
    monkeypatch.delenv("POSTBOX_TRACEBACK", raising=False)
    (tmp_path / "temp").mkdir()
    return tmp_path / "a-secret-home"


def test_a_bug_is_one_line_and_its_traceback_a_file(call: Call, home: Path) -> None:
    done = call("status", "--home", home)
    assert (done.code, done.out) == (1, "")
    told = re.fullmatch(
        r"postbox: unexpected TypeError: unsupported operand .*\. This is a bug of postbox: what is"
        r" stored is as it was\. Please report it with (\S+), which has the traceback"
        r" \(--traceback shows it\)\n",
        done.err,
    )
    assert told, done.err
    path = Path(told[1])
    text = path.read_text()
    assert text.startswith("postbox 0.")
    assert "in operated" in text
    assert "TypeError: unsupported operand" in text
    assert "a-secret-home" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_asks_sees_the_traceback(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        call("status", "--home", home, "--traceback"),
        call("--traceback", "status", "--home", home),
    ]
    monkeypatch.setenv("POSTBOX_TRACEBACK", "1")
    for done in (*asked, call("status", "--home", home)):
        assert (done.code, done.out) == (1, "")
        assert "Traceback (most recent call last)" in done.err
        assert done.err.splitlines()[-1].startswith("postbox: unexpected TypeError")
    assert list((home.parent / "temp").iterdir()) == []


def test_a_script_is_told_in_its_document(call: Call, home: Path) -> None:
    done = call("status", "--home", home, "--json")
    assert done.code == 1
    assert done.json["error"].startswith("unexpected TypeError: unsupported operand")


def test_a_traceback_that_cannot_be_kept_is_not_an_error_of_its_own(call: Call, home: Path) -> None:
    (home.parent / "temp").rmdir()
    done = call("status", "--home", home)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "could not be written to a file: No such file or directory" in done.err


def test_a_node_that_ends_by_a_bug_has_it_in_its_log(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbox.cli.garbage.look_rarely", None)
    done = call("serve", "--home", home, "--listen", "127.0.0.1:0")
    assert done.code == 1
    logged = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert [line["level"] for line in logged if line["event"] == "the node ended by a bug"] == [
        "error"
    ]
    assert "_be_ready" in str(logged[-1])
    assert done.err.splitlines()[-1].startswith("postbox: unexpected TypeError")
