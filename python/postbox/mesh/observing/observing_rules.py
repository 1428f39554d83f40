"""What this node may say of others, and when it is its turn to: pure.

A node says of a name what it knows first hand: by a hello or goodbye that the name signed itself,
by contact in which it proved who it is, or by its own calls that came to nothing. Of all who know
the same, a few speak, whatever the size of the mesh: who draws a low number speaks soon, and the
others only where too few have by then (nara's way with who is missing, of which it takes one word).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Literal, NamedTuple, TypeAlias

from postbox.mesh.projections.presence import Presence
from postbox.mesh.reading import Observation

State: TypeAlias = Literal["ONLINE", "OFFLINE", "MISSING"]
Kind: TypeAlias = Literal["restart", "first-seen", "status-change"]

GONE: tuple[State, State] = ("OFFLINE", "MISSING")

VOICES = 3
"""Observers that say one thing: two outweigh whatever is unsigned, and one may be gone, or lie."""
SPREAD_S = 600.0
"""Until most of a mesh has heard of an event: three or four rounds of gossip."""
SETTLE_S = 60.0
"""So long something must hold before it is said: who comes and goes at once makes no events."""
LONGEST_S = 3600.0
"""Whose turn comes later leaves it to others: of a thousand nodes all but some eighteen do."""
NEIGHBOURS = 10
"""About so many are in contact with a name, or miss it; what it says itself all others hear."""
HERE_NS = 300 * 10**9
"""So long a sign of life says that a name is here: nara's MissingThreshold."""
RESTARTS_APART_S = 300
"""Of one name: who begins again and again counts once in that time, and fills nobody's memory."""
MISSES = 3
"""Calls that failed in a row before a name is missed."""
SKEW_NS = 30 * 10**9
"""A name's clock may be behind ours by that much, or it could not call."""

IMPORTANCE: dict[Kind, int] = {"restart": 3, "first-seen": 3, "status-change": 2}
"""nara's."""


class Fact(NamedTuple):
    """What there is to say. `start_s`: of a restart or first sight, Unix seconds by the subject's
    clock, where it said hello; `state`: of a status-change."""

    subject: str
    kind: Kind
    start_s: int = 0
    state: State | Literal[""] = ""


class Sight(NamedTuple):
    """What this node knows of a name first hand. Unix nanoseconds of this node's clock, 0 for
    never. `contact_ns`: it proved who it is; `answered_ns`: somebody answered a ping at its place;
    `word_ns`: it said hello, or goodbye; `failures`: of our calls, in a row; `presence`: by all
    events."""

    contact_ns: int = 0
    answered_ns: int = 0
    word_ns: int = 0
    is_goodbye: bool = False
    failures: int = 0
    presence: Presence = "unknown"


def said_ns(at_ns: int, heard_ns: int) -> int:
    """When a name said something, by our clock: as late as it can have been."""
    return min(heard_ns, at_ns + SKEW_NS)


def state_of(sight: Sight, now_ns: int) -> State | None:
    """None if there is nothing to say. Who only is quiet may be busy elsewhere: it is missed by
    whoever calls it in vain, if all events are silent about it as well."""
    if sight.is_goodbye and sight.word_ns > sight.contact_ns:
        return "OFFLINE"
    sign_ns = max(sight.contact_ns, 0 if sight.is_goodbye else sight.word_ns)
    if not sign_ns:
        return None
    if now_ns - sign_ns <= HERE_NS:
        return "ONLINE"
    is_silent = now_ns - sight.answered_ns > HERE_NS and sight.presence == "missing"
    return "MISSING" if is_silent and sight.failures >= MISSES else None


def turn_s(drawn: float, pool: int) -> float | None:
    """How long after it was noticed something is said, if too few have said it by then; None for
    never. `drawn`: from 0 to 1; `pool`: how many nodes may have noticed it."""
    turn = drawn * pool / VOICES
    after_s = SETTLE_S + (0.0 if turn < 1 else SPREAD_S * turn)
    return after_s if after_s <= LONGEST_S else None


def is_wanted(fact: Fact, told: Sequence[Observation], me: str) -> bool:
    """Whether too few have said it, and not this node. `told`: attested observations about the
    subject, newest first."""
    said = _voices(fact, told)
    return said is not None and me not in said and len(said) < VOICES


def _voices(fact: Fact, told: Sequence[Observation]) -> set[str] | None:
    """Who said it; None if there is nothing to be said."""
    match fact.kind:
        case "restart":
            near = [one for one in told if _is_near(one, fact.start_s)]
            is_another = any(one.start_time != fact.start_s for one in near)
            return None if is_another else _observers(near)
        case "first-seen":  # who tells of a restart has seen it as well
            return _observers(one for one in told if one.type in ("first-seen", "restart"))
        case "status-change":
            return _voices_of_change(fact.state == "ONLINE", told)


def _is_near(one: Observation, start_s: int) -> bool:
    return one.type == "restart" and abs(one.start_time - start_s) < RESTARTS_APART_S


def _voices_of_change(here: bool, told: Sequence[Observation]) -> set[str] | None:
    """Since it was said to be otherwise. That a name is gone is said of one that was here."""
    changes = [one for one in told if one.type == "status-change"]
    last = list(takewhile(lambda one: (one.online_state == "ONLINE") == here, changes))
    was_otherwise = len(last) < len(changes)
    return _observers(last) if here or was_otherwise else None


def _observers(told: Iterable[Observation]) -> set[str]:
    return {one.observer for one in told}
