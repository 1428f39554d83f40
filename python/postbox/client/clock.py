"""The time as the store and the host have it."""

from __future__ import annotations

from postbox.world import Clock


def now_ms(clock: Clock) -> int:
    """Milliseconds since 1970."""
    return clock.now_ns() // 1_000_000
