"""The plan of a recovery: whom to ask what, how the shares fall, and when to stop."""

from __future__ import annotations

import random  # noqa: TID251  (a mesh to ask, from a seed)
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import pytest

from postbox.mesh.boot.recovery_rules import (
    ATTEMPT_S,
    LATE_S,
    MOST_EVENTS,
    OVERLAP_NS,
    STILL_S,
    WALKS,
    Brought,
    Goal,
    Plan,
    Rest,
    Sample,
    Walk,
    goal_of,
    waits_s,
)

GOAL = Goal(target=1_000, capacity=4_000, peers=10, sample=100)
HUGE = 50_000
"""Events of a peer whose pages cost more than samples."""
CURSOR_NS = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("capacity", "goal"),
    [
        (20_000, Goal(5_000, 20_000, 4, 1_000)),
        (80_000, Goal(50_000, 80_000, 10, 5_000)),
        (320_000, Goal(80_000, 320_000, 10, 5_000)),
        (300, Goal(300, 300, 10, 300)),
        (1_000_000, Goal(50_000, 1_000_000, 10, 5_000)),
    ],
)
def test_the_target_is_that_of_the_memory(capacity: int, goal: Goal) -> None:
    assert goal_of(capacity) == goal


def test_peers_are_looked_for_after_30_30_and_60_s_and_then_seldom() -> None:
    assert list(islice(waits_s(), 5)) == [30, 30, 60, 300, 300]


@dataclass
class Trial:
    """A plan whose answers come as a test says, on a clock of its own."""

    peers: str
    held: int = 0
    goal: Goal = GOAL
    now_s: float = 100.0
    cursor_ns: int = 0
    has: int | None = HUGE
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self.plan = Plan(self.goal, self.held, list(self.peers), self.now_s)

    def meet(self, *peers: str) -> None:
        for peer in peers or self.peers:
            self.plan.met(peer, self.cursor_ns, self.has)

    def next(self, peer: str) -> object:
        return self.plan.next(peer, self.now_s)

    def sampled(self, peer: str, new: int, events: int = 100, *, is_all: bool = False) -> None:
        self.held += new
        self.plan.sampled(peer, Brought(events, new), self.held, self.now_s, is_all=is_all)

    def paged(self, peer: str, new: int, events: int = 100) -> bool:
        self.held += new
        return self.plan.paged(peer, Brought(events, new), self.held, self.now_s)


def met(peers: str, **more: object) -> Trial:
    trial = Trial(peers, **more)  # type: ignore[arg-type]
    trial.meet()
    return trial


# -- what is asked first -------------------------------------------------------------------------


def test_a_peer_that_was_never_walked_gives_a_sample_first() -> None:
    assert met("a").next("a") == Sample(100)


def test_a_peer_that_was_walked_is_asked_for_what_came_since_and_for_nothing_else() -> None:
    trial = met("a", cursor_ns=CURSOR_NS)
    assert trial.next("a") == Walk(CURSOR_NS - OVERLAP_NS)
    trial.paged("a", 0, 3)
    trial.plan.walked("a")
    assert trial.next("a") is Rest.LEAVE
    assert trial.plan.is_done


def test_one_that_was_not_met_yet_is_asked_nothing() -> None:
    assert Trial("a").next("a") is Rest.LEAVE


# -- samples or pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "new", "goes_on"),
    [
        (HUGE, 100, True),  # all of it was new
        (HUGE, 2, True),  # 900 more cost 45,000 events by such samples: still less than its pages
        (HUGE, 1, False),  # now they cost 90,000
        (HUGE, 0, False),
        (899, 100, False),  # its pages cost less than what is missing by the best of samples
        (900, 100, True),
        (0, 100, False),
        (10**18, 0, False),
    ],
)
def test_samples_go_on_while_they_cost_less_than_the_pages(
    has: int, new: int, goes_on: bool
) -> None:
    trial = met("a", held=100 - new, has=has)
    trial.next("a")
    trial.sampled("a", new)
    assert trial.next("a") == (Sample(100) if goes_on else Walk(0))


