"""Nodes that wake up among peers, over the real server and client, on virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pytest
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from postbox.mesh.boot import recovery_rules
from postbox.mesh.boot import timeline as timelines
from postbox.mesh.boot.progress import Stage
from postbox.mesh.boot.recovery import LOOK_S
from postbox.mesh.boot.recovery_rules import OVERLAP_NS, STILL_S
from postbox.mesh.calling import pull as pulling
from postbox.mesh.peers.standing_rules import Regard
from postbox.mesh.synthetic import VOTERS, identities
from postbox.net.asgi import Reply, discard_body, send_reply, text
from postbox.net.client import open_client
from postbox.trust.authoring import Social, make_event
from postbox.trust.keys import identity_of
from support.cluster import mixed_history
from support.mesh import NOW_NS, believe, checkpoint, held_ids, id_of_body, take, tease
from support.nara import SYNC, Nara
from support.nara_events import Event
from support.town import PORT, REACH, House, Town, in_town

ME = "100.64.0.1"
HISTORY = mixed_history(900)
SECOND_NS = 10**9


def address(number: int) -> str:
    return f"100.64.1.{number}"


def urls(*numbers: int) -> tuple[str, ...]:
    return tuple(f"http://{address(number)}:{PORT}" for number in numbers)


@asynccontextmanager
async def peers(town: Town, *parts: Sequence[bytes]) -> AsyncIterator[list[House]]:
    """Nodes with these events, at the addresses 1, 2, ..."""
    async with AsyncExitStack() as stack:
        houses = []
        for number, part in enumerate(parts, 1):
            house = await stack.enter_async_context(
                town.house(address(number), f"peer{number}", requests_per_minute=100_000)
            )
            await believe(house.node, *identities(1, VOTERS))
            await take(house.node, part)
            houses.append(house)
        yield houses


def parts_of(history: Sequence[bytes], count: int) -> list[list[bytes]]:
    """So many, each with half of it, so that each event is in several."""
    wide = len(history) // 2
    around = [*history, *history]
    return [list(around[at : at + wide]) for at in range(0, len(history), len(history) // count)]


def ids(history: Sequence[bytes]) -> set[bytes]:
    return {id_of_body(body) for body in history}


@in_town
async def test_a_new_node_gets_all_that_its_peers_have_between_them(town: Town) -> None:
    async with (
        peers(town, *parts_of(HISTORY, 3)),
        town.house(ME, "me", peers=urls(1, 2, 3)) as me,
    ):
        await me.mesh.recovery.run()
        assert held_ids(me.node) == ids(HISTORY)
        progress = me.mesh.recovery.progress
        assert (progress.stage, progress.attempts, progress.missed) == (Stage.DONE, 1, 0)
        assert progress.imported == len(HISTORY)


@contextmanager
def in_small() -> Iterator[None]:
    """Samples and pages of a hundred events, so that it takes many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery_rules, "SAMPLE", 100)
        patch.setattr(recovery_rules, "USUAL_EVENTS", 1_000)
        patch.setattr(recovery_rules, "MOST_EVENTS", 1_000)
        patch.setattr(pulling, "PAGE_EVENTS", 100)
        patch.setattr(pulling, "MIN_EVENTS", 50)
        yield


@dataclass
class Moody:
    """A nara that `turns` bad after so many syncs: it stalls, or its address is dead."""

    nara: Nara
    after: int
    turn: Literal["stalls", "fails"]
    asked: int = 0

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        self.asked += scope["path"] == SYNC
        if self.asked <= self.after:
            await self.nara(scope, receive, send)
        elif self.turn == "stalls":
            await trio.sleep_forever()
        else:
            await discard_body(receive)
            await send_reply(send, text(500, "broken"))


class Flooder(Nara):
    """Its pages have no end: it makes up what it gives."""

    made = 0

    def _found(self, request: Event) -> tuple[list[Event], str]:
        count = request.get("page_size") or request.get("sample_size") or 100
        after_ns = int(request.get("cursor") or 10**18)
        found = []
        for number in range(count):
            self.made += 1
            made_up = Social(type="tease", actor=f"a{self.made}", target="b", reason="random")
            found.append(json.loads(make_event(made_up, after_ns + number + 1, None).body))
        return found, str(found[-1]["ts"])


