"""Names that wait for the operator: through a real admission into a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import trio

from postbox.core import Keys
from postbox.log.committed import Follower, committed
from postbox.rules import Accepted, Outcome, Payer, Rejected
from postbox.store.contract import Change, Entry, Lane
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity, identity_of
from postbox.trust.rules import KeyDraft, KeyRules, introduction_draft, operator_draft
from postbox.trust.tables import (
    KIND_WAITS,
    LIMITS,
    MIGRATIONS,
    STREAM,
    TALLY,
    Group,
    Source,
    WaitingName,
    waiting_name,
    waiting_row,
)
from postbox.trust.waiting import Waiting
from postbox.trust.waiting_rules import (
    AnyDraft,
    WaitingRules,
    admit_draft,
    refuse_draft,
    waiting_draft,
)
from postbox.world import World
from support.faulty import never
from support.kernel import Kernel, open_kernel
from support.key_ring import Commit
from support.simulated import Fails, over_every_store, simulated

ANN, BOB = identity_of("ann", b"a" * 32), identity_of("bob", b"b" * 32)
ADDRESS = "203.0.113.5"


class Door(NamedTuple):
    """A node's trust, as far as a door has to do with it."""

    world: World
    kernel: Kernel
    directory: Directory
    waiting: Waiting

    async def say(self, *drafts: AnyDraft) -> list[Outcome]:
        return await self.kernel.admission.submit(WaitingRules(), drafts)

    async def change(self, *drafts: KeyDraft) -> list[Outcome]:
        return await self.kernel.admission.submit(KeyRules(), drafts)

    def wait(self, who: Identity, address: str = ADDRESS) -> AnyDraft:
        payer = Payer("peer", address)
        return waiting_draft(self.world.new_id(), who.name, who.public_key, who.id, address, payer)

    def admit(self, name: str) -> AnyDraft:
        return admit_draft(self.world.new_id(), name)

    def refuse(self, name: str) -> AnyDraft:
        return refuse_draft(self.world.new_id(), name)

    async def loaded(self) -> Waiting:
        """As after a restart."""
        waiting = Waiting()
        await self.kernel.runner.read(waiting.load)
        return waiting

    async def tally(self) -> dict[str, object]:
        keys = [(str(group),) for group in Group]
        rows = await self.kernel.runner.read(lambda reader: reader.rows(TALLY, keys))
        return {str(key[0]): row[1] for key, row in rows.items() if row is not None}


@asynccontextmanager
async def open_door(world: World, fails: Fails = never) -> AsyncIterator[Door]:
    directory, waiting = Directory(Keys()), Waiting()
    followers = (directory, waiting)
    async with open_kernel(world, fails, (MIGRATIONS,), followers=followers) as kernel:
        yield Door(world, kernel, directory, waiting)


def codes(outcomes: list[Outcome]) -> list[str]:
    return [one.reason.code if isinstance(one, Rejected) else "" for one in outcomes]


@simulated
async def test_who_waits_is_listed_in_the_order_of_coming_and_after_a_restart(
    world: World,
) -> None:
    async with open_door(world) as door:
        await door.say(door.wait(BOB))
        await trio.sleep(2)
        await door.say(door.wait(ANN, "fe80::1%eth0"))
        first, second = door.waiting.all()
        assert (first.name, first.key, first.id, first.address) == (
            "bob", BOB.public_key, BOB.id, ADDRESS,
        )  # fmt: skip
        assert (second.name, second.address) == ("ann", "fe80::1%eth0")
        assert second.at_ms - first.at_ms >= 2_000
        assert (await door.loaded()).all() == door.waiting.all()
        assert door.waiting.get("bob") == first
        assert len(door.directory) == 0


@simulated
async def test_the_same_again_is_accepted_and_leaves_nothing_in_the_log(world: World) -> None:
    async with open_door(world) as door:
        await door.say(door.wait(ANN))
        before, head = door.waiting.all(), door.kernel.tail.head
        await trio.sleep(5)
        assert await door.say(door.wait(ANN)) == [Accepted(head, None)]
        assert door.waiting.all() == before
        assert door.kernel.tail.head == head
        assert await door.tally() == {"told": 0, "waiting": 1}


@simulated
async def test_the_operator_admits_a_name_with_the_key_and_id_it_waits_with(world: World) -> None:
    async with open_door(world) as door:
        await door.say(door.wait(ANN), door.wait(BOB))
        assert codes(await door.say(door.admit("ann"))) == [""]
        known = door.directory.get("ann")
        assert known is not None
        assert (known.key, known.id, known.source) == (ANN.public_key, ANN.id, Source.ADMITTED)
        assert door.directory.keys.name_of(ANN.id) == "ann"
        assert [one.name for one in door.waiting.all()] == ["bob"]
        assert (await door.loaded()).all() == door.waiting.all()
        assert codes(await door.say(door.admit("ann"))) == ["nothing_waits"]
        assert codes(await door.say(door.wait(ANN))) == [""]
        assert len(door.waiting) == 1
        assert await door.tally() == {"told": 0, "waiting": 1}


@simulated
async def test_a_name_that_was_refused_may_wait_again(world: World) -> None:
    async with open_door(world) as door:
        again = identity_of("ann", b"again".ljust(32, b"."))
        await door.say(door.wait(ANN))
        assert codes(await door.say(door.refuse("ann"))) == [""]
        assert len(door.waiting) == len(await door.loaded()) == 0
        for who in (ANN, again):
            assert codes(await door.say(door.wait(who))) == [""]
            assert [one.key for one in door.waiting.all()] == [who.public_key]
            await door.say(door.refuse("ann"))
        assert await door.tally() == {"told": 0, "waiting": 0}


