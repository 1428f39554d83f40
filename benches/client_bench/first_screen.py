"""From the start of an app to its first screen of data: the conversations, and the newest messages
of one of them, out of a file with 100,000 messages. A process each time, with nothing of the file
in the system's cache, and with all of it.

`python -m client_bench.first_screen FILE` is that process: it says what it took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernel_bench.places import Place

MESSAGES = 100_000
TURNS = 7
CONVERSATIONS, PAGE = 30, 50  # what is on a screen, and a little more


def rows(_places: dict[str, Place]) -> Iterator[Sequence[str]]:
    from client_bench.device import live

    heads = ("open ms", "first screen ms", "both: best ms", "worst ms", "with Python's start ms")
    yield f"{MESSAGES:,} messages", *heads
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        path = Path(folder) / "device.db"
        live(path, MESSAGES)
        for name, is_cold in (("read from the disk", True), ("in the system's cache", False)):
            yield name, *_told([_turn(path, is_cold) for _ in range(TURNS)])


def _turn(path: Path, is_cold: bool) -> tuple[float, float, float]:
    """Milliseconds: to open it, to show it, and all in all."""
    if is_cold:
        _forget(path)
    begun_s = time.perf_counter()
    command = [sys.executable, "-m", "client_bench.first_screen", str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    whole_ms = (time.perf_counter() - begun_s) * 1e3
    open_ms, show_ms = map(float, said.split())
    return open_ms, show_ms, whole_ms


def _forget(path: Path) -> None:
    """By the system: it reads the file anew."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def _told(turns: Sequence[tuple[float, float, float]]) -> list[str]:
    both = sorted(opened + shown for opened, shown, _ in turns)
    best = [min(times) for times in zip(*turns, strict=True)]
    return [f"{time_ms:.0f}" for time_ms in (*best[:2], both[0], both[-1], best[2])]


def main(path: str) -> None:
    from postbox.client.store.open import open_store
    from postbox.world import FileDisk

    begun_s = time.perf_counter()
    store = open_store(FileDisk(), path)
    opened_s = time.perf_counter()
    found = store.conversations(CONVERSATIONS)
    assert len(found) == CONVERSATIONS
    assert len(store.messages(found[0].uuid, limit=PAGE)) == PAGE
    shown_s = time.perf_counter()
    print((opened_s - begun_s) * 1e3, (shown_s - opened_s) * 1e3)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
