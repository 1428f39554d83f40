"""A device's connection and its queue, as one state machine: what happened in, what to do out.

It knows how many events wait, not which; where the device is, not what it has. Whoever drives it
does each action at once, in order, and tells it what comes of it. It owns the order of things:

- a stream first: the queue is offered only behind the first frame of an open stream, and not in the
  middle of a snapshot;
- one batch at a time: behind an Offer comes no other before Answered or NotAnswered;
- it never just waits: as long as it should be connected, a stream is open or is being opened or
  closed, or a timer runs, or a token was asked for, or the user has to sign in.

Nothing in it reads a clock. `fraction` draws the jitter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct

from postbox.client.core.changes import Place

Timer: TypeAlias = Literal["stream", "queue"]
"""What is waited for: to open a stream, or to offer the queue."""

Status: TypeAlias = Literal[
    "stopped", "offline", "connecting", "catching up", "live", "needs sign-in", "displaced"
]


class Fault(Struct, frozen=True):
    """Why something did not work. `code`: ours, as in docs/protocol/clients.md, "Codes";
    "UNREACHABLE" if there was no answer at all, "STORE" if the device could not write down what
    came, "LOST" if a frame did not go on from the one before. `retry_s`: what the host said.
    `next_number`: of QUEUE_HOLE."""

    code: str
    text: str = ""
    retry_s: float | None = None
    next_number: int = 0


# -- what happened ---------------------------------------------------------------------------------


class Started(Struct, frozen=True, tag=True):
    """`awaited`: the number that the host awaits next; 0: not known. `holes`: that were found."""

    place: Place = Place()
    awaited: int = 0
    queued: int = 0
    holes: int = 0
    is_active: bool = True


class Made(Struct, frozen=True, tag=True):
    """So many events more are in the queue, and committed."""

    count: int


class StreamOpened(Struct, frozen=True, tag=True):
    """The host has answered; a frame is to come."""


class Heard(Struct, frozen=True, tag=True):
    """Frames were committed. `place`: that is the device's now. `queued`: rows that are to be sent
    now; None: as before. `snapshot`: "begun" or "ended", the last of the two in them.
    `go_away`: its code."""

    place: Place
    queued: int | None = None
    holes: int | None = None
    snapshot: Literal["", "begun", "ended"] = ""
    is_caught_up: bool = False
    go_away: str = ""
    reconnect_after_ms: int = 0


class StreamEnded(Struct, frozen=True, tag=True):
    """Once for each OpenStream, also if it was closed. `fault`: None if it ended in order."""

    fault: Fault | None = None


class Answered(Struct, frozen=True, tag=True):
    """The answer is committed. `left`: rows that are still to be sent."""

    left: int
    next_number: int


class NotAnswered(Struct, frozen=True, tag=True):
    """`offered`: how many events the batch had. Nothing was changed."""

    fault: Fault
    offered: int


class HolesFilled(Struct, frozen=True, tag=True):
    """What History had is committed, or it could not be asked. `left`: holes."""

    left: int


class Woke(Struct, frozen=True, tag=True):
    timer: Timer


class NetworkUp(Struct, frozen=True, tag=True):
    """There is a network, or another one: what waits for an answer may wait in vain."""


class SignedIn(Struct, frozen=True, tag=True):
    """There is a new token."""


class TokenNotHad(Struct, frozen=True, tag=True):
    """AskToken came to nothing. `is_lasting`: the user has to sign in; else asking failed, and is
    tried again."""

    is_lasting: bool


class Activity(Struct, frozen=True, tag=True):
    """Whether somebody looks."""

    is_active: bool


class Stopped(Struct, frozen=True, tag=True):
    """The end. What is on its way is given up."""


Input: TypeAlias = (
    Started
    | Made
    | StreamOpened
    | Heard
    | StreamEnded
    | Answered
    | NotAnswered
    | HolesFilled
    | Woke
    | NetworkUp
    | SignedIn
    | TokenNotHad
    | Activity
    | Stopped
)

# -- what to do ------------------------------------------------------------------------------------


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


class Machine:
    def __init__(self, fraction: Callable[[], float]) -> None:
        """`fraction`: draws a number from 0 to 1."""
        self._fraction = fraction

    def handle(self, happened: Input) -> list[Action]:
        raise NotImplementedError
