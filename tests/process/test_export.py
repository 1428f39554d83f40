"""`postbox export` streams: page by page, in bounded memory, at the reader's pace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from postbox.admin import events
from support.command import POSTBOX, TIMEOUT_S, environment, served, told
from support.homes import Imported
from support.mesh import small_history

PIPE_BYTES = 1 << 16  # what a pipe on Linux holds
FEW = 500
PAGES_BYTES = 4 * (events.PAGE_BYTES * 4 // 3)
"""A page as it came, as JSON, decoded, joined: no more than one at a time."""


# The peak of a process counts what it was before it became another program: here that is little.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_bytes(*words: str | Path) -> int:
    """The most memory that the verb ever had."""
    command = [sys.executable, "-c", MEASURE, str(POSTBOX), *map(str, words)]
    measured = subprocess.run(command, capture_output=True, env=environment(), check=True)
    return int(measured.stdout) << 10


@contextmanager
def unread(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An export to somebody who took a little and reads no more."""
    process = subprocess.Popen(
        [POSTBOX, "export", "-", "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.read(PIPE_BYTES)
        try:
            yield process
        finally:
            process.kill()


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pid_of(home: Path) -> int:
    return int((home / "lock").read_text())


def few(folder: Path) -> Path:
    (folder / "few.jsonl").write_bytes(b"\n".join(small_history(FEW)))
    told("import", folder / "few.jsonl", "--home", folder / "few")
    return folder / "few"


def test_an_export_of_a_hundred_times_the_events_takes_no_more_memory_but_a_few_pages(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    """Asked of serving nodes: the verb is all that is measured, and not the node's own ledger."""
    small, large = few(tmp_path), copy_of(imported)
    peaks = []
    for home in (small, large):
        with served(home):
            peaks.append(peak_bytes("export", tmp_path / f"{home.name}.jsonl", "--home", home))
    sizes = [(tmp_path / f"{home.name}.jsonl").stat().st_size for home in (small, large)]
    assert sizes[1] > 100 * sizes[0]
    assert sizes[1] > PAGES_BYTES
    assert peaks[1] - peaks[0] < PAGES_BYTES
    # Of a stopped node the verb has the ledger, too, as `status` has.
    stopped = [
        peak_bytes(*verb, "--home", large) for verb in (("status",), ("export", large / "a"))
    ]
    assert stopped[1] - stopped[0] < PAGES_BYTES


def test_who_stops_reading_an_export_harms_nobody_and_may_go_on_later(
    imported: Imported, copy_of: Callable[[Imported], Path]
) -> None:
    """A page is a question of its own, with a position: nothing is held open in between."""
    home = copy_of(imported)
    (home / "more.jsonl").write_bytes(b"\n".join(small_history(FEW, seed=7)))
    with served(home):
        told("export", home / "whole.jsonl", "--home", home)  # what it takes, it has taken once
        before = resident_bytes(pid_of(home))
        with unread(home), unread(home), unread(home) as reader:
            more = told("import", home / "more.jsonl", "--home", home)["imported"]
            assert more > FEW // 2
            assert told("status", "--home", home)["events"] == 80_000 + more
            assert resident_bytes(pid_of(home)) - before < PAGES_BYTES
            assert reader.poll() is None, "it had nothing left to write"
            assert reader.stdout is not None
            lines = reader.stdout.read().splitlines()[1:]  # of the first a part was read before
            assert reader.wait(TIMEOUT_S) == 0
            assert len(lines) == len({*lines}) > 80_000 + more - FEW
    # It stopped in time, with exports under way.
