"""What being in a mesh costs one node, by the size of the mesh, in virtual time: a
real node with all that it does by itself, among peers that are faces of one other (`crowd`).

Twice: in meshes where as much happens in any of them, however many there are, which shows what the
number of peers costs; and in meshes where each name writes a ping every 30 s, as nodes do, so that
ten times the nodes write ten times the events.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from kernel_bench.places import Place
from mesh_bench.crowd import ADDRESS, Crowd
from postbox.mesh.background.loops import run_loops
from postbox.mesh.merging.intake import Report
from postbox.rules import Payer
from support.memory_net import MemoryNet
from support.simulate import Simulation, simulate
from support.town import Town, url_of

SIZES = (10, 100, 1_000)
MINUTES = int(os.environ.get("MINUTES", "20"))
WARM_UP_S, HISTORY_S = 600, 3_600
CAPACITY = 320_000
_is_one: ContextVar[bool] = ContextVar("is_one", default=False)
"""Of a task: whether its work is that of the node that is measured."""


def rows(_: dict[str, Place]) -> Iterator[Sequence[str]]:
    figures = ("requests", "MB", "s of CPU")
    yield ("nodes", "events written", "new here", *figures, "to 10: requests", "MB", "CPU")
    for each_writes in (False, True):
        first: _Found | None = None
        for size in SIZES:
            found = _Found()
            with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
                crowd = Crowd(size, size) if each_writes else Crowd(size, SIZES[0], seen=True)
                simulate(1, partial(_measure, Path(folder), crowd, found))
            first = first or found
            yield found.row(size, first)


@dataclass
class _Found:
    """In an hour: what all of the mesh wrote, what of it came to the node, requests it made and
    answered, bytes both ways, and CPU."""

    written: float = 0
    new: float = 0
    requests: float = 0
    net_bytes: float = 0
    cpu_s: float = 0.0

    def row(self, size: int, first: _Found) -> Sequence[str]:
        own = (self.requests, self.net_bytes, self.cpu_s)
        ratios = [a / b for a, b in zip(own, astuple(first)[2:], strict=True)]
        return (
            f"{size:,}",
            f"{self.written:,.0f}",
            f"{self.new:,.0f}",
            f"{self.requests:,.0f}",
            f"{self.net_bytes / 1e6:,.1f}",
            f"{self.cpu_s:.1f}",
            *[f"{ratio:.2f}" for ratio in ratios],
        )


async def _measure(folder: Path, crowd: Crowd, found: _Found, simulation: Simulation) -> None:
    town, meter = Town(simulation, folder), _Meter(crowd, simulation.net)
    peers = (url_of(0),)
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(
            town.house(ADDRESS, "crowd", capacity=CAPACITY, wrap=crowd.wrap)
        )
        with _as_one():
            one = await stack.enter_async_context(
                town.house("100.64.0.2", "one", capacity=CAPACITY, wrap=meter.wrap, peers=peers)
            )
        one.node.intake.listen(meter.took)
        await crowd.open(simulation, house, one)
        await crowd.remember(HISTORY_S)
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(crowd.live, one)
        with _as_one():
            loops = one.mesh.loops()
            del loops["recovery"]  # the node has been here for long
            nursery.start_soon(run_loops, loops)
        await trio.sleep(WARM_UP_S)
        before = meter.so_far()
        trio.lowlevel.add_instrument(meter.work)
        await trio.sleep(MINUTES * 60)
        for name, was, now in zip(vars(found), before, meter.so_far(), strict=True):
            setattr(found, name, (now - was) * 60 / MINUTES)
        nursery.cancel_scope.cancel()


@contextmanager
def _as_one() -> Iterator[None]:
    """Tasks that are started within it are the node's."""
    token = _is_one.set(True)
    try:
        yield
    finally:
        _is_one.reset(token)


@dataclass
class _Meter:
    """What was counted so far, in the order of `_Found`."""

    crowd: Crowd
    net: MemoryNet
    work: _Work = field(default_factory=lambda: _Work())
    requests: int = 0  # of the crowd to the node
    new: int = 0

    def so_far(self) -> tuple[float, ...]:
        requests = self.crowd.asked + self.requests
        return self.crowd.told, self.new, requests, self.net.sent_bytes, self.work.cpu_s

    def took(self, payer: Payer, report: Report) -> None:
        if payer.kind == "peer":
            self.new += report.imported

    def wrap(self, own: ASGIFramework) -> ASGIFramework:
        async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            self.requests += scope["type"] == "http"
            await own(scope, receive, send)

        return app


class _Work(trio.abc.Instrument):
    """What the tasks of the node have had of the processor; its threads run within them."""

    def __init__(self) -> None:
        self.cpu_s = self._begun_s = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._begun_s = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.context.get(_is_one, False):
            self.cpu_s += time.thread_time() - self._begun_s