@asynccontextmanager
async def naras(
    town: Town, *parts: Sequence[bytes], bad: Mapping[int, Callable[[Nara], ASGIFramework]] = {}
) -> AsyncIterator[list[Nara]]:
    """At the addresses 1, 2, ...; `bad`: what some of them are behind, by number."""
    async with AsyncExitStack() as stack:
        made = []
        for number, part in enumerate(parts, 1):
            world = town.world(address(number))
            http = await stack.enter_async_context(open_client(world.net, reach=REACH))
            who = identity_of(f"friend-{number}", bytes([number]) * 32)
            nara = Nara(who, world, http)
            nara.knows(*identities(1, VOTERS))
            nara.add(*part)
            app = bad[number](nara) if number in bad else nara
            await stack.enter_async_context(town.serving(address(number), app, world=world))
            made.append(nara)
        yield made


def modes(nara: Nara) -> list[str]:
    """Of what it was asked, checkpoints by themselves left out."""
    requests = [json.loads(asked.body) for asked in nara.asked]
    return [one["mode"] for one in requests if not one["services"]]


@in_town
async def test_naras_are_asked_in_their_own_way_first_for_samples_then_for_pages(
    town: Town,
) -> None:
    with in_small():
        async with naras(town, *parts_of(HISTORY, 3)) as friends:
            async with town.house(ME, "me", peers=urls(1, 2, 3)) as me:
                await believe(me.node, *identities(1, VOTERS))
                await me.mesh.recovery.run()
                assert held_ids(me.node) == ids(HISTORY)
                for nara in friends:
                    assert nara.complaints == []
                    asked = modes(nara)
                    samples = asked.count("sample")
                    assert samples >= 1
                    assert asked == ["sample"] * samples + ["page"] * 5


@in_town
async def test_a_node_that_knows_where_it_was_asks_for_nothing_but_what_is_new(
    town: Town,
) -> None:
    before = [event for event in HISTORY if json.loads(event)["ts"] < NOW_NS - 30 * SECOND_NS]
    async with naras(town, before, before) as friends:
        async with town.house(ME, "me", peers=urls(1, 2)) as me:
            await me.mesh.recovery.run()
            await me.mesh.saver.save()
        for nara in friends:
            nara.asked.clear()
        friends[1].add(tease(9), tease(8))
        async with town.house(ME, "me", peers=urls(1, 2)) as me:
            await me.mesh.recovery.run()
            assert held_ids(me.node) == ids([*before, tease(9), tease(8)])
            assert me.mesh.recovery.progress.imported == 2
        newest_ns = max(json.loads(event)["ts"] for event in before)
        for nara in friends:
            (asked,) = [json.loads(asked.body) for asked in nara.asked]
            assert (asked["mode"], int(asked["cursor"])) == ("page", newest_ns - OVERLAP_NS)


@in_town
async def test_of_peers_that_gave_samples_only_the_rounds_ask_for_all(town: Town) -> None:
    async with naras(town, HISTORY, HISTORY):
        async with town.house(ME, "me", peers=urls(1, 2)) as me:
            with in_small(), pytest.MonkeyPatch.context() as patch:
                patch.setattr(recovery_rules, "TARGET", {"medium": 100})
                await me.mesh.recovery.run()
                assert 100 <= len(me.node.ledger.index) < len(HISTORY)
            assert [known.cursor_ns for known in me.mesh.peers.configured] == [0, 0]