def test_a_peer_that_does_not_tell_is_taken_to_have_what_naras_have() -> None:
    trial = met("a", has=None)
    trial.next("a")
    trial.sampled("a", 2)  # 998 more by such samples: 49,900
    assert trial.next("a") == Sample(100)
    trial.sampled("a", 1)  # 99,700
    assert trial.next("a") == Walk(0)


def test_a_sample_that_has_all_is_all_that_is_asked_for() -> None:
    trial = met("a")
    trial.next("a")
    trial.sampled("a", 40, 40, is_all=True)
    assert trial.next("a") is Rest.LEAVE
    assert trial.plan.is_done
    assert trial.plan.is_whole("a")


def test_enough_is_enough() -> None:
    trial = met("ab", held=950)
    trial.next("a")
    trial.next("b")
    trial.sampled("a", 60)
    assert trial.next("a") is Rest.LEAVE
    trial.sampled("b", 20)
    assert trial.next("b") is Rest.LEAVE
    assert trial.plan.is_done
    assert not trial.plan.is_whole("a"), "it has more than it was asked for"


def test_a_node_that_has_enough_looks_whether_the_peer_has_what_it_has() -> None:
    trial = met("a", held=5_000)
    assert trial.next("a") == Sample(100)
    trial.sampled("a", 10)
    assert trial.next("a") is Rest.LEAVE


# -- shares ----------------------------------------------------------------------------------------


def test_each_of_ten_peers_brings_its_share_and_waits_for_the_others_then() -> None:
    trial = met("abcdefghij")
    for _ in range(2):
        if trial.next("a") == Sample(100):
            trial.sampled("a", 100)
    assert trial.next("a") is Rest.WAIT, "it brought a tenth"
    assert trial.next("b") == Sample(100)


def test_the_share_of_one_that_fails_goes_to_the_others() -> None:
    trial = met("ab")
    for _ in range(5):
        assert trial.next("a") == Sample(100)
        trial.sampled("a", 100)
    assert trial.next("a") is Rest.WAIT
    trial.plan.failed("b")
    assert trial.next("a") == Sample(100)


def test_the_share_of_one_that_has_no_more_goes_to_the_others() -> None:
    trial = met("ab")
    trial.next("b")
    for _ in range(5):
        trial.next("a")
        trial.sampled("a", 100)
    assert trial.next("a") is Rest.WAIT
    trial.sampled("b", 30, 30, is_all=True)
    assert trial.next("a") == Sample(100)


def test_the_share_of_one_that_stalls_goes_to_the_others_until_it_answers() -> None:
    trial = met("ab")
    trial.next("b")
    for _ in range(5):
        trial.next("a")
        trial.sampled("a", 100)
    assert trial.next("a") is Rest.WAIT
    trial.now_s += LATE_S + 1
    assert trial.next("a") == Sample(100)
    trial.sampled("a", 50)
    trial.sampled("b", 100)
    assert trial.next("a") is Rest.WAIT
    assert trial.next("b") == Sample(100)


def test_what_a_peer_gave_before_it_failed_counts() -> None:
    trial = met("abc")
    trial.next("a")
    trial.sampled("a", 100)
    trial.plan.failed("a")
    for _ in range(5):
        assert trial.next("b") == Sample(100)
        trial.sampled("b", 100)
    assert trial.next("b") is Rest.WAIT, "450 of the 900 that were missing"


# -- walks -----------------------------------------------------------------------------------------


def test_two_are_walked_from_the_beginning_at_once_and_all_that_were_walked_before() -> None:
    trial = met("abcd", has=0)
    for peer in "abcd":
        trial.next(peer)
        trial.sampled(peer, 1)
    steps = [trial.next(peer) for peer in "abcd"]
    assert steps == [Walk(0)] * WALKS + [Rest.WAIT] * (4 - WALKS)
    trial.plan.met("d", CURSOR_NS, 0)
    assert isinstance(trial.next("d"), Walk)
    trial.plan.walked("a")
    assert trial.next("c") == Walk(0)


