"""MQTT 5 over World.net: one connection to a broker, from its CONNECT until it breaks.

paho is the codec. It speaks to a pair of buffers in place of a socket (`Pipe`): what it wants to
send is carried to the broker by a task here, what the broker sends is cut into packets, measured
and given to it. So connections, addresses, TLS and time are those of `World`, as everywhere, and
paho has no thread, no socket and no clock of ours. Knows no event and no topic.

Subscriptions are of QoS 0, without retained messages and without what this connection published
itself. Publishing with QoS 1 returns when the broker has it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import trio
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from postbox.connections import said
from postbox.errors import Fault
from postbox.net.addresses import Reach
from postbox.net.dial import dial_tcp
from postbox.net.faults import BadAnswer, TooSlow, Unreachable
from postbox.net.mqtt.broker import Broker
from postbox.net.mqtt.codec import MAX_PACKET_BYTES, Packets, Paho, Pipe
from postbox.world import Net

MAX_WAITING_BYTES = 4 * 2**20
"""To be sent. Whoever publishes more waits for the broker to take it."""
CONNECT_S = 20.0
"""For a connection, TLS, and the broker's first word."""
ANSWER_S = 20.0
"""For the broker's word on a subscription, or on a message of QoS 1."""
KEEPALIVE_S = 60
"""A broker hears of us so often at least, or lets us go after half as long again; one that was
silent for so long is gone."""
READ_BYTES = 64 * 2**10


class Refused(Fault):
    """The broker does not let us in, or not do this."""


class NoTls(Unreachable):
    """What answers there does not prove that it is the broker."""


class Message(NamedTuple):
    topic: str
    payload: bytes


def is_topic_of(topic_filter: str, topic: str) -> bool:
    """Do subscribers of the filter (with + and #) hear what is published to the topic?"""
    return paho.topic_matches_sub(topic_filter, topic)


