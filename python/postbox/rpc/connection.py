"""One HTTP/2 connection to a gRPC server, and the calls that are under way on it.

A call that is given up is reset there; a connection that breaks fails all its calls. What a server
may keep in our memory is bounded: of each call one message and a window, for a window opens only
as messages are taken; of all calls together the connection's window; and what it makes us answer
while it reads nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h2.events
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError
from h2.settings import SettingCodes, Settings

from postbox.rpc.answer import Headers, name_of, prefixed
from postbox.rpc.call import Call
from postbox.rpc.faults import RpcError, unreachable

if TYPE_CHECKING:
    from typing_extensions import Buffer

READ_BYTES = 16 * 2**10
"""At once: what one read brings is parsed without letting others run, and the smallest frames of
HTTP/2 cost 30 µs each."""
TURN_BYTES = 64 * 2**10
"""That a call sends before another one has its turn: four frames."""
WINDOW_BYTES = 256 * 2**10
"""That a server may send of an answer beyond what was taken: a page of events, while the one
before is being written."""
CONNECTION_WINDOW_BYTES = 2**20
"""The same for all calls: four may be stuck before others are."""
HEADER_BYTES = 16 * 2**10
"""Of the headers of an answer, its status text included."""
UNSENT_BYTES = 256 * 2**10
"""That wait to be sent, a turn included: a server for which more waits asks and does not listen."""
CALLS_AT_ONCE = 100
"""On one connection, or as many fewer as the server takes: RFC 9113 asks it to take so many."""
CALLS = 1000
"""On one connection; then a new one is made, for h2 remembers each."""
KEEP_S = 10.0
"""An unused connection is kept this long; servers close theirs later (ours after 15 s)."""
PING_S, PONG_S = 30.0, 15.0
"""A connection with calls that was silent so long is asked whether it is alive, and then is given
so long to answer. gRPC's own servers take offence at the third such question without an answer to
a call in between; our own say something on a followed stream every 20 s."""
LAST_WORDS_S = 2.0
"""How long a connection that takes nothing more is still read: the answer may have been sent."""
IDLINGS_BURST, IDLINGS_PER_S = 1000, 100
"""Frames from the server that bring no call further (CVE-2019-9511 to 9518)."""
FAIR_BYTES, FAIR_OF_CALL = 1024, 4
"""Of messages, either way, for each of which one more such frame is fair, and how many are for a
call: gRPC's own servers open windows with each read of theirs, and measure the wire by PINGs."""


class _Parser(H2Connection):
    """h2 but for two things. It gathers a frame of up to 16 MiB before it finds that too much. And
    it takes GOAWAY for the end of the connection, which is the end of new calls (RFC 9113, 6.8)."""

    def receive_data(self, data: Buffer) -> list[h2.events.Event]:
        events = super().receive_data(data)
        gathered = getattr(self.incoming_buffer, "_data", b"")  # h2's own name for it
        length = int.from_bytes(gathered[:3], "big")
        if length > self.max_inbound_frame_size:
            raise FrameTooLargeError(f"a frame of {length} bytes")
        return events

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[h2.events.Event]]:
        leaving = h2.events.ConnectionTerminated()
        leaving.error_code = frame.error_code
        leaving.last_stream_id = frame.last_stream_id
        return [], [leaving]


def _begun_parser() -> H2Connection:
    parser = _Parser(H2Configuration(client_side=True, header_encoding=None))
    parser.local_settings = Settings(
        client=True,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            SettingCodes.MAX_HEADER_LIST_SIZE: HEADER_BYTES,
        },
    )
    parser.decoder.max_header_list_size = HEADER_BYTES
    parser.initiate_connection()
    parser.increment_flow_control_window(CONNECTION_WINDOW_BYTES - 65_535)
    return parser


