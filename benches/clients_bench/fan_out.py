"""What one device sends, live to a thousand streams: how many frames and events a second arrive,
beside a thousand streams of connectrpc alone that are given the same."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from clients_bench.bare import LIVE
from clients_bench.host import MARKER, serving
from clients_bench.line import line
from kernel_bench.places import SQLITE, Place
from postbox.cli.bench.children import cpu_s, running
from postbox.rpc.postbox.v1 import clients_pb as pb

STREAMS = int(os.environ.get("STREAMS", "1000")) - 1  # and the author's own
ROUNDS = 10
PER_FRAME = (1, 10)


class Took(NamedTuple):
    """A round."""

    seconds: float
    cpu_s: float


class Listening:
    """Streams that count what they are given, from the first frame on."""

    def __init__(self, streams: int) -> None:
        self.heard = 0
        self.all_open = trio.Event()
        self._left_to_open = streams
        self._wanted = 0
        self._enough = trio.Event()

    async def run(self, url: str, request: bytes) -> None:
        async with line(url) as stream:
            await stream.open(request)
            await stream.receive()
            self._left_to_open -= 1
            if not self._left_to_open:
                self.all_open.set()
            while True:
                came = await stream.count(MARKER)  # others count while this one waits
                self.heard += came
                if self.heard >= self._wanted:
                    self._enough.set()

    async def hear(self, count: int) -> None:
        """Until so many more than were wanted before have come."""
        self._wanted += count
        self._enough = trio.Event()
        if self.heard < self._wanted:
            await self._enough.wait()


@asynccontextmanager
async def listening(url: str, requests: Sequence[bytes]) -> AsyncIterator[Listening]:
    """All are open."""
    found = Listening(len(requests))
    async with trio.open_nursery() as nursery:
        for request in requests:
            nursery.start_soon(found.run, url, request)
        await found.all_open.wait()
        yield found
        nursery.cancel_scope.cancel()


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    head = f"to {STREAMS + 1:,} streams"
    counts = ("frames/s", "events/s", "CPU µs a frame")
    alone = ("connectrpc alone: frames/s", "CPU µs", "rate : alone", "CPU : alone")
    yield (head, "engine", *counts, *alone)
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        found = trio.run(_measure, Path(folder))
    for per_frame, (ours, bare) in found.items():
        frames_per_s = (STREAMS + 1) / ours.seconds
        told = f"{frames_per_s:,.0f}", f"{frames_per_s * per_frame:,.0f}", _cpu_us(ours)
        beside = f"{(STREAMS + 1) / bare.seconds:,.0f}", _cpu_us(bare)
        ratio = f"{bare.seconds / ours.seconds:.2f}", f"{ours.cpu_s / bare.cpu_s:.1f}"
        yield f"{per_frame} a frame", SQLITE, *told, *beside, *ratio


def _cpu_us(took: Took) -> str:
    return f"{took.cpu_s / (STREAMS + 1) * 1e6:.0f}"


async def _measure(folder: Path) -> dict[int, tuple[Took, Took]]:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(serving(folder))
        bare = await stack.enter_async_context(running("clients_bench.bare"))
        ann, *others = [host.device(f"user{at}") for at in range(STREAMS + 1)]
        await host.signed_in(ann, *others)
        room = await host.conversation(ann, others)
        token = await host.token(ann)
        found = {}
        for per_frame in PER_FRAME:
            ours = [device.stream(per_frame, token) for device in (ann, *others)]
            alone = [device.stream(per_frame, LIVE) for device in (ann, *others)]
            async with listening(host.url, ours) as heard, listening(bare.url, alone) as heard_bare:
                turns = []
                for _ in range(ROUNDS + 1):
                    sent = ann.sync([ann.message(room) for _ in range(per_frame)])
                    frame = pb.Event(events=[ann.message(room) for _ in range(per_frame)])
                    one = frame if per_frame > 1 else frame.events[0]
                    turns.append(
                        (
                            await _round(host.url, host.pid, sent, heard, per_frame),
                            await _round(
                                bare.url, bare.pid, ann.sync([one], LIVE), heard_bare, per_frame
                            ),
                        )
                    )
            token = await host.token(ann)
            mine, theirs = zip(*turns[1:], strict=True)
            found[per_frame] = _middle(mine), _middle(theirs)
        return found


async def _round(url: str, pid: int, request: bytes, heard: Listening, count: int) -> Took:
    async with line(url) as asking:
        begun_s, cpu = time.perf_counter(), cpu_s(pid)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heard.hear, (STREAMS + 1) * count)
            await asking.ask(request)
        return Took(time.perf_counter() - begun_s, cpu_s(pid) - cpu)


def _middle(turns: Sequence[Took]) -> Took:
    """The median time; of CPU, which is counted in hundredths of a second, the mean."""
    seconds = sorted(turn.seconds for turn in turns)[len(turns) // 2]
    return Took(seconds, sum(turn.cpu_s for turn in turns) / len(turns))
