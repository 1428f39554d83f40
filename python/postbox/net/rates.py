"""How often, and how many at once: limits by key (a peer's name, an address). Plain values; the
time is an argument.

What is remembered is bounded: whoever could make up keys without end would else fill the memory.
A key that is forgotten is one whose bucket is full again, or, when there are more, the one that
was seen longest ago.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from postbox.errors import WireError

MAX_KEYS = 10_000


class Rate:
    """A bucket of tokens a key (a leaky bucket as a meter; ITU-T I.371). Full it has `burst`; it
    fills with `per_minute`. Empty it may owe as much as it holds, or `most_owed`."""

    def __init__(
        self,
        per_minute: float,
        burst: float,
        max_keys: int = MAX_KEYS,
        most_owed: float | None = None,
    ) -> None:
        self._per_s = per_minute / 60
        self._burst = burst
        self._most_owed = burst if most_owed is None else most_owed
        self._max_keys = max_keys
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and when; oldest first

    def wait_s(self, key: str, now_s: float, weight: float = 1) -> float:
        """Takes so many tokens and returns 0, or says in how many seconds they will be there."""
        due_s = self.due_s(key, now_s, weight)
        self.take(key, now_s, 0 if due_s else weight)
        return due_s

    def due_s(self, key: str, now_s: float, weight: float = 1) -> float:
        """In how many seconds so many will be there; takes none. What is more than the bucket holds
        is granted when it is full, and paid off."""
        lacking = min(weight, self._burst) - self._level(key, now_s)
        return max(0.0, lacking / self._per_s)

    def take(self, key: str, now_s: float, weight: float) -> None:
        """Of what was granted, here or elsewhere."""
        level = max(-self._most_owed, self._level(key, now_s) - weight)
        self._buckets.pop(key, None)
        self._buckets[key] = (level, now_s)
        self._forget(now_s)

    def _level(self, key: str, now_s: float) -> float:
        tokens, at_s = self._buckets.get(key, (self._burst, now_s))
        return min(self._burst, tokens + (now_s - at_s) * self._per_s)

    def _forget(self, now_s: float) -> None:
        while self._buckets and (
            len(self._buckets) > self._max_keys or self._oldest_is_full(now_s)
        ):
            del self._buckets[next(iter(self._buckets))]

    def _oldest_is_full(self, now_s: float) -> bool:
        tokens, at_s = next(iter(self._buckets.values()))
        return tokens + (now_s - at_s) * self._per_s >= self._burst


class TooMany(Exception):
    """The key has as many under way as it may."""


class TooOften(WireError):
    """Asked more often, or more at once, than one caller may."""

    def __init__(self, what: str, wait_s: float) -> None:
        self.wait_s = max(1, math.ceil(wait_s))
        super().__init__(f"{what}: try again in {self.wait_s} s")


class AtOnce:
    """At most `limit` of a key under way, and `limit_in_all` of all keys together."""

    def __init__(self, limit: int, limit_in_all: int) -> None:
        self._limit = limit
        self._limit_in_all = limit_in_all
        self._under_way: Counter[str] = Counter()
        self._in_all = 0  # kept: there may be thousands of keys

    @contextmanager
    def one(self, key: str, kept: int = 0) -> Iterator[None]:
        """`kept`: so many of all are for others. Raises TooMany."""
        if self._under_way[key] >= self._limit or self._in_all >= self._limit_in_all - kept:
            raise TooMany
        self._under_way[key] += 1
        self._in_all += 1
        try:
            yield
        finally:
            self._in_all -= 1
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]
