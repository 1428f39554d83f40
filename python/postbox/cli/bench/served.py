"""What a peer sees: answers of the real `postbox serve`, each beside an answer of the same size by
a bare hypercorn (`bare.py`), and a pull of everything (`pull.py`).

Both servers run all the time and are asked in turns, so that what else the machine does hits both.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from postbox import core
from postbox.cli.bench.children import Child, cpu_s, running, serving
from postbox.cli.bench.figures import Figure, percentile, print_table, yardsticks
from postbox.cli.bench.history import Made, fill_home, make_history
from postbox.cli.bench.load import Load, Press, loopback_addresses
from postbox.cli.bench.pull import Pulls, print_pulls, pull_all
from postbox.cli.progress import progress
from postbox.mesh.wire import MSGPACK, PING_PATH, SYNC_PATH, SyncRequest, encode_request
from postbox.net.asgi import JSON
from postbox.trust.keys import Identity
from postbox.trust.signatures import request_headers
from postbox.world import World

ANSWER = 5_000
CONNECTIONS = (1, 8)
TURNS = 3
"""Of each way, one after the other: a second each, far less than a signature is good for (30 s)."""
AGE_NS = 20 * 86_400 * 10**9
"""Where the page begins: nowhere in particular."""


class Case(NamedTuple):
    """One kind of answer. `request`: made anew for each turn, since it is signed."""

    name: str
    path: str
    request: Callable[[], bytes]


class Way(Struct, frozen=True):
    """One server's answers. `cpu_ms`: of the server, for one answer; `asker`: which share of a core
    those had who asked."""

    per_s: float
    p50_ms: float
    p99_ms: float
    mb_per_s: float
    cpu_ms: float
    asker: float


class Compared(Struct, frozen=True):
    name: str
    kb: float  # of the first answer; a sample's size differs a little from answer to answer
    connections: int
    bare: Way
    served: Way

    @property
    def ratio(self) -> float:
        return self.served.per_s / self.bare.per_s


class Served(Struct, frozen=True):
    """`load_before`: how many others wanted a core in the minute before (getloadavg(3))."""

    events: int
    load_before: float
    yardsticks: list[Figure]
    answers: list[Compared]
    pulls: Pulls


async def measure(world: World, events: int, seconds: float) -> Served:
    """All figures, on a history of `events`; each answer is asked for `seconds` of each server."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as name:
        made, folder = make_history(world, events), Path(name)
        await fill_home(world, made, folder / "served")
        found = yardsticks(world)
        async with AsyncExitStack() as stack:
            bare = await stack.enter_async_context(running("postbox.cli.bench.bare"))
            words = serving(folder / "served", events)
            node = await stack.enter_async_context(running(*words))
            answers = await _answers(world, made, bare, node, seconds)
            pulls = await pull_all(world, node.url, events, folder)
        return Served(events, load_before, found, answers, pulls)


async def _answers(
    world: World, made: Made, bare: Child, node: Child, seconds: float
) -> list[Compared]:
    comparing = _Comparing(world, bare, node, seconds / TURNS)
    kinds = list(cases(world, made, node.url))
    found = []
    with progress("asking", world.clock) as show:
        for connections in CONNECTIONS:
            for case in kinds:
                found.append(await comparing.compare(case, connections))
                show(comparing.asked, len(found) / len(kinds) / len(CONNECTIONS))
    return found


def cases(world: World, made: Made, url: str) -> Iterator[Case]:
    """What a peer asks a node at `url` for."""
    cursor = str(made.now_ns - AGE_NS)
    for name, request in (
        ("sample 5,000", SyncRequest(mode="sample", sample_size=ANSWER)),
        ("page 5,000", SyncRequest(mode="page", page_size=ANSWER, cursor=cursor)),
        ("recent 100", SyncRequest(mode="recent", limit=100)),
    ):
        request.sender = made.other.name
        for form, accept in (("JSON", JSON), ("msgpack", MSGPACK)):
            ask = partial(_signed, world, made.other, url, encode_request(request), accept)
            yield Case(f"{name}, {form}", SYNC_PATH, ask)
    yield Case("ping", PING_PATH, lambda: _request(url, "GET", PING_PATH, b"", {}))


