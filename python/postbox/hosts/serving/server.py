"""PostboxService and AuthService: what other hosts ask of this one.

A request is read as far as its token needs, then who asks is settled, then the rest is looked at.
Of a request that is not authenticated nothing is stored. An answer that takes an event is given
after the commit that has it. gRPC and Connect are `connectrpc`'s; what it is given of a request is
for `net/requests.py` to say.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from connectrpc.request import RequestContext

from postbox.hosts import wire
from postbox.hosts.keys.keys import Caller
from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.links import Links
from postbox.hosts.links.place import Place, UnknownPlace
from postbox.hosts.links.summary import LinkView
from postbox.hosts.sending.intake import Intake, Taken, taken
from postbox.hosts.serving.callers import Callers
from postbox.hosts.serving.codecs import CODECS
from postbox.hosts.serving.follows import Follow, Follows
from postbox.hosts.serving.replies import answering
from postbox.hosts.tables import out_stream
from postbox.log.committed import Interest
from postbox.log.tail import Tail
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.asgi import discard_body, send_reply, text
from postbox.net.requests import Bounds, Requests, address_in
from postbox.rpc.auth.v1 import auth_pb
from postbox.rpc.auth.v1.auth_connect import AuthService, AuthServiceASGIApplication
from postbox.rpc.codecs import Encoded
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.rpc.postbox.v1.hosts_connect import PostboxService, PostboxServiceASGIApplication
from postbox.store.contract import Lane
from postbox.trust.tokens import Rpc
from postbox.world import Clock

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        Scope,
    )

Context: TypeAlias = RequestContext[Any, Any]

ALIVE_S = 20.0
"""Between two signs of life on a stream that stays open. What stands between two hosts forgets a
connection that is silent, and nothing does so within half a minute."""

SYNC_EVENTS, SYNC_BYTES = 500, 2**20
"""That are read at once for a stream."""

BOUNDS = Bounds(wire.MAX_REQUEST_BYTES, 16 * 2**10, large_of_address=16, large_at_once=128)
"""Small is a token and a small event; of large bodies there are 192 MiB at the most."""

PLAIN_HTTP = (
    "hosts speak TLS: give this node a certificate (serve.tls_cert), or start it with --loopback to"
    " be called by this machine and private addresses over plain HTTP"
)


class HostsServer:
    """Each rpc is given the request's bytes, in protobuf, and gives a message, or the bytes of an
    event that is kept."""

    def __init__(
        self,
        clock: Clock,
        callers: Callers,
        intake: Intake,
        links: Links,
        tail: Tail,
        follows: Follows,
        metrics: Metrics,
        own_keys: Callable[[], bytes],
    ) -> None:
        """`own_keys`: a GetKeyReply, out of memory."""
        self._clock = clock
        self._callers = callers
        self._intake = intake
        self._links = links
        self._tail = tail
        self._follows = follows
        self._metrics = metrics
        self._own_keys = own_keys

    async def get_key(self, message: bytes, context: Context) -> auth_pb.GetKeyReply:
        """Needs nothing but this process: whomever we ask in its course asks us this."""
        with answering(wire.GET_KEY, context, self._metrics):
            self._callers.require_patience(address_in(context))
            return auth_pb.GetKeyReply.from_binary(self._own_keys())

    # -- taking ---------------------------------------------------------------------------------

    async def post_event(self, message: bytes, context: Context) -> pb.PostReply:
        with answering(wire.POST_EVENT, context, self._metrics):
            post = wire.read_post(message)
            caller = await self._caller(post.asked, wire.POST_EVENT, post.events, context)
            with self._callers.one(caller):
                event = wire.read_event(post.events)
                if event.seq and not caller.is_plain:
                    return await self._take(caller, [event])
                await self._take_plain(caller, event)
                return pb.PostReply()  # to who knows the specification alone: Empty

    async def post_events(self, message: bytes, context: Context) -> pb.PostReply:
        with answering(wire.POST_EVENTS, context, self._metrics):
            post = wire.read_post(message)
            caller = await self._caller(post.asked, wire.POST_EVENTS, post.events, context)
            with self._callers.one(caller):
                events = wire.read_events(post.events)
                if not all(event.seq for event in events):
                    raise wire.Malformed("events that come together have numbers")
                return await self._take(caller, events)

    async def _take(self, caller: Caller, events: Sequence[Arrived]) -> pb.PostReply:
        await self._intake.store(caller.host, events)
        view = await self._links.view_of(caller.host)
        return _reply(taken(view.incoming, events), self._told(view))

    async def _take_plain(self, caller: Caller, event: Arrived) -> None:
        if event.upto:
            raise wire.Malformed("a tombstone has a number")
        refused = await self._intake.take_plain(caller.host, event, caller.jti)
        if refused is not None:
            raise wire.Malformed(f"{refused.code}: {refused.text}")

    # -- giving ---------------------------------------------------------------------------------

    async def ack(self, message: bytes, context: Context) -> pb.AckReply:
        with answering(wire.ACK, context, self._metrics):
            asked = wire.read_ack(message)
            caller = await self._caller(asked, wire.ACK, asked.bound, context)
            with self._callers.one(caller):
                if asked.ack is None:
                    raise wire.Malformed("an acknowledgement says up to where")
                await self._links.acknowledge(caller.host, asked.ack)
                await self._bury(caller.host, asked.ack, asked.refused)
                return pb.AckReply(view=await self._view(caller.host))

    async def sync(self, message: bytes, context: Context) -> AsyncGenerator[Encoded]:
        """A PostboxEvent each. What the asker acknowledges is acknowledged first; to who never does
        everything is given that is there, each time."""
        with answering(wire.SYNC, context, self._metrics):
            asked = wire.read_asked(message)
            caller = await self._caller(asked, wire.SYNC, asked.bound, context)
            with self._course(caller, asked) as follow:
                after = await self._acknowledged(caller, asked)
                async with aclosing(self._from(caller, after, follow)) as bodies:
                    async for body in bodies:
                        yield Encoded(pb.PostboxEvent, body)

    @contextmanager
    def _course(self, caller: Caller, asked: wire.Asked) -> Iterator[Follow | None]:
        """A stream that stays open is one a host. None is among its requests under way."""
        if asked.follow and not caller.is_plain:
            with (
                self._callers.stream(caller, is_followed=True),
                self._follows.one(caller.host) as follow,
            ):
                yield follow
        else:
            with self._callers.stream(caller, is_followed=False):
                yield None

    async def _from(
        self, caller: Caller, after: int, follow: Follow | None
    ) -> AsyncGenerator[bytes]:
        interest = Interest(Lane.HOSTS, frozenset((out_stream(caller.host),)))
        with self._tail.watch(interest) as watch:
            while True:
                head = self._tail.head
                batch = await self._links.numbered(caller.host, after, SYNC_EVENTS, SYNC_BYTES)
                for one in batch:
                    if one.is_event or not caller.is_plain:
                        yield one.body
                if batch:
                    after = batch[-1].upto
                elif follow is None or follow.is_over:
                    return
                elif not await follow.wait(watch, head, ALIVE_S):
                    yield await self._alive(caller.host)

    async def _acknowledged(self, caller: Caller, asked: wire.Asked) -> int:
        """The number up to which the asker has all. A place that says nothing about this link is
        that of a host whose log, or ours, was put back: it is sent everything, and takes what it
        does not have. A plain token's is not believed: it may be another's word."""
        if asked.ack is None or caller.is_plain:
            return 0
        try:
            reached = await self._links.acknowledge(caller.host, asked.ack)
        except UnknownPlace:
            return 0
        await self._bury(caller.host, asked.ack, asked.refused)
        return reached

    async def _bury(self, host: str, place: Place, refused: pb.Refusal | None) -> None:
        """The asker does not take the number after its place, for good."""
        if refused is not None:
            code, text = refused.code, refused.text
            await self._links.refused(host, place.epoch, refused.seq, code, text)

    async def _alive(self, host: str) -> bytes:
        return pb.PostboxEvent(alive=True, view=await self._view(host)).to_binary()

    # -- both -----------------------------------------------------------------------------------

    async def _caller(self, asked: wire.Asked, rpc: Rpc, bound: bytes, context: Context) -> Caller:
        return await self._callers.known(asked, rpc, bound, address_in(context))

    async def _view(self, host: str) -> pb.View:
        return self._told(await self._links.view_of(host))

    def _told(self, view: LinkView) -> pb.View:
        return pb.View(
            now_ms=self._clock.now_ns() // 1_000_000,
            queued=view.queued,
            acknowledged=view.acknowledged,
            received=wire.place_of(view.incoming.current),
            next_attempt_ms=view.next_attempt_ms,
            last_error=view.error,
        )


def make_app(server: HostsServer, reach: Reach) -> ASGIFramework:
    """Both services, for either protocol, without compression: what a request is when it is taken
    apart is not to be known before who sent it."""
    postbox = PostboxServiceASGIApplication(
        cast("PostboxService", server), read_max_bytes=None, compressions=(), codecs=CODECS
    )
    auth = AuthServiceASGIApplication(
        cast("AuthService", server), read_max_bytes=None, compressions=(), codecs=CODECS
    )
    services = {wire.PATHS[rpc]: cast("ASGIFramework", postbox) for rpc in wire.RPCS}
    services[wire.PATHS[wire.GET_KEY]] = cast("ASGIFramework", auth)
    streams = (wire.PATHS[wire.SYNC],)
    in_front = Requests(
        services, reach, BOUNDS, streams=streams, who="a host", plain_http=PLAIN_HTTP
    )
    return cast("ASGIFramework", in_front)


async def without_a_name(
    scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """What a node answers that has no name among hosts."""
    await discard_body(receive)
    await send_reply(send, text(404, "this node has no name among hosts: serve --host DOMAIN:PORT"))


def _reply(taken: Taken, view: pb.View) -> pb.PostReply:
    refused = None
    if taken.refusal is not None:
        seq, code, text = taken.refusal.place.seq, taken.refusal.code, taken.refusal.text
        refused = pb.Refusal(seq=seq, code=code, text=text)
    place = wire.place_of(taken.place)
    return pb.PostReply(received=place, gap=taken.is_gap, refused=refused, view=view)
