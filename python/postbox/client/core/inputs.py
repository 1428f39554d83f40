"""What happens to a device's connection and to its queue: what its machine is told."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from postbox.client.core.changes import Place

Timer: TypeAlias = Literal["stream", "queue", "copy"]
"""What is waited for: to open a stream (or to ask for a token again), to offer the queue, or that
having been displaced counts no more."""


class Fault(Struct, frozen=True):
    """Why something did not work. `code`: ours, as in docs/protocol/clients.md, "Codes";
    "UNREACHABLE" if there was no answer at all, "STORE" if the device could not write down what
    came, "LOST" if a frame did not go on from the one before. `retry_s`: what the host said.
    `next_number`: of QUEUE_HOLE."""

    code: str
    text: str = ""
    retry_s: float | None = None
    next_number: int = 0


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