@simulated
async def test_a_name_that_becomes_known_in_any_way_waits_no_more(world: World) -> None:
    """Also with another key than the one it waits with: those who wait stand in nobody's way."""
    async with open_door(world) as door:
        other = identity_of("bob", b"other".ljust(32, b"."))
        payer = Payer("peer", "somebody")
        await door.say(door.wait(ANN), door.wait(BOB))
        await door.change(operator_draft(world.new_id(), "ann", ANN.public_key, None))
        assert [one.name for one in door.waiting.all()] == ["bob"]
        await door.change(introduction_draft(world.new_id(), "bob", other.public_key, None, payer))
        assert len(door.waiting) == len(await door.loaded()) == 0
        assert door.directory.key_of("bob") == other.public_key
        assert await door.tally() == {"told": 0, "introduced": 1, "waiting": 0}


@over_every_store
@simulated
async def test_all_of_it_may_happen_in_one_batch(world: World, fails: Fails) -> None:
    async with open_door(world, fails) as door:
        said = await door.say(
            door.wait(ANN), door.wait(BOB), door.admit("ann"), door.refuse("bob"),
            door.wait(BOB), door.admit("cat"),
        )  # fmt: skip
        assert codes(said) == ["", "", "", "", "", "nothing_waits"]
        assert [one.name for one in door.directory.all()] == ["ann"]
        assert [one.name for one in door.waiting.all()] == ["bob"]
        assert (await door.loaded()).all() == door.waiting.all()
        assert await door.tally() == {"told": 0, "waiting": 1}


@over_every_store
@simulated
async def test_strangers_who_come_all_at_once_do_not_exceed_the_places(
    world: World, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = [identity_of(f"stranger{n}", bytes([n]) * 32) for n in range(1, 31)]
    monkeypatch.setitem(LIMITS, Group.WAITING, 20)
    async with open_door(world, fails) as door:
        said: list[str] = []

        async def come(who: Identity) -> None:
            assert door.waiting.has_room_for(who.name), "they all ask before anyone is in"
            said.extend(codes(await door.say(door.wait(who))))

        async with trio.open_nursery() as nursery:
            for who in strangers:
                nursery.start_soon(come, who)
        assert sorted(said) == [""] * 20 + ["too_many_waiting"] * 10
        assert len(door.waiting) == len(await door.loaded()) == 20
        head = door.kernel.tail.head
        await door.say(*[door.wait(who) for who in strangers])
        assert door.kernel.tail.head == head, "the log does not grow by coming again"
        await door.say(door.refuse(door.waiting.all()[0].name))
        assert door.waiting.has_room_for("another")


def test_an_entry_applied_twice_does_no_harm_and_those_of_others_are_passed_over() -> None:
    waiting = Waiting()
    follower: Follower = waiting
    follower.applied(committed(Change(), head=3))
    row = WaitingName("ann", ANN.public_key, None, ADDRESS, 7)
    body = b'{"name":"ann","key":"' + ANN.public_key_base64.encode() + b'","id":null,"address":"'
    body += ADDRESS.encode() + b'","at_ms":7}'
    for lane, stream, kind in (
        (Lane.MESH, STREAM, KIND_WAITS),
        (Lane.NODE, b"other", KIND_WAITS),
        (Lane.NODE, STREAM, 99),
    ):
        waiting.applied(Commit([Entry(1, lane, stream, None, b"i" * 16, kind, 0, b"", 0, body)]))
    assert len(waiting) == 0
    entry = Entry(1, Lane.NODE, STREAM, None, b"i" * 16, KIND_WAITS, 0, b"", 0, body)
    waiting.applied(Commit([entry]))
    waiting.applied(Commit([entry]))
    assert waiting.all() == [row]


def test_a_row_comes_back_from_the_table_as_it_went_in() -> None:
    row = WaitingName("ann", ANN.public_key, ANN.id, ADDRESS, 7)
    assert waiting_name(waiting_row(row)) == row
    with pytest.raises(ValueError, match="not a row of the table waiting"):
        waiting_name(("ann", None))


def test_an_address_that_is_none_makes_no_draft() -> None:
    with pytest.raises(ValueError, match="too long"):
        waiting_draft(b"i" * 16, "ann", ANN.public_key, None, "a" * 65, Payer("peer", "somebody"))


@simulated
async def test_one_that_waits_with_an_id_which_is_taken_by_now_is_added_by_its_key(
    world: World,
) -> None:
    async with open_door(world) as door:
        await door.say(door.wait(ANN))
        await door.change(operator_draft(world.new_id(), "bob", BOB.public_key, ANN.id))
        (refused,) = await door.say(door.admit("ann"))
        assert isinstance(refused, Rejected)
        assert "to add ann without it" in refused.reason.text
        assert [one.name for one in door.waiting.all()] == ["ann"]


@over_every_store
@simulated
async def test_the_operator_answers_all_who_wait_in_one_request(world: World, fails: Fails) -> None:
    count = LIMITS[Group.WAITING]
    strangers = [identity_of(f"stranger{n:04}", n.to_bytes(32, "big")) for n in range(count)]
    async with open_door(world, fails) as door:
        await door.say(*[door.wait(who) for who in strangers])
        assert len(door.waiting) == count
        answers = [
            door.admit(who.name) if number % 2 else door.refuse(who.name)
            for number, who in enumerate(strangers)
        ]
        assert codes(await door.say(*answers)) == [""] * count
        assert len(door.waiting) == len(await door.loaded()) == 0
        assert [one.name for one in door.directory.all()] == [who.name for who in strangers[1::2]]
        assert await door.tally() == {"told": 0, "waiting": 0}
