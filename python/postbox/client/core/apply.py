"""From frames to changes: whether one goes on from the one before, which of its events are news,
and what they change. All in memory: a device's state is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from postbox.client.core.changes import Change, Passing, Place
from postbox.client.core.machine import Heard


class Lost(Exception):
    """The device can prove that it has missed something: it connects again, from where it is. The
    text says what."""


class Taken(Struct, frozen=True):
    """Of one frame. `changes` and `place` are one commit; then `heard` is for the machine, but for
    the rows and holes that are left, which the store counts."""

    changes: tuple[Change, ...]
    place: Place
    passing: tuple[Passing, ...]
    heard: Heard


class Reader:
    """Takes in a device's streams, one after the other. Whoever cannot commit what it gave forgets
    it, and makes a new one of what is committed."""

    def __init__(self, user: str, place: Place, heads: Mapping[str, int]) -> None:
        """`user`: whose device it is. `heads`: of the conversations that it is in, the newest
        number that the device has."""

    def opened(self) -> None:
        """A new stream, from the place that was committed last."""
        raise NotImplementedError

    def take(self, frame: bytes) -> Taken:
        """Raises Lost, and is of no use for this stream from then on."""
        raise NotImplementedError


def page_changes(conversation: str, page: bytes) -> list[Change]:
    """Of a HistoryPage: messages and what became of them. What else happened back then, who came
    and how it was called, is not what is so now. Raises Lost if it is no page."""
    raise NotImplementedError


def heard(several: list[Taken], queued: int | None, holes: int | None) -> Heard:
    """Of frames that were committed at once. `queued`, `holes`: as the store counts them then."""
    raise NotImplementedError