def _signed(world: World, who: Identity, url: str, body: bytes, accept: str) -> bytes:
    now_ms = world.clock.now_ns() // 1_000_000
    proof = request_headers(who, "POST", SYNC_PATH, now_ms)
    headers = {"Accept": accept, "Content-Type": JSON, **proof}
    return _request(url, "POST", SYNC_PATH, body, headers)


def _request(url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    head = {"Host": urlsplit(url).netloc, **headers, "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Comparing:
    def __init__(self, world: World, bare: Child, node: Child, turn_s: float) -> None:
        addresses = loopback_addresses()
        self._bare, self._node, self._turn_s = bare, node, turn_s
        self._press_bare = Press(world.clock, bare.url, addresses)
        self._press_node = Press(world.clock, node.url, addresses)
        self.asked = 0

    async def compare(self, case: Case, connections: int) -> Compared:
        """In turns, bare first."""
        size = await self._press_node.size_of(case.request())
        ways = (
            _Measured(self._press_bare, self._bare.pid),
            _Measured(self._press_node, self._node.pid),
        )
        for _ in range(TURNS):
            for way, path in zip(ways, (f"/{size}", case.path), strict=True):
                request = case.request().replace(case.path.encode(), path.encode(), 1)
                await way.turn(request, connections, self._turn_s)
        self.asked += sum(len(way.load.latencies_s) for way in ways)
        bare, served = (way.result() for way in ways)
        return Compared(case.name, size / 1e3, connections, bare, served)


class _Measured:
    def __init__(self, press: Press, pid: int) -> None:
        self._press = press
        self._pid = pid
        self._server_s = self._asker_s = 0.0
        self.load = Load()

    async def turn(self, request: bytes, connections: int, seconds: float) -> None:
        server_s, asker_s = cpu_s(self._pid), cpu_s(os.getpid())
        await self._press.turn(request, connections, seconds, self.load)
        self._server_s += cpu_s(self._pid) - server_s
        self._asker_s += cpu_s(os.getpid()) - asker_s

    def result(self) -> Way:
        load = self.load
        return Way(
            per_s=load.per_s,
            p50_ms=percentile(load.latencies_s, 50) * 1e3,
            p99_ms=percentile(load.latencies_s, 99) * 1e3,
            mb_per_s=load.bytes / load.elapsed_s / 1e6,
            cpu_ms=self._server_s / len(load.latencies_s) * 1e3,
            asker=self._asker_s / load.elapsed_s,
        )


HEADS = (
    "answer",
    "kB",
    "connections",
    "bare: answers/s",
    "p50, p99 ms",
    "CPU ms",
    "served: answers/s",
    "p50, p99 ms",
    "CPU ms",
    "MB/s",
    "served : bare",
    "asker's CPU, bare and served",
)


def print_served(found: Served) -> None:
    """Tables in Markdown."""
    print(
        f"{found.events:,} events served, {core.build_profile} build, {os.cpu_count()} cores,"
        f" load average before {found.load_before:.1f}\n"
    )
    print_table([HEADS, *map(_row, found.answers)])
    print()
    print_pulls(found.pulls)
    print()
    rows = [(one.name, f"{one.value:.3g} {one.unit}", f"{one.nara} ms") for one in found.yardsticks]
    print_table([("yardstick", "here", "where nara was measured"), *rows])


def _row(one: Compared) -> tuple[str, ...]:
    bare, served = one.bare, one.served
    return (
        one.name,
        f"{one.kb:,.3g}" if one.kb < 100 else f"{one.kb:,.0f}",
        str(one.connections),
        *_cells(bare),
        *_cells(served),
        f"{served.mb_per_s:,.0f}",
        f"{one.ratio:.2f}",
        f"{bare.asker:.0%}, {served.asker:.0%}",
    )


def _cells(way: Way) -> tuple[str, str, str]:
    return f"{way.per_s:,.0f}", f"{way.p50_ms:.2f}, {way.p99_ms:.2f}", f"{way.cpu_ms:.2f}"
