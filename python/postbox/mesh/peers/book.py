"""Who this node has to do with: the peers that its operator configured, and those that asked.

In memory, for people and for `/metrics`; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

MAX_CALLERS = 1_000
"""Names that asked us; the one that asked longest ago is forgotten first."""


class Contact(StrEnum):
    NEW = "new"  # not asked yet
    PULLING = "pulling"
    REACHED = "reached"
    WAITING = "waiting"  # for its operator to admit us
    FAILED = "failed"
    ELSEWHERE = "elsewhere"  # another process of this node pulls, or will soon


class Link(Struct):
    """A configured peer. Times are Unix nanoseconds, 0 for never."""

    url: str
    name: str = ""
    kind: str = ""  # postbox, nara
    version: str = ""
    memory_mode: str = ""
    contact: Contact = Contact.NEW
    rtt_ms: float | None = None
    last_contact_ns: int = 0
    failed_ns: int = 0  # a round, for the last time
    next_ns: int = 0  # a round begins; 0 while one is under way
    last_error: str = ""
    pulls: int = 0
    imported: int = 0  # events that came from it and were new
    rejected: int = 0


class Caller(Struct):
    """A peer that proved its name and asked."""

    name: str
    last_asked_ns: int
    requests: int
    events: int  # that it was given


class PeerBook:
    def __init__(self, urls: Sequence[str]) -> None:
        self.links = [Link(url.rstrip("/")) for url in dict.fromkeys(urls)]
        self._callers: dict[str, Caller] = {}  # whoever asked last is last

    def link(self, url: str) -> Link:
        """The configured peer of this URL, or one of its own that is in no book."""
        url = url.rstrip("/")
        return next((link for link in self.links if link.url == url), Link(url))

    @property
    def callers(self) -> list[Caller]:
        """Whoever asked last is first."""
        return list(reversed(self._callers.values()))

    def asked_us(self, name: str, events: int, now_ns: int) -> None:
        before = self._callers.pop(name, None) or Caller(name, 0, 0, 0)
        self._callers[name] = Caller(name, now_ns, before.requests + 1, before.events + events)
        if len(self._callers) > MAX_CALLERS:
            del self._callers[next(iter(self._callers))]
