"""How long a user waits until what it sent is safe: in the queue, and synced."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from client_bench.device import TEXT, device, live, uuid
from kernel_bench.places import Place
from postbox.client.core.acts import SendMessage
from postbox.client.core.outgoing import outgoing

MESSAGES = 1_000
LOCAL = 10_000  # messages that the device has before


def rows(_places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield "making", "p50 ms", "p99 ms", "of that, without the sync: p50 ms"
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        path = Path(folder) / "device.db"
        conversation = live(path, LOCAL).conversations[0]
        synced, unsynced = _times(path, conversation, "full"), _times(path, conversation, "off")
    yield f"{MESSAGES:,} messages, one at a time", *_told(synced, 0.5, 0.99), *_told(unsynced, 0.5)


def _times(path: Path, conversation: str, synchronous: str) -> list[float]:
    """From the act to the row that is safe."""
    times_s = []
    with device(path) as store:
        store._writer.pragma("synchronous", synchronous)
        for _ in range(MESSAGES):
            begun_s, now_ms = time.perf_counter(), time.time_ns() // 10**6
            store.make(outgoing(SendMessage(conversation, TEXT), uuid(), now_ms), now_ms)
            times_s.append(time.perf_counter() - begun_s)
    return sorted(times_s)


def _told(times_s: Sequence[float], *parts: float) -> list[str]:
    return [f"{times_s[int(len(times_s) * part)] * 1e3:.2f}" for part in parts]
