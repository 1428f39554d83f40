"""Servers that are measured: processes of their own on loopback, that say `ready URL`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from postbox.errors import Fault

STOP_S = 15.0  # a node stops within 10
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class BenchFault(Fault):
    """What was to be measured did not run as it should."""


class Child(NamedTuple):
    url: str
    pid: int


@asynccontextmanager
async def running(module: str, *words: str) -> AsyncIterator[Child]:
    """`python -m module words...`, told to stop at the end. Its stderr is ours."""
    start = partial(
        trio.run_process,
        [sys.executable, "-m", module, *words],
        stdout=subprocess.PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        yield Child(await _ready(process, module), process.pid)
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_S):
            await process.wait()
        nursery.cancel_scope.cancel()


async def _ready(process: trio.Process, module: str) -> str:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        part = await process.stdout.receive_some(1024)
        if not part:
            raise BenchFault(f"{module} ended before it was ready; what it said stands above")
        line += part
    return line.decode().removeprefix("ready ").strip()


def serving(home: Path, events: int) -> Sequence[str]:
    """Words for the real `postbox serve` of this home, whose limits are lifted: what is measured is
    the work, and one process asks in place of many peers."""
    limits = "requests_per_minute = 1000000\nconcurrent_requests = 1000"
    (home / "config.toml").write_text(f'[mesh]\n{limits}\n\n[log]\nlevel = "error"\n')
    listen = ("--listen", "127.0.0.1:0", "--loopback")
    return ("postbox", "serve", "--home", str(home), "--memory", str(events), *listen)


def cpu_s(pid: int) -> float:
    """What the process has had of the processors, in all its threads (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
