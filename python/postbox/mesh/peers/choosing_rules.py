"""Which peers are asked: pure; the chance is an argument.

Peers that keep more events, that were up longer and that are near are preferred. The first two are
a peer's own word and the third can be feigned in part (an answer may be delayed, not hastened), so
that all together they make one peer at most `MOST_WEIGHT` times as likely as another: who lies
gains no more than that. The draw is made anew each time, and so not always the same few are asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from postbox.mesh.peers.known import Purpose

MEMORY_WEIGHT = {"hog": 2.0, "medium": 1.5, "custom": 1.5, "": 1.0, "short": 0.5}
"""Four to one, which is how their ledgers differ twice over (320,000, 80,000, 20,000 events)."""
DAY_S = 86_400
NEAR_MS = 50.0
"""As far as a peer may be without being any worse for it: half of the preference is gone there."""
MOST_WEIGHT = 16.0
HEAVIEST = 4.0
"""With much memory, up for a month and next door: the greatest `weight` there is."""


class Candidate(NamedTuple):
    """A peer with a URL that is not banned, and has not failed just now. `is_here`: it was seen or
    heard lately."""

    name: str
    is_short: bool
    is_configured: bool
    is_here: bool
    is_demoted: bool


def weight(memory_mode: str, uptime_s: int, distance_ms: float | None) -> float:
    """From 1/4 to `HEAVIEST`, so that two differ by `MOST_WEIGHT` at most."""
    days = min(max(uptime_s, 0), 30 * DAY_S) / DAY_S
    uptime = 1.0 + math.log2(1 + days) / 5  # 1 to 2, for a month or more
    distance_ms = NEAR_MS if distance_ms is None else max(0.0, distance_ms)
    near = 0.5 + NEAR_MS / (NEAR_MS + distance_ms) / 2  # 1 next door, 1/2 far away
    return MEMORY_WEIGHT.get(memory_mode, 1.0) * uptime * near


def choose(
    candidates: Sequence[Candidate],
    count: int,
    purpose: Purpose,
    draw: Callable[[], float],
    weigh: Callable[[str], float],
) -> list[str]:
    """At most `count` names, the preferred ones first. `draw`: from 0 to 1, neither of them.
    `weigh`: `weight` of a name, asked of those only that the draw falls on.

    Tiers are asked in turn, and who is in one of them only when those before it had too few: good
    peers that are here, good ones that may be, demoted ones. For all but recovery a peer must be
    here: who is not costs a time-out each time. A refresh asks no peer of short memory while there
    are others, as nara does not; a recovery asks the configured ones before the others of a tier,
    since they are the operator's word.
    """
    chosen: list[str] = []
    for tier in _tiers(candidates, purpose):
        chosen += _drawn(tier, count - len(chosen), draw, weigh)
    return chosen


def _tiers(candidates: Sequence[Candidate], purpose: Purpose) -> list[list[Candidate]]:
    is_recovery = purpose == "recovery"
    wanted = [one for one in candidates if one.is_here or is_recovery]
    good = [one for one in wanted if not one.is_demoted]
    here = [one for one in good if one.is_here]
    if purpose == "refresh":
        long = [one for one in here if not one.is_short]
        here = long or here
    tiers = [
        here,
        [one for one in good if not one.is_here],
        [one for one in wanted if one.is_demoted],
    ]
    if not is_recovery:
        return tiers
    return [
        [one for one in tier if one.is_configured is is_configured]
        for tier in tiers
        for is_configured in (True, False)
    ]


def _drawn(
    tier: Sequence[Candidate],
    count: int,
    draw: Callable[[], float],
    weigh: Callable[[str], float],
) -> list[str]:
    """One after the other, each as likely as its weight among those that are left: any is tried,
    and taken with the chance of its weight by the greatest. So a draw looks at a few peers, however
    many there are."""
    left, weights, chosen = [one.name for one in tier], dict[str, float](), list[str]()
    while left and len(chosen) < count:
        at = int(draw() * len(left))
        name = left[at]
        if name not in weights:
            weights[name] = weigh(name)
        if draw() * HEAVIEST < weights[name]:
            chosen.append(name)
            left[at] = left[-1]
            left.pop()
    return chosen
