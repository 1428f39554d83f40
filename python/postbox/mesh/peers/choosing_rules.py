"""Which peers are asked: pure; the chance is an argument.

Peers that keep more events, that were up longer and that are near are preferred. The first two are
a peer's own word and the third can be feigned in part (an answer may be delayed, not hastened), so
that all together they make one peer at most `MOST_WEIGHT` times as likely as another: who lies
gains no more than that. The draw is a weighted race (as a sample's, decision 0005), anew each
time, and so not always the same few are asked.
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


class Candidate(NamedTuple):
    """A peer with a URL that is not banned. `may_be_there`: its last word was no farewell, and it
    has not failed just now. `is_here`: it was seen or heard lately."""

    name: str
    memory_mode: str
    uptime_s: int
    distance_ms: float | None
    is_configured: bool
    is_here: bool
    may_be_there: bool
    is_demoted: bool


def weight(one: Candidate) -> float:
    """From 1/4 to 4, so that two differ by `MOST_WEIGHT` at most."""
    days = min(max(one.uptime_s, 0), 30 * DAY_S) / DAY_S
    uptime = 1.0 + math.log2(1 + days) / 5  # 1 to 2, for a month or more
    distance_ms = NEAR_MS if one.distance_ms is None else max(0.0, one.distance_ms)
    near = 0.5 + NEAR_MS / (NEAR_MS + distance_ms) / 2  # 1 next door, 1/2 far away
    return MEMORY_WEIGHT.get(one.memory_mode, 1.0) * uptime * near


def choose(
    candidates: Sequence[Candidate], count: int, purpose: Purpose, draw: Callable[[], float]
) -> list[str]:
    """At most `count` names, the preferred ones first. `draw`: from 0 to 1, neither of them.

    Tiers are asked in turn, and who is in one of them only when those before it had too few: good
    peers that are here, good ones that may be, demoted ones. For all but recovery a peer must be
    here: who is not costs a time-out each time. A refresh asks no peer of short memory while there
    are others, as nara does not; a recovery asks the configured ones before the others of a tier,
    since they are the operator's word.
    """
    chosen: list[str] = []
    for tier in _tiers(candidates, purpose):
        lacking = count - len(chosen)
        chosen += _drawn(tier, max(0, lacking), purpose, draw)
    return chosen


def _tiers(candidates: Sequence[Candidate], purpose: Purpose) -> list[list[Candidate]]:
    is_recovery = purpose == "recovery"
    wanted = [one for one in candidates if one.is_here or (is_recovery and one.may_be_there)]
    good = [one for one in wanted if not one.is_demoted]
    here = [one for one in good if one.is_here]
    if purpose == "refresh":
        long = [one for one in here if one.memory_mode != "short"]
        here = long or here
    return [
        here,
        [one for one in good if not one.is_here],
        [one for one in wanted if one.is_demoted],
    ]


def _drawn(
    tier: Sequence[Candidate], count: int, purpose: Purpose, draw: Callable[[], float]
) -> list[str]:
    """The greatest of `log(u) / weight` win: each is drawn as its weight says, without repeats."""
    is_first = purpose == "recovery"
    ranked = sorted(
        (
            (is_first and one.is_configured, math.log(draw()) / weight(one), one.name)
            for one in tier
        ),
        reverse=True,
    )
    return [name for _, _, name in ranked[:count]]
