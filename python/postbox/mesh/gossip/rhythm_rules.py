"""How often a node gossips, and with how many: pure. nara's numbers (gossip_exchange.go)."""

from __future__ import annotations

from postbox.pauses import around

FIRST_S = 30.0
"""After the start: by then peers were met."""
SHORTEST_S, LONGEST_S = 30.0, 300.0
"""Between two rounds, at chattiness 100 and 0. Both are within a zine's five minutes, so that each
event is in one zine of each node that holds it, at least."""
JITTER = 0.1
"""Of a pause, up or down, which nara has not: so that nodes that started together do not stay so.
"""
FEWEST, MOST = 3, 5
FEWEST_SHORT, MOST_SHORT = 1, 2
"""Of a node with short memory."""


def pause_s(chattiness: int, drawn: float) -> float:
    """`drawn`: from 0 to 1."""
    pause_s = SHORTEST_S + (LONGEST_S - SHORTEST_S) * (100 - chattiness) / 100
    return min(LONGEST_S, around(pause_s, JITTER, drawn))


def peers_of_a_round(*, is_short: bool, drawn: float) -> int:
    fewest, most = (FEWEST_SHORT, MOST_SHORT) if is_short else (FEWEST, MOST)
    return fewest + min(most - fewest, int(drawn * (most - fewest + 1)))
