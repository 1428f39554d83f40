"""The demo's promises beside what it proves by itself: it leaves nothing behind, and says what is
wrong. In full it is run by `.ci/try-wheel`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from postbox.admin.peers import Seen
from postbox.cli.demo.commands import COLUMNS, show_command, show_result
from postbox.cli.demo.view import Row, view
from postbox.cli.demo.watch import notes
from support.command import POSTBOX, environment, postbox

TIMEOUT_S = 120
SEEN = Seen(
    url="http://127.0.0.1:7433",
    name="tidy-hill-6def",
    kind="postbox",
    version="0.1.0",
    memory_mode="short",
    answers=True,
    rtt_ms=1.0,
    clock_off_ms=0.0,
    known=True,
    error="",
    contact="reached",
    last_contact_ns=1,
    pulls=1,
    imported=0,
    rejected=0,
)


@contextmanager
def demonstrating(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process group of its own, with its homes in this folder."""
    with subprocess.Popen(
        [POSTBOX, "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(TMPDIR=str(folder)),
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f"it ended without saying {text!r}"


def test_a_signal_ends_the_demo_with_all_that_it_started(tmp_path: Path) -> None:
    with demonstrating(tmp_path) as process:
        wait_for(process, "postbox import east.jsonl")
        [folder] = tmp_path.iterdir()
        assert (folder / "north" / "config.toml").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):  # nobody is left in its group
            os.killpg(process.pid, 0)
    assert list(tmp_path.iterdir()) == []


def test_nodes_that_could_not_hold_the_events_are_not_started(tmp_path: Path) -> None:
    done = postbox("demo", "--memory", "short", TMPDIR=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert "80,500 events: short is too little" in done.err


def test_in_a_file_the_live_view_is_news_at_once_and_figures_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Row("north", 53_333, "2 of 2", "ab12cd34ef56", "asks south", is_up=True),
        Row("east", 1, "-", "000000000000", "killed"),
    ]
    later = [replace(rows[0], reaches="1 of 2", note="cannot reach east"), rows[1]]
    said: dict[str, Row] = {}
    with view(said) as show:
        show(rows, [("north", "asks south")], 0.2)
        show(later, [("north", "cannot reach east")], 0.9)
        show(later, [], 1.4)
    with view(said) as show:
        show([replace(later[0], note="asks south"), later[1]], [], 0.1)
    held = "53,333 events, digest ab12cd34ef56, reaches"
    assert capsys.readouterr().out.splitlines() == [
        "    0.2 s  north  asks south",
        f"    0.2 s  north  {held} 2 of 2 peers",
        "    0.2 s  east   killed",
        "    0.9 s  north  cannot reach east",
        f"    1.4 s  north  {held} 1 of 2 peers",
    ]


def test_a_peer_is_out_of_reach_exactly_while_the_row_says_so() -> None:
    down, up = replaced(SEEN, answers=False), replaced(SEEN, contact="failed")
    assert list(notes("east", None, replaced(up, pulls=0))) == []
    assert list(notes("east", SEEN, down)) == ["cannot reach east"]
    assert list(notes("east", down, replaced(down, contact="failed"))) == []
    assert list(notes("east", down, up)) == ["reaches east again"]
    assert list(notes("east", up, replaced(up, pulls=2, imported=7))) == ["7 new from east"]


def test_what_the_demo_says_is_never_broken_within_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["postbox", "sync", "http://127.0.0.1:26064", "--mode", "sample", "--home", "x" * 30]
    show_command(words, "&")
    command = capsys.readouterr().out
    assert max(map(len, command.splitlines())) <= COLUMNS
    assert shlex.split(command.replace("\\\n", "")) == ["$", *words, "&"]
    result = {key * 9: 10**9 for key in "abcdef"}
    show_result(json.dumps(result, separators=(",", ":")), "north")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= COLUMNS
    assert json.loads(shown.partition("north")[2]) == result
