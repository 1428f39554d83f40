"""What became of a request, as an HTTP answer: the one table of it.

`docs/protocol/mesh.md` has the same table for those who call.
"""

from __future__ import annotations

from postbox.errors import Fault, Full, Stopped, Unavailable, WireError
from postbox.net.asgi import Reply, text
from postbox.net.rates import TooOften
from postbox.trust.signatures import AuthFailed


class NotAllowed(WireError):
    """Who asks, or from where, is not let in, however well it is signed."""


class WrongMethod(WireError):
    def __init__(self, path: str, *allowed: str) -> None:
        super().__init__(f"use {' or '.join(allowed)} {path}")
        self.allowed = allowed


class BodyTooLarge(WireError):
    """For this route, that is: what is too large for any is refused by `net.limits`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the request's body is larger than {max_bytes} bytes")


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
            return text(405, str(error), allow=", ".join(error.allowed))
        case BodyTooLarge():
            return text(413, str(error))
        case TooOften():
            return text(429, str(error), **{"retry-after": str(error.wait_s)})
        case WireError():
            return text(400, str(error))
        case Full() | Unavailable() | Stopped():
            return text(503, "this node cannot do that now", **{"retry-after": str(RETRY_S)})
        case _:
            raise error
