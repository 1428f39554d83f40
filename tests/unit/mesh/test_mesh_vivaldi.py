"""Vivaldi: nara's rule to the last bit, the paper's by its properties and in a town of our own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.mesh.coordinates.vivaldi import (
    MAX_ERROR,
    MIN_ERROR,
    MIN_HEIGHT_MS,
    NARA_MAX_ERROR,
    SPAN_MS,
    START_ERROR,
    START_RADIUS_MS,
    Coordinate,
    Rule,
    distance_ms,
    is_sane,
    moved,
    start_at,
)
from postbox.mesh.draws import Draws

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "data" / "nara" / "vectors.json").read_text(encoding="utf-8")
)["vivaldi"]
RULES: tuple[Rule, ...] = ("relative", "nara")


def test_naras_rule_gives_naras_coordinates() -> None:
    own = Coordinate()
    for step in GOLDEN:
        own = moved(own, Coordinate(**step["peer"]), step["rtt"], "nara", turn=0.0)
        assert own == Coordinate(**step["after"])


def test_the_papers_rule_step_by_step() -> None:
    """Worked by hand: weight 1/2, 40 ms too near, a twentieth of the length is height."""
    own, peer = Coordinate(x=57.0, height=1.0), Coordinate(height=2.0)
    after = moved(own, peer, 100.0, "relative", turn=0.0)
    share, force_ms = 0.25 * 0.5, 0.25 * 0.5 * 40.0
    assert after.x == pytest.approx(57.0 + force_ms * 57 / 60)
    assert after.height == pytest.approx(1.0 + force_ms * 3 / 60)
    assert after.y == 0.0
    assert after.error == pytest.approx(0.4 * share + 1.0 * (1 - share))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rtt_ms", [0.0, -1.0, 10_001.0, math.inf, math.nan])
def test_what_is_no_round_trip_moves_nothing(rule: Rule, rtt_ms: float) -> None:
    own = Coordinate(x=3.0, y=4.0)
    assert moved(own, Coordinate(), rtt_ms, rule, turn=0.5) is own


@pytest.mark.parametrize("rule", RULES)
def test_a_fraction_of_a_millisecond_moves_as_well(rule: Rule) -> None:
    own, peer = Coordinate(x=1.0), Coordinate()
    assert moved(own, peer, 0.04, rule, turn=0.0).x < 1.0


@pytest.mark.parametrize("rule", RULES)
def test_two_at_one_place_part_in_the_direction_that_was_drawn(rule: Rule) -> None:
    after = moved(Coordinate(), Coordinate(), 8.0, rule, turn=0.25)
    assert after.y > 0.5
    assert abs(after.x) < 1e-9


@pytest.mark.parametrize("rule", RULES)
def test_too_near_moves_apart_and_too_far_together(rule: Rule) -> None:
    own, peer = Coordinate(x=10.0), Coordinate()
    assert moved(own, peer, 30.0, rule, turn=0.0).x > 10.0
    assert moved(own, peer, 3.0, rule, turn=0.0).x < 10.0


def test_who_is_sure_of_its_place_moves_less_and_moves_others_more() -> None:
    own, peer = Coordinate(x=10.0), Coordinate()
    steps = [
        moved(Coordinate(x=10.0, error=mine), Coordinate(error=theirs), 30.0, "relative", turn=0.0)
        for mine, theirs in ((0.1, 1.0), (1.0, 1.0), (1.0, 0.1))
    ]
    assert steps[0].x < moved(own, peer, 30.0, "relative", turn=0.0).x == steps[1].x < steps[2].x


places = st.builds(
    Coordinate,
    x=st.floats(-SPAN_MS / 2, SPAN_MS / 2),
    y=st.floats(-SPAN_MS / 2, SPAN_MS / 2),
    height=st.floats(0, SPAN_MS),
    error=st.floats(0, 1e300),
)


@given(places, places, st.floats(allow_nan=True), st.floats(0, 1), st.sampled_from(RULES))
def test_whatever_is_measured_the_place_is_sane(
    own: Coordinate, peer: Coordinate, rtt_ms: float, turn: float, rule: Rule
) -> None:
    assert is_sane(moved(own, peer, rtt_ms, rule, turn=turn))


@given(places, places, st.floats(1e-9, 10_000), st.sampled_from(RULES))
def test_error_and_height_stay_in_their_bounds(
    own: Coordinate, peer: Coordinate, rtt_ms: float, rule: Rule
) -> None:
    after = moved(own, peer, rtt_ms, rule, turn=0.0)
    assert MIN_ERROR <= after.error <= (MAX_ERROR if rule == "relative" else NARA_MAX_ERROR)
    assert after.height >= MIN_HEIGHT_MS


@pytest.mark.parametrize("rule", RULES)
def test_who_is_driven_out_of_the_world_begins_anew_at_its_origin(rule: Rule) -> None:
    own, peer = Coordinate(x=SPAN_MS - 1), Coordinate(x=SPAN_MS - 100)
    after = moved(own, peer, 10_000.0, rule, turn=0.0)
    assert math.hypot(after.x, after.y) <= START_RADIUS_MS
    assert after.error == START_ERROR


@pytest.mark.parametrize(
    "place",
    [
        Coordinate(x=math.nan),
        Coordinate(y=math.inf),
        Coordinate(x=SPAN_MS, y=SPAN_MS),
        Coordinate(height=-0.001),
        Coordinate(height=SPAN_MS * 2),
        Coordinate(error=-1.0),
        Coordinate(error=math.nan),
    ],
)
def test_nobody_can_be_there(place: Coordinate) -> None:
    assert not is_sane(place)


def test_new_nodes_are_near_the_origin_and_not_in_one_point() -> None:
    starts = {start_at(turn / 7, 0.9) for turn in range(7)}
    assert len(starts) == 7
    assert all(math.hypot(one.x, one.y) <= START_RADIUS_MS for one in starts)


# -- a town ------------------------------------------------------------------------------------

NODES, ROUNDS = 40, 150


def town(draws: Draws) -> list[Coordinate]:
    """Nodes in a square of 120 ms, with 1 to 15 ms from each to the core."""
    return [
        Coordinate(draws.fraction() * 120, draws.fraction() * 120, 1 + draws.fraction() * 14, 0.0)
        for _ in range(NODES)
    ]


def settle(true: list[Coordinate], draws: Draws, rule: Rule) -> list[Coordinate]:
    """Each measures the way to one other a round; a time is up to 10 % more than the way."""
    found = [start_at(draws.fraction(), draws.fraction()) for _ in true]
    for _ in range(ROUNDS):
        for me in range(NODES):
            peer = (me + 1 + draws.below(NODES - 1)) % NODES
            rtt_ms = distance_ms(true[me], true[peer]) * (1 + 0.1 * draws.fraction())
            found[me] = moved(found[me], found[peer], rtt_ms, rule, turn=draws.fraction())
    return found


def shares_wrong(true: list[Coordinate], found: list[Coordinate]) -> Iterator[float]:
    for one in range(NODES):
        for other in range(one):
            is_ms = distance_ms(true[one], true[other])
            yield abs(distance_ms(found[one], found[other]) - is_ms) / is_ms


@pytest.mark.parametrize("seed", range(4))
def test_a_town_finds_its_shape(seed: int) -> None:
    """Half of all distances are within a twelfth of the truth, nine tenths within a third, after
    150 measurements a node (75 minutes of a mesh), when times vary by a tenth."""
    draws = Draws(f"town {seed}")
    true = town(draws)
    wrong = sorted(shares_wrong(true, settle(true, draws, "relative")))
    assert median(wrong) < 1 / 12
    assert wrong[len(wrong) * 9 // 10] < 1 / 3


def test_naras_rule_finds_it_too() -> None:
    draws = Draws("town 0")
    true = town(draws)
    assert median(shares_wrong(true, settle(true, draws, "nara"))) < 1 / 8
