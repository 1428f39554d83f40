"""What one stream is told beside what is stored: that somebody types, or is connected.

A mailbox has subjects and no messages: of which its device has not been told since they changed.
What it is told is how they stand when it takes them, so that of two changes the newer one is left,
and a device that reads slowly is told little, and nothing that is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

MAX_SUBJECTS = 512
"""Of a device that takes nothing: beyond them those that changed longest ago are dropped. About as
many people as one shares small conversations with."""


class Subject(NamedTuple):
    """A user who types in a conversation, of which this is the stream, or, where that is empty, is
    connected."""

    stream: bytes
    user: bytes


class Mailbox:
    """`streams`: of the conversations that the device is shown now."""

    def __init__(
        self,
        user: bytes,
        device: bytes,
        frame: Callable[[Subject], bytes | None],
        sees_more: Callable[[Mailbox], None],
    ) -> None:
        """`frame`: how a subject stands, as an Event; None: there is nothing to say of it."""
        self.user = user
        self.device = device
        self.streams: frozenset[bytes] = frozenset()
        self._frame = frame
        self._sees_more = sees_more
        self._subjects: dict[Subject, None] = {}  # the one that changed longest ago first
        self._wake: trio.Event | None = None

    def see(self, streams: frozenset[bytes]) -> None:
        """The stream's: what its device is shown from now on. Of nothing else is it told."""
        has_more = not streams <= self.streams
        self.streams = streams
        if has_more:
            self._sees_more(self)

    def put(self, subject: Subject) -> None:
        """It has changed."""
        self._subjects.pop(subject, None)
        self._subjects[subject] = None
        if len(self._subjects) > MAX_SUBJECTS:
            del self._subjects[next(iter(self._subjects))]
        if self._wake is not None:
            self._wake.set()

    def wake(self, event: trio.Event) -> None:
        """Sets it when there is something to take, perhaps at once."""
        self._wake = event
        if self._subjects:
            event.set()

    def take(self) -> Sequence[bytes]:
        """Events, whole."""
        subjects, self._subjects = self._subjects, {}
        return [
            frame
            for subject in subjects
            if not subject.stream or subject.stream in self.streams
            if (frame := self._frame(subject)) is not None
        ]
