"""How often a stranger can make this node ask another host for its key. Plain values; the time is
an argument.

To check a token, a key may have to be fetched, from a host that the caller names and before
anything of his is proved. Anyone could so make us call whom he likes. What can be caused like this
is bounded, each bound by itself:

| of | how many |
| --- | --- |
| one host | one in 60 s, unless the token that it was for is good then; 1, 2, 4 ... 60 minutes apart while it fails |
| one caller's address | 30 at once, 30 a minute |
| hosts that were never in contact | 60 at once, 60 a minute, all together |
| all hosts | 200 at once, 600 a minute, all together |

So a flood of forged requests that name one host causes one fetch a minute, and a flood that names
many causes 60 and then one a second. What this node asks for by itself (its own events, the refresh
of what it knows) is not held back here: nobody else causes it.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from postbox.metrics import HeldBack, KeyFetch
from postbox.net.rates import Rate
from postbox.pauses import doubled

COOLDOWN_S = 60.0
MAX_COOLDOWN_S = 3600.0
"""A host that is down is asked by its own requests' tokens, too: it must not wait for longer."""

SOURCE_PER_MINUTE = 30
"""An address. A house full of hosts may be behind it, each with its first request."""

STRANGERS_PER_MINUTE = 60
"""First contacts, all together. A host is a stranger once."""

ALL_PER_MINUTE, ALL_BURST = 600, 200
"""With the keys of hosts that are known: a mass of them may change keys in one week."""

MAX_HOSTS = 50_000
"""Whose pause is remembered: more than can be asked in the hour that one lasts at most."""


class Held(NamedTuple):
    """This fetch may not be made now."""

    why: HeldBack
    retry_s: float


class _Pause(NamedTuple):
    until_s: float
    failures: int  # one after the other


class FetchGate:
    def __init__(self, count: Callable[[KeyFetch], None]) -> None:
        """`count` is told what became of each question."""
        self._count = count
        self._pauses: dict[str, _Pause] = {}
        self._sources = Rate(SOURCE_PER_MINUTE, SOURCE_PER_MINUTE)
        self._strangers = Rate(STRANGERS_PER_MINUTE, STRANGERS_PER_MINUTE)
        self._all = Rate(ALL_PER_MINUTE, ALL_BURST)

    def ask(self, host: str, source: str, now_s: float, *, is_stranger: bool) -> Held | None:
        """May the key of `host` be fetched, for a request from `source`? None: yes, and it counts
        as futile until `useful` is called."""
        held = self._held(host, source, now_s, is_stranger=is_stranger)
        if held is not None:
            self._count(held.why)
            return held
        self._count("granted")
        self._pause(host, now_s + COOLDOWN_S, self._failures(host))
        return None

    def fetched(self, host: str, now_s: float) -> None:
        """It could be fetched, by whomever it was wanted."""
        if host in self._pauses:
            self._pause(host, min(now_s + COOLDOWN_S, self._pauses[host].until_s), 0)

    def useful(self, host: str) -> None:
        """A token of this host is good with the key that was fetched: it was no forger's. The next
        time that its key changes nobody has to wait."""
        self._pauses.pop(host, None)

    def fail(self, host: str, now_s: float) -> None:
        """It could not be fetched for who asked here. (What the node's own wishes come up against
        says nothing here: a host must not wait for an hour since we could not reach it yesterday.)
        """
        self._count("failed")
        failures = self._failures(host) + 1
        length_s = doubled(COOLDOWN_S, failures, MAX_COOLDOWN_S)
        self._pause(host, now_s + length_s, failures)

    def wait_s(self, host: str, now_s: float) -> float:
        """How long this host is not to be asked again."""
        pause = self._pauses.get(host)
        return 0.0 if pause is None else max(0.0, pause.until_s - now_s)

    def _held(self, host: str, source: str, now_s: float, *, is_stranger: bool) -> Held | None:
        wait_s = self.wait_s(host, now_s)
        if wait_s:
            return Held("host", wait_s)
        wait_s = self._sources.wait_s(source, now_s)
        if wait_s:
            return Held("source", wait_s)
        wait_s = self._strangers.wait_s("", now_s) if is_stranger else 0.0
        if wait_s:
            return Held("strangers", wait_s)
        wait_s = self._all.wait_s("", now_s)
        return Held("all", wait_s) if wait_s else None

    def _failures(self, host: str) -> int:
        pause = self._pauses.get(host)
        return 0 if pause is None else pause.failures

    def _pause(self, host: str, until_s: float, failures: int) -> None:
        self._pauses.pop(host, None)  # so that the one changed last is forgotten last
        self._pauses[host] = _Pause(until_s, failures)
        if len(self._pauses) > MAX_HOSTS:
            del self._pauses[next(iter(self._pauses))]
