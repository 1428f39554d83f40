"""A node with an empty home gets 80,000 events from one peer and from ten: processes of `postbox
serve` on loopback, all on the same cores. Verified, durable and in the ledger when it is done."""

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
from pathlib import Path
from typing import Any

import trio

from kernel_bench.places import Place
from postbox.cli.bench.children import cpu_s
from postbox.mesh.importing import BATCH_EVENTS
from postbox.world import system_world
from support.mesh import node_at, small_history, take

EVENTS = int(os.environ.get("EVENTS", "80000"))
PEERS = (1, 10)
HOG = 320_000  # of which the recovery aims at 80,000
POLL_S = 0.02


def rows(_: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("peers", "events", "s from the first request", "s of CPU: the node", "and its peers")
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        homes = [Path(folder) / f"peer{number}" for number in range(max(PEERS))]
        history, filled = small_history(EVENTS), 0
        for count in PEERS:
            trio.run(_fill, homes[filled:count], history)
            filled = count
            yield _row(Path(folder) / f"new{count}", homes[:count])


async def _fill(homes: Sequence[Path], history: Sequence[bytes]) -> None:
    for home in homes:
        async with node_at(home, HOG, home.name, system_world()) as node:
            for first in range(0, len(history), BATCH_EVENTS):
                await take(node, history[first : first + BATCH_EVENTS])


def _row(home: Path, peers: Sequence[Path]) -> Sequence[str]:
    with ExitStack() as stack:
        served = [stack.enter_context(_serving(peer)) for peer in peers]
        before = [cpu_s(process.pid) for _, process in served]
        words = [word for url, _ in served for word in ("--peer", url)]
        _, process = stack.enter_context(_serving(home, *words))
        done = _said(home, "recovery: done")
        own_s = cpu_s(process.pid)
        theirs_s = sum(
            cpu_s(process.pid) - at for (_, process), at in zip(served, before, strict=True)
        )
        seconds, imported = f"{done['seconds']:.1f}", f"{done['imported']:,}"
        return str(len(peers)), imported, seconds, f"{own_s:.1f}", f"{theirs_s:.1f}"


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
