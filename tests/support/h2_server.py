"""The other end of one of our gRPC connections, in memory and frame by frame: for what no decent
server does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import h2.events
import trio
import trio.testing
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from hyperframe.frame import Frame

from postbox.rpc.client import Channel

ANSWER = [(b":status", b"200"), (b"content-type", b"application/grpc")]
GOOD = [(b"grpc-status", b"0")]
Header = tuple[bytes, bytes]


class Wire:
    """A connection as the server sees it. `h2` may be told anything; `send` passes it on, and after
    it whatever bytes or frames are given."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.stream = stream
        self.heard: list[h2.events.Event] = []
        self.bodies: dict[int, bytes] = {}
        self.opens_windows = True

    async def send(self, *more: bytes | Frame) -> None:
        data = self.h2.data_to_send()
        for part in more:
            data += part if isinstance(part, bytes) else part.serialize()
        await self.stream.send_all(data)

    async def hear(self) -> bool:
        """What comes next, taken; False at the end."""
        data = await self.stream.receive_some(2**16)
        if not data:
            return False
        for event in self.h2.receive_data(bytes(data)):
            self.heard.append(event)
            if isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                assert event.flow_controlled_length is not None
                body = self.bodies.get(event.stream_id, b"")
                self.bodies[event.stream_id] = body + (event.data or b"")
                if self.opens_windows:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        await self.send()
        return True

    async def hear_until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """The next event of that kind, which is taken out."""
        while True:
            for event in self.heard:
                if isinstance(event, kind):
                    self.heard.remove(event)
                    return event
            assert await self.hear(), f"the client left before {kind.__name__}"

    async def asked(self) -> int:
        """The stream of the next whole request."""
        event = await self.hear_until(h2.events.StreamEnded)
        assert isinstance(event, h2.events.StreamEnded)
        assert event.stream_id is not None
        return event.stream_id

    async def answer(self, stream_id: int, message: bytes = b"good") -> None:
        self.h2.send_headers(stream_id, ANSWER)
        self.h2.send_data(stream_id, b"\0" + len(message).to_bytes(4, "big") + message)
        self.h2.send_headers(stream_id, GOOD, end_stream=True)
        await self.send()

    async def hear_all(self) -> None:
        """Until the client closes the connection."""
        while await self.hear():
            pass


Serve = Callable[[Wire], Awaitable[None]]


@asynccontextmanager
async def channel_served_by(*serves: Serve) -> AsyncIterator[Channel]:
    """A channel whose first connection is served by the first of `serves`, and so on; a connection
    ends with what serves it."""
    waiting = list(serves)

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not waiting:
            raise OSError("nobody is there any more")
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(serve, waiting.pop(0), far)
        return near

    async def serve(serve: Serve, stream: trio.abc.Stream) -> None:
        async with stream:
            with suppress(ProtocolError, trio.BrokenResourceError):  # a server may well break down
                await serve(Wire(stream))

    async with trio.open_nursery() as nursery:
        yield Channel(dial, "b.example:2289", is_tls=True, nursery=nursery)
        nursery.cancel_scope.cancel()
