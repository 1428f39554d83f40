"""Clout: nara's weights, tastes and resonance, each rule by a number worked out by hand."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.mesh.merging.personality_rules import Personality
from postbox.mesh.projections.clout import DAY_S, LEAST, clout_of, resonates, weight
from postbox.mesh.reading import Event, Social

NOW_S = 1_800_000_000
BASE = 1 + 50 / 200 - 50 / 400
"""Of somebody in the middle: 1.125."""


def said(kind: str = "service", reason: str = "", age_s: int = 0, number: int = 0) -> Event:
    social = Social(type=kind, actor="ann", target="bob", reason=reason)
    return Event(f"{number:032x}", (NOW_S - age_s) * 10**9, "ann", social)


def weighed(
    kind: str = "service",
    reason: str = "",
    age_s: int = 0,
    personality: Personality | None = None,
) -> float:
    event = said(kind, reason, age_s)
    assert isinstance(event.payload, Social)
    return weight(event.payload, event.ts_ns, personality or Personality(), NOW_S)


def test_a_sociable_node_weighs_more_and_a_chill_one_less() -> None:
    assert weighed(personality=Personality(50, 0, 0)) == 1.0
    assert weighed(personality=Personality(50, 90, 0)) == 1.45
    assert weighed(personality=Personality(50, 0, 80)) == 0.8


@pytest.mark.parametrize(
    ("reason", "taste", "factor"),
    [
        ("high-restarts", {"sociability": 70}, 1.0),
        ("high-restarts", {"sociability": 71}, 0.7),
        ("comeback", {"sociability": 60}, 1.0),
        ("comeback", {"sociability": 61}, 1.4),
        ("trend-abandon", {"agreeableness": 70}, 1.0),
        ("trend-abandon", {"agreeableness": 71}, 0.5),
        ("trend-abandon", {"sociability": 61}, 1.2),
        ("trend-abandon", {"agreeableness": 71, "sociability": 61}, 0.6),
        ("random", {"chill": 60}, 1.0),
        ("random", {"chill": 61}, 0.3),
        ("random", {"agreeableness": 71}, 0.6),
        ("nice-number", {}, 1.1),
        ("online", {}, 0.5),
        ("offline", {}, 0.5),
        ("journey-pass", {}, 0.8),
        ("journey-complete", {}, 1.3),
        ("journey-timeout", {}, 1.2),
        ("stash-stored", {}, 1.5),
        ("of nobody's list", {}, 1.0),
    ],
)
def test_a_reason_weighs_by_taste(reason: str, taste: dict[str, int], factor: float) -> None:
    personality = Personality(**taste)
    plain = weighed(personality=personality)
    assert weighed(reason=reason, personality=personality) == pytest.approx(plain * factor)


def test_what_is_told_at_second_hand_weighs_less() -> None:
    assert weighed("observed") == pytest.approx(0.7 * BASE)
    assert weighed("gossip") == pytest.approx(0.4 * BASE)


def test_weight_halves_in_a_day_and_a_bit() -> None:
    half_life_s = DAY_S * (1 + 50 / 333)
    assert weighed(age_s=round(half_life_s)) == pytest.approx(BASE / 2, rel=1e-5)
    chill = Personality(50, 0, 90)
    assert weighed(age_s=round(DAY_S * 0.6), personality=chill) == pytest.approx(0.775 / 2)


def test_an_old_event_weighs_a_tenth_at_least() -> None:
    assert weighed(age_s=1_000 * DAY_S) == LEAST


def test_an_event_of_the_future_counts_as_a_week_old() -> None:
    assert weighed(age_s=-1) == weighed(age_s=7 * DAY_S) < weighed(age_s=0)


def test_resonance_is_naras_hash_below_naras_limit() -> None:
    for number in range(200):
        event_id = f"{number:032x}"
        digest = hashlib.sha256(f"{event_id}soul".encode()).hexdigest()
        score = int(digest[:16], 16) % 100
        assert resonates(event_id, "soul", Personality()) == (score < 50 + 10 - 5 - 2)
        assert resonates(event_id, "soul", Personality(99, 0, 99)) == (score < 50 - 9 - 4)


def liked(likes: bool, **taste: Any) -> int:
    """A number of an event that resonates, or does not."""
    personality = Personality(**taste)
    return next(n for n in range(99) if resonates(f"{n:032x}", "soul", personality) is likes)


@pytest.mark.parametrize(
    ("event", "clout"),
    [
        (said("tease", number=liked(True)), {"ann": BASE}),
        (said("tease", number=liked(False)), {"ann": -0.3 * BASE}),
        (said("observed", number=liked(True)), {"ann": 0.5 * 0.7 * BASE}),
        (said("observed", number=liked(False)), {}),
        (said("gossip"), {"ann": 0.1 * 0.4 * BASE}),
        (said("service"), {"ann": 0.5 * BASE}),
        (said("service", "stash-stored"), {"ann": 2 * 1.5 * BASE}),
        (said("observation", "online"), {"bob": 0.1 * 0.5 * BASE}),
        (said("observation", "offline"), {"bob": -0.05 * 0.5 * BASE}),
        (said("observation", "journey-pass"), {"bob": 0.2 * 0.8 * BASE}),
        (said("observation", "journey-complete"), {"bob": 0.5 * 1.3 * BASE}),
        (said("observation", "journey-timeout"), {"bob": -0.3 * 1.2 * BASE}),
        (said("observation", "comeback"), {}),
    ],
)
def test_whose_clout_an_event_changes(event: Event, clout: dict[str, float]) -> None:
    assert clout_of([event], Personality(), "soul", NOW_S) == pytest.approx(clout)


EVENTS = st.builds(
    said,
    st.sampled_from(["tease", "observed", "gossip", "observation", "service"]),
    st.sampled_from(["", "random", "online", "comeback"]),
    st.integers(-10, 10**7),
    st.integers(0, 10**6),
)


@given(st.lists(EVENTS, max_size=30))
def test_clout_is_the_same_to_the_last_digit_in_any_order(events: list[Event]) -> None:
    there = clout_of(events, Personality(), "soul", NOW_S)
    back = clout_of(reversed(events), Personality(), "soul", NOW_S)
    assert there == back