# -- peers that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", ["stalls", "fails"])
@in_town
async def test_what_peers_that_break_off_leave_of_their_share_the_others_give(
    town: Town, turn: Literal["stalls", "fails"]
) -> None:
    """One before it gave anything, one in the midst of its pages."""
    bad = {
        2: lambda nara: Moody(nara, after=0, turn=turn),
        3: lambda nara: Moody(nara, after=5, turn=turn),
    }
    with in_small():
        async with naras(town, *[HISTORY] * 4, bad=bad) as friends:
            async with town.house(ME, "me", peers=urls(1, 2, 3, 4)) as me:
                await believe(me.node, *identities(1, VOTERS))
                with trio.move_on_after(2 * STILL_S + 60):
                    await me.mesh.recovery.run()
                assert held_ids(me.node) == ids(HISTORY)
                cursors = [one.cursor_ns for one in me.mesh.peers.configured]
                newest_ns = max(json.loads(event)["ts"] for event in HISTORY)
                assert cursors[0] == cursors[3] == newest_ns
                assert cursors[1] == 0
                assert 0 < cursors[2] < newest_ns, "where its walk broke off, or was sampled"
                assert modes(friends[1]) == []


@in_town
async def test_a_peer_whose_pages_never_end_is_left_and_accused(town: Town) -> None:
    with in_small():
        async with naras(town, HISTORY, HISTORY, bad={1: flooder}):
            async with town.house(ME, "me", capacity=1_500, peers=urls(1, 2)) as me:
                await believe(me.node, *identities(1, VOTERS))
                with trio.move_on_after(600):
                    await me.mesh.recovery.run()
                assert held_ids(me.node) >= ids(HISTORY)
                assert me.mesh.peers.regard("friend-1") is Regard.DEMOTED
                assert me.mesh.peers.regard("friend-2") is Regard.GOOD


@in_town
async def test_a_peer_that_gives_next_to_nothing_of_what_three_others_give_is_accused(
    town: Town,
) -> None:
    with in_small():
        async with naras(town, *[HISTORY] * 3, [tease(1)]):
            async with town.house(ME, "me", peers=urls(1, 2, 3, 4)) as me:
                await believe(me.node, *identities(1, VOTERS))
                await me.mesh.recovery.run()
                ((name, record),) = me.node.records.all().items()
                why = "withheld: it gave next to nothing of what others gave"
                assert (name, record.why) == ("friend-4", why)


@in_town
async def test_a_peer_that_is_silent_when_all_others_are_done_has_failed(town: Town) -> None:
    bad = {2: lambda nara: Moody(nara, after=2, turn="stalls")}
    with in_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery_rules, "STILL_S", 20)  # sooner than its request ends by itself
        async with naras(town, HISTORY, HISTORY, bad=bad):
            async with town.house(ME, "me", peers=urls(1, 2)) as me, trio.open_nursery() as nursery:
                nursery.start_soon(me.mesh.recovery.run)
                await me.mesh.recovery.had_turn.wait()
                told, silent = me.mesh.peers.configured
                assert (told.failures, told.last_error) == (0, "")
                assert silent.failures == 1
                assert silent.last_error == f"{silent.url} took too long"
                nursery.cancel_scope.cancel()


def flooder(nara: Nara) -> Nara:
    return Flooder(nara.who, nara.world, nara.http, keys=nara.keys)


@in_town
async def test_when_nobody_answers_the_bus_is_asked_and_it_is_tried_again_until_somebody_does(
    town: Town,
) -> None:
    asked_s: list[float] = []

    async def ask_bus() -> None:
        asked_s.append(trio.current_time())

    async with town.house(ME, "me", peers=urls(1)) as me, trio.open_nursery() as nursery:
        recovery = me.mesh.recovery
        recovery.fallback = ask_bus
        nursery.start_soon(recovery.run)
        await recovery.had_turn.wait()
        await trio.sleep(400)
        waits = [after - before for before, after in pairwise(asked_s)]
        assert waits == [pytest.approx(wait_s, rel=0.3) for wait_s in (30, 30, 60)]
        assert str(recovery.progress.stage) == Stage.PAUSING
        async with naras(town, HISTORY):
            await trio.sleep(400)
            assert held_ids(me.node) == ids(HISTORY)
            assert str(recovery.progress.stage) == Stage.DONE


