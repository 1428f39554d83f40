"""Events a second to a device that was away: frames out of the log, beside as many frames of the
same bytes that connectrpc alone sends out of memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import trio

from clients_bench.host import Device, frames, serving
from clients_bench.line import line
from kernel_bench.places import SQLITE, Place
from postbox.cli.bench.children import cpu_s, running
from postbox.rpc.postbox.v1 import clients_pb as pb

EVENTS = 4_900  # a device that has missed more than 5,000 is sent a snapshot
TURNS = 5
PER_FRAME = (1, 10, 100)


class Took(NamedTuple):
    seconds: float
    cpu_s: float


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    """`places`: of these only SQLite's; what is read was written just now, and is in memory."""
    ours, bare = "events/s", "connectrpc alone: events/s"
    yield ("catching up", "engine", ours, "CPU µs", bare, "CPU µs", "rate : alone", "CPU : alone")
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        found = trio.run(_measure, Path(folder))
    for per_frame, ways in found.items():
        told = [text for way in ways for text in (f"{EVENTS / way.seconds:,.0f}", _cpu_us(way))]
        rate, cpu = ways[1].seconds / ways[0].seconds, ways[0].cpu_s / ways[1].cpu_s
        yield f"{per_frame} a frame", SQLITE, *told, f"{rate:.2f}", f"{cpu:.1f}"


def _cpu_us(took: Took) -> str:
    return f"{took.cpu_s / EVENTS * 1e6:.0f}"


async def _measure(folder: Path) -> dict[int, tuple[Took, Took]]:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(serving(folder))
        ann, bob = host.device("ann"), host.device("bob")
        await host.signed_in(ann, bob)
        room = await host.conversation(ann, [bob])
        begun = await host.token(bob)
        await host.send(ann, (ann.message(room) for _ in range(EVENTS)))
        found = {}
        for per_frame in PER_FRAME:
            request = bob.stream(per_frame, begun, ends=True)
            async with running("clients_bench.bare") as bare:
                await _hand_over(bare.url, await _sent(host.url, request), ann)
                bare_request = bob.stream(ends=True)
                turns = [
                    (
                        await _turn(host.url, host.pid, request),
                        await _turn(bare.url, bare.pid, bare_request),
                    )
                    for _ in range(TURNS + 1)
                ]
            ours, alone = zip(*turns[1:], strict=True)
            found[per_frame] = _best(ours), _best(alone)
        return found


async def _sent(url: str, request: bytes) -> list[pb.Event]:
    async with line(url) as asking:
        return list(frames(await asking.ask(request)))


async def _hand_over(url: str, made: Sequence[pb.Event], device: Device) -> None:
    async with line(url) as asking:
        for at in range(0, len(made), 100):
            await asking.ask(device.sync(made[at : at + 100], "live"))


async def _turn(url: str, pid: int, request: bytes) -> Took:
    begun_s, cpu = time.perf_counter(), cpu_s(pid)
    async with line(url) as asking:
        await asking.ask(request)
    return Took(time.perf_counter() - begun_s, cpu_s(pid) - cpu)


def _best(turns: Sequence[Took]) -> Took:
    return Took(min(turn.seconds for turn in turns), min(turn.cpu_s for turn in turns))
