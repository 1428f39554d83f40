"""What two processes of a node make of each other's words, on virtual time: without a database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import cast

import pytest
import trio

from postbox.clients.identity.callers import Callers
from postbox.clients.live.between import Between, Here
from postbox.clients.live.transitory import Transitory
from postbox.clients.live.words import Connected
from postbox.store.contract import Store
from postbox.store.runner import StoreRunner
from postbox.world import World
from support.simulated import simulated

USER, DEVICE = b"u" * 16, b"d" * 16


class Line:
    """A store of which there is no more than what all who hear are told, in one order."""

    def __init__(self) -> None:
        self.shared = self
        self.hearings: list[Ear] = []

    def tell(self, messages: Sequence[bytes]) -> None:
        for hearing in self.hearings:
            hearing.put(messages)

    def hear(self) -> Ear:
        self.hearings.append(Ear())
        return self.hearings[-1]


class Ear:
    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        self._messages: list[bytes] = []

    def put(self, messages: Sequence[bytes]) -> None:
        self._messages += messages
        os.write(self._writes, b"!")

    def fileno(self) -> int:
        return self._reads

    def take(self) -> list[bytes]:
        messages, self._messages = self._messages, []
        if messages:
            os.read(self._reads, 2**16)
        return messages

    def close(self) -> None:
        os.close(self._reads)
        os.close(self._writes)


@pytest.mark.parametrize("busy", [0, 1])
@pytest.mark.parametrize("late_ms", range(0, 50, 7))
def test_of_two_streams_that_are_opened_shortly_after_each_other_the_later_one_lives(
    busy: int, late_ms: int
) -> None:
    """Whichever process has something else to tell just before."""

    @simulated
    async def run(world: World) -> None:
        runner = StoreRunner(world.threads, cast("Store", Line()))
        ended: list[int] = []

        def end(process: int, device: bytes) -> None:
            ended.append(process)

        async with trio.open_nursery() as nursery:
            processes = [Between(world.clock, runner, b"%08d" % at, 100) for at in range(2)]
            for at, process in enumerate(processes):
                transitory = Transitory(world.clock, runner, process.tell)
                here = Here(partial(end, at), transitory, cast("Callers", None))
                nursery.start_soon(process.hear, here)
                nursery.start_soon(process.speak, transitory)
            await trio.sleep(1)
            processes[busy].tell(Connected(USER))
            await trio.sleep(late_ms / 1_000)
            processes[0].opened(DEVICE)
            await trio.sleep(0.02)
            processes[1].opened(DEVICE)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert ended == [0]

    run()
