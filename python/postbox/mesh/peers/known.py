"""A peer, as this node knows it: who and where it is, how contact went, and what it brought.

Everything here is for people, for `/metrics` and for the choice of whom to ask. Nothing of it is
believed: a URL is where to try, and what a peer says of itself weighs little (`choosing_rules`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

Purpose: TypeAlias = Literal["recovery", "refresh", "gossip", "ping", "checkpoints"]
"""What a peer is wanted for."""


class Contact(StrEnum):
    NEW = "new"  # not asked yet
    PULLING = "pulling"
    REACHED = "reached"
    WAITING = "waiting"  # for its operator to admit us
    FAILED = "failed"
    BANNED = "banned"  # not asked any more, for what it did
    ELSEWHERE = "elsewhere"  # another process of this node pulls, or will soon


class Origin(StrEnum):
    """How this node came to know of a peer; the later ones give way to the earlier ones."""

    CONFIGURED = "configured"  # the operator named its URL
    MET = "met"  # it proved its name: it answered us, or introduced itself
    HEARD = "heard"  # a hey-there of its own that verifies, in an event
    TOLD = "told"  # by others, in whatever way: perhaps there is no such peer


class Known(Struct):
    """A peer. Times are Unix nanoseconds, 0 for never. A configured peer has no name until it has
    signed an answer, and one that others told of has no URL until it was found."""

    url: str = ""
    name: str = ""
    origin: Origin = Origin.TOLD
    kind: str = ""  # postbox, nara
    version: str = ""
    memory_mode: str = ""
    uptime_s: int = 0  # by its own word, when it was met last
    contact: Contact = Contact.NEW
    rtt_ms: float | None = None
    last_contact_ns: int = 0
    failed_ns: int = 0  # a round, for the last time
    failures: int = 0  # in a row
    next_ns: int = 0  # a round begins; 0 while one is under way
    last_error: str = ""
    met_ns: int = 0  # it answered a ping
    said_name: str = ""  # in that answer, which anybody can give
    proved_url: str = ""  # where it signed an answer, for the last time
    pulls: int = 0
    imported: int = 0  # events that came from it and were new
    rejected: int = 0
    cursor_ns: int = 0  # all of its events up to that time were asked for, page by page
    told_ns: int = 0  # when others told of it for the last time
    own_url: str = ""  # where it says itself that it is, in the newest hey-there that was heard
    heard_ns: int = 0  # of that time

    @property
    def is_proved(self) -> bool:
        """Is it known to be itself where it is called now? A ping anybody can answer."""
        return bool(self.url) and self.proved_url == self.url

    @property
    def is_at_its_place(self) -> bool:
        """Is it called where the operator or itself said? Elsewhere may be somebody who asks it for
        other things than this node did, and hands on what it signed."""
        return self.origin is Origin.CONFIGURED or self.url == self.own_url != ""


class Caller(Struct):
    """A peer that proved its name and asked."""

    name: str
    last_asked_ns: int
    requests: int
    events: int  # that it was given
