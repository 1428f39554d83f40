"""Asks another host: for its keys, to take events, for what it has for us. One object a host.

A host is called at its own name alone: by TLS, at an address that the name has and that is nobody's
private one. `--loopback` is for tests and demonstrations: plain HTTP to loopback and private
addresses, unless there is a certificate or an authority, and then TLS there, too. Every answer has
a size and a time. Whatever goes wrong is a `HostFault`, also what nobody foresaw: an answer is a
stranger's bytes, and must not be what ends a task.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from postbox.config import Config
from postbox.connections import Dial, dial_h2, h2_client_tls
from postbox.errors import Fault, WireError
from postbox.hosts import wire
from postbox.hosts.keys.fetching import KeyUnavailable
from postbox.hosts.keys.keys import Busy, HostSettings, KeyCache
from postbox.hosts.keys.own_keys import OwnKeys
from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.place import Place
from postbox.hosts.sending.backoff import Failure
from postbox.hosts.sending.course import Refused, Reply, Sent
from postbox.hosts.serving.contacts import Contacts
from postbox.hosts.tables import MAX_BATCH_EVENTS, MAX_EVENT_BYTES
from postbox.logs import get, limited
from postbox.net.addresses import reach_of_hosts
from postbox.net.dial import dial_tcp
from postbox.net.faults import Forbidden
from postbox.rpc.client import Channel
from postbox.rpc.faults import Code, RpcError
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.trust.host_names import split_host
from postbox.trust.tokens import Rpc
from postbox.world import Net, World

CONNECT_S = 5.0
"""A TCP handshake with its one retransmission takes 3 s on the worst link worth using."""
KEY_S, MAX_KEY_BYTES = 10.0, 16 * 2**10
POST_S = 30.0
"""A batch is one commit there, which waits for others."""
ACK_S = 10.0
MAX_REPLY_BYTES = 16 * 2**10
IDLE_S = 15.0
"""Until there is more, of a host that reads it from its log."""
FOLLOW_IDLE_S = 60.0
"""The same on a stream that stays open; there is a sign of life every 20 s, and two may be late."""
BATCH_BYTES = 2**20
"""Of events that came, taken at once: a commit."""
GATHER_S = 0.02
"""What comes within it after an event is taken together with it."""


class HostFault(Fault):
    """It was not asked, or did not answer, or not so that it could be understood."""

    def __init__(self, host: str, failure: Failure) -> None:
        super().__init__(f"{host}: {failure.text}")
        self.failure = failure


class BadAuthorities(Fault):
    """The file of further authorities is of no use."""


class Sign(Protocol):
    """A token for one request to `host`, which binds what it is about."""

    def __call__(self, host: str, rpc: Rpc, bound: bytes) -> str: ...


class Sending(Sent, Protocol):
    """What is posted: `body` is a PostboxEvent, as it is sent."""

    @property
    def epoch(self) -> bytes: ...

    @property
    def body(self) -> bytes: ...


def dial_hosts(net: Net, config: Config) -> tuple[Dial, bool]:
    """How hosts are called, and whether that is by TLS. Raises BadAuthorities."""
    serve = config.serve
    is_tls = not serve.loopback or serve.tls_cert is not None or config.hosts.ca is not None
    dial = dial_tcp(net, reach_of_hosts(loopback=serve.loopback), is_tls=is_tls)
    if is_tls:
        dial = dial_h2(dial, _tls(config.hosts.ca))
    return partial(_in_time, dial), is_tls


def _tls(ca: Path | None) -> ssl.SSLContext:
    try:
        return h2_client_tls(ca)
    except (OSError, ssl.SSLError) as error:
        is_pem = not isinstance(error, ssl.SSLError)
        why = error.strerror if is_pem else "there is no certificate in it, in PEM"
        raise BadAuthorities(f"hosts.ca: cannot use {ca}: {why}") from error


async def _in_time(dial: Dial, host: str, port: int) -> trio.abc.Stream:
    with trio.move_on_after(CONNECT_S):
        return await dial(host, port)
    raise OSError(f"no connection to {host} within {CONNECT_S:g} s")


@dataclass(frozen=True)
class Calls:
    """Connections to hosts, each closed when it was not used for a while."""

    dial: Dial
    is_tls: bool
    nursery: trio.Nursery

    def channel(self, host: str) -> Channel:
        domain, port = split_host(host)
        connect = partial(self.dial, domain, port)
        return Channel(connect, host, is_tls=self.is_tls, nursery=self.nursery)

    async def get_key(self, host: str) -> bytes:
        """A GetKeyReply, as it came. Raises HostFault."""
        with _as_host_fault(host):
            return await self.channel(host).unary(
                wire.PATHS[wire.GET_KEY], b"", deadline_s=KEY_S, max_bytes=MAX_KEY_BYTES
            )


@dataclass(frozen=True)
class HostClient:
    host: str
    own_host: str
    channel: Channel
    sign: Sign
    capabilities_of: Callable[[str], Awaitable[frozenset[str]]]
    """Of a host, beyond what the specification has. May ask it."""
    contacts: Contacts | None = None
    """Where its answers are noted."""

    async def capabilities(self) -> frozenset[str]:
        with _as_host_fault(self.host):
            return await self.capabilities_of(self.host)

    async def most_events(self) -> int:
        """That it takes at once."""
        return MAX_BATCH_EVENTS if wire.POST_EVENTS in await self.capabilities() else 1

    async def post(self, batch: Sequence[Sending], sent: Callable[[], None] | None = None) -> Reply:
        """At most `most_events`, in order and without a hole. `sent` is called when the host has
        been given all of it."""
        can = await self.capabilities()
        if wire.POST_EVENTS in can:
            events = wire.events_of(one.body for one in batch)
            return await self._post(wire.POST_EVENTS, events, sent)
        [one] = batch
        if wire.STRICT in can:
            return await self._post(wire.POST_EVENT, one.body, sent)
        if one.is_event:  # a host that knows no numbers misses none
            await self._post(wire.POST_EVENT, one.body)
        return Reply(Place(one.epoch, one.upto))

    async def _post(self, rpc: Rpc, events: bytes, sent: Callable[[], None] | None = None) -> Reply:
        asked = wire.signed(wire.asking(), self.sign(self.host, rpc, events), self.own_host)
        answer = await self._ask(rpc, wire.post_request(asked, events), POST_S, sent)
        with _as_host_fault(self.host):
            found = pb.PostReply.from_binary(answer)
            reply = _reply(found)
        await self._note(found.view)
        return reply

    async def ack(self, place: Place, refused: Refused | None = None) -> pb.AckReply:
        """All up to `place` is durable here; the number after it may be `refused`."""
        asked = self._asking(wire.ACK, wire.asking(place, refused=_refusal(refused)))
        answer = await self._ask(wire.ACK, wire.ack_request(asked), ACK_S)
        with _as_host_fault(self.host):
            found = pb.AckReply.from_binary(answer)
        await self._note(found.view)
        return found

    async def _note(self, view: pb.View | None) -> None:
        if self.contacts is not None:
            await self.contacts.met(self.host, None if view is None else view.to_binary())

    async def _ask(
        self,
        rpc: Rpc,
        message: bytes,
        deadline_s: float,
        sent: Callable[[], None] | None = None,
    ) -> bytes:
        with _as_host_fault(self.host):
            return await self.channel.unary(
                wire.PATHS[rpc],
                message,
                deadline_s=deadline_s,
                max_bytes=MAX_REPLY_BYTES,
                sent=sent,
            )

    def _asking(self, rpc: Rpc, asking: bytes) -> bytes:
        return wire.signed(asking, self.sign(self.host, rpc, asking), self.own_host)

    @asynccontextmanager
    async def sync(
        self, place: Place | None, refused: Refused | None = None, *, follow: bool
    ) -> AsyncIterator[Arriving]:
        """What it has for us beyond `place`, which is acknowledged by asking; the number after it
        may be `refused`. With `follow` the stream is not to end."""
        asking = wire.asking(place, follow=follow, refused=_refusal(refused))
        stream = self.channel.stream(
            wire.PATHS[wire.SYNC],
            self._asking(wire.SYNC, asking),
            idle_s=FOLLOW_IDLE_S if follow else IDLE_S,
            max_bytes=MAX_EVENT_BYTES,
        )
        async with AsyncExitStack() as stack:
            with _as_host_fault(self.host):  # and not around what the caller does with it
                messages = await stack.enter_async_context(stream)
            yield Arriving(self.host, messages, is_to_last=follow)


class Arriving:
    """What comes on a stream, as many at once as are there."""

    def __init__(self, host: str, messages: AsyncIterator[bytes], *, is_to_last: bool) -> None:
        self._host = host
        self._messages = messages
        self._is_to_last = is_to_last
        self._ahead: Arrived | None = None  # of another kind than those before it
        self._fault: HostFault | None = None  # met after what was given

    async def batch(self) -> list[Arrived]:
        """All with numbers or all without, as soon as there is one; none at the end."""
        first = self._ahead or await self._next()
        self._ahead = None
        if first is None:
            return []
        batch, left_bytes = [first], BATCH_BYTES - len(first.body)
        with trio.move_on_after(GATHER_S):
            while len(batch) < MAX_BATCH_EVENTS and left_bytes > 0:
                event = await self._next_of_batch()
                if event is None:
                    break
                if bool(event.seq) != bool(first.seq):
                    self._ahead = event
                    break
                batch.append(event)
                left_bytes -= len(event.body)
        return batch

    async def _next_of_batch(self) -> Arrived | None:
        """What is wrong with it is not wrong with those before it."""
        try:
            return await self._next()
        except HostFault as fault:
            self._fault = fault
            return None

    async def _next(self) -> Arrived | None:
        """None at the end. Signs of life only show that it is not silent, on a stream that is to
        last: on another they would keep us waiting, and who is asked next, for ever."""
        if self._fault is not None:
            raise self._fault
        with _as_host_fault(self._host):
            while True:
                message = await anext(self._messages, None)
                if message is None:
                    return None
                event = wire.read_streamed(message)
                if isinstance(event, Arrived):
                    return event
                if not self._is_to_last:
                    raise wire.Malformed("a sign of life on a stream that is to end")


@dataclass(frozen=True)
class Clients:
    """One for each host that we have to do with."""

    calls: Calls
    own_host: str
    own_keys: OwnKeys
    keys: KeyCache
    settings: Callable[[str], HostSettings]
    world: World
    contacts: Contacts | None = None
    _made: dict[str, HostClient] = field(default_factory=dict)

    def of(self, host: str) -> HostClient:
        """`host`: a canonical name."""
        client = self._made.get(host)
        if client is None:
            channel = self.calls.channel(host)
            sign, capabilities = self._sign, self._capabilities
            client = HostClient(host, self.own_host, channel, sign, capabilities, self.contacts)
            self._made[host] = client
        return client

    def _sign(self, host: str, rpc: Rpc, bound: bytes) -> str:
        jti, is_plain = self.world.random.bytes(16), self.settings(host).is_plain
        return self.own_keys.sign(host, rpc, wire.digest(bound), jti=jti, is_plain=is_plain)

    async def _capabilities(self, host: str) -> frozenset[str]:
        if self.settings(host).is_plain:
            return frozenset()
        return frozenset((await self.keys.keys_of(host)).capabilities)


@contextmanager
def _as_host_fault(host: str) -> Iterator[None]:
    try:
        yield
    except HostFault:
        raise
    except (Fault, WireError, ValueError) as error:
        raise HostFault(host, failure_of(error)) from error
    except Exception as error:
        log = limited(get("postbox.hosts.client"), host)
        log.warning("what a host answers is not understood", host=host, error=repr(error))
        raise HostFault(host, Failure(None, f"it is not understood: {error!r}")) from error


def failure_of(error: Fault | WireError | ValueError) -> Failure:
    match error:
        case HostFault():
            return error.failure
        case RpcError():
            return Failure(error.code, error.text, error.retry_after_s)
        case Busy():
            return Failure(Code.RESOURCE_EXHAUSTED, str(error), error.retry_s)
        case Forbidden():
            return Failure(Code.PERMISSION_DENIED, str(error))
        case KeyUnavailable(__cause__=HostFault(failure=asking)):  # it was asked before the call
            return Failure(None, asking.text, asking.retry_after_s)
        case _:
            return Failure(None, str(error))


def _reply(reply: pb.PostReply) -> Reply:
    received = None if reply.received is None else wire.place_in(reply.received)
    refused = reply.refused
    if refused is None:
        return Reply(received, reply.gap)
    return Reply(received, reply.gap, Refused(refused.seq, refused.code, refused.text))


def _refusal(refused: Refused | None) -> pb.Refusal | None:
    if refused is None:
        return None
    return pb.Refusal(seq=refused.seq, code=refused.code, text=refused.text)
