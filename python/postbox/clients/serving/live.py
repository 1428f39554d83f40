"""What this door hands to `clients/live/`: what devices say that is not stored."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from postbox.clients.events.incoming import Incoming
from postbox.clients.identity.callers import Caller
from postbox.clients.reading.stream import Mail


class Live(Protocol):
    """None of it waits, and none of it raises."""

    def said(self, caller: Caller, event: Incoming) -> None:
        """A transitory event, for whoever it concerns."""
        ...

    def stored(self, caller: Caller, place: int) -> None:
        """The device has everything up to this position of the log."""
        ...

    def mail(self, caller: Caller) -> AbstractContextManager[Mail]:
        """For a stream that somebody looks at, while it is open: what others say."""
        ...
