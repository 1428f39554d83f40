"""Why the connection is as it is, for people: what was said of it last, or what its code means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from postbox.client.core.machine import SIGN_IN

MEANINGS: Final[Mapping[str, str]] = {
    "NO_SESSION": "the host does not take the token: a new one is needed",
    "TOKEN_EXPIRED": "the token is over: a new one is needed",
    "DEVICE_REVOKED": "the host was told to shut this device out: it needs a token made since",
    "RATE_LIMITED": "that is more than the host takes at once; it goes on in a moment",
    "SNAPSHOT_BUSY": "the host has many to tell everything; it is this device's turn in a moment",
    "QUEUE_HOLE": "the host awaits another part of the queue; it is sent again from there",
    "INVALID": "the host does not understand what it is asked: one of the two may be too old",
    "TOO_LARGE": "that was too much at once; it is sent in smaller parts",
    "NOT_A_MEMBER": "the user is not in that conversation",
    "DISPLACED": "this device may be open elsewhere, too; it comes back by itself, once",
    "STOPPING": "the host is being stopped; it is called again until it is back",
    "RESTARTING": "the host is being stopped, and says when to come back; it is called again then",
    "UNAVAILABLE": "the host cannot write or read just now; it is called again until it can",
    "INTERNAL": "the host has a fault, which its log tells; it is called again",
    "UNREACHABLE": "there is no answer: see that there is a network, and that the host is up",
    "STORE": "this device cannot write to its file: see that its disk has room",
    "LOST": "something was lost on the way; it is asked for again",
    "EPOCH_CHANGED": "the host was restored from a backup; it is asked for everything anew",
}
"""Of each code that a machine tells (docs/protocol/clients.md, "Codes"), and what to do. A host
mostly has better words of its own."""

COPY = "this device is open elsewhere, by a copy of its file: take_over() takes it back"
"""Whatever the host says: once it is displaced it does not come back by itself."""


class Reasons:
    """What was said last of each code."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._of_token = ""

    def hear(self, code: str, text: str) -> None:
        self._said[code] = text

    def hear_of_token(self, text: str) -> None:
        """Why there is no new one; empty: there is."""
        self._of_token = text

    def text_of(self, code: str, status: str = "") -> str:
        """Empty for no code: nothing is wrong. `status`: of the connection."""
        if not code:
            return ""
        if status == "displaced":
            return COPY
        text = self._said.get(code) or MEANINGS.get(code) or f"the host says {code}"
        return f"{text}; {self._of_token}" if code in SIGN_IN and self._of_token else text
