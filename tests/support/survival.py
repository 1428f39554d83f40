"""Some commits of the toy chat, and what must be there of them whatever became of the disk."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

from postbox.rules import Outcome
from postbox.store.contract import Key, Lane, Query, Reader, Store, Table
from postbox.world import World
from support.crash_disk import CrashDisk
from support.kernel import open_kernel
from support.model import Model
from support.simulate import MemoryDisk, Simulation
from support.toy_chat import CHAT, MEMBER, VERDICT, ChatDraft, ToyChat, Verb

RULES = ToyChat()
CHATS = [b"garden", b"attic"]
USERS = ["ann", "bob", "cleo"]
COMMITS = int(os.environ.get("POSTBOX_CRASH_COMMITS", "12"))
"""A round of chats, users and kinds of batches, by default."""
CHECK = Query("check", "pragma integrity_check")


def make_batches() -> list[list[ChatDraft]]:
    """Every verb, refusals that are remembered and some that are not, drafts that come again, and
    bodies of a byte to some pages."""
    ids = (number.to_bytes(16, "big") for number in count(1))
    opening = [ChatDraft(next(ids), "create", chat, text="old") for chat in CHATS]
    versions = count(1)
    return [
        opening,
        *(_batch(number, ids, versions, opening[0]) for number in range(2, COMMITS + 1)),
    ]


def _batch(
    number: int, ids: Iterator[bytes], versions: Iterator[int], first: ChatDraft
) -> list[ChatDraft]:
    chat, user = CHATS[number % 2], USERS[number % 3]

    def draft(verb: Verb, **more: Any) -> ChatDraft:
        return ChatDraft(next(ids), verb, chat, user, **more)

    sent = [draft("send", text="x" * (number * size)) for size in (1, 40, 400)]
    match number % 4:
        case 0:
            return [draft("join"), *sent, first]
        case 1:
            return [*sent, draft("remove", target=sent[-1].id), draft("blank", target=sent[0].id)]
        case 2:
            name = ChatDraft(
                next(ids), "rename", CHATS[0], text=f"name {number}", based_on=next(versions)
            )
            return [name, *sent]
        case _:
            return [*sent, draft("remove", target=first.id), draft("remove", target=sent[1].id)]


BATCHES = make_batches()
KEYS: dict[Table, list[Key]] = {
    CHAT: [(chat,) for chat in CHATS],
    MEMBER: [(chat, user) for chat in CHATS for user in USERS],
    VERDICT: [(draft.id,) for batch in BATCHES for draft in batch if draft.verb == "send"],
}


def make_states() -> list[Model]:
    """What must be there after none of the batches, after one, and so on."""
    states = [Model()]
    for batch in BATCHES:
        state = copy.deepcopy(states[-1])
        for draft in batch:
            state.submit(RULES, draft)
        states.append(state)
    return states


STATES = make_states()


def world_on(simulation: Simulation, disk: CrashDisk) -> World:
    return replace(simulation.node(MemoryDisk()).world, disk=disk)


def expected(state: Model) -> object:
    rows = [{key: state.rows.get((table.name, key)) for key in KEYS[table]} for table in KEYS]
    return state.head, state.entries, rows


EXPECTED = [expected(state) for state in STATES]


def stored(reader: Reader) -> object:
    """To be compared with what is expected; the database itself is sound."""
    assert reader.query(CHECK) == [("ok",)]
    page = reader.page(Lane.CLIENTS, None, 0, 10_000, 2**30)
    rows = [reader.rows(table, KEYS[table]) for table in KEYS]
    return reader.head, {entry.pos: entry for entry in page.entries}, rows


def survived(store: Store) -> int:
    """After how many of the batches it is as the store is. It is as after one of them, exactly."""
    found = store.read(stored)
    matching = [number for number, state in enumerate(EXPECTED) if state == found]
    assert len(matching) == 1, "something is half there, or missing amid what is there"
    return matching[0]


async def go_on(world: World, allowed: range) -> int:
    """A new life on what a crash left: as many batches are there as may be, and nothing is half
    there. Then the first that may not be there comes again. Returns how many there were."""
    async with open_kernel(world) as kernel:
        number = survived(kernel.store)
        assert number in allowed, "acknowledged and lost, or never asked for"
        again = min(allowed[0], COMMITS - 1)
        state, outcomes = after(number, again)
        assert await kernel.admission.submit(RULES, BATCHES[again]) == outcomes
        assert kernel.store.read(stored) == state
    return number


@cache
def after(number: int, batch: int) -> tuple[object, list[Outcome]]:
    """What there is to be, and what to be answered, after so many batches and then this one."""
    state = copy.deepcopy(STATES[number])
    outcomes = [state.submit(RULES, draft) for draft in BATCHES[batch]]
    return expected(state), outcomes