def test_a_walk_that_stalls_holds_up_no_other() -> None:
    trial = met("abc", has=0)
    for peer in "abc":
        trial.next(peer)
        trial.sampled(peer, 1)
        trial.next(peer)
    trial.now_s += LATE_S / 2
    trial.paged("a", 100)
    trial.now_s += LATE_S / 2 + 1
    assert trial.next("c") == Walk(0), "b is late"


def test_a_walk_that_brings_more_than_there_can_be_is_left() -> None:
    trial = met("a", has=0)
    trial.next("a")
    trial.sampled("a", 100)
    trial.next("a")
    pages = 0
    while trial.paged("a", 0, 100):
        pages += 1
    assert pages * 100 + 100 == 2 * GOAL.capacity


def test_who_says_that_it_has_much_may_give_as_much() -> None:
    trial = met("a", has=10**12)
    trial.next("a")
    trial.sampled("a", 0)
    trial.next("a")
    assert trial.paged("a", 0, MOST_EVENTS)
    assert not trial.paged("a", 0, MOST_EVENTS + 1)


def test_who_does_not_tell_how_much_it_has_may_have_the_largest_memory() -> None:
    """A nara, for example; its pages are thought to cost what usual ones do all the same."""
    trial = met("a", has=None)
    trial.next("a")
    trial.sampled("a", 0)
    trial.next("a")
    assert trial.paged("a", 0, 2 * MOST_EVENTS - 100)
    assert not trial.paged("a", 0, 1)


# -- the end ---------------------------------------------------------------------------------------


def test_it_is_over_when_nobody_has_anything_to_tell_any_more() -> None:
    trial = met("ab")
    assert not trial.plan.is_over(trial.now_s)
    trial.plan.failed("a")
    trial.next("b")
    trial.sampled("b", 5, 5, is_all=True)
    assert trial.plan.is_over(trial.now_s)
    assert (trial.plan.missed, trial.plan.is_done) == (1, False), "a may have more"


def test_it_is_over_when_nothing_comes_any_more() -> None:
    trial = met("a")
    trial.next("a")
    assert not trial.plan.is_over(trial.now_s + STILL_S)
    assert trial.plan.is_over(trial.now_s + STILL_S + 1)


def test_it_is_over_in_the_end_however_slowly_somebody_goes_on() -> None:
    trial = met("a", has=0)
    trial.next("a")
    trial.sampled("a", 1)
    trial.next("a")
    began_s = trial.now_s
    while not trial.plan.is_over(trial.now_s):
        trial.now_s += STILL_S - 1
        trial.paged("a", 1, 1)
    assert began_s + ATTEMPT_S < trial.now_s < began_s + ATTEMPT_S + STILL_S


@pytest.mark.parametrize(("held", "is_done"), [(999, False), (1_000, True)])
def test_with_the_target_reached_it_is_done_though_some_failed(held: int, is_done: bool) -> None:
    trial = met("ab", held=held - 1)
    trial.plan.failed("a")
    trial.next("b")
    trial.sampled("b", 1, 1, is_all=True)
    assert trial.plan.is_done == is_done


def test_who_cannot_be_reached_is_not_waited_for_to_be_done() -> None:
    trial = Trial("ab")
    trial.meet("b")
    trial.plan.failed("a")
    trial.next("b")
    trial.sampled("b", 5, 5, is_all=True)
    assert trial.plan.is_over(trial.now_s)
    assert (trial.plan.told, trial.plan.missed, trial.plan.is_done) == (1, 0, True)


