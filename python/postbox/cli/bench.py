"""`postbox bench`: what this machine does, in figures that can be compared.

The operations are those that nara's own code was measured with; two yardsticks, measured in the
same run, say how fast the machine is, so that only ratios need to be believed.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio
from nacl.signing import SigningKey

from postbox import core
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_rows
from postbox.cli.progress import progress
from postbox.config import Config, NodeConfig
from postbox.event import Service, Standing
from postbox.mesh.chunks import chunks
from postbox.mesh.drafts import drafts_of
from postbox.mesh.rules import MeshDraft, MeshRules
from postbox.mesh.synthetic import emitters_for, generate, identities
from postbox.node import Node, open_node
from postbox.rules import Payer
from postbox.trust.rules import KeyRules, operator_draft
from postbox.trust.signatures import sign_digest
from postbox.world import World, system_world

SEED = 2026
SPARE = 4_000
"""Events beyond the ledger's, to be added one by one: some of every service."""
ANSWER = 5_000
RUNS = 15
MOST_ADDS = 300
LOG_DRAFTS = 60_000
"""Through admission: a second or more, each way."""
SUBMITTERS = 128
CHUNK = 250
CHUNK_SUBMITTERS = 8

# nara 0.2.0 on two cores at 80,000 events, in brackets at 800,000, in milliseconds, beside a PyNaCl
# verification of 41 us and a SHA-256 loop of 1.9 ms (tests/data/nara/README.md).
NARA_MS = {
    "sample 5,000": "52-61 (240-560)",
    "sample 5,000, signed and encoded": "67-76",
    "page 5,000": "34-40 (410-500)",
    "recent 100": "37-42 (370-640)",
    "add one observation": "0.46 (107)",
    "add one ping": "1.8 (7.7)",
    "add one social, ledger full": "49 (700)",
    "decode, verify and merge 5,000": "622",
    "yardstick: one PyNaCl verification of 300 bytes": "0.041",
    "yardstick: SHA-256 of 5,000 x 300 bytes": "1.9",
}


class Figure(NamedTuple):
    name: str
    value: float
    unit: str

    @property
    def nara(self) -> str:
        return NARA_MS.get(self.name, "")


class Stored(NamedTuple):
    """A verified event, as the log has it."""

    service: Service
    standing: Standing
    body: bytes


def bench(*, events: int = 80_000, common: Common | None = None) -> int:
    """Measure on a made history of so many EVENTS: the ledger's operations in process, then the
    way through the log in a temporary home. Medians; nothing else should run meanwhile."""
    options = common or Common()

    async def verb() -> int:
        figures = await measure(system_world(), events)
        if options.json:
            print_json([figure._asdict() for figure in figures])
        else:
            _print(events, figures)
        return 0

    return run(verb)


async def measure(world: World, events: int) -> list[Figure]:
    """All figures, on a history of `events`."""
    made = make_history(world, events)
    stopwatch = Stopwatch(world)
    figures = [*_yardsticks(world, stopwatch)]
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


def _print(events: int, figures: list[Figure]) -> None:
    print(f"{events:,} events, {core.build_profile} build (nara's figures are of 80,000 events,")
    print("those in brackets of 800,000, from a machine with the yardsticks that stand there)")
    cells = [(name, f"{value:,.4g}", unit) for name, value, unit in figures]
    rows = [(*cell, figure.nara) for cell, figure in zip(cells, figures, strict=True)]
    print_rows([("operation", "median", "unit", "nara, ms"), *rows])


class Stopwatch:
    def __init__(self, world: World) -> None:
        self._elapsed_s = world.clock.elapsed_s

    def median_ms(self, work: Callable[[], object], runs: int = RUNS) -> float:
        work()
        return statistics.median(self.once_ms(work) for _ in range(runs))

    def once_ms(self, work: Callable[[], object]) -> float:
        start_s = self._elapsed_s()
        work()
        return (self._elapsed_s() - start_s) * 1e3


@dataclass(frozen=True)
class Made:
    """A history, verified. `spare`: the events beyond those that fill the ledger."""

    now_ns: int
    keys: core.Keys
    names: list[str]
    me: str
    sign: Callable[[bytes], str]
    public_keys: list[tuple[str, bytes, str]]
    events: list[Stored]
    spare: list[Stored]


def make_history(world: World, count: int) -> Made:
    now_ns = world.clock.now_ns()
    total = count + SPARE
    crowd = identities(SEED, emitters_for(total))
    keys = core.Keys()
    for one in crowd:
        keys.put(one.name, [one.public_key], one.id)
    events: list[Stored] = []
    with progress(f"making history (seed {SEED})", world.clock) as show:
        for chunk in chunks(generate(SEED, total, now_ns), 5_000):
            events += _verified(chunk, now_ns, keys)
            show(len(events), len(events) / total)
    return Made(
        now_ns,
        keys,
        [one.name for one in crowd],
        crowd[0].name,
        partial(sign_digest, crowd[0]),
        [(one.name, one.public_key, one.id) for one in crowd],
        events[:count],
        events[count:],
    )


def _verified(bodies: list[bytes], now_ns: int, keys: core.Keys) -> list[Stored]:
    batch = core.Batch.decode(bodies, now_ns)
    batch.verify(keys)
    return [Stored(Service(row[3]), Standing(row[4]), row[7]) for row in batch.accepted()]


def filled(world: World, made: Made, capacity: int) -> core.Ledger:
    ledger = core.Ledger(capacity, world.random.bytes(16))
    ledger.learn(made.names)
    numbered = enumerate(made.events, 1)
    for chunk in chunks(numbered, 5_000):
        ledger.apply([], [(pos, one.body, one.standing) for pos, one in chunk])
    return ledger


def _yardsticks(world: World, stopwatch: Stopwatch) -> list[Figure]:
    key = SigningKey(world.random.bytes(32))
    message = world.random.bytes(300)
    signature = key.sign(message).signature
    messages = [world.random.bytes(300) for _ in range(ANSWER)]

    def verify() -> None:
        for _ in range(100):
            key.verify_key.verify(message, signature)

    def hash_all() -> None:
        for one in messages:
            hashlib.sha256(one).digest()

    verify_ms = stopwatch.median_ms(verify) / 100
    return [
        Figure("yardstick: one PyNaCl verification of 300 bytes", verify_ms, "ms"),
        Figure("yardstick: SHA-256 of 5,000 x 300 bytes", stopwatch.median_ms(hash_all), "ms"),
    ]


def queries(world: World, made: Made, ledger: core.Ledger) -> dict[str, Callable[[], object]]:
    """What a peer asks, by name."""

    def sample() -> core.Selection:
        return ledger.sample(
            ANSWER,
            [],
            [],
            seed=world.random.bytes(16),
            now_ns=made.now_ns,
            responder=made.me,
            requester=made.names[1],
        )

    def signed_sample() -> bytes:
        found = sample()
        ts = made.now_ns // 10**9
        return found.encode(made.me, ts, made.sign(found.digest(made.me, ts)))

    middle = str(made.now_ns - 20 * 86_400 * 10**9)
    return {
        "sample 5,000": sample,
        "sample 5,000, signed and encoded": signed_sample,
        "page 5,000": lambda: ledger.page(middle, ANSWER, [], []),
        "page 100, one service, one subject": lambda: ledger.page(None, 100, ["social"], [made.me]),
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
    ledger.learn(made.names)
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
    known = [operator_draft(node.world.new_id(), *row) for row in made.public_keys]
    await node.admission.submit(KeyRules(), known)
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
