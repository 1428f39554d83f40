"""A snapshot for a new device of a user who is in 500 conversations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import trio

from clients_bench.host import MARKER, frames, serving
from clients_bench.line import line
from kernel_bench.places import SQLITE, Place
from postbox.cli.bench.children import cpu_s

CONVERSATIONS, MESSAGES = 500, 20
RUNS = 5


class Took(NamedTuple):
    seconds: float
    cpu_s: float
    frames: int
    messages: int
    mb: float


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    head = f"{CONVERSATIONS} conversations of {MESSAGES} messages"
    yield (head, "s", "CPU s", "frames", "messages", "MB")
    for engine, place in places.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postbox-bench-")))
            database = "" if engine == SQLITE else stack.enter_context(place())
            runs = trio.run(_measure, folder, database)
        last = runs[-1]
        times = median(run.seconds for run in runs), median(run.cpu_s for run in runs)
        counts = f"{last.frames:,}", f"{last.messages:,}", f"{last.mb:.1f}"
        yield engine, *(f"{each:.2f}" for each in times), *counts


async def _measure(folder: Path, database: str) -> list[Took]:
    async with serving(folder, database) as host:
        ann, bob = host.device("ann"), host.device("bob")
        await host.signed_in(ann, bob)
        rooms = [await host.conversation(ann, [bob]) for _ in range(CONVERSATIONS)]
        await host.send(ann, (ann.message(room) for room in rooms for _ in range(MESSAGES)))
        return [
            await _run(host.url, host.pid, host.device("bob", f"new{at}").stream(100, ends=True))
            for at in range(RUNS)
        ]


async def _run(url: str, pid: int, request: bytes) -> Took:
    cpu, begun_s = cpu_s(pid), time.perf_counter()
    async with line(url) as asking:
        answer = await asking.ask(request)
    took_s = time.perf_counter() - begun_s
    count = sum(1 for _ in frames(answer))
    return Took(took_s, cpu_s(pid) - cpu, count, answer.count(MARKER), len(answer) / 1e6)
