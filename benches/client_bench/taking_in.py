"""What it costs a device to take in what the others said: frames of 100 events, read and kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from client_bench.device import FRAME_EVENTS, Host, device, reader, take
from kernel_bench.places import Place

EVENTS = 10_000
LOCAL = 100_000  # that the device has before
TURNS = 3


def rows(_places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield f"{EVENTS:,} events", "s", "events/s", "of that, reading the frames: s"
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        for name, local in (("into an empty file", 0), (f"onto {LOCAL:,} messages", LOCAL)):
            path = Path(folder) / f"device-{local}.db"
            for frames_at_once in (1, 10):
                yield (
                    f"{name}, {frames_at_once * FRAME_EVENTS} a commit",
                    *_measured(path, local, frames_at_once),
                )
                path.unlink()


def _measured(path: Path, local: int, at_once: int) -> list[str]:
    host = Host()
    with device(path) as store:
        taking = reader(store)
        take(store, taking, [host.beginning()])
        before = list(host.frames(local))
        for at in range(0, len(before), 100):
            take(store, taking, before[at : at + 100])
        took = []
        for _ in range(TURNS):
            frames = list(host.frames(EVENTS))
            begun_s = time.perf_counter()
            for at in range(0, len(frames), at_once):
                take(store, taking, frames[at : at + at_once])
            took.append(time.perf_counter() - begun_s)
        frames = list(host.frames(EVENTS))
        begun_s = time.perf_counter()
        for frame in frames:
            taking.take(frame)
        read_s = time.perf_counter() - begun_s
    return [f"{min(took):.2f}", f"{EVENTS / min(took):,.0f}", f"{read_s:.2f}"]
