"""What the mesh does by itself goes on after a fault, and the log says whose it was."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio

from postbox.config import LogConfig
from postbox.errors import Fatal, Fault, Full, Stopped, Unavailable, Violation
from postbox.logs import configure
from postbox.mesh.background.loops import LAST_PAUSE_S, PAUSE_S, run_loops
from support.simulate import MemoryDisk, Simulation, simulate

Raising: TypeAlias = Callable[[Exception], Awaitable[None]]
WAITS = "the mesh waits for the log"
BEGINS_AGAIN = "a loop of the mesh failed: it begins again"


async def alone(error: Exception) -> None:
    raise error


async def within(error: Exception) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alone, error)


@pytest.mark.parametrize("raising", [alone, within])
@pytest.mark.parametrize(
    ("error", "level", "event"),
    [
        (Unavailable("the database is away"), "warning", WAITS),
        (Full("the disk is full"), "warning", WAITS),
        (Stopped("it stops"), "warning", WAITS),
        (Violation("a row that is none"), "error", BEGINS_AGAIN),
        (Fault("something else"), "error", BEGINS_AGAIN),
        (KeyError("a bug"), "error", BEGINS_AGAIN),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_loop_that_fails_begins_again_and_a_log_that_is_away_is_no_bug(
    raising: Raising, error: Exception, level: str, event: str
) -> None:
    stream, begun = io.StringIO(), []

    async def main(simulation: Simulation) -> None:
        async def loop() -> None:
            begun.append(trio.current_time())
            if len(begun) == 1:
                await raising(error)

        world = simulation.node(MemoryDisk()).world
        journal = configure(LogConfig(format="json"), world.clock, stream)
        await run_loops({"saving": loop})
        journal.close()

    simulate(1, main)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["level"], line["event"], line["loop"]) == (level, event, "saving")
    assert ("exception" in line) == (level == "error")
    assert begun[1] - begun[0] == PAUSE_S
    assert level == "error" or str(error) in line["error"]


@pytest.mark.parametrize("fault", [Full("the disk is full"), KeyError("a bug")], ids=repr)
def test_a_loop_that_fails_at_once_begins_again_less_and_less_often(fault: Exception) -> None:
    lived_s = [0.0, 0.0, 0.0, 0.0, 0.0, LAST_PAUSE_S + 1, 0.0]
    pauses_s: list[float] = []

    async def main(simulation: Simulation) -> None:
        ended_s = 0.0

        async def loop() -> None:
            nonlocal ended_s
            pauses_s.append(trio.current_time() - ended_s)
            if lived_s:
                await trio.sleep(lived_s.pop(0))
                ended_s = trio.current_time()
                raise fault

        await run_loops({"finding": loop})

    simulate(1, main)
    assert pauses_s[1:] == [10, 20, 40, 60, 60, 10, 20]


@pytest.mark.parametrize("raising", [alone, within])
def test_a_log_that_failed_for_good_ends_the_loops(raising: Raising) -> None:
    """And is told of where the node ends, once."""
    stream = io.StringIO()

    async def main(simulation: Simulation) -> None:
        async def loop() -> None:
            await raising(Fatal("the disk failed"))

        world = simulation.node(MemoryDisk()).world
        journal = configure(LogConfig(format="json"), world.clock, stream)
        with pytest.RaisesGroup(Fatal, flatten_subgroups=True):
            await run_loops({"saving": loop})
        journal.close()

    simulate(1, main)
    assert stream.getvalue() == ""
