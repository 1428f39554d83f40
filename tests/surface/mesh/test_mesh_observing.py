"""What a node tells the mesh of others: what it saw itself, signed, and no more than it must."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from postbox.mesh.bus.bus import LAST_RETRY_S
from postbox.mesh.observing.observer import BURST, LOOK_S, PER_MINUTE
from postbox.mesh.observing.observing_rules import RESTARTS_APART_S, SETTLE_S
from postbox.mesh.observing.watch import AGAIN_S, RECENT_NS
from postbox.trust.authoring import HeyThere, Observation, make_event
from postbox.trust.keys import Identity, identity_of
from support.broker import broker_at
from support.mesh import ANN, BOB, CAT, MALLORY, believe, chau_of, take
from support.nara_events import verifies
from support.town import PORT, House, Town, after, in_town

HERE, THERE, BROKER = "100.64.0.1", "100.64.0.2", "100.64.0.100"
SOON_S = SETTLE_S + 4 * LOOK_S
LONG_S = 400.0
CROWD = [identity_of(f"one{n}", bytes([50 + n]) * 32) for n in range(100)]


@dataclass
class Seat:
    """A node that knows ann, bob and cat, and sees what comes in."""

    house: House

    @property
    def now_ns(self) -> int:
        return self.house.node.world.clock.now_ns()

    def hello(self, who: Identity, signer: Identity | None = None, ago_ns: int = 0) -> bytes:
        said = HeyThere(from_=who.name, public_key=who.public_key_base64, mesh_ip="", id=who.id)
        return make_event(said, self.now_ns - ago_ns, signer or who).body

    def goodbye(self, who: Identity) -> bytes:
        return chau_of(who, self.now_ns)

    def says(self, observer: Identity, subject: str, state: str) -> bytes:
        return self._seen_by(observer, subject, "status-change", online_state=state)

    def restarted(self, observer: Identity, subject: str, start_s: int) -> bytes:
        return self._seen_by(observer, subject, "restart", start_time=start_s, restart_num=900)

    def _seen_by(self, observer: Identity, subject: str, kind: str, **what: Any) -> bytes:
        said = Observation(observer=observer.name, subject=subject, type=kind, importance=2, **what)
        return make_event(said, self.now_ns, observer).body

    async def take(self, *bodies: bytes) -> None:
        await take(self.house.node, bodies)

    def told(self, subject: str = "") -> list[dict[str, Any]]:
        """What it told itself, oldest first."""
        index = self.house.node.ledger.index
        found = index.recent(2_000, ["observation"], [subject] if subject else [])
        events = [json.loads(body) for body in reversed(found.bodies())]
        own = [event for event in events if event.get("emitter") == "box"]
        assert all(verifies(event, self.house.node.identity.public_key) for event in own)
        return [event["observation"] for event in own]

    def words(self, subject: str) -> list[str]:
        return [one.get("online_state") or one["type"] for one in self.told(subject)]


@asynccontextmanager
async def seat(town: Town, *, settled: bool = True, **mesh: Any) -> AsyncIterator[Seat]:
    async with town.house(HERE, "box", **mesh) as house, trio.open_nursery() as loops:
        await believe(house.node, ANN, BOB, CAT, *CROWD)
        if settled:
            house.mesh.recovery.progress.ended_ns = 1
        loops.start_soon(house.mesh.observer.run)
        loops.start_soon(house.mesh.bus.run)
        yield Seat(house)
        loops.cancel_scope.cancel()


@in_town
async def test_who_said_goodbye_and_is_back_was_restarted(town: Town) -> None:
    async with seat(town) as here:
        await here.take(here.hello(BOB))
        await trio.sleep(SOON_S)
        assert sorted(here.words("bob")) == ["ONLINE", "first-seen"]
        await here.take(here.goodbye(BOB))
        await trio.sleep(SOON_S)
        assert here.words("bob")[2:] == ["OFFLINE"]
        back_s = here.now_ns // 10**9
        await here.take(here.hello(BOB))
        await trio.sleep(SOON_S)
        assert sorted(here.words("bob")[3:]) == ["ONLINE", "restart"]
        (restart,) = [one for one in here.told("bob") if one["type"] == "restart"]
        assert restart == {
            "observer": "box",
            "observer_id": here.house.node.identity.id,
            "subject": "bob",
            "type": "restart",
            "importance": 3,
            "start_time": back_s,
            "restart_num": 1,
            "last_restart": back_s,
        }


@in_town
async def test_who_was_silent_was_gone_and_who_says_hello_again_was_not(town: Town) -> None:
    async with seat(town) as here:
        for pause_s in (100, 250, LONG_S, 250, LONG_S):
            await trio.sleep(pause_s)
            await here.take(here.hello(BOB))
        await trio.sleep(SOON_S)
        numbers = [one["restart_num"] for one in here.told("bob") if one["type"] == "restart"]
        assert numbers == [1, 2]


@in_town
async def test_what_is_not_attested_is_not_told_of(town: Town) -> None:
    async with seat(town) as here:
        await here.take(here.hello(BOB))
        await trio.sleep(SOON_S)
        before = here.told()
        for forged in (
            here.hello(BOB, MALLORY),
            here.hello(MALLORY).replace(b"mallory", b"bob"),
            here.goodbye(BOB).replace(b'"sig"', b'"gis"'),
            here.says(MALLORY, "bob", "MISSING"),
            here.says(ANN, "bob", "MISSING"),
            here.says(ANN, "nobody", "ONLINE"),
        ):
            await here.take(forged)
            await trio.sleep(LONG_S)
        assert here.told() == before


@in_town
async def test_nothing_is_told_before_this_node_knows_what_it_missed(town: Town) -> None:
    async with seat(town, settled=False) as here:
        await here.take(here.hello(BOB))
        await trio.sleep(LONG_S)
        await here.take(here.hello(BOB))
        await trio.sleep(SOON_S)
        assert here.told() == []
        here.house.mesh.recovery.progress.ended_ns = 1
        await trio.sleep(SOON_S)
        assert sorted(here.words("bob")) == ["ONLINE", "first-seen"], "the restart is not its news"


@in_town
async def test_a_hello_of_long_ago_is_no_restart_nor_is_ones_own(town: Town) -> None:
    async with seat(town) as here:
        await here.house.mesh.presence.enter()
        await here.take(here.hello(BOB, ago_ns=3 * RECENT_NS))
        await here.take(here.hello(BOB, ago_ns=RECENT_NS + 10**9))
        await trio.sleep(LONG_S)
        await here.house.mesh.presence.enter()
        for _ in range(3):
            here.house.mesh.peers.asked_us("bob", 0, here.now_ns)
            await trio.sleep(SOON_S / 2)
        assert sorted(here.words("bob")) == ["ONLINE", "first-seen"]
        assert here.words("box") == here.words("bob"), "as observer"
        assert not any(one["subject"] == "box" for one in here.told())


@in_town
async def test_who_comes_and_goes_all_the_time_makes_few_events(town: Town) -> None:
    async with seat(town) as here:
        for pause_s in (15, 100):
            for _ in range(int(3600 / pause_s / 2)):
                await here.take(here.goodbye(BOB))
                await trio.sleep(pause_s)
                await here.take(here.hello(BOB))
                await trio.sleep(pause_s)
            words = here.words("bob")
            assert pause_s > SETTLE_S or words == []
        assert 2 <= words.count("restart") <= 3600 / RESTARTS_APART_S
        assert len(words) <= 3 * 3600 / (2 * 100)


@in_town
async def test_of_who_is_gone_again_nobody_says_that_it_came(town: Town) -> None:
    async with seat(town) as here:
        await here.take(here.goodbye(BOB))
        await trio.sleep(1)
        await here.take(here.hello(BOB))
        await trio.sleep(LOOK_S * 2)
        await here.take(here.goodbye(BOB))
        await trio.sleep(LONG_S)
        assert here.told() == []
        assert here.house.node.projections.online("bob") == "offline"


@in_town
async def test_however_much_happens_a_node_says_so_much_a_minute(town: Town) -> None:
    async with seat(town) as here:
        for minute in range(20):
            for one in CROWD:
                here.house.mesh.peers.asked_us(one.name, 0, here.now_ns)
            await trio.sleep(60)
            assert len(here.told()) <= BURST + PER_MINUTE * minute
        assert {one["subject"] for one in here.told()} == {one.name for one in CROWD}


@in_town
async def test_what_enough_others_told_is_not_told_again(town: Town) -> None:
    async with seat(town) as here:
        await here.take(here.hello(BOB))
        await here.take(*(here.says(one, "bob", "ONLINE") for one in CROWD[:3]))
        await trio.sleep(SOON_S)
        assert here.words("bob") == ["first-seen"]


@pytest.mark.parametrize(
    ("away_s", "leaves", "silent_s", "restarts"),
    [
        ([LONG_S], False, 30, 0),
        ([LONG_S, LONG_S], False, 30, 0),
        ([LONG_S], True, 30, 1),  # it said so before
        ([LONG_S], False, LONG_S, 1),  # it could have been heard again
        ([30], False, LONG_S, 1),
    ],
)
@in_town
async def test_whom_this_node_could_not_hear_had_not_gone(
    town: Town, away_s: list[float], leaves: bool, silent_s: float, restarts: int
) -> None:
    net = town.world(BROKER).net
    async with seat(town, mqtt=f"mqtt://{BROKER}") as here:
        async with broker_at(net, BROKER):
            await trio.sleep(LONG_S)
            await here.take(here.hello(BOB))
            if leaves:
                await trio.sleep(10)
                await here.take(here.goodbye(BOB))
            await trio.sleep(60)
        for seconds in away_s:
            await trio.sleep(seconds)
            async with broker_at(net, BROKER):
                await trio.sleep(LAST_RETRY_S * 2)
        async with broker_at(net, BROKER):
            await here.house.mesh.bus.wait_up()
            await trio.sleep(silent_s)
            await here.take(here.hello(BOB))
            await trio.sleep(SOON_S)
            assert here.words("bob").count("restart") == restarts


@in_town
async def test_who_never_heard_a_broker_cannot_tell_who_had_gone(town: Town) -> None:
    async with seat(town, mqtt=f"mqtt://{BROKER}") as here:
        await here.take(here.hello(BOB))
        await trio.sleep(LONG_S)
        async with broker_at(town.world(BROKER).net, BROKER):
            await here.house.mesh.bus.wait_up()
            await here.take(here.hello(BOB))
            await trio.sleep(SOON_S)
            assert sorted(here.words("bob")) == ["ONLINE", "first-seen"]


@pytest.mark.parametrize("beside_s", [0, 1])
@in_town
async def test_one_liar_makes_no_restart_undoes_none_and_is_not_quoted(
    town: Town, beside_s: int
) -> None:
    async with seat(town) as here:
        await here.take(here.hello(BOB), here.says(CAT, "bob", "ONLINE"))
        began_s = here.now_ns // 10**9
        await here.take(*(here.restarted(ANN, "bob", began_s - 400 * n) for n in range(1, 20)))
        await trio.sleep(LONG_S)
        assert here.house.node.projections.opinion("bob").counted_restarts == 0
        back_s = here.now_ns // 10**9
        await here.take(here.hello(BOB), here.restarted(ANN, "bob", back_s - beside_s))
        await trio.sleep(SOON_S)
        (restart,) = [one for one in here.told("bob") if one["type"] == "restart"]
        assert (restart["start_time"], restart["restart_num"]) == (back_s, 1)
        assert here.house.node.projections.opinion("bob").counted_restarts == 1


@asynccontextmanager
async def two(town: Town) -> AsyncIterator[tuple[Seat, Callable[[], None]]]:
    """The box, and bob, with whom it keeps up, until he is gone without a word."""
    url = f"http://{THERE}:{PORT}"
    ends = trio.CancelScope()

    async def live(task_status: trio.TaskStatus[None]) -> None:
        with ends:
            async with town.house(THERE, "bob", wrap=after(0.005)):
                task_status.started()
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery, town.house(HERE, "box", peers=(url,)) as house:
        await nursery.start(live)
        nursery.start_soon(house.mesh.keep_up)
        yield Seat(house), ends.cancel
        nursery.cancel_scope.cancel()


@in_town
async def test_who_answers_no_more_is_missed_when_all_are_silent_about_it(town: Town) -> None:
    async with two(town) as (here, bob_dies):
        await trio.sleep(LONG_S)
        assert sorted(here.words("bob")) == ["ONLINE", "first-seen"]
        bob_dies()
        await trio.sleep(3_000)
        assert "MISSING" not in here.words("bob"), "others may see it"
        await trio.sleep(1_500)
        assert here.words("bob")[2:] == ["MISSING"]


@in_town
async def test_liars_who_say_that_a_peer_is_gone_are_answered(town: Town) -> None:
    async with two(town) as (here, _):
        await trio.sleep(LONG_S)
        await believe(here.house.node, *CROWD[:3])
        await here.take(*(here.says(liar, "bob", "MISSING") for liar in CROWD[:3]))
        await trio.sleep(AGAIN_S + SOON_S)
        assert here.words("bob").count("ONLINE") == 2
