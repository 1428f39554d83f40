"""One client's connection, from its first byte to its last, and HTTP/1.1 on it."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H2ProtocolAssumedError, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from postbox.net.guard.apps import Apps, Serving
from postbox.net.guard.h2 import GuardedH2
from postbox.net.guard.outlet import Outlet

if TYPE_CHECKING:
    from hypercorn.events import Event
    from hypercorn.typing import ASGISendEvent

READ_BYTES = 16 * 2**10
"""At once: what one read brings is parsed without letting others run, and the smallest frames of
HTTP/2 cost 30 µs each."""
LINGER_S = 1.0
"""How long an ended connection is still read, so that a client in the midst of sending gets to
read our last answer instead of a reset."""
HELD_BYTES = 64 * 2**10
"""Of a body over HTTP/1.1 that its app has not read, before reading waits; over HTTP/2 the windows
of the stream and of the connection hold the client back."""
_Sendable: TypeAlias = h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage
Client = tuple[str, int] | None
"""Address and port; None for a unix socket."""


def bottom_of(stream: trio.abc.Stream) -> trio.abc.Stream:
    return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream


def ends_of(stream: trio.abc.Stream) -> tuple[Client, Client]:
    """Whom a stream connects: the client, the server. OSError if the client is gone."""
    socket = cast(
        trio.SocketStream, bottom_of(stream)
    ).socket  # or one in memory that looks like it
    return (
        parse_socket_addr(socket.family, socket.getpeername()),
        parse_socket_addr(socket.family, socket.getsockname()),
    )


class Connection:
    """One client's, from its first byte to its last."""

    def __init__(self, serving: Serving, stream: trio.abc.Stream, tasks: trio.Nursery) -> None:
        self._serving = serving
        self._stream = stream
        self._bottom = bottom_of(stream)
        self._tasks = tasks
        self._reading = trio.CancelScope()
        self._outlet = Outlet(stream, serving.limits.send_s, self._end)
        self._keep_s = serving.limits.idle_s
        self._idle = trio.CancelScope(deadline=trio.current_time() + self._keep_s)
        self._has_said_goodbye = False
        self._protocol: GuardedH11 | GuardedH2 | None = None

    async def run(self, client: Client, server: Client) -> None:
        """Until either side ends it. Apps that have answered may go on in `tasks`. A client that
        closes its side has gone, but gets the rest of an answer that is complete."""
        self._ends = (client, server)
        self._tasks.start_soon(self._watch)
        try:
            with self._reading:
                await self._talk()
            if self._protocol is not None:
                await self._protocol.handle(Closed())
                await self._outlet.finish()
        finally:
            self._end()
            await self._close()

    async def _talk(self) -> None:
        chosen = await self._agree()
        if chosen is not None:
            self._protocol = chosen(*self._parts())
            await self._protocol.initiate()
            await self._read(self._protocol)

    async def _agree(self) -> type[GuardedH11] | type[GuardedH2] | None:
        """Which protocol to speak; None if the TLS handshake fails."""
        if not isinstance(self._stream, trio.SSLStream):
            return GuardedH11
        try:
            with trio.fail_after(self._serving.limits.handshake_s):
                await self._stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError):
            return None
        return GuardedH2 if self._stream.selected_alpn_protocol() == "h2" else GuardedH11

    def _parts(self) -> tuple[Any, ...]:
        """What a protocol is made of."""
        return (
            self._serving.limits,
            ASGIWrapper(self._serving.app),
            self._serving.config,
            self._serving.context,
            Apps(self._serving, self._tasks, HELD_BYTES),
            ConnectionState(LifespanState()),
            isinstance(self._stream, trio.SSLStream),
            *self._ends,
            self._take,
        )

    async def _read(self, protocol: GuardedH11 | GuardedH2) -> None:
        data = b"-"
        while data:
            try:
                data = bytes(await self._stream.receive_some(READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            try:
                await protocol.handle(RawData(data))
            except H2ProtocolAssumedError as error:
                self._protocol = protocol = GuardedH2(*self._parts())
                await protocol.initiate()
                await protocol.handle(RawData(error.data))

    async def _take(self, event: Event) -> None:
        """What a protocol gives out."""
        match event:
            case RawData(data=data) if data:
                await self._outlet.send(data)
            case Closed():
                self._has_said_goodbye = True
                self._reading.cancel()
            case Updated(idle=is_idle):
                keep_s = self._keep_s if is_idle else math.inf
                self._idle.deadline = trio.current_time() + keep_s
            case _:
                pass

    async def _watch(self) -> None:
        """Ends an idle connection, one that is idle when the server stops, and any that is
        cancelled."""
        try:
            with self._idle:
                await self._serving.context.terminated.wait()
                self._keep_s = 0.0
                if self._idle.deadline < math.inf:
                    return
                await trio.sleep_forever()
        finally:
            self._end()

    def _end(self) -> None:
        self._reading.cancel()
        self._idle.cancel()
        self._outlet.end()

    async def _close(self) -> None:
        with (
            trio.move_on_after(LINGER_S),
            suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError),
        ):
            if self._has_said_goodbye:
                await self._part()
        await trio.aclose_forcefully(self._bottom)

    async def _part(self) -> None:
        """Says that nothing more comes, and reads until the client says so too."""
        if isinstance(self._stream, trio.SSLStream):
            with suppress(trio.BrokenResourceError):  # by a client in the midst of sending
                await self._stream.unwrap()
        if isinstance(self._bottom, trio.abc.HalfCloseableStream):
            await self._bottom.send_eof()
        while await self._bottom.receive_some(READ_BYTES):
            pass


class _Answered(HTTPStream):
    """A request over HTTP/1.1, and its answer."""

    is_ending = False
    """Behind the part of the answer that is being sent comes its end, at once."""

    async def app_send(self, message: ASGISendEvent | None) -> None:
        if message is not None and message["type"] == "http.response.body":
            self.is_ending = not message.get("more_body", False)
        await super().app_send(message)


class GuardedH11(H11Protocol):
    """The head of an answer goes with the first part of its body, and the last part with what ends
    it: most answers are one packet, for which a client is woken once."""

    def __init__(self, limits: object, *rest: Any) -> None:
        super().__init__(*rest)
        self._held = b""

    async def _send_h11_event(self, event: _Sendable) -> None:
        try:
            data = self._held + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        is_ending = isinstance(self.stream, _Answered) and self.stream.is_ending
        if isinstance(event, h11.Response) or (isinstance(event, h11.Data) and is_ending):
            self._held = data
        else:
            self._held = b""
            await self.send(RawData(data))

    async def _check_protocol(self, event: h11.Request) -> None:
        """Only HTTP/2 with prior knowledge; a wish to upgrade is answered in HTTP/1.1."""
        if event.method == b"PRI" and event.target == b"*" and event.http_version == b"2.0":
            raise H2ProtocolAssumedError(
                b"PRI * HTTP/2.0\r\n\r\n" + self.connection.trailing_data[0]
            )

    async def _create_stream(self, request: h11.Request) -> None:
        self.stream = _Answered(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
