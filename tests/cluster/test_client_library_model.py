"""Whatever users do with the client library and whatever breaks: what their devices promised is
stored once or refused, in order, and all devices come to show what the host's log says.

Users with devices run random programs, against the real door, over a network in memory: devices
crash or are cancelled wherever they wait, lose their network, and come back; requests and answers
are lost, doubled, late, and overtaken; members come and go; the host is stopped, crashes, and is
put back from a backup. Then everything is well again, and each device is compared with a new one,
and with the log. POSTBOX_MODEL_EXAMPLES makes it try more programs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from support.library_faults import OF_A_BATCH, OF_A_STREAM, Faults
from support.library_fleet import Fleet, Gadget
from support.library_host import STREAM, SYNC
from support.library_phone import street_of
from support.simulate import MemoryDisk, Simulation, simulate

EXAMPLES = int(os.environ.get("POSTBOX_MODEL_EXAMPLES", "5"))
DEVICES = 4

MAKING = (
    *("send",) * 8,
    *("create", "add", "add", "remove", "leave", "rename", "edit", "edit", "delete"),
    *("react", "unreact", "read", "name", "picture", "types", "tries again", "dismisses"),
)
LIVING = (
    *("crashes",) * 4,
    *("is cancelled", "is cancelled", "is switched on", "is switched on", "loses network"),
    *("finds network", "finds network", "hurries", "looks away", "looks", "looks back", "waits"),
)
BREAKING = (
    *("batch fails",) * 4,
    *("stream fails",) * 2,
    *("stops", "host crashes", "is backed up", "is put back"),
)


class Step(NamedTuple):
    what: str
    device: int
    a: int
    b: int


def steps(names: Sequence[str]) -> st.SearchStrategy[Step]:
    small = st.integers(0, 255)
    return st.builds(Step, st.sampled_from(names), st.integers(0, DEVICES - 1), small, small)


programs = st.lists(
    st.sampled_from([MAKING] * 5 + [LIVING] * 3 + [BREAKING] * 2).flatmap(steps),
    min_size=30,
    max_size=90,
)


class Play:
    def __init__(self, fleet: Fleet, nursery: trio.Nursery) -> None:
        self.fleet = fleet
        self.host = fleet.street.host
        self.nursery = nursery
        self.backups: list[MemoryDisk] = []

    async def run(self, program: Sequence[Step]) -> None:
        await self.fleet.begin()
        for step in program:
            gadget = self.fleet.gadgets[step.device]
            if step.what in MAKING:
                await gadget.does(step.what, step.a, step.b)
            elif step.what in LIVING:
                await self.live(gadget, step)
            else:
                await self.break_it(step)
            await trio.sleep((step.a ^ step.b) % 64 / 1_000)
        await self.fleet.look()

    async def live(self, gadget: Gadget, step: Step) -> None:
        match step.what:
            case "crashes" | "is cancelled":
                await gadget.switch_on()
                if step.b % 2:  # else somewhere in its next life, or in what begins it
                    await gadget.phone.switch_off()
                gadget.ends_soon(step.a, in_order=step.what == "is cancelled")
            case "is switched on":
                await gadget.switch_on()
            case "loses network":
                gadget.lose_network()
            case "finds network":
                gadget.find_network()
            case "waits":
                await trio.sleep(step.a / 4)
            case _:
                self.look_about(gadget, step)

    def look_about(self, gadget: Gadget, step: Step) -> None:
        if not gadget.phone.is_on:
            return
        match step.what:
            case "hurries":
                gadget.client.network_up()
            case "looks back":
                self.nursery.start_soon(gadget.looks_back, step.a)
            case _:
                gadget.client.set_active(step.what == "looks")

    async def break_it(self, step: Step) -> None:
        faults = Faults(self.host, step.b % 32, step.b % 5)
        match step.what:
            case "batch fails":
                wish = faults.wish(OF_A_BATCH[step.a % len(OF_A_BATCH)])
                self.host.wishes.setdefault(SYNC, []).append(wish)
            case "stream fails":
                wish = faults.wish(OF_A_STREAM[step.a % len(OF_A_STREAM)])
                self.host.wishes.setdefault(STREAM, []).append(wish)
            case "stops":
                await self.host.stop()
                await trio.sleep(step.a % 4)
                await self.host.start()
            case "host crashes":
                await self.host.crash()
                await trio.sleep(step.a % 4)
                await self.host.start()
            case "is backed up":
                self.backups.append(self.host.disk.copied())
            case _:
                if self.backups:
                    await self.host.put_back(self.backups[step.a % len(self.backups)])


def run(seed: int, program: Sequence[Step]) -> None:
    async def main(simulation: Simulation) -> None:
        with tempfile.TemporaryDirectory() as home:
            async with street_of(simulation, Path(home)) as street, trio.open_nursery() as nursery:
                await Play(Fleet(street), nursery).run(program)
                nursery.cancel_scope.cancel()

    simulate(seed, main)


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32), program=programs)
def test_what_devices_promise_is_kept_and_all_show_the_same(seed: int, program: list[Step]) -> None:
    run(seed, program)