class Connection:
    """Made by `open_mqtt`. Faults: Refused, TooSlow, and what the connection broke by."""

    def __init__(
        self, stream: trio.abc.Stream, broker: Broker, heard: Callable[[Message], None]
    ) -> None:
        self._stream = stream
        self._broker = broker
        self._heard = heard
        self._pipe = Pipe()
        self._packets = Packets()
        self._client: Paho | None = None
        self._answers: dict[tuple[str, int], Answer] = {}  # by packet and its number
        self._connected = Answer()
        self._goodbye = ""
        self._is_over = self._has_left = False
        self._keepalive_s = float(KEEPALIVE_S)
        self._last_heard_s = trio.current_time()
        self._to_send, self._sent = trio.Event(), trio.Event()

    # -- what it is for -------------------------------------------------------------------------

    async def subscribe(self, topic_filters: Sequence[str]) -> None:
        """From its return on, `heard` is called with what is published there."""
        options = SubscribeOptions(qos=0, noLocal=True, retainHandling=2)
        asked = [(each, options) for each in topic_filters]
        code, number = self._paho.subscribe(asked)
        self._require(code)
        failed = await self._answer("subscribe", number or 0)
        if failed:
            raise Refused(f"{self._broker} refuses a subscription: {failed}")

    async def publish(self, message: Message, qos: int = 0) -> None:
        """QoS 0: returns when it is on its way, and 1: when the broker has it."""
        while len(self._pipe.outgoing) > MAX_WAITING_BYTES and not self._is_over:
            await self._sent.wait()
        self._require_open()
        info = self._paho.publish(message.topic, message.payload, qos)
        self._require(info.rc)
        if not qos:
            await trio.lowlevel.checkpoint()
        elif failed := await self._answer("publish", info.mid):
            raise Refused(f"{self._broker} refuses what is published: {failed}")

    async def flush(self) -> None:
        """Until the broker's end has taken all that was published."""
        while not self._is_over and (self._pipe.outgoing or not self._sent.is_set()):
            await self._sent.wait()

    # -- its life -------------------------------------------------------------------------------

    async def start(self, client_id: str) -> None:
        """Says who calls; its loops run already."""
        self._client = client = self._new_paho(client_id)
        about = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        about.MaximumPacketSize = MAX_PACKET_BYTES
        host, port, *_ = self._broker
        self._require(client.connect(host, port, KEEPALIVE_S, clean_start=True, properties=about))
        self._wake_writer()
        if await self._connected.wait():
            raise self._not_let_in()

    async def read(self) -> None:
        while True:
            with self._as_faults():
                part = await self._stream.receive_some(READ_BYTES)
            if not part and self._has_left:
                return
            if not part:
                raise Unreachable(f"{self._broker} closed the connection{self._goodbye}")
            self._last_heard_s = trio.current_time()
            for packet in self._packets.add(part):
                self._take(packet)
            self._wake_writer()

    async def write(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send = trio.Event()
            while self._pipe.outgoing:
                part = bytes(self._pipe.outgoing)
                self._pipe.outgoing.clear()
                with self._as_faults():
                    await self._stream.send_all(part)
            self._sent.set()

    async def keep_alive(self) -> None:
        """On the clock of the loop: paho's own is the machine's."""
        while True:
            await trio.sleep(self._keepalive_s / 2)
            silent_s = trio.current_time() - self._last_heard_s
            if silent_s > self._keepalive_s:
                raise TooSlow(f"{self._broker} said nothing for {silent_s:.0f} s")
            self._pipe.send(PING_REQUEST)
            self._wake_writer()

    def disconnect(self) -> None:
        """The last word; `flush` sees it off. The broker then closes the connection."""
        self._has_left = True
        self._paho.disconnect()
        self._wake_writer()

    def end(self) -> None:
        """Whoever waits for something here waits no longer."""
        self._is_over = True
        self._sent.set()
        for answer in self._answers.values():
            answer.give("")

    def _require_open(self) -> None:
        if self._is_over:
            raise Unreachable(f"{self._broker}: the connection is over{self._goodbye}")

    def _take(self, packet: bytes) -> None:
        self._pipe.incoming += packet
        while self._pipe.incoming:
            code = self._paho.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._end_by(code)
        self._paho.loop_write()

    def _end_by(self, code: MQTTErrorCode) -> Fault:
        """Why paho reads no further."""
        if self._connected.failure:
            return self._not_let_in()
        if self._goodbye:
            return Unreachable(f"{self._broker} ended the connection{self._goodbye}")
        said = paho.error_string(code)
        return BadAnswer(f"{self._broker} speaks no MQTT 5 that is understood: {said}")

    def _not_let_in(self) -> Refused:
        return Refused(f"{self._broker} does not let this node in: {self._connected.failure}")

    # -- paho -----------------------------------------------------------------------------------

    @property
    def _paho(self) -> Paho:
        if self._client is None:
            raise BadAnswer(f"{self._broker} spoke before it was asked: it is no MQTT broker")
        return self._client

    def _new_paho(self, client_id: str) -> Paho:
        client = Paho(self._pipe, client_id)
        if self._broker.user:
            client.username_pw_set(self._broker.user, self._broker.password or None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        return client

    def _on_connect(
        self, client: Any, data: Any, flags: Any, reason: ReasonCode, about: Properties | None
    ) -> None:
        asked_s = getattr(about, "ServerKeepAlive", None)
        if asked_s:
            self._keepalive_s = float(asked_s)
        self._connected.give(_failure(reason))

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, reason: ReasonCode, about: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._goodbye = f": {reason}"

    def _on_message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._heard(Message(topic, bytes(message.payload)))

    def _on_subscribe(
        self, client: Any, data: Any, number: int, reasons: Sequence[ReasonCode], about: Any
    ) -> None:
        failures = [failure for reason in reasons if (failure := _failure(reason))]
        self._give("subscribe", number, ", ".join(failures))

    def _on_publish(
        self, client: Any, data: Any, number: int, reason: ReasonCode, about: Any
    ) -> None:
        self._give("publish", number, _failure(reason))

    def _give(self, what: str, number: int, failure: str) -> None:
        answer = self._answers.get((what, number))
        if answer is not None:
            answer.give(failure)

    async def _answer(self, what: str, number: int) -> str:
        """What the broker finds wrong with it, "" for nothing."""
        answer = self._answers[what, number] = Answer()
        self._wake_writer()
        try:
            with trio.fail_after(ANSWER_S):
                failure = await answer.wait()
        except trio.TooSlowError:
            raise TooSlow(f"{self._broker} did not answer within {ANSWER_S:g} s") from None
        finally:
            del self._answers[what, number]
        self._require_open()
        return failure

    def _require(self, code: MQTTErrorCode) -> None:
        """paho's own codes: what it cannot send, as the connection is gone."""
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unreachable(f"{self._broker}: {paho.error_string(code)}{self._goodbye}")
        self._wake_writer()

    def _wake_writer(self) -> None:
        if self._pipe.outgoing:
            if self._sent.is_set():
                self._sent = trio.Event()
            self._to_send.set()

    @contextmanager
    def _as_faults(self) -> Iterator[None]:
        try:
            yield
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Unreachable(f"{self._broker}: {said(error) or 'broken off'}") from error


PING_REQUEST = b"\xc0\x00"


def _failure(reason: ReasonCode) -> str:
    return str(reason) if reason.is_failure else ""


class Answer:
    """To one question, of which somebody waits for it: what is wrong, or ""."""

    def __init__(self) -> None:
        self._given = trio.Event()
        self.failure = ""

    def give(self, failure: str) -> None:
        self.failure = failure
        self._given.set()

    async def wait(self) -> str:
        await self._given.wait()
        return self.failure


@asynccontextmanager
async def open_mqtt(
    net: Net,
    reach: Reach,
    broker: Broker,
    client_id: str,
    heard: Callable[[Message], None],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Connection]:
    """A connection that the broker has let in. `heard` must not raise. `tls`: whom to trust.

    What it breaks by comes out of the nursery here, a Fault in a group, and ends what is within."""
    stream = await _connected(net, reach, broker, tls)
    connection = Connection(stream, broker, heard)
    try:
        async with trio.open_nursery() as nursery:
            for loop in (connection.read, connection.write, connection.keep_alive):
                nursery.start_soon(loop)
            with _in_time(broker):
                await connection.start(client_id)
            yield connection
            connection.disconnect()
            with trio.move_on_after(FAREWELL_S):
                await connection.flush()
            nursery.cancel_scope.cancel()
    finally:
        connection.end()
        await trio.aclose_forcefully(stream)


FAREWELL_S = 2.0


@contextmanager
def _in_time(broker: Broker) -> Iterator[None]:
    try:
        with trio.fail_after(CONNECT_S):
            yield
    except trio.TooSlowError:
        raise TooSlow(f"{broker} did not answer within {CONNECT_S:g} s") from None


async def _connected(
    net: Net, reach: Reach, broker: Broker, tls: ssl.SSLContext | None
) -> trio.abc.Stream:
    dial = dial_tcp(net, reach, is_tls=broker.is_tls)
    with _in_time(broker):
        try:
            stream = await dial(broker.host, broker.port)
        except OSError as error:
            raise Unreachable(f"{broker}: {error.strerror or error}") from error
        return await _secured(stream, broker, tls) if broker.is_tls else stream


async def _secured(
    stream: trio.abc.Stream, broker: Broker, tls: ssl.SSLContext | None
) -> trio.abc.Stream:
    context = tls or ssl.create_default_context()
    secured = trio.SSLStream(stream, context, server_hostname=broker.host)
    try:
        await secured.do_handshake()
    except (trio.BrokenResourceError, OSError) as error:
        await trio.aclose_forcefully(stream)
        raise NoTls(f"{broker}: no TLS: {said(error)}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured
