"""What to do about an attempt to reach a host that failed: a pure function of how it failed and of
how it went before (facts: reply classes at the origin).

Every failure there is ends in a wait, whatever it was: an answer that nobody foresaw waits like the
rest. Only what does not get better by waiting is set right at once, and once: a token is signed
again, a batch is sent one by one, an event that is refused for good is buried.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from msgspec import Struct

from postbox.rpc.faults import Code

FIRST_DELAY_S = 1.0
"""A process that starts again takes about as long."""
LONGEST_DELAY_S = 3600.0
"""A host that is gone for good costs a connection an hour. One that comes back asks us first, which
ends the wait."""
JITTER = 0.5
"""Of a delay, at random, less: hosts that failed together do not come back together."""


class Failure(Struct, frozen=True):
    """Of one attempt. `code` None: it never came to an answer, or to one that is none."""

    code: Code | None
    text: str
    retry_after_s: float | None = None


class Tried(Struct, frozen=True):
    """How it went before, and what was tried."""

    attempts: int = 0  # in a row that failed
    events: int = 1  # of which each may be what is refused
    is_signed_again: bool = False


class SignAgain(Struct, frozen=True):
    """At once, with a new token: the clock may have been slow, or the host fetches a key."""


class SendSingly(Struct, frozen=True):
    """At once, each event by itself: one of them is refused, and not said which."""


class Bury(Struct, frozen=True):
    """The event will never be taken: it is a dead letter, and the link goes on."""

    code: str
    text: str


class Wait(Struct, frozen=True):
    delay_s: float


Step: TypeAlias = SignAgain | SendSingly | Bury | Wait


def next_step(failure: Failure, tried: Tried, fraction: float) -> Step:
    """`fraction`: a random number from 0 to 1, for the jitter."""
    match failure.code:
        case Code.UNAUTHENTICATED if not tried.is_signed_again:
            return SignAgain()
        case Code.INVALID_ARGUMENT | Code.OUT_OF_RANGE if tried.events > 1:
            return SendSingly()
        case Code.INVALID_ARGUMENT | Code.OUT_OF_RANGE if tried.events == 1:
            return Bury(failure.code.name.lower(), failure.text)
        case Code.PERMISSION_DENIED | Code.UNIMPLEMENTED | Code.NOT_FOUND:
            return Wait(_jittered(LONGEST_DELAY_S, fraction))  # it is decided there, by people
        case _:
            return Wait(delay_s(tried.attempts, fraction, failure.retry_after_s))


def delay_s(attempts: int, fraction: float, retry_after_s: float | None = None) -> float:
    """After so many attempts that failed before this one. What the host asks for is the least, and
    no more than the longest: it may be slow, and not put us off for ever."""
    doubled_s = math.ldexp(FIRST_DELAY_S, min(attempts, 32))
    own_s = _jittered(min(doubled_s, LONGEST_DELAY_S), fraction)
    if retry_after_s is None or not retry_after_s > own_s:
        return own_s
    return min(retry_after_s, LONGEST_DELAY_S) + fraction * FIRST_DELAY_S  # and not all at once


def _jittered(whole_s: float, fraction: float) -> float:
    return whole_s * (1 - JITTER * fraction)


def fraction_of(drawn: bytes) -> float:
    """Four random bytes as a number from 0 to 1, 1 excluded."""
    return math.ldexp(int.from_bytes(drawn, "big"), -8 * len(drawn))
