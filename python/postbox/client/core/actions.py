"""What a device's machine has done: by whoever has the network, the store and the timers."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from postbox.client.core.inputs import Timer

Status: TypeAlias = Literal[
    "stopped", "offline", "connecting", "catching up", "live", "needs sign-in", "displaced"
]


class OpenStream(Struct, frozen=True, tag=True):
    token: str
    uuid: str
    is_inactive: bool


class CloseStream(Struct, frozen=True, tag=True):
    """StreamEnded tells that it is, when nothing of it is being committed any more."""


class Offer(Struct, frozen=True, tag=True):
    """Send the oldest rows that are to be sent, so many at most (and 1 MiB), numbered from
    `number`; 0: without numbers. Wait no longer than a request may take."""

    number: int
    limit: int


class CancelOffer(Struct, frozen=True, tag=True):
    """Give the request up. NotAnswered tells that it is; or Answered, if that came first."""


class RefuseOldest(Struct, frozen=True, tag=True):
    """The oldest row that is to be sent is REFUSED with this code: the host does not take the batch
    that has nothing but it."""

    code: str
    detail: str


class AskNumber(Struct, frozen=True, tag=True):
    """Send a batch without events; its answer is Answered, with the number that is awaited."""


class FillHoles(Struct, frozen=True, tag=True):
    """Ask History for the holes, and commit what comes."""


class WakeAt(Struct, frozen=True, tag=True):
    """In place of what was asked for this timer before. None: it does not run any more."""

    timer: Timer
    in_s: float | None


class AskToken(Struct, frozen=True, tag=True):
    """Have a new one made, if there is who makes it. SignedIn or TokenNotHad tells."""

    code: str


class Tell(Struct, frozen=True, tag=True):
    """What the user may want to know. `why`: a code, empty in good times."""

    status: Status
    why: str


Action: TypeAlias = (
    OpenStream
    | CloseStream
    | Offer
    | CancelOffer
    | RefuseOldest
    | AskNumber
    | FillHoles
    | WakeAt
    | AskToken
    | Tell
)
