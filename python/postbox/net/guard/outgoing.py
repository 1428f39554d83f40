"""What of an answer over HTTP/2 the client has not taken yet, and how long that may last."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from postbox.net.limits import SEND_BYTES

ANSWER_BYTES = 32 * 2**10
"""Of an answer over HTTP/2 that the client does not take, before its app waits: two frames."""


class Stalled(Exception):
    """The client takes nothing of an answer."""


@dataclass
class Wire:
    """What the answers of a connection share. `send_s` as in `Limits`."""

    send_s: float
    waiting: int = 0
    """Answers that wait for the client to take something."""


class Outgoing:
    """The part of an answer that the client has not taken yet."""

    def __init__(self, wire: Wire) -> None:
        self.trailers: list[tuple[bytes, bytes]] | None = None
        self.is_complete = False
        self.is_ended = False
        self.is_closed = False
        self._wire = wire
        self._data = bytearray()
        self._taken_bytes = 0
        self._waited_s = 0.0
        self._moved = trio.Event()

    def push(self, data: bytes) -> None:
        self._data += data

    def take(self, max_bytes: int) -> bytes:
        part = bytes(self._data[:max_bytes])
        del self._data[:max_bytes]
        if part:
            self._taken_bytes += len(part)
            self._move()
        return part

    @property
    def is_empty(self) -> bool:
        return not self._data

    def end(self) -> None:
        self.is_ended = True
        self._move()

    def close(self) -> None:
        self.is_closed = True
        self._data.clear()
        self._move()

    async def wait_taken(self) -> None:
        """Until little is left, or nothing if it is complete. Raises Stalled."""
        self._wire.waiting += 1
        try:
            while not (self.is_closed or self.is_ended):
                if len(self._data) < ANSWER_BYTES and not self.is_complete:
                    return
                await self._wait_moved()
        finally:
            self._wire.waiting -= 1

    async def _wait_moved(self) -> None:
        """An answer has `send_s` for each piece of SEND_BYTES, as over HTTP/1.1. Where several
        wait, each has its share of the wire, and so its share of the time counts."""
        left_s = self._wire.send_s * (1 + self._taken_bytes / SEND_BYTES) - self._waited_s
        if left_s <= 0:
            raise Stalled
        began_s = trio.current_time()
        with trio.move_on_after(left_s * self._wire.waiting):
            await self._moved.wait()
        self._waited_s += (trio.current_time() - began_s) / self._wire.waiting

    def _move(self) -> None:
        self._moved.set()
        self._moved = trio.Event()
