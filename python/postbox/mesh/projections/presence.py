"""Is a name online? From the newest words about it, which the caller picks. Pure.

nara lets the newest word decide, whoever says it (projection_online_status.go). Here a name's own
word, while it is fresh, is not overruled by what others say: otherwise a few liars could make a
living node look gone, and themselves the only ones to be asked.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, assert_never

from postbox.mesh.reading import (
    Chau,
    Checkpoint,
    Event,
    HeyThere,
    Observation,
    Ping,
    Seen,
    Social,
)

Presence: TypeAlias = Literal["online", "offline", "missing", "unknown"]

FRESH_NS = 300 * 10**9
"""An older sign of life says nothing any more: nara's MissingThreshold, where MQTT tells of each
node within seconds."""
FRESH_GOSSIP_NS = 3600 * 10**9
"""Where news goes from hand to hand, it is older when it comes: nara's threshold of gossip."""


class Word(NamedTuple):
    """Somebody's, about a name, at that Unix time."""

    at_ns: int
    says: Presence


_SAYS: dict[str, Presence] = {"ONLINE": "online", "OFFLINE": "offline", "MISSING": "missing"}


def own_word(event: Event) -> Word:
    """What the signer of an event thereby says about itself: that it lives, or that it leaves."""
    return Word(event.ts_ns, "offline" if isinstance(event.payload, Chau) else "online")


def others_word(event: Event) -> Word | None:
    """What an event says about its target."""
    match event.payload:
        case Ping() | Seen() | Observation(type="restart" | "first-seen"):
            return Word(event.ts_ns, "online")
        case Observation(online_state=state):
            return Word(event.ts_ns, _SAYS.get(state, "unknown"))
        case Social() | HeyThere() | Chau() | Checkpoint():
            return None
        case _:
            assert_never(event.payload)


def presence_of(own: Word | None, others: Word | None, now_ns: int, fresh_ns: int) -> Presence:
    """`own`: the newest word of the name about itself; `others`: the newest of others about it.
    Neither is of the future."""
    if own is not None and own.says == "online" and now_ns - own.at_ns <= fresh_ns:
        return "online"
    newest = _newer(own, others)
    if newest is None:
        return "unknown"
    is_old = now_ns - newest.at_ns > fresh_ns
    return "missing" if newest.says == "online" and is_old else newest.says


def _newer(own: Word | None, others: Word | None) -> Word | None:
    """Of two of one time the name's own."""
    if own is None or others is None:
        return own or others
    return others if others.at_ns > own.at_ns else own
