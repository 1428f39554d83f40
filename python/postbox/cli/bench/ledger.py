"""`postbox bench`: the ledger's operations in process, then the way through the log.

The operations are those that nara's own code was measured with.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import trio

from postbox import core
from postbox.cli.bench.figures import Figure, Stopwatch, yardsticks
from postbox.cli.bench.history import Made, filled, known_keys, make_history
from postbox.cli.output import print_rows
from postbox.config import Config, NodeConfig
from postbox.event import Service
from postbox.mesh.chunks import chunks
from postbox.mesh.drafts import drafts_of
from postbox.mesh.rules import MeshDraft, MeshRules
from postbox.node import Node, open_node
from postbox.rules import Payer
from postbox.trust.rules import KeyRules
from postbox.trust.signatures import sign_digest
from postbox.world import World

ANSWER = 5_000
MOST_ADDS = 300
LOG_DRAFTS = 60_000
"""Through admission: a second or more, each way."""
SUBMITTERS = 128
CHUNK = 250
CHUNK_SUBMITTERS = 8


async def measure(world: World, events: int) -> list[Figure]:
    """All figures, on a history of `events`."""
    made = make_history(world, events)
    stopwatch = Stopwatch(world)
    figures = yardsticks(world)
    full = filled(world, made, events)
    figures += [
        Figure(name, stopwatch.median_ms(do), "ms")
        for name, do in queries(world, made, full).items()
    ]
    figures += _adds(stopwatch, full, made, ", ledger full")
    del full
    figures += _adds(stopwatch, filled(world, made, 2 * events), made, "")
    merge_ms = stopwatch.median_ms(partial(merge, world, made))
    figures.append(Figure("decode, verify and merge 5,000", merge_ms, "ms"))
    return figures + await _through_the_log(world, made)


def print_figures(events: int, figures: list[Figure]) -> None:
    print(f"{events:,} events, {core.build_profile} build (nara's figures are of 80,000 events,")
    print("those in brackets of 800,000; its machine has the yardsticks that stand there)")
    rows = [(one.name, _told(one.value), one.unit, one.nara) for one in figures]
    print_rows([("operation", "median", "unit", "nara, ms"), *rows], cut=(0,))


def _told(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


def queries(world: World, made: Made, ledger: core.Ledger) -> dict[str, Callable[[], object]]:
    """What a peer asks, by name."""

    def sample() -> core.Selection:
        return ledger.sample(
            ANSWER,
            [],
            [],
            seed=world.random.bytes(16),
            now_ns=made.now_ns,
            responder=made.me.name,
            requester=made.other.name,
        )

    def signed_sample() -> bytes:
        found = sample()
        ts = made.now_ns // 10**9
        me = made.me
        return found.encode(me.name, ts, sign_digest(me, found.digest(me.name, ts)))

    middle = str(made.now_ns - 20 * 86_400 * 10**9)
    return {
        "sample 5,000": sample,
        "sample 5,000, signed and encoded": signed_sample,
        "page 5,000": lambda: ledger.page(middle, ANSWER, [], []),
        "page 100, one service, one subject": lambda: ledger.page(
            None, 100, ["social"], [made.me.name]
        ),
        "recent 100": lambda: ledger.recent(100, [], []),
    }


def _adds(watch: Stopwatch, ledger: core.Ledger, made: Made, where: str) -> list[Figure]:
    """Each service's spare events, one by one."""
    by_service: dict[Service, list[float]] = {}
    for pos, one in enumerate(made.spare, len(made.events) + 1):
        times = by_service.setdefault(one.service, [])
        if len(times) < MOST_ADDS:
            added = [(pos, one.body, one.standing)]
            times.append(watch.once_ms(partial(ledger.apply, [], added)))
    return [
        Figure(f"add one {service.wire_name}{where}", statistics.median(times), "ms")
        for service, times in sorted(by_service.items())
    ]


def merge(world: World, made: Made) -> None:
    """An answer of 5,000 events into an empty ledger, without the log."""
    ledger = core.Ledger(len(made.events), world.random.bytes(16))
    ledger.learn([one.name for one in made.crowd])
    batch = core.Batch.decode([one.body for one in made.events[:ANSWER]], made.now_ns)
    batch.sift(ledger)
    batch.verify(made.keys)
    ledger.apply([], [(row[0] + 1, row[7], row[4]) for row in batch.accepted()])


async def _through_the_log(world: World, made: Made) -> list[Figure]:
    """Verified drafts through admission into a file, with the ledger following."""
    bodies = [one.body for one in made.events[:LOG_DRAFTS]]
    figures = []
    for what, submitters, size in (
        (f"log: {SUBMITTERS} submitters, one event each", SUBMITTERS, 1),
        (f"log: {CHUNK_SUBMITTERS} submitters, {CHUNK} events each", CHUNK_SUBMITTERS, CHUNK),
    ):
        config = Config(node=NodeConfig(memory=str(2 * LOG_DRAFTS)))
        with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
            async with open_node(world, Path(folder) / "home", config) as node:
                rate = await _submit_all(node, made, bodies, submitters, size)
        figures.append(Figure(what, rate, "events/s"))
    return figures


async def _submit_all(
    node: Node, made: Made, bodies: list[bytes], submitters: int, size: int
) -> float:
    await node.admission.submit(KeyRules(), known_keys(node.world, made))
    batch = core.Batch.decode(bodies, made.now_ns)
    batch.verify(made.keys)
    peers = [Payer("peer", f"peer {number}") for number in range(submitters)]
    drafts = drafts_of(batch, peers[0])
    shares = [
        [msgspec.structs.replace(draft, payer=peer) for draft in drafts[number::submitters]]
        for number, peer in enumerate(peers)
    ]
    start_s = node.world.clock.elapsed_s()
    async with trio.open_nursery() as nursery:
        for share in shares:
            nursery.start_soon(_submit, node, share, size)
    return len(drafts) / (node.world.clock.elapsed_s() - start_s)


async def _submit(node: Node, drafts: list[MeshDraft], size: int) -> None:
    rules = MeshRules()
    for chunk in chunks(drafts, size):
        await node.admission.submit(rules, chunk)
