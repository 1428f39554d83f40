"""What is held against a peer, and what follows from it: pure.

A peer that does wrong collects points, which halve every twelve hours. From `DEMOTED_AT` on it is
asked only where nobody better is left, and from `BANNED_AT` on it is neither asked nor answered. So
both end by themselves, and `postbox peers forgive NAME` ends them at once; `postbox peers ban NAME`
does not end until it is forgiven.

Only what a peer did itself counts, proved by its own signature or seen at its own address. That
others say so, or that an event it handed on is bad, proves nothing: honest peers store what this
node refuses (nara checks no signature; and two nodes may know one name by two keys).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct


class Offence(StrEnum):
    LIED = "lied"  # an answer that it signed, and that disproves itself
    FORGED = "forged"  # events that a node of its kind cannot have
    FLOODED = "flooded"  # more than any honest peer has
    ASTRAY = "astray"  # the same as flooded, but seen where somebody may stand between
    LITTERED = "littered"  # most of what it gave was refused
    WITHHELD = "withheld"  # hardly anything of what all others have
    STALLED = "stalled"  # it took a request, and no answer came to an end


class Regard(StrEnum):
    GOOD = "good"
    DEMOTED = "demoted"
    BANNED = "banned"


POINTS: Mapping[Offence, float] = MappingProxyType(
    {
        Offence.LIED: 10.0,
        Offence.FORGED: 10.0,
        Offence.FLOODED: 10.0,
        Offence.ASTRAY: 4.0,
        Offence.LITTERED: 4.0,
        Offence.WITHHELD: 4.0,
        Offence.STALLED: 2.0,
    }
)
"""One lie demotes for four hours."""
MILD = frozenset({Offence.ASTRAY, Offence.LITTERED, Offence.WITHHELD, Offence.STALLED})
"""It may be no ill will: a peer that is slow or poor, that stores what it is given, or whose
answers another one hands on. So these demote, in the end, and never ban."""
MILD_POINTS = 20.0
DEMOTED_AT = 8.0
BANNED_AT = 30.0
MOST_POINTS = 60.0
"""So a ban lasts twelve hours at most after the last offence, and a demotion 35."""
HALF_LIFE_NS = 12 * 3600 * 10**9
AHEAD_NS = 15 * 60 * 10**9
"""A record that is dated further ahead than a clock is usually set back was noted by one that ran
ahead. It counts nothing, since it would end only when the time comes that the clock said: what is
held against a peer comes again, if the peer goes on."""
MAX_WHY = 300
"""Characters of a reason that are kept: a part of it may be a peer's own words."""


class Record(Struct, frozen=True):
    """Of one peer. `points` at the time `at_ns`; `why`: of the last offence, or the operator's."""

    points: float = 0.0
    at_ns: int = 0
    offences: int = 0
    why: str = ""
    by_operator: bool = False  # banned, until it is forgiven


CLEAN = Record()


def points_at(record: Record, now_ns: int) -> float:
    if record.at_ns - now_ns > AHEAD_NS:
        return 0.0
    age_ns = max(0, now_ns - record.at_ns)  # a clock that was set back a little ages nothing
    return record.points * math.pow(0.5, age_ns / HALF_LIFE_NS)


def regard_of(record: Record, now_ns: int) -> Regard:
    if record.by_operator:
        return Regard.BANNED
    points = points_at(record, now_ns)
    if points >= BANNED_AT:
        return Regard.BANNED
    return Regard.DEMOTED if points >= DEMOTED_AT else Regard.GOOD


def accused(record: Record, offence: Offence, why: str, now_ns: int) -> Record:
    before = points_at(record, now_ns)
    most = MILD_POINTS if offence in MILD else MOST_POINTS
    points = max(before, min(most, before + POINTS[offence]))
    return Record(
        points,
        max(now_ns, record.at_ns) if before else now_ns,
        record.offences + 1,
        record.why if record.by_operator else f"{offence}: {why}"[:MAX_WHY],
        record.by_operator,
    )


def ends_ns(record: Record, now_ns: int) -> int | None:
    """When the regard that it has now ends by itself; None: it does not, or it is a good one."""
    match regard_of(record, now_ns):
        case Regard.GOOD:
            return None
        case _ if record.by_operator:
            return None
        case Regard.BANNED:
            below = BANNED_AT
        case Regard.DEMOTED:
            below = DEMOTED_AT
    halvings = math.log2(points_at(record, now_ns) / below)
    return now_ns + math.ceil(halvings * HALF_LIFE_NS)
