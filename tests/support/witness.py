"""Work under a lease that leaves a trace: who was at it, in one file for all processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import trio

from postbox.log.leases import Leases, Terms
from postbox.store.open import open_store
from postbox.world import World

TICK_S = 0.005
LEASE = "work"
QUICK = Terms(beat_s=0.5, valid_s=3.0, handover_s=4.0)
"""A machine that stands still for three seconds loses its lease."""

CALM = Terms(beat_s=1.0, valid_s=10.0, handover_s=15.0)
"""Where nothing is to be lost: who does not give back within a beat costs the next one a wait."""

PATIENT_S = 300.0
"""Nothing that is waited for takes so long."""


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENT_S):
        while not is_so():  # noqa: ASYNC110  (of another process, or of the server)
            await trio.sleep(0.01)


class Witness:
    """Each line is appended by one call, so that the file's order is that of time."""

    def __init__(self, path: Path, who: str) -> None:
        self._path = path
        self._who = who
        self.is_at_work = False

    async def work(self) -> None:
        """Until cancelled."""
        self._note("begins")
        self.is_at_work = True
        try:
            while True:
                await trio.sleep(TICK_S)
                self._note("works")
        finally:
            self.is_at_work = False
            self._note("ends")

    def _note(self, what: str) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{self._who} {what}\n".encode())
        finally:
            os.close(file)


def periods(path: Path, killed: str = "") -> list[str]:
    """Who was at work, one after another. Fails if two were at once; whoever was `killed` did not
    come to its end."""
    seen: list[str] = []
    current = ""
    for line in path.read_text().splitlines():
        who, what = line.split()
        if what == "begins":
            assert current in ("", killed), f"{who} begins, and {current} has not ended"
            seen.append(who)
            current = who
        else:
            assert who == current, f"{who} {what}, and {current or 'nobody'} is at work"
            current = "" if what == "ends" else current
    return seen


async def hold_for_ever(world: World, url: str, witness: Witness) -> None:
    """As a process of its own."""
    async with open_store(world, url) as store, trio.open_nursery() as nursery:
        leases = Leases(world, store, QUICK)
        nursery.start_soon(leases.run)
        await leases.hold(LEASE, witness.work)
