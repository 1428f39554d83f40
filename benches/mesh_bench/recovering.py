"""A node with an empty home gets 80,000 events from one peer and from ten: processes of `postbox
serve` on loopback, all on the same cores. Verified, durable and in the ledger when it is done.

Beside it, in the same run, what it cannot do without: to verify the signatures in the core, and to
take in the same events from a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio

from kernel_bench.places import Place
from postbox.cli.bench.children import cpu_s
from postbox.core import Batch
from postbox.mesh.calling.pull import PAGE_EVENTS
from postbox.mesh.importing import BATCH_EVENTS, import_file, take_raws
from postbox.world import system_world
from support.mesh import node_at, small_history, take

EVENTS = int(os.environ.get("EVENTS", "80000"))
PEERS = (1, 10)
HOG = 320_000  # of which the recovery aims at 80,000
POLL_S = 0.02


def rows(_: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("", "events", "s", "s of CPU: the node", "and its peers", "to verifying", "to importing")
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        homes = [Path(folder) / f"peer{number}" for number in range(max(PEERS))]
        history, filled = small_history(EVENTS), 1
        importing, verifying = trio.run(_yardsticks, homes[0], history)
        for name, cost in (("verifying", verifying), ("importing", importing)):
            yield _row(name, cost, verifying, importing)
        for count in PEERS:
            trio.run(_fill, homes[filled:count], history)
            filled = max(filled, count)
            cost = _recover(Path(folder) / f"new{count}", homes[:count])
            name = f"from {count} peer{'s' if count > 1 else ''}"
            yield _row(name, cost, verifying, importing)


class _Cost(NamedTuple):
    events: int
    wall_s: float
    own_s: float
    theirs_s: float = 0.0


def _row(name: str, cost: _Cost, verifying: _Cost, importing: _Cost) -> Sequence[str]:
    return (
        name,
        f"{cost.events:,}",
        f"{cost.wall_s:.1f}",
        f"{cost.own_s:.2f}",
        f"{cost.theirs_s:.2f}",
        f"{cost.own_s / verifying.own_s:.2f}",
        f"{cost.own_s / importing.own_s:.2f}",
    )


async def _yardsticks(home: Path, history: Sequence[bytes]) -> tuple[_Cost, _Cost]:
    """The first peer gets its events as by `postbox import`; then the core alone verifies them."""
    file = home.with_suffix(".jsonl")
    file.write_bytes(b"\n".join(history))
    async with node_at(home, HOG, home.name, system_world()) as node:
        take = partial(take_raws, node.intake)
        with _measured() as spent:
            report, damage = await import_file(node.world, take, file, lambda *_: None)
        assert damage is None, damage
        assert report.imported == len(history), report
        importing = _Cost(report.imported, *spent)
        keys, now_ns = node.directory.keys, node.world.clock.now_ns()
        batches = [
            Batch.decode(history[first : first + PAGE_EVENTS], now_ns)
            for first in range(0, len(history), PAGE_EVENTS)
        ]
        with _measured() as spent:
            for batch in batches:
                batch.verify(keys)
        assert not any(code for batch in batches for code in batch.verdicts)
        return importing, _Cost(len(history), *spent)


@contextmanager
def _measured() -> Iterator[list[float]]:
    """Seconds on the clock, and of CPU, in all threads."""
    spent: list[float] = []
    begun_s, cpu_begun_s = time.perf_counter(), time.process_time()
    yield spent
    spent += [time.perf_counter() - begun_s, time.process_time() - cpu_begun_s]


async def _fill(homes: Sequence[Path], history: Sequence[bytes]) -> None:
    for home in homes:
        async with node_at(home, HOG, home.name, system_world()) as node:
            for first in range(0, len(history), BATCH_EVENTS):
                await take(node, history[first : first + BATCH_EVENTS])


def _recover(home: Path, peers: Sequence[Path]) -> _Cost:
    """From the first request on; what a process takes to start is in no CPU here."""
    with ExitStack() as stack:
        served = [stack.enter_context(_serving(peer)) for peer in peers]
        before = [cpu_s(process.pid) for _, process in served]
        words = [word for url, _ in served for word in ("--peer", url)]
        _, process = stack.enter_context(_serving(home, *words))
        own_before_s = cpu_s(process.pid)
        done = _said(home, "recovery: done")
        own_s = cpu_s(process.pid) - own_before_s
        theirs_s = sum(
            cpu_s(process.pid) - at for (_, process), at in zip(served, before, strict=True)
        )
        return _Cost(done["imported"], done["seconds"], own_s, theirs_s)


@contextmanager
def _serving(home: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its URL and its process; rounds of keeping up do not help the recovery."""
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text("[mesh]\npull_every = 86400\n")
    command = [sys.executable, "-m", "postbox", "serve", "--home", str(home), "--loopback"]
    command += ["--listen", "127.0.0.1:0", "--memory", "hog", *words]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        with process:
            try:
                assert process.stdout is not None
                yield process.stdout.readline().split()[1], process
            finally:
                process.send_signal(signal.SIGKILL)


def _said(home: Path, event: str) -> dict[str, Any]:
    while True:
        for line in (home / "log").read_text().splitlines():
            if f'"{event}"' in line:
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(POLL_S)
