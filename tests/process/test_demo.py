"""The demo's promises beside what it proves by itself: it leaves nothing behind, and says what is
wrong. In full it is run by `.ci/try-wheel`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postbox.cli.demo.view import Row, view
from support.command import POSTBOX, environment, postbox

TIMEOUT_S = 120


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
        Row("north", 53_333, 52, "2 of 2", 812.4, "ab12cd34", "", is_up=True),
        Row("east", 1, 1, "-", 0.0, "00000000", "killed"),
    ]
    with view() as show:
        show(rows, [("north", "asks south")], 0.2)
        show(rows, [], 0.9)
        show(rows, [("north", "can not reach east")], 1.4)
    figures = "53,333 events (digest ab12cd34), 52 keys, peers 2 of 2, 812 new/s"
    assert capsys.readouterr().out.splitlines() == [
        "    0.2 s  north  asks south",
        f"    0.2 s  north  {figures}",
        "    0.2 s  east   killed",
        "    1.4 s  north  can not reach east",
        f"    1.4 s  north  {figures}",
        "    1.4 s  east   killed",
    ]
