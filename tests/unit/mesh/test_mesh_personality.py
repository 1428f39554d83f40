"""What a node of some taste keeps of what peers send: nara's table, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.mesh.merging.personality_rules import Personality
from postbox.mesh.reading import Observation, Payload, Ping, Seen, Social

REASONS = (
    "high-restarts",
    "comeback",
    "trend-abandon",
    "random",
    "nice-number",
    "online",
    "offline",
    "journey-pass",
    "journey-complete",
    "journey-timeout",
    "stash-stored",
    "",
)
TYPES = ("tease", "observed", "gossip", "observation", "service")


def social(kind: str, reason: str) -> Social:
    return Social(type=kind, actor="ann", target="bob", reason=reason)


def status(importance: int) -> Observation:
    return Observation(observer="ann", subject="bob", type="status-change", importance=importance)


def restart(importance: int) -> Observation:
    return Observation(observer="ann", subject="bob", type="restart", importance=importance)


# agreeableness, sociability, chill; the event; is it kept? Each bound from both sides.
TABLE: list[tuple[tuple[int, int, int], Payload, bool]] = [
    ((50, 50, 50), social("tease", "random"), True),
    # 1: chill above 70 drops what has no reason, of any type
    ((50, 50, 70), social("tease", "random"), True),
    ((50, 50, 71), social("tease", "random"), False),
    ((50, 50, 71), social("observation", "random"), False),
    ((50, 50, 71), social("service", "random"), False),
    ((50, 50, 71), social("tease", "comeback"), True),
    # 2: remarks on what was observed
    ((50, 50, 99), social("observation", "journey-timeout"), True),
    ((50, 0, 99), social("observation", "journey-timeout"), True),
    ((50, 50, 85), social("observation", "online"), True),
    ((50, 50, 86), social("observation", "online"), False),
    ((50, 50, 86), social("observation", "offline"), False),
    ((50, 50, 86), social("observation", "journey-pass"), True),
    ((50, 30, 50), social("observation", "journey-pass"), True),
    ((50, 29, 50), social("observation", "journey-pass"), False),
    ((50, 29, 50), social("observation", "journey-complete"), False),
    ((50, 29, 50), social("observation", "online"), True),
    ((99, 50, 50), social("observation", "trend-abandon"), True),  # 4 is not asked
    ((50, 50, 99), social("observation", "nice-number"), True),  # nor is 3
    # 3: chill above 85 keeps comebacks and many restarts only
    ((50, 50, 85), social("tease", "nice-number"), True),
    ((50, 50, 86), social("tease", "nice-number"), False),
    ((50, 50, 86), social("service", "stash-stored"), False),
    ((50, 50, 86), social("tease", "comeback"), True),
    ((50, 50, 86), social("tease", "high-restarts"), True),
    # 4: agreeableness above 80
    ((80, 50, 50), social("tease", "trend-abandon"), True),
    ((81, 50, 50), social("tease", "trend-abandon"), False),
    ((81, 50, 50), social("tease", "random"), True),
    # 5: sociability below 20
    ((50, 20, 50), social("tease", "random"), True),
    ((50, 19, 50), social("tease", "random"), False),
    ((50, 19, 50), social("tease", "comeback"), True),
    # observations
    ((50, 50, 80), status(1), True),
    ((50, 50, 81), status(1), False),
    ((50, 50, 81), status(2), True),
    ((50, 50, 85), status(2), True),
    ((50, 50, 86), status(2), False),
    ((50, 50, 86), status(3), False),  # a claim that nobody signs buys nothing
    ((50, 50, 99), restart(3), True),
    ((50, 50, 99), restart(1), True),  # nor does one that somebody lowered cost anything
    # all else
    ((99, 0, 99), Ping(observer="ann", target="bob", rtt_ms=1.0), True),
    ((99, 0, 99), Seen(observer="ann", subject="bob", via="zine"), True),
]


@pytest.mark.parametrize(("taste", "event", "is_kept"), TABLE)
def test_a_personality_keeps_what_its_table_says(
    taste: tuple[int, int, int], event: Payload, is_kept: bool
) -> None:
    assert Personality(*taste).keeps(event) is is_kept


# nara's TestSyncLedger_AddSocialEventFiltered, ported: (sociability, chill, agreeableness).
NARA = [
    ((50, 80, 50), social("tease", "random"), False),
    ((50, 80, 50), social("tease", "high-restarts"), True),
    ((50, 50, 90), social("tease", "trend-abandon"), False),
    ((50, 90, 50), social("tease", "nice-number"), False),
    ((50, 90, 50), social("tease", "comeback"), True),
    ((10, 50, 50), social("tease", "random"), False),
    ((10, 50, 50), social("observation", "journey-pass"), False),
    ((50, 90, 50), social("observation", "online"), False),
    ((10, 99, 99), social("observation", "journey-timeout"), True),
]


@pytest.mark.parametrize(("taste", "event", "is_kept"), NARA)
def test_naras_own_cases_hold(taste: tuple[int, int, int], event: Payload, is_kept: bool) -> None:
    sociability, chill, agreeableness = taste
    assert Personality(agreeableness, sociability, chill).keeps(event) is is_kept


def all_events() -> list[Payload]:
    socials: list[Payload] = [social(kind, reason) for kind in TYPES for reason in REASONS]
    return [*socials, *map(status, (1, 2, 3)), *map(restart, (1, 2, 3))]


@given(*[st.integers(0, 99)] * 3)
def test_a_personality_that_keeps_all_drops_nothing(
    agreeableness: int, sociability: int, chill: int
) -> None:
    personality = Personality(agreeableness, sociability, chill)
    if personality.keeps_all:
        assert all(map(personality.keeps, all_events()))


@pytest.mark.parametrize("taste", [(81, 50, 50), (50, 29, 50), (50, 50, 71)])
def test_one_beyond_a_bound_does_not_keep_all(taste: tuple[int, int, int]) -> None:
    personality = Personality(*taste)
    assert not personality.keeps_all
    assert not all(map(personality.keeps, all_events()))


def test_the_default_drops_nothing() -> None:
    assert Personality().keeps_all
