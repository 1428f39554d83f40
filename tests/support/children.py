"""Programs that tests run as processes of their own: `python -m support.children NAME ...`."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import msgspec
import trio

from postbox.errors import Fault
from postbox.log.admission import Admission
from postbox.log.committed import Interest
from postbox.log.tail import Tail, open_tail
from postbox.rules import Accepted
from postbox.store.contract import Change, Entry, Lane, Tx
from postbox.store.open import open_store
from postbox.store.postgres.driver import open_postgres
from postbox.store.postgres.session import Patience
from postbox.store.sqlite import checkpoints
from postbox.world import FileDisk, system_world
from support.kernel import Recorder, open_kernel
from support.several import write_and_tail
from support.simulate import MemoryDisk, Simulation, simulate
from support.toy_chat import MIGRATIONS, ChatDraft, ToyChat, Verb
from support.witness import Witness, hold_for_ever

TESTS = Path(__file__).parent.parent
CHUNK = 7
CHATS = [b"a", b"b", b"c"]


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "support.children", name, *arguments]


def environment(**changes: str) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), *sys.path])
    return {**os.environ, "PYTHONPATH": path, **changes}


def chunk(first: int) -> list[ChatDraft]:
    """CHUNK drafts that stand or fall together: one call, one payer, one batch."""
    chat = first.to_bytes(8, "big")
    ids = [(first + at).to_bytes(16, "big") for at in range(CHUNK)]
    sends = [ChatDraft(one, "send", chat, text="x" * 300) for one in ids[1:]]
    return [ChatDraft(ids[0], "create", chat), *sends]


async def write_until_killed(path: str) -> None:
    """Four submitters write chunks for ever, and print a chunk's first id once it is answered."""
    world = system_world()
    async with open_store(world, path, [MIGRATIONS]) as store:
        admission = Admission(world.clock, store, await open_tail(store))

        async def submit(lane: int) -> None:
            for first in range(lane, 2**31, 4 * CHUNK):
                outcomes = await admission.submit(ToyChat(), chunk(first))
                assert all(isinstance(outcome, Accepted) for outcome in outcomes)
                sys.stdout.write(f"{first}\n")
                sys.stdout.flush()

        async with trio.open_nursery() as nursery:
            await nursery.start(admission.run)
            for submitter in range(4):
                nursery.start_soon(submit, submitter * CHUNK)


def hold_the_turn(url: str) -> None:
    """Takes the turn to write and says so; goes on when it is told to, and says what came of it."""
    patience = Patience(idle_ms=300)
    store = open_postgres(FileDisk(), url, [MIGRATIONS], bytes(16), bytes(32), patience)

    def work(tx: Tx) -> None:
        entry = Entry(tx.head + 1, Lane.CLIENTS, b"held", None, b"h" * 16, 1, 0, b"", 1, b"held")
        tx.apply(Change(appends=[entry]))
        sys.stdout.write("holding\n")
        sys.stdout.flush()
        sys.stdin.readline()

    try:
        store.write(work)
        sys.stdout.write("written\n")
    except Fault as fault:
        sys.stdout.write(f"{type(fault).__name__}: {fault}\n")
    finally:
        store.close()


async def toy_run(simulation: Simulation) -> None:
    """Two lives of a node with writers and readers, in an order that only the seed decides."""
    disk = MemoryDisk()
    for _ in range(2):
        recorder = Recorder()
        world = simulation.node(disk).world
        async with open_kernel(world, followers=[recorder]) as kernel:
            async with trio.open_nursery() as readers:
                for interest in (Interest(Lane.CLIENTS), Interest(Lane.CLIENTS, frozenset(CHATS))):
                    readers.start_soon(follow, simulation, kernel.tail, interest)
                async with trio.open_nursery() as writers:
                    for writer in range(8):
                        writers.start_soon(write, simulation, kernel.admission, writer)
                readers.cancel_scope.cancel()
        simulation.trace.note([(each.head, list(each.streams)) for each in recorder.commits])


async def write(simulation: Simulation, admission: Admission, writer: int) -> None:
    random = simulation.random
    for at in range(10):
        await trio.sleep(random.fraction() / 50)
        chat = CHATS[random.bytes(1)[0] % len(CHATS)]
        verb: Verb = "send" if at else "create"
        draft = ChatDraft(random.bytes(16), verb, chat, user=f"user{writer % 3}")
        simulation.trace.note(writer, at, await admission.submit(ToyChat(), [draft]))


async def follow(simulation: Simulation, tail: Tail, interest: Interest) -> None:
    after = 0
    while True:
        await tail.wait(interest, after)
        page = await tail.page(interest.lane, None, after, limit=5)
        after = page.next
        simulation.trace.note([(entry.pos, entry.id) for entry in page.entries])


def main(name: str, *arguments: str) -> None:
    match name:
        case "write-until-killed":
            for pages in arguments[1:]:
                checkpoints.CHECKPOINT_PAGES = int(pages)
            trio.run(write_until_killed, arguments[0])
        case "hold-the-turn":
            hold_the_turn(arguments[0])
        case "hold-a-lease":
            witness = Witness(Path(arguments[1]), "child")
            trio.run(hold_for_ever, system_world(), arguments[0], witness)
        case "write-and-tail":
            url, seed, acknowledged, account = arguments
            told = trio.run(write_and_tail, url, int(seed), acknowledged)
            Path(account).write_bytes(msgspec.msgpack.encode(told))
        case "toy-run":
            sys.stdout.write(simulate(int(arguments[0]), toy_run).digest() + "\n")
        case "three-nodes":
            from support.cluster import (
                three_nodes,
            )  # HTTP, which takes longer to load than all else

            run = partial(three_nodes, homes=Path(arguments[1]))
            sys.stdout.write(simulate(int(arguments[0]), run).digest() + "\n")
        case _:
            raise SystemExit(f"no such program: {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
