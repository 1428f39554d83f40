"""Is a name online? What the core finds, as words. The rule is in `ledger_core`, `presence.rs`,
beside the lists that it looks through: a thousand names take a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from postbox.core import Ledger

Presence: TypeAlias = Literal["unknown", "online", "offline", "missing"]

VERSION = 2
"""Of the rule: 1 believed a single observer that somebody is gone."""
FRESH_NS = 300 * 10**9
"""An older sign of life says nothing any more: nara's MissingThreshold, where MQTT tells of each
node within seconds."""
FRESH_GOSSIP_NS = 3600 * 10**9
"""Where news goes from hand to hand, it is older when it comes: nara's threshold of gossip."""

_BY_CODE: tuple[Presence, ...] = ("unknown", "online", "offline", "missing")


def presences(ledger: Ledger, names: Sequence[str], now_ns: int, fresh_ns: int) -> list[Presence]:
    """Of each name, from attested events that are not later than now."""
    codes = ledger.presences(names, now_ns=now_ns, fresh_ns=fresh_ns)
    return [_BY_CODE[code] for code in codes]
