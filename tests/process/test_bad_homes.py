"""Homes that cannot be one: each is named, with what is wrong with it, and none is half made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.command import POSTBOX, Call, Done, environment, told


def without_room(*words: str | Path) -> Done:
    """The command where no file can grow, as on a full disk."""
    line = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", str(POSTBOX), *map(str, words)]
    ran = subprocess.run(line, capture_output=True, text=True, env=environment(), check=False)
    return Done(ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x" * 300, "File name too long"),
        ("file", "it is not a folder"),
        ("file/home", "Not a directory"),
        (os.fsdecode(b"\xff"), "its path is not UTF-8"),
        ("locked", "locked/lock: Is a directory"),
    ],
)
@pytest.mark.parametrize(
    "verb", ["status", "serve --listen 127.0.0.1:0", "doctor", "doctor --json"]
)
def test_what_can_not_be_a_home_is_named(
    call: Call, tmp_path: Path, name: str, why: str, verb: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked" / "lock").mkdir(parents=True)
    code, out, err = call(*verb.split(), "--home", tmp_path / name)
    told = out if "doctor" in verb else err
    assert code == 1
    assert "as a home: " in told
    assert why in told
    assert "Traceback" not in err


def test_where_no_file_can_be_made_a_new_node_is_not_half_made(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = without_room("status", "--home", home)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"postbox: cannot make {home}/node.key: ")
    assert sorted(path.name for path in home.iterdir()) == ["lock"]
    assert told("status", "--home", home)["events"] == 0


def test_what_lies_where_the_socket_goes_is_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "admin.sock").mkdir()
    code, out, err = call("serve", "--home", tmp_path, "--listen", "127.0.0.1:0")
    assert (code, out) == (1, "")
    assert f"postbox: {tmp_path}/admin.sock cannot be removed" in err
    assert "port" not in err.splitlines()[-1]
    assert call("status", "--home", tmp_path).code == 0


def test_what_comes_on_stdin_and_has_no_room_is_named(tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "some")
    with (tmp_path / "some").open("rb") as some:
        line = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", str(POSTBOX)]
        ran = subprocess.run(
            [*line, "import", "-", "--home", tmp_path / "home"],
            stdin=some,
            capture_output=True,
            text=True,
            env=environment(TMPDIR=str(tmp_path)),
            check=False,
        )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "cannot keep what comes on stdin" in ran.stderr
