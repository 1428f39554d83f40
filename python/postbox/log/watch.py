"""A reader that waits for the same streams again and again, and is entered for them only once.

What it waited for tells it where to read on: no commit between its cursor and the one that woke it
touched its streams, so that its next page comes out of memory however long it slept.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from postbox.log.committed import Interest


class Watch:
    """Made by `Tail.watch`, for one task."""

    def __init__(self, interest: Interest, head: int, is_past: Callable[[int], bool]) -> None:
        """`is_past`: whether a commit after a position up to `head` touched a stream of it."""
        self.interest = interest
        self._begun = head
        self._is_past = is_past
        self._touched = 0  # the log's head after the newest commit that did, since the beginning
        self._quiet = 0  # and before the one that woke the reader
        self._event: trio.Event | None = None

    async def wait(self, after: int) -> int:
        """Returns when a commit after `after` touched one of the streams: where to read on, beyond
        `after` if what lies between touched none. May return early, never late."""
        event = trio.Event()
        self.wake(event, after)
        await event.wait()
        return max(after, self._quiet)

    def wake(self, event: trio.Event, after: int) -> None:
        """As `wait`, for who waits for something else besides: sets `event`, perhaps at once."""
        self._quiet, self._event = 0, None
        if self._touched > after or (after < self._begun and self._is_past(after)):
            event.set()
        else:
            self._event = event

    def read_on(self, after: int, head: int) -> int:
        """After `wake` with that `after`, whatever has woken the reader: from where to read on, the
        tail being at `head`. No commit between the two touched one of the streams."""
        return max(after, self._quiet if self._event is None else head)

    def touch(self, before: int, head: int) -> None:
        """The tail's: a commit that moved the log's head from here to there."""
        self._touched = head
        if self._event is not None:
            self._quiet = before
            self._event.set()
            self._event = None
