"""Sends to a client, within time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import trio

from postbox.net.limits import SEND_BYTES


class Outlet:
    """The way to the client, for one sender after the other. It is over when the client does not
    take what is sent in time, or is gone: what is sent then is thrown away."""

    def __init__(self, stream: trio.abc.Stream, send_s: float, gone: Callable[[], None]) -> None:
        self._stream = stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self._send_s = send_s
        self._gone = gone
        self._turn = trio.Lock()
        self._sending = trio.CancelScope()
        self._is_over = False

    async def send(self, data: bytes) -> None:
        """All of it or the connection's end, though the caller is cancelled: half a frame, or
        one frame less, would spoil what others send here. It lets nobody else run unless it has
        to wait for the client."""
        if left := data[self._send_now(data) :]:
            await self._send_in_turn(left)

    def _send_now(self, data: bytes) -> int:
        """How much the system takes without anybody's waiting: mostly all, for a sixth of what it
        costs to be ready to wait. What is wrong with a socket is found by who waits for it."""
        if self._socket is None or self._is_over or self._turn.locked():
            return 0
        try:
            return os.write(self._socket.fileno(), data)
        except OSError:
            return 0

    async def _send_in_turn(self, data: bytes) -> None:
        with trio.CancelScope(shield=True) as sending:
            async with self._turn:
                if self._is_over:
                    return
                self._sending = sending
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._send_pieces(data)
                    return
        self._gone()

    async def _send_pieces(self, data: bytes) -> None:
        for start in range(0, len(data), SEND_BYTES):
            self._sending.deadline = trio.current_time() + self._send_s
            await self._stream.send_all(data[start : start + SEND_BYTES])

    async def finish(self) -> None:
        """Returns when what is being sent is sent."""
        async with self._turn:
            pass

    def end(self) -> None:
        self._is_over = True
        self._sending.cancel()
