"""Streams that stay open: one a host, and none beyond the end of the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from postbox.log.watch import Watch


class Follow:
    """One host's stream."""

    def __init__(self) -> None:
        self.is_over = False
        self._wake = trio.Event()

    def end(self) -> None:
        self.is_over = True
        self._wake.set()

    async def wait(self, watch: Watch, after: int, at_most_s: float) -> bool:
        """Until a commit after this position touched what is watched, or the stream is over; False:
        nothing of it in this time."""
        self._wake = trio.Event()
        watch.wake(self._wake, after)
        if not self.is_over:
            with trio.move_on_after(at_most_s):
                await self._wake.wait()
        return self.is_over or self._wake.is_set()


class Follows:
    def __init__(self) -> None:
        self._open: dict[str, Follow] = {}
        self._is_over = False

    @contextmanager
    def one(self, host: str) -> Iterator[Follow]:
        """A host's newest stream is the one that it still listens to: the one before is ended, of
        which nobody may have told us that it broke."""
        if (before := self._open.get(host)) is not None:
            before.end()
        follow = self._open[host] = Follow()
        if self._is_over:
            follow.end()
        try:
            yield follow
        finally:
            if self._open.get(host) is follow:
                del self._open[host]

    @property
    def open_hosts(self) -> frozenset[str]:
        """That have one."""
        return frozenset(self._open)

    def end(self) -> None:
        """All of them, at once, and those that begin from now on."""
        self._is_over = True
        for follow in self._open.values():
            follow.end()
