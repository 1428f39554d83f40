"""Which tokens have been used: each is good for one request.

What a replayed token could do is little by design (it is bound to its request, and the request
sent again is a duplicate), so this is in memory, of one process, and bounded: an issuer that fills
its share is told to wait, and nobody's token is forgotten before its time.
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush

MAX_AN_ISSUER = 100_000
"""Within the 90 s that a token is remembered: 1,100 requests a second, which is more than one host
asks; a batch of 1,000 events is one request. About 20 MB."""

MAX_IN_ALL = 500_000
"""Of all hosts together, about 100 MB."""


class Replays:
    def __init__(self, max_an_issuer: int = MAX_AN_ISSUER, max_in_all: int = MAX_IN_ALL) -> None:
        self._max_an_issuer = max_an_issuer
        self._max_in_all = max_in_all
        self._used: set[tuple[str, bytes]] = set()
        self._ends: list[tuple[float, str, bytes]] = []
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._used)

    def is_used(self, issuer: str, jti: bytes) -> bool:
        return (issuer, jti) in self._used

    def has_room(self, issuer: str, now_s: float) -> bool:
        """May this issuer use one more token now?"""
        self._forget(now_s)
        return self._counts[issuer] < self._max_an_issuer and len(self._used) < self._max_in_all

    def use(self, issuer: str, jti: bytes, until_s: float) -> None:
        """Of a token that is `issuer`'s own word (its signature is verified), and that nobody
        accepts any more from `until_s` on."""
        if not self.is_used(issuer, jti):
            self._used.add((issuer, jti))
            self._counts[issuer] += 1
            heappush(self._ends, (until_s, issuer, jti))

    def _forget(self, now_s: float) -> None:
        while self._ends and self._ends[0][0] <= now_s:
            _, issuer, jti = heappop(self._ends)
            self._used.discard((issuer, jti))
            self._counts[issuer] -= 1
            if not self._counts[issuer]:
                del self._counts[issuer]
