"""What the mesh does by itself, side by side: each loop a task, and a bug in one is that one's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias

import trio

from postbox.errors import OUR_LOG, Fatal, in_one_line, leaves
from postbox.logs import get, limited
from postbox.pauses import doubled

Loop: TypeAlias = Callable[[], Awaitable[None]]

WAITS = "the mesh waits for the log"
PAUSE_S, LAST_PAUSE_S = 10.0, 60.0
"""Before a loop that failed begins again: long enough that a bug is no burden. It doubles while the
loop fails at once, as where a disk is full: to begin may cost peers a call."""


async def run_loops(loops: Mapping[str, Loop]) -> None:
    """Until they are all over, or this is cancelled. `loops`: by the names that the log calls them.
    One that raises is told of in the log, with what it raised, and begins again. A database that is
    away, or a full disk, is no bug: it is named, and that is all. One that fails for good ends the
    node, and so all of them."""
    async with trio.open_nursery() as nursery:
        for name, loop in loops.items():
            nursery.start_soon(partial(_run, name, loop), name=name)


async def _run(name: str, loop: Loop) -> None:
    log = limited(get("postbox.mesh"), name).bind(loop=name)
    failures = 0
    while True:
        since_s = trio.current_time()
        try:
            await loop()
        except Exception as error:
            faults = leaves(error)
            if any(isinstance(one, Fatal) for one in faults):
                raise
            failures = 1 if trio.current_time() - since_s > LAST_PAUSE_S else failures + 1
            pause_s = doubled(PAUSE_S, failures, LAST_PAUSE_S)
            if all(isinstance(one, OUR_LOG) for one in faults):
                log.warning(WAITS, error=in_one_line(faults))
            else:
                log.exception("a loop of the mesh failed: it begins again", after_s=pause_s)
            await trio.sleep(pause_s)
        else:
            return
