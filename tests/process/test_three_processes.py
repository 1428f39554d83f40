"""Three processes write to one PostgreSQL and tail it; one is killed on the way."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import trio

from postbox.world import system_world
from support.simulate import SeededRandom
from support.tailing import check_log, child, stored_at

CYCLES = int(os.environ.get("POSTBOX_SEVERAL_CYCLES", "2"))
"""Each kills a process; some three seconds."""
LIFE = 100  # drafts of the first that are acknowledged until one is killed, at most
ENOUGH = 300  # for some to be removed again


def test_every_reader_of_every_process_sees_everything_once_in_one_order_though_one_is_killed(
    database: str, tmp_path: Path
) -> None:
    random = SeededRandom(int.from_bytes(system_world().random.bytes(4), "big"))
    with ExitStack() as stack:
        made = iter(range(3 + CYCLES))
        living = [stack.enter_context(child(database, next(made), tmp_path)) for _ in range(3)]
        everybody = [*living]
        for _ in range(CYCLES):
            trio.run(living[0].acknowledge, int(LIFE * random.fraction()))
            killed = living.pop(1 + random.bytes(1)[0] % 2)  # the first was told everything
            killed.popen.kill()
            living.append(stack.enter_context(child(database, next(made), tmp_path)))
            everybody.append(living[-1])
        trio.run(living[0].acknowledge, ENOUGH)
        for one in living:
            one.ask("quiet")
        for one in living:
            one.tell()
        accounts = [one.ended() for one in living]
    check_log(everybody, accounts, stored_at(database))
