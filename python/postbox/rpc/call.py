"""One call on an HTTP/2 connection: what was sent and heard of it, and who waits for more."""

from __future__ import annotations

from typing import Protocol

import h2.events
import trio

from postbox.rpc.answer import PREFIX_BYTES, Answer
from postbox.rpc.faults import RpcError

SAY_BYTES = 32 * 2**10
"""That are taken before the connection is told: an eighth of a window."""

Heard = (
    h2.events.ResponseReceived
    | h2.events.TrailersReceived
    | h2.events.StreamEnded
    | h2.events.StreamReset
)
"""What moves a call besides data, which has a window."""


class Line(Protocol):
    """What a call needs of its connection."""

    def take(self, call: Call, count: int) -> None:
        """So many bytes that are held of its answer are the caller's now."""
        ...

    def give_up(self, call: Call) -> None: ...


class Call:
    """Made by `Connection.call`; to be ended by `give_up`, whatever became of it.

    `moved` wakes who waits for it: an answer, an end, an open window. `is_sent`, `is_heard`: that
    side of the stream has ended. `held_bytes` came, and the server does not know them to be taken.
    """

    def __init__(self, line: Line, stream_id: int, max_bytes: int) -> None:
        self.stream_id = stream_id
        self.answer = Answer(max_bytes)
        self.moved = trio.lowlevel.ParkingLot()
        self.is_sent = False
        self.is_heard = False
        self.held_bytes = 0
        self._line = line
        self._unsaid_bytes = 0

    async def next(self) -> bytes | None:
        """The next message; None after the last one of a good answer. Raises RpcError."""
        while (message := self.take()) is None:
            if self.answer.is_over:
                if self.answer.error is not None:
                    raise self.answer.error.again()
                return None
            self._taken(self.held_bytes)  # a part of a message that is waited for
            await self.moved.park()
        return message

    def take(self) -> bytes | None:
        """The next message, if it is there."""
        message = self.answer.take()
        if message is not None:
            self._unsaid_bytes += PREFIX_BYTES + len(message)
            if self._unsaid_bytes >= SAY_BYTES:
                self._taken(min(self.held_bytes, self._unsaid_bytes))
        return message

    def _taken(self, count: int) -> None:
        self._unsaid_bytes = 0
        if count:
            self._line.take(self, count)

    def give_up(self) -> None:
        """Nothing more of its answer is wanted, or there is no more."""
        self._line.give_up(self)

    def hear(self, event: Heard) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self.answer.begin(headers or ())
            case h2.events.TrailersReceived(headers=headers):
                self.answer.end(headers or ())
            case h2.events.StreamEnded():
                self.is_heard = True
                self.answer.end(None)
            case h2.events.StreamReset(error_code=code):
                self.is_heard = self.is_sent = True
                self.answer.reset(int(code or 0))
        self.moved.unpark_all()

    def hear_data(self, data: bytes) -> None:
        self.held_bytes += len(data)
        self.answer.add(data)
        self.moved.unpark_all()

    def fail(self, error: RpcError) -> None:
        self.answer.fail(error)
        self.moved.unpark_all()
