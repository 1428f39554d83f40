"""Who is thought well of, in this node's own eyes: a sum over the social events that it holds, by
its personality and its soul. Pure; nara's weights (projection_clout.go, social.go).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from math import fsum
from types import MappingProxyType

from postbox.mesh.merging.personality_rules import Personality
from postbox.mesh.reading import Event, Social

DAY_S = 86_400
FUTURE_AGE_S = 7 * DAY_S
"""Of an event of the future: as much as an old one, so that a wrong clock gains nothing."""
LEAST = 0.1

_BY_REASON = MappingProxyType(
    {
        "nice-number": 1.1,
        "online": 0.5,
        "offline": 0.5,
        "journey-pass": 0.8,
        "journey-complete": 1.3,
        "journey-timeout": 1.2,
        "stash-stored": 1.5,
    }
)
_BY_TYPE = MappingProxyType({"observed": 0.7, "gossip": 0.4})
_OF_THE_TARGET = MappingProxyType(
    {
        "online": 0.1,
        "offline": -0.05,
        "journey-pass": 0.2,
        "journey-complete": 0.5,
        "journey-timeout": -0.3,
    }
)


def clout_of(
    events: Iterable[Event], personality: Personality, soul_text: str, now_s: int
) -> dict[str, float]:
    """By name; who has none is left out. The order of the events makes no difference, not even in
    the last digit."""
    parts: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        social = event.payload
        if not isinstance(social, Social):
            continue
        name, share = _share(event.id, social, personality, soul_text)
        if share:
            parts[name].append(share * weight(social, event.ts_ns, personality, now_s))
    return {name: fsum(parts[name]) for name in sorted(parts)}


def _share(
    event_id: str, social: Social, personality: Personality, soul_text: str
) -> tuple[str, float]:
    """Whose clout an event changes, and by how much of its weight."""
    match social.type:
        case "tease":
            likes = resonates(event_id, soul_text, personality)
            return social.actor, 1.0 if likes else -0.3
        case "observed":
            likes = resonates(event_id, soul_text, personality)
            return social.actor, 0.5 if likes else 0.0
        case "gossip":
            return social.actor, 0.1
        case "service":
            return social.actor, 2.0 if social.reason == "stash-stored" else 0.5
        case "observation":
            return social.target, _OF_THE_TARGET.get(social.reason, 0.0)
        case _:
            return social.actor, 0.0


def weight(social: Social, ts_ns: int, personality: Personality, now_s: int) -> float:
    plain = 1 + personality.sociability / 200 - personality.chill / 400
    plain *= _taste(social.reason, personality) * _BY_REASON.get(social.reason, 1.0)
    plain *= _BY_TYPE.get(social.type, 1.0)
    age_s = now_s - ts_ns // 10**9
    half_life_s = DAY_S * (1 + (50 - personality.chill) / 100) * (1 + personality.sociability / 333)
    age_s = FUTURE_AGE_S if age_s < 0 else age_s
    return max(LEAST, plain / (1 + age_s / half_life_s))


def _taste(reason: str, personality: Personality) -> float:
    match reason:
        case "high-restarts":
            return 0.7 if personality.sociability > 70 else 1.0
        case "comeback":
            return 1.4 if personality.sociability > 60 else 1.0
        case "trend-abandon":
            kind = 0.5 if personality.agreeableness > 70 else 1.0
            return kind * (1.2 if personality.sociability > 60 else 1.0)
        case "random":
            calm = 0.3 if personality.chill > 60 else 1.0
            return calm * (0.6 if personality.agreeableness > 70 else 1.0)
        case _:
            return 1.0


def resonates(event_id: str, soul_text: str, personality: Personality) -> bool:
    """Does this event speak to this soul? The same answer for the same two, always."""
    digest = hashlib.sha256((event_id + soul_text).encode()).digest()
    limit = 50 + personality.sociability // 5
    limit -= personality.chill // 10 + personality.agreeableness // 20
    return int.from_bytes(digest[:8], "big") % 100 < min(95, max(5, limit))
