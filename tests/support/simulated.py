"""Async tests under `simulate`: virtual time, seeded, with failures as they are.

pytest-trio gives a test the mock clock only if the test itself asks for it, and draws the order of
tasks anew each time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable

import pytest

from support.faulty import When, first_try, never
from support.simulate import MemoryDisk, Simulation, simulate

Fails = Callable[[int], When | None]

_STORES: dict[str, Fails] = {
    "a store that works": never,
    "fails before every commit": first_try(When.BEFORE_COMMIT),
    "fails after every commit": first_try(When.AFTER_COMMIT),
}

over_every_store = pytest.mark.parametrize("fails", _STORES.values(), ids=_STORES)
"""Every test of admission also runs over stores that fail at every first try."""


def simulated(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test whose first parameter is the world of a simulated node."""
    signature = inspect.signature(test)
    world, *others = signature.parameters.values()
    assert world.name == "world"

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def main(simulation: Simulation) -> None:
            await test(simulation.node(MemoryDisk()).world, **fixtures)

        simulate(1, main)

    run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
    return run
