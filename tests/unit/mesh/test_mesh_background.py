"""Keeping up with peers, round after round, in virtual time; the peer says what a test tells it."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.config import LogConfig
from postbox.logs import configure
from postbox.mesh.background import keeping as keeping_module
from postbox.mesh.background.keeping import (
    FAR_EVERY,
    FAR_NS,
    MOST_NEW,
    NEAR_NS,
    WHOLE_EVERY,
    Keeper,
    keep_up,
    most_new,
)
from postbox.mesh.calling import pull as pulling
from postbox.mesh.calling.introductions import Met
from postbox.mesh.memory import MAX_CAPACITY
from postbox.mesh.peers.known import Contact, Known
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.mesh.wire import HELLO_PATH, About
from postbox.metrics import Metrics
from support.liars import (
    Answering,
    Asked,
    Facing,
    Liar,
    Reply,
    facing,
    honest,
    in_turn,
    listening,
    nara,
    silence,
)
from support.mesh import CAT, NOW_NS, tease
from support.simulate import MemoryDisk, Simulation, simulate

PAUSE_S = 60.0
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
EVENTS = [tease(number) for number in (3, 2, 1)]
REFUSED = tease(9).replace(b"random", b"comebk")


class Kept:
    """A keeper of a link to a liar."""

    def __init__(self, face: Facing) -> None:
        self.face = face
        self.liar = face.liar
        self.link = Known(face.url)
        self.metrics = Metrics()
        peer = face.mesh.peer(face.url)
        world, intake = face.node.world, face.node.intake
        self.keeper = Keeper(world, peer, self.link, face.mesh.peers, intake, PAUSE_S, self.metrics)

    async def pauses(self, rounds: int) -> list[float]:
        """So many rounds, with no pause between them."""
        return [await self.keeper.round() for _ in range(rounds)]

    @property
    def cursors(self) -> list[int | None]:
        """Where the walks began, if each was one page."""
        found = [request.get("cursor") for request in self.liar.syncs]
        return [None if cursor is None else int(cursor) for cursor in found]


def keeping(home: Path, liar: Liar, test: Callable[[Kept], Awaitable[None]], seed: int = 1) -> None:
    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        liar.clock = world.clock
        async with facing(home, liar, world=world) as face:
            await test(Kept(face))

    simulate(seed, main)


def says(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Answering:
    return lambda _liar, _asked: Reply(status, headers, body)


FAILING = says(500)
UNKNOWN = says(401, b"Authentication failed: unknown sender: you")


# -- where a round begins -------------------------------------------------------------------------


def since(newest: int) -> list[int]:
    """Where the rounds begin that follow upon one at the beginning, up to the next such."""
    overlaps = [NEAR_NS if number % FAR_EVERY else FAR_NS for number in range(1, WHOLE_EVERY)]
    return [newest - overlap_ns for overlap_ns in overlaps]


def test_the_first_walk_is_whole_and_later_ones_begin_minutes_or_an_hour_before_the_newest(
    tmp_path: Path,
) -> None:
    async def test(kept: Kept) -> None:
        await kept.pauses(2 * WHOLE_EVERY + 1)
        later = since(NOW_NS - SECOND_NS)
        assert kept.cursors == [None, *later, None, *later, None]

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


def test_what_comes_to_the_peer_late_is_found_within_the_overlap_or_by_a_whole_walk(
    tmp_path: Path,
) -> None:
    near, far, very_late = tease(1 + 299), tease(1 + 3_599), tease(1 + 3_601)

    async def test(kept: Kept) -> None:
        await kept.pauses(1)
        kept.liar.sync = nara([*EVENTS, near, far, very_late])
        await kept.pauses(1)
        assert await kept.face.holds() == [*EVENTS, near]
        await kept.pauses(FAR_EVERY - 1)
        assert await kept.face.holds() == [*EVENTS, near, far]
        await kept.pauses(WHOLE_EVERY - FAR_EVERY)
        assert await kept.face.holds() == [*EVENTS, near, far, very_late]

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


def test_who_was_walked_before_is_asked_for_what_is_new_from_the_first_round_on(
    tmp_path: Path,
) -> None:
    """By a life of this node before, or by its recovery."""

    async def test(kept: Kept) -> None:
        kept.link.cursor_ns = before_ns = NOW_NS - DAY_NS
        await kept.pauses(WHOLE_EVERY + 1)
        later = since(NOW_NS - SECOND_NS)
        assert kept.cursors == [before_ns - FAR_NS, *later, None]

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


def test_after_a_failure_the_walk_is_whole_and_the_count_begins_anew(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        await kept.pauses(2)
        kept.liar.sync = FAILING
        await kept.pauses(2)
        kept.liar.sync = nara(EVENTS)
        await kept.pauses(WHOLE_EVERY + 1)
        whole = [number for number, cursor in enumerate(kept.cursors) if cursor is None]
        assert whole == [0, 3, 4, 4 + WHOLE_EVERY], "the second failure, and what came after it"

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


@pytest.mark.parametrize("ahead_ns", [600 * SECOND_NS, DAY_NS, 9 * 10**18 - NOW_NS])
def test_an_event_of_the_future_hides_nothing_that_comes_before_it(
    tmp_path: Path, ahead_ns: int
) -> None:
    """Taken (up to 15 minutes ahead) or refused."""
    ahead = tease(-ahead_ns // SECOND_NS)

    async def test(kept: Kept) -> None:
        await kept.pauses(1)
        walked_ns = kept.face.node.world.clock.now_ns()
        await trio.sleep(100)
        await kept.pauses(1)
        began = kept.cursors[1]
        assert began is not None
        assert walked_ns - NEAR_NS - 2 * SECOND_NS < began <= walked_ns - NEAR_NS

    keeping(tmp_path, Liar(sync=nara([*EVENTS, ahead])), test)


def test_a_peer_without_events_is_walked_through_from_its_beginning(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        await kept.pauses(3)
        assert kept.cursors == [None, None, None]

    keeping(tmp_path, Liar(), test)


def test_a_peer_that_was_walked_through_before_is_asked_for_what_is_new(tmp_path: Path) -> None:
    """By an earlier process, or when this one caught up; whole walks come in their turn."""
    newest = NOW_NS - SECOND_NS

    async def test(kept: Kept) -> None:
        kept.link.cursor_ns = newest
        await kept.pauses(WHOLE_EVERY + 1)
        assert kept.cursors == [newest - FAR_NS, *since(newest), None]

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


def test_a_peer_that_is_banned_is_not_asked_until_it_is_forgiven(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        node, link = kept.face.node, kept.link
        await kept.pauses(1)
        ban, pardon = Sentence("bob", "ban", "", 1), Sentence("bob", "forgive", "", 1)
        for sentence, contact, asked in ((ban, Contact.BANNED, 1), (pardon, Contact.REACHED, 2)):
            await node.admission.submit(PeerRules(), [sentence])
            await kept.pauses(1)
            assert (link.contact, len(kept.liar.syncs)) == (contact, asked)

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


# -- when the next one is -------------------------------------------------------------------------


def test_pauses_are_drawn_around_the_pause(tmp_path: Path) -> None:
    drawn: list[list[float]] = []

    async def test(kept: Kept) -> None:
        drawn.append(await kept.pauses(100))

    for seed in (1, 2):
        keeping(tmp_path / str(seed), Liar(), test, seed)
    for pauses in drawn:
        assert 0.8 * PAUSE_S <= min(pauses) < 0.9 * PAUSE_S
        assert 1.1 * PAUSE_S < max(pauses) <= 1.2 * PAUSE_S
    assert drawn[0] != drawn[1], "nodes that started together part"


def test_failures_are_tried_again_soon_then_less_often_and_at_last_at_every_pause(
    tmp_path: Path,
) -> None:
    async def test(kept: Kept) -> None:
        for _ in range(2):
            kept.liar.sync = FAILING
            for pause_s, told_s in zip(await kept.pauses(80), [2, 4, 8, 16, 32], strict=False):
                assert 0.8 * told_s <= pause_s <= 1.2 * told_s
            assert 0.8 * PAUSE_S <= (await kept.pauses(1))[0] <= 1.2 * PAUSE_S
            kept.liar.sync = nara(EVENTS)
            assert 0.8 * PAUSE_S <= (await kept.pauses(1))[0] <= 1.2 * PAUSE_S

    keeping(tmp_path, Liar(), test)


def test_a_busy_peer_is_left_alone_as_long_as_it_says(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        assert await kept.pauses(1) == [300.0]
        assert kept.link.contact is Contact.FAILED

    keeping(tmp_path, Liar(sync=says(503, b"", ("Retry-After", "999"))), test)


def test_it_goes_on_until_it_is_cancelled(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        with trio.move_on_after(600) as kept_up:
            await kept.keeper.run()
        assert kept_up.cancelled_caught
        assert 8 <= len(kept.liar.syncs) <= 13

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


# -- what a link tells ----------------------------------------------------------------------------


def test_a_link_tells_who_is_there_and_what_came(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        assert kept.link == Known(kept.face.url)
        await kept.pauses(2)
        link, clock = kept.link, kept.face.node.world.clock
        assert (link.name, link.kind, link.version, link.memory_mode) == (
            "bob",
            "postbox",
            "1",
            "short",
        )
        assert (link.contact, link.last_error) == (Contact.REACHED, "")
        assert (link.pulls, link.imported, link.rejected) == (2, 3, 2)
        assert link.rtt_ms is not None
        assert clock.now_ns() - SECOND_NS < link.last_contact_ns <= clock.now_ns()
        assert b'postbox_pulls_total{outcome="done"} 2.0' in kept.metrics.render()

    keeping(tmp_path, Liar(is_postbox=True, sync=honest([*EVENTS, REFUSED])), test)


def test_a_link_that_fails_tells_why_and_keeps_what_it_told(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        await kept.pauses(1)
        last_contact_ns = kept.link.last_contact_ns
        kept.liar.sync = FAILING
        await trio.sleep(100)
        await kept.pauses(1)
        link = kept.link
        assert (link.contact, link.name, link.pulls) == (Contact.FAILED, "bob", 1)
        assert "answered 500" in link.last_error
        assert link.last_contact_ns == last_contact_ns
        assert b'postbox_pulls_total{outcome="failed"} 1.0' in kept.metrics.render()

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


def test_what_came_before_a_walk_failed_is_counted(tmp_path: Path) -> None:
    events = [tease(2_000 - number) for number in range(500)]
    events.insert(100, events[100].replace(b"random", b"comebk"))
    first = honest(events, str(NOW_NS - 1_501 * SECOND_NS))

    async def test(kept: Kept) -> None:
        await kept.pauses(1)
        link = kept.link
        assert (link.contact, link.pulls) == (Contact.FAILED, 0)
        assert (link.imported, link.rejected) == (500, 1)

    keeping(tmp_path, Liar(sync=in_turn(first, FAILING)), test)


def test_a_link_waits_for_the_peer_s_operator(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        await kept.pauses(3)
        assert kept.link.contact is Contact.WAITING
        assert "postbox trust add" in kept.link.last_error
        assert len(kept.liar.asked_at(HELLO_PATH)) == 3, "one a round"
        kept.liar.sync = nara(EVENTS)
        await kept.pauses(1)
        assert (kept.link.contact, kept.link.imported) == (Contact.REACHED, 3)

    keeping(tmp_path, Liar(is_postbox=True, sync=UNKNOWN), test)


def test_another_node_at_the_same_address_is_another_peer(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        await kept.pauses(1)
        kept.liar.who = CAT
        await kept.pauses(1)
        assert (kept.link.contact, kept.link.name) == (Contact.REACHED, "cat")

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


# -- peers that hang, and peers without end -------------------------------------------------------


def test_a_peer_that_hangs_holds_no_other_up_and_all_end_when_they_are_cancelled(
    tmp_path: Path,
) -> None:
    async def test(good: Kept) -> None:
        silent = {what: Liar(clock=good.liar.clock) for what in ("ping", "hello", "sync")}
        for what, liar in silent.items():
            liar.is_postbox = True
            setattr(liar, what, lambda *_: silence)
        silent["hello"].who = CAT
        net = good.face.node.world.net
        async with (
            listening(net, silent["ping"]) as one,
            listening(net, silent["hello"]) as two,
            listening(net, silent["sync"]) as three,
        ):
            bad = [
                Kept(Facing(good.face.node, good.face.mesh, good.liar, url))
                for url in (one, two, three)
            ]
            with trio.move_on_after(605) as kept_up:
                await keep_up([kept.keeper for kept in (*bad, good)])
            assert kept_up.cancelled_caught
        assert good.link.pulls >= 8
        assert [kept.link.pulls for kept in bad] == [0, 0, 0]
        assert all("no complete answer within" in kept.link.last_error for kept in bad)

    keeping(tmp_path, Liar(sync=nara(EVENTS)), test)


def test_a_link_tells_when_it_failed_and_when_it_is_tried_again(tmp_path: Path) -> None:
    async def test(kept: Kept) -> None:
        link, clock = kept.link, kept.face.node.world.clock
        assert (link.failed_ns, link.next_ns) == (0, 0)
        with trio.move_on_after(601):
            await kept.keeper.run()
        now_ns = clock.now_ns()
        assert link.contact is Contact.FAILED
        assert now_ns - 1.2 * PAUSE_S * SECOND_NS < link.failed_ns < now_ns < link.next_ns
        assert link.next_ns - link.failed_ns == pytest.approx(PAUSE_S * SECOND_NS, rel=0.21)
        kept.liar.sync = lambda *_: silence
        with trio.move_on_after(10):
            await kept.keeper.round()
        assert (link.contact, link.next_ns) == (Contact.PULLING, 0)

    keeping(tmp_path, Liar(sync=FAILING), test)


PAGES_A_ROUND = 10


def slowly(pages: int) -> Answering:
    """So many full pages, each as slow as may be, of which a walk asks for the one it is at."""
    events = [tease(DAY_NS // SECOND_NS - number) for number in range(2 * pages)]

    def answer(liar: Liar, asked: Asked) -> Callable[[trio.abc.Stream], Awaitable[None]]:
        after_ns = int(json.loads(asked.body).get("cursor") or 0)
        page = [event for event in events if json.loads(event)["ts"] > after_ns][:2]
        is_last = page[-1] == events[-1]
        cursor = None if is_last else str(json.loads(page[-1])["ts"])
        reply = liar.signed(liar.told(page, cursor)).raw()

        async def send(stream: trio.abc.Stream) -> None:
            await trio.sleep(55)
            await stream.send_all(reply)

        return send

    return answer


def test_a_slow_peer_is_walked_through_over_many_rounds_and_nothing_is_held_against_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a line that breaks now and then."""
    monkeypatch.setattr(pulling, "MIN_EVENTS", 2)
    monkeypatch.setattr(keeping_module, "ROUND_S", PAGES_A_ROUND * 55)
    pages = 4 * PAGES_A_ROUND

    async def test(kept: Kept) -> None:
        roster, at = kept.face.mesh.peers, list[int]()
        for number in range(5):
            kept.liar.sync = FAILING if number == 2 else slowly(pages)
            await kept.pauses(1)
            at.append(kept.link.imported // 2)
        assert at == [PAGES_A_ROUND * times for times in (1, 2, 2, 3, 4)], "on from where it was"
        assert len(await kept.face.holds()) == 2 * pages
        assert kept.link.cursor_ns == json.loads((await kept.face.holds())[-1])["ts"]
        assert not roster.accused()

    keeping(tmp_path, Liar(), test)


def test_the_events_of_a_walk_without_end_are_counted_over_all_its_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MIN_EVENTS", 2)
    monkeypatch.setattr(keeping_module, "ROUND_S", PAGES_A_ROUND * 55)
    monkeypatch.setattr(keeping_module, "MOST_NEW", 50)

    async def test(kept: Kept) -> None:
        await kept.pauses(2)
        assert (kept.link.contact, kept.link.pulls) == (Contact.REACHED, 2)
        await kept.pauses(1)
        assert (kept.link.contact, kept.link.pulls) == (Contact.FAILED, 2)
        assert "52 new events, and no end" in kept.link.last_error
        assert kept.link.imported == 52
        assert kept.face.mesh.peers.accused()

    keeping(tmp_path, Liar(sync=slowly(100)), test)


def test_a_peer_that_brings_more_new_events_than_there_can_be_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MIN_EVENTS", 2)
    monkeypatch.setattr(keeping_module, "MOST_NEW", 9)

    def endless(liar: Liar, _: Asked) -> Reply:
        number = len(liar.syncs)
        page = [tease(DAY_NS // SECOND_NS - 2 * number + n) for n in (1, 0)]
        return liar.signed(liar.told(page, str(json.loads(page[-1])["ts"])))

    async def test(kept: Kept) -> None:
        await kept.pauses(1)
        assert kept.link.contact is Contact.FAILED
        assert "10 new events, and no end" in kept.link.last_error
        assert kept.link.imported == len(await kept.face.holds()) == 10
        assert kept.link.cursor_ns == 0

    keeping(tmp_path, Liar(sync=endless), test)


@pytest.mark.parametrize(
    ("told", "most"), [(None, MOST_NEW), (-(2**63), MOST_NEW), (2**63 - 1, 2 * MAX_CAPACITY)]
)
def test_no_peer_is_believed_that_it_has_more_events_than_any_can(
    told: int | None, most: int
) -> None:
    about = About("1", [], "", "hog", 0, told)
    assert most_new(Met("bob", about, rtt_ms=1.0, clock_off_ms=0.0)) == most


# -- what the log says ----------------------------------------------------------------------------


def test_the_log_has_a_line_when_a_link_changes_and_none_for_each_round(tmp_path: Path) -> None:
    stream = io.StringIO()
    told: list[dict[str, Any]] = []

    async def test(kept: Kept) -> None:
        journal = configure(LogConfig(format="json"), kept.face.node.world.clock, stream)
        for sync in (nara(EVENTS), FAILING, UNKNOWN, honest(EVENTS, late_s=999), nara(EVENTS)):
            kept.liar.sync = sync
            for _ in range(20):
                await kept.keeper.round()
                await trio.sleep(PAUSE_S)
        journal.close()
        told.extend(json.loads(line) for line in stream.getvalue().splitlines())
        assert {line["url"] for line in told} == {kept.face.url}

    keeping(tmp_path, Liar(is_postbox=True, sync=nara(EVENTS)), test)
    assert [(line["level"], line["event"]) for line in told] == [
        ("info", "a peer answers"),
        ("info", "pulled"),
        ("warning", "a peer cannot be pulled from"),
        ("warning", "a peer does not know this node"),
        ("warning", "a peer cannot be pulled from"),
        ("info", "a peer answers"),
    ]
    assert {line["logger"] for line in told} == {"postbox.mesh.background.keeping"}
    assert told[0]["name"] == "bob"
    assert (told[1]["new_events"], told[1]["refused"]) == (len(EVENTS), 0)
    assert "answered 500" in told[2]["error"]
    assert "its time is off" in told[4]["error"]


def test_a_peer_that_changes_all_the_time_does_not_flood_the_log(tmp_path: Path) -> None:
    stream = io.StringIO()

    async def test(kept: Kept) -> None:
        journal = configure(LogConfig(format="json"), kept.face.node.world.clock, stream)
        for number in range(100):
            kept.liar.sync = FAILING if number % 2 else nara(EVENTS)
            await kept.keeper.round()
        journal.close()

    keeping(tmp_path, Liar(), test)
    assert len(stream.getvalue().splitlines()) <= 2 * (6 + 1) * 2