def test_it_is_not_done_when_nobody_answered() -> None:
    trial = Trial("ab", held=5_000)
    trial.plan.failed("a")
    trial.plan.failed("b")
    assert trial.plan.is_over(trial.now_s)
    assert not trial.plan.is_done


@pytest.mark.parametrize(
    ("gave", "accused"),
    [
        ((900, 800, 1_000, 8), "d"),
        ((900, 800, 1_000, 9), ""),
        ((900, 800, 1_000, 0), "d"),
        ((900, 800, 0), ""),  # two are no majority of much
        ((900, 0, 0, 0), ""),
        ((50, 60, 70, 1), ""),  # nobody has much
    ],
)
def test_who_gives_next_to_nothing_of_what_the_others_gave_withholds(
    gave: tuple[int, ...], accused: str
) -> None:
    trial = met("abcd"[: len(gave)])
    for peer, events in zip("abcd", gave, strict=False):
        trial.next(peer)
        trial.sampled(peer, 0, events, is_all=True)
    assert trial.plan.withheld() == list(accused)


def test_who_was_walked_before_and_has_nothing_new_does_not_withhold() -> None:
    trial = met("abcd")
    trial.plan.met("d", CURSOR_NS, 1_000)
    for peer in "abc":
        trial.next(peer)
        trial.sampled(peer, 0, 900, is_all=True)
    trial.next("d")
    trial.paged("d", 0, 0)
    trial.plan.walked("d")
    assert trial.plan.withheld() == []


# -- as a whole ------------------------------------------------------------------------------------


@dataclass
class Mesh:
    """Peers in turn, each with a part of a history; one in three fails or gives nothing."""

    seed: int
    goal: Goal
    events: int

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        history = range(self.events)
        self.has = {
            peer: set(draw.sample(history, draw.randint(0, self.events))) for peer in "abcdefghi"
        }
        self.fails = dict.fromkeys(draw.sample("abcdefghi", 3), 0)
        self.held: set[int] = set()
        self._draw = draw

    def run(self) -> Plan:
        plan = Plan(self.goal, 0, list(self.has), 0.0)
        for peer, has in self.has.items():
            plan.met(peer, 0, self._draw.choice([None, len(has), 0, 10**9]))
        tasks = {peer: self._ask(plan, peer) for peer in self.has}
        for turn in range(10_000):
            if plan.is_over(turn / 1e3):
                return plan
            next(tasks[self._draw.choice(list(tasks))], None)
        raise AssertionError("it has no end")

    def _ask(self, plan: Plan, peer: str) -> Iterator[None]:
        has = sorted(self.has[peer])
        while (step := plan.next(peer, 0.0)) is not Rest.LEAVE:
            if peer in self.fails and self._draw.random() < 0.3:
                plan.failed(peer)
                return
            match step:
                case Sample(size):
                    given = self._draw.sample(has, min(size, len(has)))
                    new = self._take(given)
                    brought = Brought(len(given), new)
                    is_all = len(given) < size
                    plan.sampled(peer, brought, len(self.held), 0.0, is_all=is_all)
                case Walk(0):
                    for at in range(0, len(has), 50):
                        new = self._take(has[at : at + 50])
                        assert plan.paged(peer, Brought(50, new), len(self.held), 0.0)
                        yield
                    plan.walked(peer)
                case _:
                    assert step is Rest.WAIT
            yield

    def _take(self, given: list[int]) -> int:
        before = len(self.held)
        self.held.update(given)
        return len(self.held) - before


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("events", [50, 900, 4_000])
def test_every_recovery_ends_with_the_target_or_with_all_that_those_who_answered_have(
    seed: int, events: int
) -> None:
    mesh = Mesh(seed, GOAL, events)
    plan = mesh.run()
    told = [peer for peer in mesh.has if plan.has_told(peer)]
    there_is = set().union(*(mesh.has[peer] for peer in told))
    assert set(mesh.has) - set(told) <= set(mesh.fails)
    assert len(mesh.held) >= GOAL.target or there_is <= mesh.held
