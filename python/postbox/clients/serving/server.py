"""EventService: what the devices of this host's users ask of it.

Who asks is settled first, by the token in the headers. An answer to a device's queue is given
after the commit that has what it says. gRPC and Connect are `connectrpc`'s; what it is given of a
request is for `net/requests.py` to say, and what a browser needs besides is in `browser.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never, cast

from connectrpc.request import RequestContext

from postbox.clients import wire
from postbox.clients.events.incoming import Incoming, Typing
from postbox.clients.identity.callers import Caller, Callers, NotKnown
from postbox.clients.ids import event_id
from postbox.clients.live.delivery import Delivery
from postbox.clients.live.transitory import Transitory
from postbox.clients.reading.stream import Mail, Reading
from postbox.clients.reading.windows import Viewer
from postbox.clients.serving.browser import Cors, EventStream
from postbox.clients.serving.codecs import CODECS, Request
from postbox.clients.serving.replies import Displaced, NotAMember, answering
from postbox.clients.serving.requests import BOUNDS, PLAIN_HTTP, Asking, asking
from postbox.clients.serving.streams import Leave, Streams, Why
from postbox.clients.serving.submissions import Submissions, read_all
from postbox.errors import Stopped
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.requests import Requests
from postbox.rpc.codecs import Encoded
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rpc.postbox.v1.clients_connect import EventService, EventServiceASGIApplication

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

Context: TypeAlias = RequestContext[Any, Any]


class ClientsServer:
    """Each rpc is given what reads the request, and gives a message as its bytes."""

    def __init__(
        self,
        callers: Callers,
        submissions: Submissions,
        reading: Reading,
        streams: Streams,
        transitory: Transitory,
        delivery: Delivery,
        metrics: Metrics,
    ) -> None:
        self._callers = callers
        self._submissions = submissions
        self._reading = reading
        self._streams = streams
        self._transitory = transitory
        self._delivery = delivery
        self._metrics = metrics

    # -- taking ---------------------------------------------------------------------------------

    async def sync(self, request: Request, context: Context) -> Encoded:
        with answering(wire.SYNC, context, self._metrics):
            caller = await self._caller(asking(context))
            with self._callers.one(caller):
                batch = wire.read_batch(request())
                events = await read_all(batch, caller.user_id)
                if events:
                    self._callers.spend(caller, await self._submissions.cost(caller, events))
                else:
                    self._callers.ask(caller)
                self._hear(caller, events, batch.token)
                answer = await self._submissions.take(caller, events, batch.first_number)
        return Encoded(pb.SubmitEventOutput, answer)

    def _hear(self, caller: Caller, events: Sequence[Incoming], token: str) -> None:
        """What is not stored."""
        self._note(caller, token)
        for event in events:
            if isinstance(event.content, Typing):
                self._transitory.said(caller, event)

    def _note(self, caller: Caller, token: str) -> None:
        """Up to where the device has everything. A token that says nothing of this log, as after it
        was put back, is passed over: it is no reason to keep the queue waiting."""
        place = self._reading.place_of(token) if token else None
        if place is not None:
            self._delivery.stored(caller, place)

    # -- giving ---------------------------------------------------------------------------------

    async def sync_from_server(self, request: Request, context: Context) -> AsyncGenerator[Encoded]:
        with answering(wire.SYNC_FROM_SERVER, context, self._metrics):
            async with aclosing(self.frames(request, asking(context))) as frames:
                async for frame in frames:
                    yield Encoded(pb.Event, frame)

    async def frames(self, asks: Request, asked: Asking) -> AsyncGenerator[bytes]:
        """Events, from where the device is. Raises what `replies.refusal` names, and at the end of
        a stream that was not the device's choice why."""
        caller = await self._caller(asked)
        request = wire.read_sync(asks())
        viewer = Viewer(caller.user_id, caller.device_id, caller.user)
        with ExitStack() as course:
            course.enter_context(self._callers.one(caller, is_stream=True))
            self._callers.ask(caller)
            leave, mail = self._enter(caller, request, course)
            stream = self._reading.stream(viewer, request, leave, mail)
            async with aclosing(stream) as frames:
                async for frame in frames:
                    yield frame
                    self._metrics.client_frame()
                    self._look(caller, leave)
        if leave.why is not None:
            yield leave.go_away()
            raise _ended(leave.why)

    def _enter(
        self, caller: Caller, request: pb.SyncFromServerRequest, course: ExitStack
    ) -> tuple[Leave, Mail | None]:
        """A stream that ends when the device has caught up takes no other one's place."""
        self._note(caller, request.resumeToken)
        if request.untilCaughtUp:
            leave, mail = Leave(caller.device_id, caller.expires_ms), None
        else:
            one = self._streams.one(caller.device_id, caller.expires_ms)
            leave, mail = course.enter_context(one), None
            if not request.inactive:
                mail = course.enter_context(self._transitory.mail(caller))
        self._look(caller, leave)
        return leave, mail

    def _look(self, caller: Caller, leave: Leave) -> None:
        """Between two frames: a sign of life is one, so that no stream outlives its token."""
        if (code := self._callers.why_over(caller)) is not None:
            leave.end(Why(code))

    async def history(self, request: Request, context: Context) -> Encoded:
        with answering(wire.HISTORY, context, self._metrics):
            caller = await self._caller(asking(context))
            with self._callers.one(caller):
                self._callers.ask(caller)
                older = wire.read_history(request())
                page = await self._page(caller, older)
        return Encoded(pb.HistoryPage, page)

    async def _page(self, caller: Caller, older: wire.Older) -> bytes:
        """Of a conversation by its id, or by the local uuid of this device's event that made it."""
        viewer = Viewer(caller.user_id, caller.device_id, caller.user)
        for conversation in (older.conversation, event_id(caller.device_id, older.conversation)):
            page = await self._reading.history(viewer, conversation, older.before_seq, older.limit)
            if page is not None:
                return page
        raise NotAMember("you are in no conversation of this uuid")

    async def _caller(self, asked: Asking) -> Caller:
        return await self._callers.known(asked.authorization, asked.address, asked.device)


def make_app(
    server: ClientsServer, reach: Reach, origins: Sequence[str], metrics: Metrics
) -> ASGIFramework:
    """The service for every protocol, without compression, and in front of it what browsers need.
    `origins`: whose pages may call."""
    connect = EventServiceASGIApplication(
        cast("EventService", server), read_max_bytes=None, compressions=(), codecs=CODECS
    )
    services = dict.fromkeys(wire.PATHS.values(), cast("ASGIFramework", connect))
    path = wire.PATHS[wire.SYNC_FROM_SERVER]
    services[path] = cast("ASGIFramework", EventStream(server.frames, services[path], metrics))
    in_front = Requests(
        services, reach, BOUNDS, streams=(path,), who="a host", plain_http=PLAIN_HTTP
    )
    return cast("ASGIFramework", Cors(in_front, origins))


def _ended(why: Why) -> Exception:
    """As an error of the rpc, for who does not know the frame that says it."""
    match why:
        case Why.DISPLACED:
            return Displaced("another stream of this device is live")
        case Why.RESTARTING:
            return Stopped()
        case Why.DEVICE_REVOKED:
            return NotKnown("DEVICE_REVOKED", "this device was revoked: sign in again on it")
        case Why.TOKEN_EXPIRED:
            return NotKnown("TOKEN_EXPIRED", "the token's time is over: get a new one")
        case _ as never:
            assert_never(never)
