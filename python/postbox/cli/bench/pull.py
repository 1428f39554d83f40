"""A pull of everything from one peer into an empty home, and what its time went into.

The code that is timed is the node's own: each function here named is replaced, on the very objects
of that one node, by itself with a clock around it. At any moment the pull is in one part, the
innermost, so the parts never count twice and add up to the whole. What it asks ahead goes on beside
the rest: it counts only while nothing else is done, so a part is what less of it would save.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import trio
from msgspec import Struct

from postbox.cli.bench.figures import print_table
from postbox.cli.progress import Show, progress
from postbox.config import Config, NodeConfig, ServeConfig
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.pull import pull
from postbox.mesh.door import Mesh
from postbox.metrics import Metrics
from postbox.node import Node, open_node
from postbox.world import Clock, World

A = ParamSpec("A")
T = TypeVar("T")

PULLS = 3
"""Each into a home of its own, and the median is shown in parts."""

FETCH = "fetch: HTTP, the peer's work in it"
BELIEVE = "check the answer: header, digest, both signatures"
DECODE = "decode events, recompute ids"
INTRODUCE = "introduce: names in hey-theres"
VERIFY = "verify: sift, signatures"
DRAFT = "make drafts, count"
COMMIT = "commit: decide, SQLite, fsync"
INDEX = "index: the ledger follows"
SETTLE = "settle what became known meanwhile"
OTHER = "other"
AHEAD = (FETCH, BELIEVE, DECODE, INTRODUCE, VERIFY)
"""Of the next page, while one is written down."""
PARTS = (FETCH, BELIEVE, DECODE, INTRODUCE, VERIFY, DRAFT, COMMIT, INDEX, SETTLE, OTHER)


class Pulled(Struct, frozen=True):
    """One pull. `parts_s` add up to `total_s`."""

    events: int
    total_s: float
    parts_s: dict[str, float]


class Pulls(Struct, frozen=True):
    median: Pulled
    totals_s: list[float]


async def pull_all(world: World, url: str, events: int, folder: Path) -> Pulls:
    """All of the node's at `url`, several times; homes are made in `folder`."""
    done = []
    for number in range(PULLS):
        with progress(f"pulling from {url}", world.clock) as show:
            done.append(await _pull_into(world, folder / f"pulled-{number}", url, events, show))
    ranked = sorted(done, key=lambda one: one.total_s)
    return Pulls(ranked[len(ranked) // 2], [one.total_s for one in done])


async def _pull_into(world: World, home: Path, url: str, events: int, show: Show) -> Pulled:
    config = Config(node=NodeConfig(memory=str(events)), serve=ServeConfig(loopback=True))
    async with open_node(world, home, config) as node, node.open_mesh(Metrics()) as mesh:
        peer = mesh.peer(url)
        parts = Parts(world.clock)
        _watch(parts, node, mesh, peer)
        started_s = world.clock.elapsed_s()
        with parts.inside(OTHER):
            done = await pull(peer, node.intake, "page", lambda so_far: show(so_far.total))
            with parts.inside(SETTLE):
                await node.settle()
        total_s = world.clock.elapsed_s() - started_s
        return Pulled(done.report.imported, total_s, parts.spent_s)


def _watch(parts: Parts, node: Node, mesh: Mesh, peer: Peer) -> None:
    """Private names too: whoever renames one meets `getattr` here, at the first test."""
    for owner, name, part in (
        (mesh.http, "request", FETCH),
        (peer, "ask", BELIEVE),  # less what it holds of the other parts
        (node.intake, "decode", DECODE),
        (node.intake, "_introduce", INTRODUCE),
        (node.intake, "_verify", VERIFY),
        (node.intake, "admit", DRAFT),
        (node.admission, "submit", COMMIT),
    ):
        setattr(owner, name, parts.timed(part, getattr(owner, name)))
    setattr(node.ledger, "applied", parts.timed_sync(INDEX, node.ledger.applied))  # noqa: B010


class Parts:
    """Which part of the pull's time went where. Made in the task that takes in; of other tasks
    (the keeper settles, too) only what is asked ahead is looked at."""

    def __init__(self, clock: Clock) -> None:
        self.spent_s = dict.fromkeys(PARTS, 0.0)
        self._elapsed_s = clock.elapsed_s
        self._task = trio.lowlevel.current_task()
        self._part: str | None = None
        self._ahead: str | None = None  # what goes on beside it
        self._since_s = 0.0

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """Until its end the time is this part's, but for what is inside another one in it."""
        self._count()
        before, self._part = self._part, part
        try:
            yield
        finally:
            self._count()
            self._part = before

    @contextmanager
    def _inside_ahead(self, part: str) -> Iterator[None]:
        self._count()
        before, self._ahead = self._ahead, part
        try:
            yield
        finally:
            self._count()
            self._ahead = before

    def _count(self) -> None:
        """To whom the time belongs that went by since it was last asked."""
        now_s = self._elapsed_s()
        part = self._ahead or OTHER if self._part == OTHER else self._part
        if part is not None:
            self.spent_s[part] += now_s - self._since_s
        self._since_s = now_s

    def timed(self, part: str, work: Callable[A, Awaitable[T]]) -> Callable[A, Awaitable[T]]:
        async def run(*args: A.args, **kwargs: A.kwargs) -> T:
            is_own = trio.lowlevel.current_task() is self._task
            if self._part is None or not (is_own or part in AHEAD):
                return await work(*args, **kwargs)
            with self.inside(part) if is_own else self._inside_ahead(part):
                return await work(*args, **kwargs)

        return run

    def timed_sync(self, part: str, work: Callable[A, T]) -> Callable[A, T]:
        """In whichever task: nothing else happens meanwhile."""

        def run(*args: A.args, **kwargs: A.kwargs) -> T:
            if self._part is None:
                return work(*args, **kwargs)
            with self.inside(part):
                return work(*args, **kwargs)

        return run


def print_pulls(pulls: Pulls) -> None:
    pulled = pulls.median
    totals = ", ".join(f"{total_s:.2f}" for total_s in pulls.totals_s)
    print(
        f"A pull of {pulled.events:,} events from that node into an empty home: "
        f"{pulled.total_s:.2f} s, {pulled.events / pulled.total_s:,.0f} events/s"
        f" (the median of {totals} s)\n"
    )
    rows = [
        (part, f"{spent_s:.3f}", f"{spent_s / pulled.total_s:.1%}")
        for part, spent_s in pulled.parts_s.items()
    ]
    whole_s = sum(pulled.parts_s.values())
    rows.append(("in all", f"{whole_s:.3f}", f"{whole_s / pulled.total_s:.1%}"))
    print_table([("part of the pull", "s", "share"), *rows])
