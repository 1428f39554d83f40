"""Figures, and what they are compared with: yardsticks of the same run, nara's own figures."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nacl.signing import SigningKey

from postbox.world import World

RUNS = 15
HASHED = 5_000

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


def yardsticks(world: World) -> list[Figure]:
    """How fast this machine is just now, by two things that are no work of postbox."""
    stopwatch = Stopwatch(world)
    key = SigningKey(world.random.bytes(32))
    message = world.random.bytes(300)
    signature = key.sign(message).signature
    messages = [world.random.bytes(300) for _ in range(HASHED)]

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


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """In Markdown; the first row has the heads."""
    for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]):
        print(f"| {' | '.join(row)} |")
