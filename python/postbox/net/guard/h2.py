"""HTTP/2 as this folder promises it: hypercorn's protocol with its bookkeeping of streams replaced.

A stream's window opens as its app reads. Answers go out a frame each in turn; RFC 9113 has no
priorities any more. What a client resets, and frames that ask for nothing, have an allowance."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import h2.connection
import h2.events
import trio
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.utilities import SizeLimitDict
from hypercorn.events import Closed, Updated
from hypercorn.protocol.events import (
    Body,
    EndBody,
    InformationalResponse,
    Request,
    Response,
    StreamClosed,
    Trailers,
)
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.utils import filter_pseudo_headers

from postbox.net.guard.outgoing import Outgoing, Stalled, Wire
from postbox.net.rates import Rate

if TYPE_CHECKING:
    from hypercorn.events import Event
    from hypercorn.protocol.events import Event as StreamEvent

    from postbox.net.guard.apps import Apps
    from postbox.net.limits import Limits

STREAM_WINDOW_BYTES = 256 * 2**10
"""Of a body that its app has not read: a host's batch of 1,000 small events comes without a pause
for a window to be opened."""
CONNECTION_WINDOW_BYTES = 2**20
"""The same for all streams of one HTTP/2 connection: four may be stuck before others are."""
RESETS_BURST, RESETS_PER_MINUTE = 200, 600
"""Streams that a client may reset on one HTTP/2 connection (CVE-2023-44487, CVE-2025-8671):
two hundred subscriptions that end at once, or ten calls a second that are given up."""
CLOSED_STREAMS = 1000
"""That h2 remembers, to tell a late frame from a wrong one; by default 65,536, in 9 MB."""
HEADER_TABLE_BYTES = 4096
"""Of what headers are compressed with, RFC 9113's default: signed answers have headers that never
come again, and each is looked for in the whole table."""
EVENTS_AT_ONCE = 20
"""That are worked off before others run: a request's headers of 15 bytes begin a task."""
IDLINGS_BURST, IDLINGS_PER_MINUTE = 1000, 6000
"""Frames on one HTTP/2 connection that ask for nothing: PING, SETTINGS, PRIORITY, empty DATA,
unknown ones, and a WINDOW_UPDATE for less than a KiB (CVE-2019-9511 to 9518)."""


class _TooMuch(Exception):
    """The client keeps us busy with what asks for nothing, or wants us to keep a lot."""

    def __init__(self, code: ErrorCodes = ErrorCodes.ENHANCE_YOUR_CALM) -> None:
        super().__init__()
        self.code = code


