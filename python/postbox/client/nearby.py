"""Who types and who is connected: true for the time that the host gave, counted here, and over
without a further word. Nothing of it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio

from postbox.client.listening import Change, What

Key = tuple[str, str]
"""A conversation, empty for who is connected, and a user."""


class Nearby:
    def __init__(self, now_s: Callable[[], float], tell: Callable[[Change], None]) -> None:
        self._now_s = now_s
        self._tell = tell
        self._until_s: dict[Key, float] = {}
        self._moved = anyio.Event()

    def heard(self, conversation: str, user: str, ttl_ms: int) -> None:
        """`ttl_ms` 0: it is over."""
        key, was = (conversation, user), self._is_so((conversation, user))
        self._until_s[key] = self._now_s() + ttl_ms / 1000
        if not ttl_ms:
            del self._until_s[key]
        if was != bool(ttl_ms):
            self._tell(_named(key))
        self._moved.set()

    def said(self, conversation: str, user: str) -> None:
        """A message: who wrote it types no more."""
        if (conversation, user) in self._until_s:
            self.heard(conversation, user, 0)

    def typists(self, conversation: str) -> list[str]:
        return sorted(user for where, user in self._now() if where == conversation and where)

    def connected(self) -> list[str]:
        return sorted(user for where, user in self._now() if not where)

    async def watch(self) -> None:
        """Tells of each end that nobody tells us of."""
        while True:
            self._moved = anyio.Event()
            left_s = min(self._until_s.values(), default=math.inf) - self._now_s()
            with anyio.move_on_after(max(0.0, left_s)):
                await self._moved.wait()
            for key in [key for key in self._until_s if not self._is_so(key)]:
                del self._until_s[key]
                self._tell(_named(key))

    def _now(self) -> list[Key]:
        return [key for key in self._until_s if self._is_so(key)]

    def _is_so(self, key: Key) -> bool:
        return self._until_s.get(key, -math.inf) > self._now_s()


def _named(key: Key) -> Change:
    conversation, user = key
    return Change(What.TYPING if conversation else What.CONNECTED, conversation, user)