@in_town
async def test_a_node_without_peers_asks_those_that_it_hears_of_within_moments(
    town: Town,
) -> None:
    parts = parts_of(HISTORY, 2)
    async with town.house(ME, "me") as me, trio.open_nursery() as nursery:
        recovery = me.mesh.recovery
        nursery.start_soon(recovery.run)
        await recovery.had_turn.wait()
        assert str(recovery.progress.stage) == Stage.LOOKING
        async with naras(town, *parts) as friends:
            await believe(me.node, *(one.who for one in friends))
            for friend, url in zip(friends, urls(1, 2), strict=True):
                me.mesh.peers.heard(friend.who.name, url)
                await trio.sleep(LOOK_S - 1)  # they do not all come in one moment
            await trio.sleep(2 * LOOK_S)
            assert held_ids(me.node) == ids(HISTORY)
            assert (recovery.progress.peers, recovery.progress.attempts) == (2, 1)
            assert str(recovery.progress.stage) == Stage.DONE


@in_town
async def test_names_that_all_say_to_be_at_one_place_are_one_peer_of_it(town: Town) -> None:
    async with town.house(ME, "me") as me, naras(town, HISTORY) as friends:
        crowd = identities(1, VOTERS)
        await believe(me.node, friends[0].who, *crowd)
        me.mesh.peers.heard("friend-1", urls(1)[0])
        for one in crowd:
            me.mesh.peers.heard(one.name, urls(9)[0])  # nobody is there
        await me.mesh.recovery.run()
        assert len(crowd) > 1
        assert me.mesh.recovery.progress.peers == 2
        assert held_ids(me.node) == ids(HISTORY)


# -- checkpoints ----------------------------------------------------------------------------------


class OnlySamples(Nara):
    """Its pages are broken, and among its checkpoints is what is none."""

    def _sync(self, request: Event, body: bytes) -> Reply:
        is_sample = request["mode"] == "sample"
        return super()._sync(request, body) if is_sample else text(500, "broken")

    def _checkpoints(self, limit: int, offset: int) -> Reply:
        plain = super()._checkpoints(limit, offset)
        begin = b'"checkpoints":['
        mixed = plain.body.replace(begin, begin + tease(5) + b",", 1)
        return Reply(plain.status, mixed, plain.content_type)


@in_town
async def test_checkpoints_come_by_the_list_from_who_gives_no_pages_and_nothing_else_with_them(
    town: Town,
) -> None:
    """After samples were enough."""
    agreed = [checkpoint(identities(1, VOTERS)[:3], number) for number in range(1, 60)]
    younger = [tease(number) for number in range(10, 1_000)]

    def only_samples(nara: Nara) -> Nara:
        return OnlySamples(nara.who, nara.world, nara.http, nara.events, nara.keys)

    with in_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(timelines, "PAGE", 20)
        async with naras(town, [*agreed, *younger], bad={1: only_samples}):
            async with town.house(ME, "me", capacity=100, peers=urls(1)) as me:
                await me.mesh.recovery.run()
                held = held_ids(me.node)
                assert held >= ids(agreed)
                assert id_of_body(tease(5)) not in held
                assert str(me.mesh.recovery.progress.stage) == Stage.DONE


@in_town
async def test_a_timeline_that_is_cut_is_counted_and_what_came_of_it_stays(town: Town) -> None:
    agreed = [checkpoint(identities(1, VOTERS)[:3], number) for number in range(1, 60)]
    younger = [tease(number) for number in range(10, 1_000)]
    with in_small(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(timelines, "PAGE", 20)
        patch.setattr(timelines, "MOST_PAGES", 2)
        patch.setattr(pulling, "MIN_EVENTS", 10)
        async with naras(town, [*agreed, *younger]):
            async with town.house(ME, "me", capacity=100, peers=urls(1)) as me:
                await me.mesh.recovery.run()
                assert len(held_ids(me.node) & ids(agreed)) >= 2 * timelines.PAGE
                assert b"postbox_recovery_timelines_cut 1.0" in me.mesh.metrics.render()
