"""What can go wrong on a wire, renamed once: nothing of hypercorn, httpx or the operating system
leaves `net` under another name."""

from __future__ import annotations

from postbox.errors import Fault


class ListenFault(Fault):
    """The address cannot be listened on."""


class BadAddress(Fault):
    """What should be asked is no http or https URL; nothing was sent."""


WILL_NOT_CALL = "will not call"


class Forbidden(Fault):
    """The rules of this node forbid to call that address; nothing was sent. Its text begins with
    `WILL_NOT_CALL`, and says what would allow it."""


class Unreachable(Fault):
    """No connection, or it broke before the answer was complete. What was asked may have been
    done."""


class TooSlow(Fault):
    """The deadline passed before the answer was complete. What was asked may have been done."""


class TooLarge(Fault):
    """The answer is larger than the caller takes; the rest of it was not read."""


class BadAnswer(Fault):
    """What came back is not HTTP as we speak it."""
