"""The process that is killed: store and log, and a payer each that submits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import trio

from postbox.errors import Unavailable
from postbox.log.admission import Admission
from postbox.log.tail import open_tail
from postbox.rules import Accepted, Duplicate
from postbox.store.open import open_store
from postbox.world import World, system_world
from support.simulate import SeededRandom
from support.toy_chat import MIGRATIONS, ToyChat
from torture.script import PAYERS, draft_of, opening

MOST = 8  # drafts a call


def write_for_ever(database: str, answers: int, acknowledged: Sequence[int], seed: int) -> None:
    """A line into the pipe `answers` for each call, as soon as it is answered."""
    while True:
        # A server that is down right now is no reason to end, but for whoever starts processes.
        with suppress(Unavailable):
            trio.run(_write, database, answers, acknowledged, seed)


async def _write(database: str, answers: int, acknowledged: Sequence[int], seed: int) -> None:
    world = system_world()
    async with open_store(world, database, [MIGRATIONS]) as store:
        admission = Admission(world.clock, store, await open_tail(store))
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            for payer in range(PAYERS):
                submitter = Submitter(admission, answers, SeededRandom(seed + payer))
                nursery.start_soon(submitter.submit, payer, acknowledged[payer] + 1)


class Submitter:
    def __init__(self, admission: Admission, answers: int, random: SeededRandom) -> None:
        self._admission = admission
        self._answers = answers
        self._random = random

    async def submit(self, payer: int, number: int) -> None:
        while True:
            count = 1 + int(self._random.fraction() * MOST)
            drafts = [draft_of(payer, at) for at in range(number, number + count)]
            outcomes = await self._admission.submit(ToyChat(), drafts)
            places = []
            for outcome in outcomes:
                assert isinstance(outcome, Accepted | Duplicate), outcome
                places.append(f"{outcome.pos}:{outcome.seq or 0}")
            # One write of less than a pipe takes at once: a line is whole, or not there.
            os.write(self._answers, f"{payer} {number} {' '.join(places)}\n".encode())
            number += count


def write_opening(database: str, world: World) -> None:
    trio.run(_open, database, world)


async def _open(database: str, world: World) -> None:
    async with open_store(world, database, [MIGRATIONS]) as store:
        admission = Admission(world.clock, store, await open_tail(store))
        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            outcomes = await admission.submit(ToyChat(), opening())
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
            nursery.cancel_scope.cancel()
