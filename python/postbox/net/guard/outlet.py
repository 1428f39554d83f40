"""Sends to a client, within time."""

from __future__ import annotations

from collections.abc import Callable

import trio

from postbox.net.limits import SEND_BYTES


class Outlet:
    """The way to the client, for one sender after the other. It is over when the client does not
    take what is sent in time, or is gone: what is sent then is thrown away."""

    def __init__(self, stream: trio.abc.Stream, send_s: float, gone: Callable[[], None]) -> None:
        self._stream = stream
        self._send_s = send_s
        self._gone = gone
        self._turn = trio.Lock()
        self._sending = trio.CancelScope()
        self._is_over = False

    async def send(self, data: bytes) -> None:
        """All of it or the connection's end, though the caller is cancelled: half a frame, or
        one frame less, would spoil what others send here."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                if self._is_over:
                    return
                with trio.CancelScope() as self._sending:
                    try:
                        await self._send_pieces(data)
                        return
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass
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
