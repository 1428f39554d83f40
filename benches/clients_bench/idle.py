"""What a stream costs on which nothing happens: the server's memory, a connection each, beside
streams of connectrpc alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import trio

from clients_bench.bare import LIVE
from clients_bench.fan_out import listening
from clients_bench.host import Device, Host, serving
from kernel_bench.places import SQLITE, Place
from postbox.cli.bench.children import cpu_s, running

IDLE = int(os.environ.get("IDLE", "5000"))
SIGNING_IN = 8  # at once
QUIET_S = 30.0  # more than from one sign of life to the next
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Took(NamedTuple):
    kib: float  # a stream
    opened_per_s: float
    cores: float  # once all are open


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield (f"{IDLE:,} idle streams", "KiB each", "opened a second", "cores while idle")
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        ours, bare = trio.run(_measure, Path(folder))
    for name, took in ((f"postbox, {SQLITE}", ours), ("connectrpc alone", bare)):
        yield name, f"{took.kib:.1f}", f"{took.opened_per_s:,.0f}", f"{took.cores:.3f}"
    yield "ratio", f"{ours.kib / bare.kib:.2f}", f"{ours.opened_per_s / bare.opened_per_s:.2f}", ""


async def _measure(folder: Path) -> tuple[Took, Took]:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(serving(folder))
        devices = [host.device(f"user{at}") for at in range(IDLE)]
        await _sign_in(host, devices)
        token = await host.token(devices[0])
        ours = await _streams(host.url, host.pid, [device.stream(1, token) for device in devices])
        bare = await stack.enter_async_context(running("clients_bench.bare"))
        request = devices[0].stream(1, LIVE)
        return ours, await _streams(bare.url, bare.pid, [request] * IDLE)


async def _sign_in(host: Host, devices: Sequence[Device]) -> None:
    async with trio.open_nursery() as nursery:
        for at in range(SIGNING_IN):
            nursery.start_soon(host.signed_in, *devices[at::SIGNING_IN])


async def _streams(url: str, pid: int, requests: Sequence[bytes]) -> Took:
    before, begun_s = _resident_bytes(pid), time.perf_counter()
    async with listening(url, requests):
        opened_s = time.perf_counter() - begun_s
        await trio.sleep(QUIET_S)
        cpu, quiet_s = cpu_s(pid), time.perf_counter()
        await trio.sleep(QUIET_S)
        cores = (cpu_s(pid) - cpu) / (time.perf_counter() - quiet_s)
        kib = (_resident_bytes(pid) - before) / len(requests) / 1024
        return Took(kib, len(requests) / opened_s, cores)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
