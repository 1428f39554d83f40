"""A sync that fails ends the process at once, and nothing acknowledged is missing after it.

In real processes on a real disk, where one call of the operating system fails, and only one.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.children import CHUNK, command, environment
from support.command import (
    TIMEOUT_S,
    counted_at_line,
    counts,
    ready_url,
    running,
    stepwise,
    told,
)
from support.failing_sync import FailingSync
from support.mesh import history_lines
from support.toy_log import stored_entries


@pytest.mark.parametrize(
    ("pattern", "what"), [("*/node.db-wal", "a commit"), ("*/node.db", "a checkpoint")]
)
def test_a_process_whose_sync_fails_ends_and_answers_nothing_more(
    tmp_path: Path, failing_sync: FailingSync, pattern: str, what: str
) -> None:
    """It would go on for ever otherwise."""
    path = tmp_path / "node.db"
    with subprocess.Popen(
        command("write-until-killed", str(path), "50"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**failing_sync.environment),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        failing_sync.strike(pattern)
        try:
            out, err = child.communicate(timeout=TIMEOUT_S)
        finally:
            child.kill()
    assert failing_sync.has_struck
    assert child.returncode == 1, what
    assert "postbox.errors.Fatal: " in err
    assert "stop, check the disk, run `postbox verify`" in err
    ids = {int.from_bytes(entry.id, "big") for entry in stored_entries(path)}
    answered = [0, *map(int, out.splitlines())]
    assert {first + at for first in answered[1:] for at in range(CHUNK)} <= ids


def test_a_node_whose_sync_fails_says_what_to_do_and_is_clean_at_the_next_start(
    tmp_path: Path, failing_sync: FailingSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = history_lines()[:20_000]
    home, first, second = (tmp_path / name for name in ("home", "first.jsonl", "second.jsonl"))
    first.write_bytes(b"\n".join(lines[:1_000]))
    second.write_bytes(b"\n".join(lines))
    serve = ("serve", "--home", home, "--listen", "127.0.0.1:0", "--loopback")
    with ExitStack() as stack:
        with monkeypatch.context() as patched:
            for name, value in failing_sync.environment.items():
                patched.setenv(name, value)
            node = stack.enter_context(running(*serve))
        ready_url(node)
        acknowledged = told("import", first, "--home", home)["imported"]
        with stepwise("import", second, "--home", home) as importing:
            counted = counted_at_line(1, importing)
            failing_sync.strike("*/postbox.db-wal")
            said = importing.communicate(timeout=TIMEOUT_S)[1]
        _, err = node.communicate(timeout=TIMEOUT_S)
    assert failing_sync.has_struck
    assert (node.returncode, importing.returncode) == (1, 1)
    last = err.splitlines()[-1]
    assert last.startswith(f"postbox: {home}/postbox.db failed (")
    assert last.endswith("stop, check the disk, run `postbox verify`")
    assert "Traceback" not in err
    acknowledged = max([acknowledged, counted, *counts(said.splitlines())])
    verified = told("verify", "--home", home)
    assert verified["wrong"] == []
    assert verified["checked"] >= acknowledged
    report = told("import", second, "--home", home)
    assert report["imported"] + report["duplicates"] == len(lines)
