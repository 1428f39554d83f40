"""What is forgotten of clients, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import trio

from postbox.clients.upkeep import KEEP_MS, STEP_TOMBS, forget
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Query
from postbox.world import system_world
from support.client_door import Door, conversation, door_at, message

COUNT = Query("count_tombs", "select count(*) from tomb")
WORLD = system_world()


@dataclass
class Calendar:
    """The clock, so many milliseconds later."""

    later_ms: int = 0

    def now_ns(self) -> int:
        return WORLD.clock.now_ns() + self.later_ms * 1_000_000

    def elapsed_s(self) -> float:
        return WORLD.clock.elapsed_s()


async def tombs(door: Door) -> int:
    ((count,),) = await door.node.store.read(lambda reader: reader.query(COUNT))
    assert isinstance(count, int)
    return count


async def test_what_left_no_entry_is_remembered_for_a_month(tmp_path: Path) -> None:
    clock = Calendar()
    async with door_at(tmp_path, replace(WORLD, clock=clock), burst=10_000) as door:
        ann = door.device("ann", days=100)
        room = await conversation(ann)
        said = await ann.one(message(room))
        like = pb.ReactionAdded(uuid=said.uuid, reaction="+1")
        await ann.one(like)
        for _ in range(STEP_TOMBS // 100 + 1):  # each is there already
            await ann.sync(*[ann.event(like) for _ in range(100)])
        made = await tombs(door)
        assert made == STEP_TOMBS + 100
        clock.later_ms = KEEP_MS // 2
        await ann.one(like)
        await forget(door.node.world, door.node.store, door.node.admission)
        assert await tombs(door) == made + 1
        clock.later_ms = KEEP_MS + 60_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.clients.keep_up)
            with trio.fail_after(30):
                while await tombs(door) > 1:
                    pass
            nursery.cancel_scope.cancel()
        await forget(door.node.world, door.node.store, door.node.admission)
        assert await tombs(door) == 1