class Connection:
    """`run` is its life, in a task of its own; `call` is for those who ask."""

    def __init__(self, stream: trio.abc.Stream, authority: str, scheme: str) -> None:
        self._stream = stream
        self._origin = ((b":scheme", scheme.encode()), (b":authority", authority.encode()))
        self._parser = _begun_parser()
        self._calls: dict[int, Call] = {}
        self._calls_begun = 0
        self._is_leaving = False
        self._ended: RpcError | None = None
        self._scope = trio.CancelScope()
        self._unsent = bytearray()
        self._is_writing = False
        self._to_write = trio.lowlevel.ParkingLot()
        self._turn = trio.Lock()
        self._moved = trio.lowlevel.ParkingLot()  # a place for a call, all sent, or the end
        self._unused = trio.lowlevel.ParkingLot()
        self._idlings = self._fair = 0.0
        self._heard_s = self._busy_s = self._idled_s = trio.current_time()
        self._pinged_s: float | None = None

    @property
    def takes_calls(self) -> bool:
        return self._ended is None and not self._is_leaving and self._calls_begun < CALLS

    async def run(self) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as tasks:
                    tasks.start_soon(self._read)
                    tasks.start_soon(self._write)
                    tasks.start_soon(self._watch)
        finally:
            self._end(unreachable("the connection was closed here"))
            await trio.aclose_forcefully(self._stream)

    async def call(self, headers: Headers, message: bytes, max_bytes: int) -> Call:
        """Ask; returns when all of it was sent, or the answer is there before that. Waits while
        the server has as many calls as it takes. Raises RpcError if it could not be begun."""
        while self.takes_calls and not self._has_place:
            await self._moved.park()
        call = self._begin(headers, max_bytes)
        try:
            await self._send(call, memoryview(prefixed(message)))
        except BaseException:
            self.give_up(call)
            raise
        return call

    def give_up(self, call: Call) -> None:
        del self._calls[call.stream_id]
        if not self._calls:
            self._busy_s = trio.current_time()
            self._unused.unpark()
        if self._ended is not None:
            return
        self.take(call, call.held_bytes)
        if not (call.is_heard and call.is_sent):
            with suppress(ProtocolError):
                self._parser.reset_stream(call.stream_id, ErrorCodes.CANCEL)
        self._flush()
        self._moved.unpark_all()
        self._end_if_left()

    @property
    def _has_place(self) -> bool:
        taken = self._parser.remote_settings.max_concurrent_streams
        return len(self._calls) < min(taken, CALLS_AT_ONCE)

    def _begin(self, headers: Headers, max_bytes: int) -> Call:
        if not self.takes_calls:
            why = "no new calls are made on it" if self._ended is None else self._ended.text
            raise unreachable(why, was_begun=False)
        stream_id = self._parser.get_next_available_stream_id()
        call = Call(self, stream_id, max_bytes)
        self._parser.send_headers(stream_id, [*self._origin, *headers])
        self._calls[stream_id] = call
        self._calls_begun += 1
        self._fair += FAIR_OF_CALL
        self._flush()
        return call

    async def _send(self, call: Call, data: memoryview) -> None:
        while not (call.answer.is_over or call.is_sent):
            async with self._turn:
                while (self._unsent or self._is_writing) and self._ended is None:
                    await self._moved.park()
                sent = self._send_turn(call, data)
            data = data[sent:]
            if not sent and not call.answer.is_over:
                await call.moved.park()  # until its window opens

    def _send_turn(self, call: Call, data: memoryview) -> int:
        """As much as the windows let through, in frames that may be as large as the server says."""
        sent = 0
        while not (call.answer.is_over or call.is_sent or sent >= TURN_BYTES):
            window = self._parser.local_flow_control_window(call.stream_id)
            most = min(window, self._parser.max_outbound_frame_size, TURN_BYTES - sent)
            part = data[sent : sent + max(0, most)]
            if not part:
                break
            sent += len(part)
            call.is_sent = sent == len(data)
            self._parser.send_data(call.stream_id, bytes(part), end_stream=call.is_sent)
        self._fair += sent / FAIR_BYTES
        self._flush()
        return sent

    def take(self, call: Call, count: int) -> None:
        """And the server may send so much more."""
        call.held_bytes -= count
        if count and self._ended is None:
            self._parser.acknowledge_received_data(count, call.stream_id)
            self._flush()

    def _flush(self) -> None:
        self._unsent += self._parser.data_to_send()
        if self._unsent:
            self._to_write.unpark()

    async def _write(self) -> None:
        try:
            while True:
                while not self._unsent:
                    await self._to_write.park()
                data, self._unsent = bytes(self._unsent), bytearray()
                self._is_writing = True
                await self._stream.send_all(data)
                self._is_writing = False
                self._moved.unpark_all()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._is_leaving = True
            await trio.sleep(LAST_WORDS_S)
            self._break(_said(error))

    async def _read(self) -> None:
        try:
            while data := await self._stream.receive_some(READ_BYTES):
                self._hear_all(bytes(data))
            self._break("the server closed it")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._break(_said(error))

    def _hear_all(self, data: bytes) -> None:
        self._heard_s, self._pinged_s = trio.current_time(), None
        try:
            for event in self._parser.receive_data(data):
                self._hear(event)
            self._flush()
        except ProtocolError as error:
            spoken = "HTTP/1" if data.startswith(b"HTTP/1") else "no HTTP/2"
            self._break(f"what answers there speaks {spoken} ({error})")
        except Exception as error:  # a stranger's bytes must not be what ends a node
            self._break(f"what answers there is not understood ({error!r})")
        if self._idlings > IDLINGS_BURST or len(self._unsent) > UNSENT_BYTES:
            self._break("the server floods it with what answers nothing")

    def _hear(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                self._hear_data(event)
            case (
                h2.events.ResponseReceived()
                | h2.events.TrailersReceived()
                | h2.events.StreamEnded()
                | h2.events.StreamReset()
            ):
                if event.stream_id in self._calls:
                    self._calls[event.stream_id].hear(event)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._idle()
                for call in self._calls.values():
                    call.moved.unpark_all()
                self._moved.unpark_all()
            case h2.events.ConnectionTerminated(last_stream_id=last, error_code=code):
                self._leave(last or 0, int(code or 0))
            case _:
                self._idle()

    def _hear_data(self, event: h2.events.DataReceived) -> None:
        """Padding, and what nobody waits for, is acknowledged at once; the rest as it is taken."""
        data = event.data or b""
        call = self._calls.get(event.stream_id or 0)
        held = len(data) if call is not None and not call.answer.is_over else 0
        unwanted = (event.flow_controlled_length or 0) - held
        if unwanted:
            self._parser.acknowledge_received_data(unwanted, event.stream_id or 0)
        if call is not None and held:
            self._fair += held / FAIR_BYTES
            call.hear_data(data)
        else:
            self._idle()

    def _leave(self, last_stream_id: int, code: int) -> None:
        """The server takes no more calls here, and has not begun those after the last it names."""
        self._is_leaving = True
        self._moved.unpark_all()
        why = f"the server closed the connection before it began this ({name_of(code)})"
        for stream_id, call in self._calls.items():
            if stream_id > last_stream_id:
                call.fail(unreachable(why, was_begun=False))
        self._end_if_left()

    def _idle(self) -> None:
        """Something came that brings no call further."""
        if self._fair >= 1:
            self._fair -= 1
            return
        now_s = trio.current_time()
        credit = (now_s - self._idled_s) * IDLINGS_PER_S
        self._idlings, self._idled_s = max(0.0, self._idlings - credit) + 1, now_s

    async def _watch(self) -> None:
        """Ends a connection that is not used any more, or dead."""
        while self._ended is None:
            with trio.move_on_at(self._look_after()):
                await self._unused.park()

    def _look_after(self) -> float:
        """When to look again."""
        now_s = trio.current_time()
        if not self._calls:
            if now_s >= self._busy_s + KEEP_S:
                self._end(unreachable("it was not used any more", was_begun=False))
            return self._busy_s + KEEP_S
        if self._pinged_s is not None:
            if now_s >= self._pinged_s + PONG_S:
                self._break(f"the server said nothing for {now_s - self._heard_s:.0f} s")
            return self._pinged_s + PONG_S
        if now_s >= self._heard_s + PING_S:
            self._pinged_s = now_s
            self._parser.ping(b"postbox?")
            self._flush()
            return now_s + PONG_S
        return self._heard_s + PING_S

    def _end_if_left(self) -> None:
        if self._is_leaving and not self._calls:
            self._end(unreachable("the server closed it", was_begun=False))

    def _break(self, why: str) -> None:
        self._end(unreachable(f"the connection broke before the answer was complete: {why}"))

    def _end(self, error: RpcError) -> None:
        if self._ended is None:
            self._ended = error
            for call in self._calls.values():
                call.fail(error)
            self._moved.unpark_all()
            self._scope.cancel()


def _said(error: Exception) -> str:
    return str(error.__cause__ or error) or type(error).__name__
