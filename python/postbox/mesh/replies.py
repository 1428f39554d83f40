"""What became of a request, as an HTTP answer: the one table of it.

`docs/protocol/mesh.md` has the same table for those who call.
"""

from __future__ import annotations

import math

from postbox.errors import Fault, Full, Stopped, Unavailable, WireError
from postbox.net.asgi import Reply, text
from postbox.trust.signatures import AuthFailed


class NotAllowed(WireError):
    """Who asks, or from where, is not let in, however well it is signed."""


class TooOften(WireError):
    """Asked more often, or more at once, than one caller may."""

    def __init__(self, what: str, wait_s: float) -> None:
        super().__init__(f"{what}: try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class WrongMethod(WireError):
    def __init__(self, use: str, path: str) -> None:
        super().__init__(f"use {use} {path}")
        self.use = use


RETRY_S = 5
"""After a fault of ours: a disk that is full or a store that is stuck is not mended sooner."""


def reply_to(error: WireError | Fault) -> Reply:
    """The most special kinds first."""
    match error:
        case AuthFailed():
            return text(401, str(error))
        case NotAllowed():
            return text(403, str(error))
        case WrongMethod():
            return text(405, str(error), allow=error.use)
        case TooOften():
            return text(429, str(error), **{"retry-after": str(max(1, math.ceil(error.wait_s)))})
        case WireError():
            return text(400, str(error))
        case Full() | Unavailable() | Stopped():
            return text(503, "this node can not do that now", **{"retry-after": str(RETRY_S)})
        case _:
            raise error
