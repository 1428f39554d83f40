"""Who may see the operator's page: links that let in once, and the sessions that they become.

Plain state, in memory: a node that starts again lets nobody in without a new link. Only digests of
secrets are kept, and a bounded number of them; the oldest gives way. Times are `Clock.elapsed_s`.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256

from postbox.world import Clock, Random

LINK_S = 600.0
"""To go from the terminal to a browser, on another machine perhaps."""
SESSION_S = 12 * 3600.0
"""A working day. It is not renewed by use: a page that stays open asks for a link tomorrow."""
MAX_LINKS = 16
MAX_SESSIONS = 64
SECRET_BYTES = 32


class Sessions:
    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._links = _Secrets(LINK_S, MAX_LINKS)
        self._sessions = _Secrets(SESSION_S, MAX_SESSIONS)

    def link(self) -> str:
        """A secret that lets its bearer in, once."""
        return self._new(self._links)

    def doorkeeper(self) -> tuple[str, float]:
        """A link, and for how many seconds it is good."""
        return self.link(), LINK_S

    def redeem(self, link: str) -> str | None:
        """The secret of a new session; None for a link that is used up, too old or none."""
        now_s = self._clock.elapsed_s()
        if not self._links.has(link, now_s):
            return None
        self._links.drop(link)
        return self._new(self._sessions)

    def is_open(self, session: str) -> bool:
        return self._sessions.has(session, self._clock.elapsed_s())

    def end(self, session: str) -> None:
        self._sessions.drop(session)

    def _new(self, secrets: _Secrets) -> str:
        secret = urlsafe_b64encode(self._random.bytes(SECRET_BYTES)).decode().rstrip("=")
        secrets.add(secret, self._clock.elapsed_s())
        return secret


class _Secrets:
    """Digests, and until when each is good; the oldest first."""

    def __init__(self, good_s: float, most: int) -> None:
        self._good_s = good_s
        self._most = most
        self._until_s: dict[bytes, float] = {}

    def add(self, secret: str, now_s: float) -> None:
        while len(self._until_s) >= self._most:
            del self._until_s[next(iter(self._until_s))]
        self._until_s[_digest(secret)] = now_s + self._good_s

    def has(self, secret: str, now_s: float) -> bool:
        return self._until_s.get(_digest(secret), now_s) > now_s

    def drop(self, secret: str) -> None:
        self._until_s.pop(_digest(secret), None)


def _digest(secret: str) -> bytes:
    """Looked up by it, so that how long that takes says nothing of the secret."""
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
