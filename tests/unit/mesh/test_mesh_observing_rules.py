"""What a node may say of others, and when it is its turn."""

from __future__ import annotations

import pytest

from postbox.mesh.draws import Draws
from postbox.mesh.observing.observing_rules import (
    HERE_NS,
    LONGEST_S,
    MISSES,
    RESTARTS_APART_S,
    SETTLE_S,
    SKEW_NS,
    SPREAD_S,
    VOICES,
    Fact,
    Sight,
    State,
    is_wanted,
    said_ns,
    state_of,
    turn_s,
)
from postbox.mesh.reading import Observation

NOW_NS = 1_800_000_000 * 10**9
JUST, OLD = NOW_NS - HERE_NS, NOW_NS - HERE_NS - 1
MISSED = Sight(contact_ns=OLD, answered_ns=OLD, failures=MISSES, presence="missing")


@pytest.mark.parametrize(
    ("sight", "state"),
    [
        (Sight(), None),
        (Sight(contact_ns=JUST), "ONLINE"),
        (Sight(word_ns=JUST), "ONLINE"),
        (Sight(contact_ns=OLD, word_ns=OLD), None),  # busy elsewhere, perhaps
        (Sight(word_ns=OLD, is_goodbye=True), "OFFLINE"),
        (Sight(contact_ns=OLD - 1, word_ns=OLD, is_goodbye=True), "OFFLINE"),
        (Sight(contact_ns=JUST, word_ns=OLD, is_goodbye=True), "ONLINE"),  # it came back
        (Sight(contact_ns=OLD, word_ns=OLD - 1, is_goodbye=True), None),
        (MISSED, "MISSING"),
        (MISSED._replace(failures=MISSES - 1), None),
        (MISSED._replace(presence="online"), None),  # others see it
        (MISSED._replace(presence="offline"), None),  # it said goodbye, as others know
        (MISSED._replace(contact_ns=JUST), "ONLINE"),
        (MISSED._replace(word_ns=JUST), "ONLINE"),
        (MISSED._replace(answered_ns=JUST), None),  # it is there, and will not talk to us
        (MISSED._replace(contact_ns=0), None),  # it never was
        (MISSED._replace(word_ns=OLD + 1, is_goodbye=True), "OFFLINE"),
    ],
)
def test_what_is_seen_of_a_name(sight: Sight, state: State | None) -> None:
    assert state_of(sight, NOW_NS) == state


@pytest.mark.parametrize(
    ("at_ns", "heard_ns", "said"),
    [
        (NOW_NS, NOW_NS + 5, NOW_NS + 5),
        (NOW_NS + 5, NOW_NS, NOW_NS),  # its clock is ahead
        (NOW_NS, NOW_NS + 2 * SKEW_NS, NOW_NS + SKEW_NS),  # it came late
    ],
)
def test_when_something_was_said_by_our_clock(at_ns: int, heard_ns: int, said: int) -> None:
    assert said_ns(at_ns, heard_ns) == said


@pytest.mark.parametrize(
    ("drawn", "pool", "after_s"),
    [
        (0.99, 0, SETTLE_S),
        (0.99, VOICES, SETTLE_S),
        (0.5, 2 * VOICES, SETTLE_S + SPREAD_S),
        (0.49, 2 * VOICES, SETTLE_S),
        (0.99, 4 * VOICES, SETTLE_S + SPREAD_S * 0.99 * 4),
        (0.99, 6 * VOICES, None),
        (0.0, 10**6, SETTLE_S),
    ],
)
def test_whose_turn_it_is(drawn: float, pool: int, after_s: float | None) -> None:
    assert turn_s(drawn, pool) == (None if after_s is None else pytest.approx(after_s))


@pytest.mark.parametrize("nodes", [4, 7, 50, 1_000])
def test_about_as_many_speak_at_once_whatever_the_size_of_the_mesh(nodes: int) -> None:
    draws = Draws(f"{nodes} nodes")
    rounds = [[turn_s(draws.fraction(), nodes) for _ in range(nodes)] for _ in range(200)]
    at_once = sum(turn == SETTLE_S for turns in rounds for turn in turns) / len(rounds)
    assert at_once == pytest.approx(VOICES, rel=0.1)
    later = [sum(turn is not None for turn in turns) for turns in rounds]
    assert min(later) >= VOICES, "somebody speaks where those are gone"
    assert max(later) <= 40, "and far from all wait for it"
    assert max(turn or 0 for turns in rounds for turn in turns) <= LONGEST_S


def restart(by: str, start_s: int = 1_000) -> Observation:
    return Observation(observer=by, subject="bob", type="restart", start_time=start_s)


def seen(by: str) -> Observation:
    return Observation(observer=by, subject="bob", type="first-seen", start_time=1_000)


def state(by: str, state: str) -> Observation:
    return Observation(observer=by, subject="bob", type="status-change", online_state=state)


RESTART = Fact("bob", "restart", start_s=1_000)
FIRST = Fact("bob", "first-seen", start_s=5_000)
HERE, LEFT, GONE = (
    Fact("bob", "status-change", state="ONLINE"),
    Fact("bob", "status-change", state="OFFLINE"),
    Fact("bob", "status-change", state="MISSING"),
)
CROWD = ["ann", "cat", "dan"]


@pytest.mark.parametrize(
    ("fact", "told", "wanted"),
    [
        (RESTART, [], True),
        (RESTART, [restart("ann"), restart("cat")], True),
        (RESTART, [restart("ann"), restart("ann"), restart("ann")], True),
        (RESTART, [restart(by) for by in CROWD], False),
        (RESTART, [restart("me")], False),
        (RESTART, [restart("me", 1_000 - RESTARTS_APART_S)], True),
        (RESTART, [restart("ann", 1_001 - RESTARTS_APART_S)], False),  # again and again
        (RESTART, [restart("ann", 999 + RESTARTS_APART_S)], False),
        (RESTART, [state("me", "ONLINE"), seen("me")], True),
        (FIRST, [], True),
        (FIRST, [seen("ann"), restart("ann"), restart("cat")], True),
        (FIRST, [seen("ann"), restart("dan"), restart("cat")], False),
        (FIRST, [seen("me")], False),
        (FIRST, [restart("me", 1)], False),
        (FIRST, [state("me", "ONLINE")], True),
        (HERE, [], True),
        (HERE, [state("ann", "ONLINE"), state("cat", "ONLINE")], True),
        (HERE, [state(by, "ONLINE") for by in CROWD], False),
        (HERE, [state("me", "ONLINE")], False),
        (HERE, [state("ann", "MISSING"), state("me", "ONLINE")], True),  # as if it were gone
        (HERE, [state("cat", "ONLINE"), state("ann", "OFFLINE"), state("me", "ONLINE")], True),
        (LEFT, [], False),  # nobody said that it was here
        (LEFT, [state("ann", "MISSING")], False),
        (LEFT, [state("ann", "ONLINE")], True),
        (LEFT, [state("ann", "MISSING"), state("ann", "ONLINE")], True),
        (GONE, [state("me", "OFFLINE"), state("ann", "ONLINE")], False),  # gone is gone
        (GONE, [*(state(by, "OFFLINE") for by in CROWD), state("ann", "ONLINE")], False),
        (GONE, [restart("ann"), state("ann", "ONLINE")], True),
    ],
)
def test_what_too_few_have_said(fact: Fact, told: list[Observation], wanted: bool) -> None:
    assert is_wanted(fact, told, "me") is wanted
