"""Streams that devices listen on: one a device, and none beyond the end of the node.

A stream that is to end is told why, and says so to its device before it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Literal

import trio
from protobuf import Oneof

from postbox.rpc.postbox.v1 import clients_pb as pb

SPREAD_MS = 30_000
"""In which the devices of a host come back after it was stopped: each at its own time, so that
they do not all ask at once for what they missed."""


class Why(StrEnum):
    """A stream ends: the code that its device is told."""

    DISPLACED = "DISPLACED"
    RESTARTING = "RESTARTING"
    DEVICE_REVOKED = "DEVICE_REVOKED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"


class Leave:
    """One stream, and whether it is to end. `until_ms`: when its device's token is over;
    `sent_pos`, `is_live`: how far it has come."""

    def __init__(self, device: bytes, until_ms: int) -> None:
        self.why: Why | None = None
        self.until_ms = until_ms
        self.sent_pos = 0
        self.is_live = False
        self._device = device
        self._wake: trio.Event | None = None

    @property
    def is_over(self) -> bool:
        return self.why is not None

    def end(self, why: Why) -> None:
        """The first reason stays."""
        if self.why is None:
            self.why = why
            if self._wake is not None:
                self._wake.set()

    def wake(self, event: trio.Event) -> None:
        """Sets `event` when the stream is to end, perhaps at once."""
        self._wake = event
        if self.is_over:
            event.set()

    def reached(self, pos: int, *, is_live: bool) -> None:
        self.sent_pos, self.is_live = pos, is_live

    def go_away(self) -> bytes:
        """The frame that says so."""
        assert self.why is not None
        wait_ms = spread_ms(self._device) if self.why is Why.RESTARTING else 0
        said = pb.GoAway(code=self.why.value, reconnectAfterMs=wait_ms)
        go_away: Oneof[Literal["goAway"], pb.GoAway] = Oneof("goAway", said)
        return pb.Event(content=go_away).to_binary()


class Streams:
    """Those of this process."""

    def __init__(self) -> None:
        self._open: dict[bytes, Leave] = {}
        self._is_over = False
        self._listeners: list[tuple[Callable[[bytes], None], Callable[[bytes], None]]] = []

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> dict[bytes, Leave]:
        """By device."""
        return dict(self._open)

    def listen(self, opened: Callable[[bytes], None], closed: Callable[[bytes], None]) -> None:
        """Told each device that opens a stream here, and each that then has none any more; they
        must neither raise nor wait."""
        self._listeners.append((opened, closed))

    @contextmanager
    def one(self, device: bytes, until_ms: int) -> Iterator[Leave]:
        """A device's newest stream is the one that it still listens to: the one before is ended,
        of which nobody may have told us that it broke."""
        self.end(device, Why.DISPLACED)
        leave = self._open[device] = Leave(device, until_ms)
        if self._is_over:
            leave.end(Why.RESTARTING)
        for opened, _ in self._listeners:
            opened(device)
        try:
            yield leave
        finally:
            if self._open.get(device) is leave:
                del self._open[device]
                for _, closed in self._listeners:
                    closed(device)

    def end(self, device: bytes, why: Why) -> None:
        """The device's stream, if it has one here."""
        if (leave := self._open.get(device)) is not None:
            leave.end(why)

    def end_all(self) -> None:
        """At once, and those that begin from now on."""
        self._is_over = True
        for leave in self._open.values():
            leave.end(Why.RESTARTING)


def spread_ms(device: bytes) -> int:
    """A device's own time within the spread: its id is a hash."""
    return int.from_bytes(device[:4], "big") * SPREAD_MS >> 32
