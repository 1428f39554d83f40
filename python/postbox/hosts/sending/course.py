"""From which number on a link is sent, and how far it is at its receiver: the sender's half of the
protocol without its waiting.

The receiver says of every batch how far it has come. What follows from there is sent next, whether
it has been sent before or not: a receiver that was put back has the rest again, and so has one that
missed something. A place that is neither passed nor ever reached would have both go round for ever,
so the number of times that it may send us back is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from postbox.errors import Fault
from postbox.hosts.links.place import Place
from postbox.hosts.tables import MAX_BATCH_EVENTS

MAX_TURNS_BACK = 8
"""One for a gap, and one for each epoch that the receiver has not heard of: nodes are put back
rarely."""


class Sent(Protocol):
    """An event, or numbers that have none any more, as it is on the wire."""

    @property
    def seq(self) -> int: ...

    @property
    def upto(self) -> int:
        """The last of its numbers: `seq`, if it is an event."""
        ...

    @property
    def is_event(self) -> bool: ...


S = TypeVar("S", bound=Sent)


class Refused(Struct, frozen=True):
    """An event that is not taken for good."""

    seq: int
    code: str
    text: str


class Reply(Struct, frozen=True):
    """To a batch, as the receiver gave it."""

    received: Place | None
    is_gap: bool = False
    refused: Refused | None = None


class Stuck(Fault):
    """The answer leads nowhere."""


class Course:
    """Of one link, while there is something to send. `after`: the receiver has all up to there, as
    far as is known."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._singly_upto = 0
        self._turns_back = 0
        self._given_up: set[int] = set()

    @property
    def most_events(self) -> int:
        """In the next batch."""
        return 1 if self.after < self._singly_upto else MAX_BATCH_EVENTS

    def send_singly(self, batch: Sequence[Sent]) -> None:
        """Until it is past this batch."""
        self._singly_upto = batch[-1].upto

    def went(self, batch: Sequence[Sent], reached: int, *, is_gap: bool) -> None:
        """The receiver has all up to `reached`: perhaps more than this batch, for it also asks by
        itself. On from there. Raises Stuck."""
        if not is_gap and reached >= batch[0].seq:
            self.after = reached
            return
        self._turns_back += 1
        if reached >= batch[0].seq - 1 or self._turns_back > MAX_TURNS_BACK:
            raise Stuck(f"it has all up to number {reached}, and does not take what follows")
        self.after = reached

    def refusable(self, batch: Sequence[Sent]) -> list[int]:
        """The events of it that may turn out to be what the receiver does not take for good."""
        return [one.seq for one in batch if one.is_event and one.seq not in self._given_up]

    def refused(self, batch: Sequence[S], seq: int) -> S:
        """The event of that number is not taken: it is to be given up, and what stands for it is
        sent instead, which cannot be refused again. Raises Stuck."""
        for one in batch:
            if one.seq == seq and self.refusable([one]):
                self._given_up.add(seq)
                self.after = seq - 1
                return one
        raise Stuck(f"it refuses number {seq}, at which it was sent no event")
