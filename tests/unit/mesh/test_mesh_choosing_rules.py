"""Whom a node asks: by what is known of peers, and by chance."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count as counting
from itertools import product
from typing import Any

import pytest

from postbox.mesh.peers import choosing_rules as choosing
from postbox.mesh.peers.choosing_rules import HEAVIEST, MOST_WEIGHT, Candidate, weight
from postbox.mesh.peers.known import Purpose

PURPOSES: tuple[Purpose, ...] = ("recovery", "refresh", "gossip", "ping", "checkpoints")
PLAIN = Candidate(
    name="",
    is_short=False,
    is_configured=False,
    is_here=True,
    is_demoted=False,
)
CLAIMS: dict[str, Any] = {"memory_mode": "medium", "uptime_s": 86_400, "distance_ms": 50.0}


def one(name: str, **changes: object) -> Candidate:
    return PLAIN._replace(name=name, **changes)  # type: ignore[arg-type]


def choose(
    candidates: Sequence[Candidate],
    count: int,
    purpose: Purpose,
    draw: Callable[[], float],
    weights: Mapping[str, float] = {},
) -> list[str]:
    """`weights`: of some names; of all others 1."""
    return choosing.choose(candidates, count, purpose, draw, lambda name: weights.get(name, 1.0))


def drawing(seed: int = 1) -> Callable[[], float]:
    numbers = counting()

    def draw() -> float:
        drawn = hashlib.sha256(f"{seed} {next(numbers)}".encode()).digest()[:6]
        return (int.from_bytes(drawn, "big") + 0.5) / 2**48

    return draw


def test_no_more_are_chosen_than_wanted_and_none_twice() -> None:
    many = [one(f"node{number}") for number in range(50)]
    for purpose, count in product(PURPOSES, (0, 1, 3, 50, 60)):
        chosen = choose(many, count, purpose, drawing())
        assert len(chosen) == len(set(chosen)) == min(count, 50)
    assert choose([], 3, "gossip", drawing()) == []


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"memory_mode": "hog"}, {"memory_mode": "medium"}),
        ({"memory_mode": "medium"}, {"memory_mode": "short"}),
        ({"memory_mode": "custom"}, {"memory_mode": "short"}),
        ({"uptime_s": 30 * 86_400}, {"uptime_s": 86_400}),
        ({"uptime_s": 86_400}, {"uptime_s": 0}),
        ({"distance_ms": 1.0}, {"distance_ms": 50.0}),
        ({"distance_ms": 50.0}, {"distance_ms": 500.0}),
        ({"distance_ms": 1.0}, {"distance_ms": None}),
    ],
)
def test_more_memory_more_uptime_and_near_ones_are_preferred(
    better: dict[str, object], worse: dict[str, object]
) -> None:
    weights = {"a": weight(**(CLAIMS | better)), "b": weight(**(CLAIMS | worse))}
    assert weights["a"] > weights["b"]
    draw = drawing()
    first = Counter(
        choose([one("a"), one("b")], 1, "gossip", draw, weights)[0] for _ in range(2_000)
    )
    assert first["a"] > first["b"] > 0, "preferred, and not always the same"


def test_each_is_drawn_as_often_as_its_weight_says_also_after_others_were() -> None:
    weights = {"light": 0.25, "plain": 1.0, "heavy": 2.75}
    peers, draw = [one(name) for name in weights], drawing()
    drawn = [choose(peers, 3, "gossip", draw, weights) for _ in range(4_000)]
    first = Counter(names[0] for names in drawn)
    assert {name: first[name] / 4_000 for name in weights} == {
        name: pytest.approx(weight / 4, abs=0.03) for name, weight in weights.items()
    }
    second = Counter(names[1] for names in drawn if names[0] == "heavy")
    assert second["plain"] / second.total() == pytest.approx(0.8, abs=0.03)


def test_few_are_looked_at_however_many_there_are() -> None:
    asked: list[str] = []

    def weigh(name: str) -> float:
        asked.append(name)
        return 0.25

    peers = [one(f"node{number}") for number in range(10_000)]
    choosing.choose(peers, 5, "gossip", drawing(), weigh)
    assert len(asked) < 500


def test_no_claim_makes_a_peer_more_than_so_many_times_as_likely() -> None:
    weights = [
        weight(memory, uptime_s, distance_ms)
        for memory, uptime_s, distance_ms in product(
            ("hog", "short", "medium", "custom", "", "gigantic"),
            (-(2**63), 0, 1, 2**63 - 1),
            (None, -1.0, 0.0, 1e300),
        )
    ]
    assert max(weights) <= HEAVIEST
    assert max(weights) / min(weights) <= MOST_WEIGHT
    assert min(weights) > 0


def test_who_is_not_here_is_asked_for_a_recovery_only_and_after_those_who_are() -> None:
    peers = [one("away", is_here=False), one("here")]
    for purpose in PURPOSES:
        wanted = ["here", "away"] if purpose == "recovery" else ["here"]
        assert choose(peers, 10, purpose, drawing()) == wanted


def test_demoted_peers_are_asked_when_there_is_nobody_else() -> None:
    peers = [one("bad", is_demoted=True), one("good"), one("fine")]
    for purpose, seed in product(PURPOSES, range(20)):
        assert "bad" not in choose(peers, 2, purpose, drawing(seed))
        assert choose(peers, 3, purpose, drawing(seed))[2] == "bad"
        assert choose(peers[:1], 2, purpose, drawing(seed)) == ["bad"]


def test_a_refresh_asks_peers_of_short_memory_only_if_there_are_no_others() -> None:
    peers = [one("short", is_short=True), one("medium")]
    assert choose(peers, 2, "refresh", drawing()) == ["medium"]
    assert choose(peers[:1], 2, "refresh", drawing()) == ["short"]
    assert len(choose(peers, 2, "gossip", drawing())) == 2


def test_a_recovery_begins_with_the_peers_that_the_operator_named() -> None:
    peers = [one(f"node{number}") for number in range(20)]
    peers.append(one("named", is_configured=True))
    for seed in range(20):
        assert choose(peers, 5, "recovery", drawing(seed), {"named": 0.25})[0] == "named"
