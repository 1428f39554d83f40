"""Which users are connected: a lease each, renewed as long as one of the user's streams lives.

Nobody is told that a user has gone: the lease runs out, so that a phone in a tunnel is not gone and
there again at each end of it. Plain values; the time is an argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from postbox.clients.tables import unpacked

CONNECTED_S = 90.0
RENEW_S = 60.0

MAX_CONNECTED = 50_000
"""On all processes of the node; beyond them, those who were heard of longest ago are dropped."""


class Presence:
    def __init__(self) -> None:
        self._until_s: dict[bytes, float] = {}  # by user; in the order in which they run out
        self._places: dict[bytes, bytes] = {}  # where each may be met: packed ids
        self._there: dict[bytes, set[bytes]] = {}  # the same by conversation

    def __len__(self) -> int:
        return len(self._until_s)

    def connect(self, user: bytes, now_s: float) -> None:
        """Or still is."""
        self._until_s.pop(user, None)
        self._until_s[user] = now_s + CONNECTED_S
        if len(self._until_s) > MAX_CONNECTED:
            self._drop(next(iter(self._until_s)))

    def left_ms(self, user: bytes, now_s: float) -> int:
        """0: the user is not connected, as far as is known here."""
        return max(0, int(1_000 * (self._until_s.get(user, now_s) - now_s)))

    def forget(self, now_s: float) -> None:
        """Whose lease has run out."""
        while self._until_s:
            user, until_s = next(iter(self._until_s.items()))
            if until_s > now_s:
                break
            self._drop(user)

    # -- whom it concerns -----------------------------------------------------------------------

    def unplaced(self, users: Iterable[bytes]) -> list[bytes]:
        """Of whom it is to be read where they may be met."""
        return [user for user in users if user in self._until_s and user not in self._places]

    def place(self, user: bytes, conversations: bytes) -> None:
        """`conversations`: packed ids of those in which others are told of the user."""
        if user in self._until_s:
            self.moved(user)
            self._places[user] = conversations
            for conversation in unpacked(conversations):
                self._there.setdefault(conversation, set()).add(user)

    def moved(self, user: bytes) -> None:
        """The user has entered or left a conversation."""
        for conversation in set(unpacked(self._places.pop(user, b""))):
            there = self._there[conversation]
            there.discard(user)
            if not there:
                del self._there[conversation]

    def places(self, user: bytes) -> Iterator[bytes]:
        """The conversations."""
        return iter(unpacked(self._places.get(user, b"")))

    def there(self, conversation: bytes) -> Collection[bytes]:
        """The users who may be met in it."""
        return self._there.get(conversation, frozenset())

    def _drop(self, user: bytes) -> None:
        del self._until_s[user]
        self.moved(user)
