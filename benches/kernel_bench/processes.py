"""Three processes on one PostgreSQL database, beside one: each a real one, with everything a node's
kernel has. They begin at the same moment; together they have as many submitters as the one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import msgspec
import trio

from kernel_bench.doors import DOORS
from kernel_bench.places import POSTGRES, Place
from kernel_bench.writing import Setting, Written, admitting, submit_all

RUNS = 3
SUBMITTERS = 126
DRAFTS = 24_000
COUNTS = (1, 3)


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("door", "processes", "drafts/s together", "p50 ms", "p99 ms", "CPU µs", "of one")
    if POSTGRES not in places:
        return
    for name in DOORS:
        found: dict[int, list[Written]] = {}
        for _ in range(RUNS):
            for count in COUNTS:
                with places[POSTGRES]() as database:
                    found.setdefault(count, []).append(_together(database, name, count))
        one = max(found[1]).per_s
        for count, runs in found.items():
            best = max(runs)
            times = f"{best.p50_ms:.1f}", f"{best.p99_ms:.1f}", f"{best.cpu_us:.0f}"
            yield name, str(count), f"{best.per_s:,.0f}", *times, f"{best.per_s / one:.2f}"


def _together(database: str, door: str, count: int) -> Written:
    """The slowest answers that any of them saw."""
    command = [sys.executable, "-m", __name__, database, door]
    share = (str(SUBMITTERS // count), str(DRAFTS // count))
    running = [
        subprocess.Popen(
            [*command, f"p{number}", *share], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in range(count)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", "what it said stands above"
    begun_s = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    ended = [process.stdout.readline() for process in running if process.stdout]
    elapsed_s = time.perf_counter() - begun_s
    for process in running:
        process.communicate()
    each = [msgspec.json.decode(line, type=Written) for line in ended]
    return Written(
        DRAFTS / elapsed_s,
        max(one.p50_ms for one in each),
        max(one.p99_ms for one in each),
        sum(one.cpu_us for one in each) / count,
    )


async def _work(database: str, name: str, prefix: str, submitters: int, drafts: int) -> None:
    door = DOORS[name](submitters, drafts, prefix)
    async with admitting(database, door) as admission:
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        written = await submit_all(admission, door, Setting(submitters, 1, 0, drafts))
        print(msgspec.json.encode(written).decode(), flush=True)


if __name__ == "__main__":
    _, url, door_name, prefix, submitters, drafts = sys.argv
    trio.run(_work, url, door_name, prefix, int(submitters), int(drafts))