class GuardedH2(H2Protocol):
    """Streams are answered in turn, a frame each; `streams` has those that are not over."""

    def __init__(self, limits: Limits, *rest: Any) -> None:
        super().__init__(*rest)
        self._wire = Wire(limits.send_s)
        self.connection.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
                SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_bytes,
            },
        )
        self.connection.decoder.max_header_list_size = limits.max_header_bytes
        self.connection._closed_streams = SizeLimitDict(size_limit=CLOSED_STREAMS)
        self._outgoing: dict[int, Outgoing] = {}
        self._ready: dict[int, None] = {}  # streams that may have something to send, in turn
        self._starved: dict[int, None] = {}  # those that wait for the connection's window
        self._unheard: set[int] = set()  # streams whose request has not ended
        self._resets = Rate(RESETS_PER_MINUTE, RESETS_BURST)
        self._idlings = Rate(IDLINGS_PER_MINUTE, IDLINGS_BURST)
        self._window_updates = 0.0

    async def initiate(self, headers: object = None, settings: object = None) -> None:
        self.connection.initiate_connection()
        self.connection.increment_flow_control_window(CONNECTION_WINDOW_BYTES - 65_535)
        await self._flush()
        await self.send(Updated(idle=True))  # its first line was taken for a request
        self.task_group.spawn(self.send_task)

    async def handle(self, event: Event) -> None:
        try:
            await super().handle(event)
        except _TooMuch as error:
            self.connection.close_connection(error.code)
            await self._flush()
            await self.send(Closed())

    async def _handle_events(self, events: Iterable[h2.events.Event]) -> None:
        all_of_them = list(events)
        asked = (event for event in all_of_them if isinstance(event, h2.events.RequestReceived))
        priorities_of_requests = {id(event.priority_updated) for event in asked}
        for number, event in enumerate(all_of_them, 1):
            if number % EVENTS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if id(event) not in priorities_of_requests:
                await self._handle_event(event)
        await self._flush()
        # h2 gathers a frame of up to 16 MiB before it finds that too much.
        gathered = getattr(self.connection.incoming_buffer, "_data", b"")
        length = int.from_bytes(gathered[:3], "big")
        if length > self.connection.max_inbound_frame_size:
            raise _TooMuch(ErrorCodes.FRAME_SIZE_ERROR)

    async def _handle_event(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                await self._create_stream(event)
            case h2.events.DataReceived():
                await self._receive(event)
            case h2.events.StreamEnded(stream_id=stream_id):
                self._unheard.discard(stream_id)
                if stream_id in self.streams:
                    await self.streams[stream_id].handle(EndBody(stream_id))
            case h2.events.StreamReset(stream_id=stream_id):
                self._spend(self._resets)
                await self._close_stream(stream_id)
            case h2.events.WindowUpdated():
                self._spend_window_update()
                await self._wake(event.stream_id)  # 0: of the connection, for starved ones
            case h2.events.RemoteSettingsChanged(changed_settings=changed):
                self._spend(self._idlings)
                # The client's wish is for our memory.
                self.connection.encoder.header_table_size = HEADER_TABLE_BYTES
                if SettingCodes.INITIAL_WINDOW_SIZE in changed:
                    self._spend(self._resets)
                    self._ready.update(dict.fromkeys(self._outgoing))
                    await self.has_data.set()
            case h2.events.ConnectionTerminated():
                await self.send(Closed())
            case h2.events.TrailersReceived():
                pass
            case _:
                self._spend(self._idlings)

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        stream_id = request.stream_id
        headers = request.headers
        method, path = (dict(headers).get(name, b"") for name in (b":method", b":path"))
        if self.context.terminated.is_set():
            self._refuse(stream_id, ErrorCodes.REFUSED_STREAM)
        elif not (method.isascii() and path.isascii() and path and method != b"CONNECT"):
            self._refuse(stream_id, ErrorCodes.PROTOCOL_ERROR)
        else:
            self._outgoing[stream_id] = Outgoing(self._wire)
            self._unheard.add(stream_id)
            await self.send(Updated(idle=False))
            stream = self.streams[stream_id] = self._new_stream(stream_id)
            await stream.handle(
                Request(
                    stream_id,
                    headers=filter_pseudo_headers(headers),
                    http_version="2",
                    method=method.decode("ascii").upper(),
                    raw_path=path,
                    state=self.connection_state,
                )
            )

    def _new_stream(self, stream_id: int) -> HTTPStream:
        async def taken(count: int) -> None:
            with suppress(ProtocolError):
                self.connection.acknowledge_received_data(count, stream_id)
                await self._flush()

        return HTTPStream(
            self.app,
            self.config,
            self.context,
            cast("Apps", self.task_group).of_stream(taken),
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            stream_id,
        )

    async def _receive(self, event: h2.events.DataReceived) -> None:
        """Padding is acknowledged at once, the rest when the app has read it."""
        stream_id, data = event.stream_id, event.data
        stream = self.streams.get(stream_id)
        useless = event.flow_controlled_length - (0 if stream is None else len(data))
        if useless:
            self.connection.acknowledge_received_data(useless, stream_id)
        if not data and event.stream_ended is None:
            self._spend(self._idlings)
        if stream is not None and data:
            await stream.handle(Body(stream_id, data))

    def _spend_window_update(self) -> None:
        """One for each KiB that was sent is fair; what is more counts as idling."""
        if self._window_updates >= 1:
            self._window_updates -= 1
        else:
            self._spend(self._idlings)

    def _spend(self, rate: Rate) -> None:
        if rate.wait_s("", trio.current_time()) > 0:
            raise _TooMuch

    def _refuse(self, stream_id: int, code: ErrorCodes) -> None:
        self._spend(self._resets)
        self._reset(stream_id, code)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        with suppress(ProtocolError):
            self.connection.reset_stream(stream_id, code)

    async def stream_send(self, event: StreamEvent) -> None:
        outgoing = self._outgoing.get(event.stream_id)
        if outgoing is None:
            return
        try:
            match event:
                case Response() | InformationalResponse():
                    status = (b":status", b"%d" % event.status_code)
                    self.connection.send_headers(event.stream_id, [status, *event.headers])
                    await self._flush()
                case Body(data=data):
                    outgoing.push(data)
                    await self._wake(event.stream_id)
                    await outgoing.wait_taken()
                case Trailers(headers=headers):
                    outgoing.trailers = headers
                case EndBody():
                    outgoing.is_complete = True
                    await self._wake(event.stream_id)
                    await outgoing.wait_taken()
                case StreamClosed():
                    await self._end_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                case _:  # a push: RFC 9113's clients have stopped taking them
                    pass
        except ProtocolError:
            await self._end_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
        except Stalled:
            await self._end_stream(event.stream_id, ErrorCodes.CANCEL)

    async def _wake(self, stream_id: int) -> None:
        self._ready[stream_id] = None
        await self.has_data.set()

    async def _end_stream(self, stream_id: int, unless_ended: ErrorCodes) -> None:
        outgoing = self._outgoing.get(stream_id)
        if outgoing is not None and not outgoing.is_ended:
            self._reset(stream_id, unless_ended)
        elif stream_id in self._unheard:  # RFC 9113, 8.1: the rest of the request is not wanted
            self._reset(stream_id, ErrorCodes.NO_ERROR)
        await self._flush()
        await self._close_stream(stream_id)

    async def _close_stream(self, stream_id: int) -> None:
        self._unheard.discard(stream_id)
        self._ready.pop(stream_id, None)
        self._starved.pop(stream_id, None)
        outgoing = self._outgoing.pop(stream_id, None)
        if outgoing is not None:
            outgoing.close()
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            await stream.handle(StreamClosed(stream_id))
        if not self.streams and not self.closed:
            if self.context.terminated.is_set():
                self.connection.close_connection()
                await self._flush()
            await self.send(Updated(idle=True))

    async def send_task(self) -> None:
        while not self.closed:
            stream_id = self._next()
            if stream_id is None:
                await self.has_data.clear()
                await self.has_data.wait()
            elif stream_id in self._outgoing:
                await self._send_data(stream_id)
                await trio.lowlevel.checkpoint()  # a client can have a thousand looked at in vain

    def _next(self) -> int | None:
        """Those that wait for the connection's window are first when it opens, one for each frame
        that it takes."""
        is_open = self.connection.outbound_flow_control_window > 0
        queue = self._starved if is_open and self._starved else self._ready
        stream_id = next(iter(queue), None)
        if stream_id is not None:
            del queue[stream_id]
        return stream_id

    async def _send_data(self, stream_id: int) -> None:
        """The next frame of a stream, if the client takes one."""
        outgoing = self._outgoing[stream_id]
        try:
            window = self.connection.local_flow_control_window(stream_id)
            data = outgoing.take(max(0, min(window, self.connection.max_outbound_frame_size)))
            if (
                not (data or outgoing.is_empty)
                and self.connection.outbound_flow_control_window <= 0
            ):
                self._starved[stream_id] = None
            if data:
                self.connection.send_data(stream_id, data)
                self._window_updates += len(data) / 1024
                self._ready[stream_id] = None
            if outgoing.is_empty and outgoing.is_complete and not outgoing.is_ended:
                if outgoing.trailers is not None:
                    self.connection.send_headers(stream_id, outgoing.trailers, end_stream=True)
                else:
                    self.connection.end_stream(stream_id)
                outgoing.end()
        except ProtocolError:
            await self._end_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
        await self._flush()
