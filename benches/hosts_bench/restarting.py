"""How long nothing flows when either end is killed and started again, while events are posted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import trio

from hosts_bench.nodes import Host, two_hosts
from kernel_bench.places import SQLITE, Place

RUNS = 5
DOWN_S = 5.0  # long enough for some attempts to have failed


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("killed, and down for a while", "from its start, s", "from when it is ready, s")
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        found = trio.run(_measure, Path(folder))
    for which, runs in found.items():
        started_s, ready_s = zip(*runs, strict=True)
        told = [f"{median(each):.2f} (at most {max(each):.2f})" for each in (started_s, ready_s)]
        yield f"{which}, {SQLITE}", *told


async def _measure(folder: Path) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {"receiver": [], "sender": []}
    async with two_hosts(folder, []) as (a, b):
        for _ in range(RUNS):
            found["receiver"].append(await _restarted(a, b, b))
            found["sender"].append(await _restarted(a, b, a))
    return found


async def _restarted(a: Host, b: Host, down: Host) -> tuple[float, float]:
    """What is posted last before the end of the pause is looked for at the receiver."""
    await down.kill()
    if down is b:
        await a.post(b.name, 1)
    await trio.sleep(DOWN_S)
    begun_s = trio.current_time()
    await down.start()
    ready_s = trio.current_time()
    last_seq = (await a.post(b.name, 1)).last_seq
    assert last_seq is not None
    there_s = await b.wait_received(a.name, last_seq)
    await a.wait_sent(b.name)
    return there_s - begun_s, there_s - ready_s
