"""The ledger's operations under pytest-benchmark, to compare two states of the code:

.venv/bin/pytest benches --benchmark-only --benchmark-autosave --benchmark-compare
"""

from __future__ import annotations

from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from postbox import core
from postbox.cli.bench.history import Made, filled, make_history
from postbox.cli.bench.ledger import merge, queries
from postbox.world import World, system_world

NAMES = (
    "sample 5,000",
    "sample 5,000, signed and encoded",
    "page 5,000",
    "page 100, one service, one subject",
    "recent 100",
)


@pytest.fixture(scope="module")
def world() -> World:
    return system_world()


@pytest.fixture(scope="module")
def made(world: World) -> Made:
    return make_history(world, 80_000)


@pytest.fixture(scope="module")
def ledger(world: World, made: Made) -> core.Ledger:
    return filled(world, made, 80_000)


@pytest.mark.parametrize("name", NAMES)
def test_query(
    benchmark: BenchmarkFixture, world: World, made: Made, ledger: core.Ledger, name: str
) -> None:
    benchmark(queries(world, made, ledger)[name])


def test_merge(benchmark: BenchmarkFixture, world: World, made: Made) -> None:
    benchmark(partial(merge, world, made))
