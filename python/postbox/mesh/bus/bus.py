"""The broker that the peers of a mesh share: what is heard there, and what is said.

One connection, made again whenever it breaks, after pauses that grow. Each handler has a line of
messages of its own and a task that takes them one by one: a flood on one topic, or a handler that
takes its time or has a bug, costs the others nothing. A message for which there is no room is
dropped and counted: whoever publishes knows nothing of who hears.

What is heard proves nothing by itself. A node without a broker has a bus that is never up.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import trio

from postbox.config.declaration import MeshConfig
from postbox.connections import client_tls
from postbox.errors import Fault, WireError, leaves
from postbox.logs import get, limited
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.mqtt.broker import Broker, broker_of
from postbox.net.mqtt.connection import Connection, Message, is_topic_of, open_mqtt
from postbox.net.rates import TooOften
from postbox.pauses import around, doubled
from postbox.world import World, fraction

Handler: TypeAlias = Callable[[str, bytes], Awaitable[None]]
"""Of a topic and a payload, whoever published it. A WireError says that it makes no sense, TooOften
that it is left alone."""

WAITING_MESSAGES = 256
WAITING_BYTES = 16 * 2**20
"""In the line of one handler: two of the largest messages, or a few seconds of many small ones."""
FIRST_RETRY_S = 1.0
"""After a connection that broke, or was not had; it doubles up to a minute."""
LAST_RETRY_S = 60.0
JITTER = 0.5
"""Of that pause, up or down: a broker that comes back has all its nodes at the door at once."""
SETTLED_S = 60.0
"""A connection that lasted so long was a good one: the next pause is the first again."""


class NotUp(Fault):
    """There is no broker, or no connection to it now; nothing was published."""


class Bus:
    """`handle` before `run`; all else while it runs."""

    def __init__(self, world: World, config: MeshConfig, reach: Reach, metrics: Metrics) -> None:
        self._world = world
        self._reach = reach
        self._metrics = metrics
        self._broker: Broker | None = broker_of(config.mqtt) if config.mqtt else None
        self._authorities_file = config.mqtt_ca
        self._lines: list[_Line] = []
        self._greetings: list[Callable[[], Awaitable[None]]] = []
        self._connection: Connection | None = None
        self._up = trio.Event()
        self._told = ""  # what the log says of it last
        self.last_error = ""
        self._log = limited(get("postbox.mesh.bus"), "broker").bind(broker=self.broker)
        metrics.watch("mqtt_up", "1 while there is a connection to the broker.", lambda: self.is_up)

    @property
    def is_configured(self) -> bool:
        return self._broker is not None

    @property
    def broker(self) -> str:
        """Where it is, without who we are there; "" for none."""
        return str(self._broker or "")

    @property
    def is_up(self) -> bool:
        return self._connection is not None

    async def wait_up(self) -> None:
        await self._up.wait()

    def handle(self, topic_filter: str, handler: Handler) -> None:
        self._lines.append(_Line(topic_filter, handler, self._metrics))

    def greet(self, greeting: Callable[[], Awaitable[None]]) -> None:
        """Called at each new connection, when everything is subscribed to. It should not last."""
        self._greetings.append(greeting)

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> None:
        """QoS 0: on its way. QoS 1: the broker has it. Raises NotUp or another Fault."""
        connection = self._connection
        if connection is None:
            raise NotUp("there is no connection to an MQTT broker (mesh.mqtt)")
        await connection.publish(Message(topic, payload), qos)
        self._metrics.bus_message("published")

    async def farewell(self, last_words: Callable[[], Awaitable[None]], within_s: float) -> None:
        """Before the bus is cancelled: says what is to be said last, and sees it off."""
        if self._connection is None:
            return
        with trio.move_on_after(within_s):
            try:
                await last_words()
                if (connection := self._connection) is not None:
                    await connection.flush()
            except Fault as fault:
                self._log.info("could not say goodbye", error=str(fault))

    async def run(self) -> None:
        """Until cancelled; at once over without a broker."""
        if self._broker is None:
            return
        async with trio.open_nursery() as nursery:
            for line in self._lines:
                nursery.start_soon(line.run)
            await self._keep_connected(self._broker)

    async def _keep_connected(self, broker: Broker) -> None:
        failures = 0
        while True:
            since_s = trio.current_time()
            fault = await self._one_life(broker)
            failures = 1 if trio.current_time() - since_s > SETTLED_S else failures + 1
            self._tell_fault(fault)
            await trio.sleep(self._pause_s(failures))

    async def _one_life(self, broker: Broker) -> Fault:
        """What the connection broke by, or why there was none."""
        client_id = f"postbox-{self._world.random.bytes(8).hex()}"  # nobody can take our place
        faults: list[Fault] = []
        try:
            tls = broker_tls(broker, self._authorities_file)
            async with open_mqtt(
                self._world.net, self._reach, broker, client_id, self._hear, tls
            ) as connection:
                await connection.subscribe([line.topic_filter for line in self._lines])
                with self._being_up(connection):
                    for greeting in self._greetings:
                        await greeting()
                    await trio.sleep_forever()
        except* Fault as group:  # what else there is goes on: a bug, or the end of the node
            faults += [one for one in leaves(group) if isinstance(one, Fault)]
        return faults[0]

    @contextmanager
    def _being_up(self, connection: Connection) -> Iterator[None]:
        self._connection, self.last_error, self._told = connection, "", ""
        self._up.set()
        self._log.info("connected to the MQTT broker")
        try:
            yield
        finally:
            self._connection, self._up = None, trio.Event()

    def _hear(self, message: Message) -> None:
        for line in self._lines:
            if is_topic_of(line.topic_filter, message.topic):
                line.put(message)

    def _tell_fault(self, fault: Fault) -> None:
        self.last_error = str(fault)
        if self.last_error != self._told:
            self._log.warning("no connection to the MQTT broker", error=self.last_error)
        self._told = self.last_error

    def _pause_s(self, failures: int) -> float:
        pause_s = doubled(FIRST_RETRY_S, failures, LAST_RETRY_S)
        return around(pause_s, JITTER, fraction(self._world.random))


class BadAuthorities(Fault):
    """The file of mesh.mqtt_ca is of no use."""


def broker_tls(broker: Broker, authorities_file: Path | None) -> ssl.SSLContext | None:
    """Whom to trust there; None for one that is called without TLS. Raises BadAuthorities."""
    if not broker.is_tls:
        return None
    try:
        return client_tls(authorities_file)
    except (OSError, ssl.SSLError) as error:
        raise BadAuthorities(f"mesh.mqtt_ca: cannot use {authorities_file}: {error}") from error


class _Line:
    """What waits for one handler."""

    def __init__(self, topic_filter: str, handler: Handler, metrics: Metrics) -> None:
        self.topic_filter = topic_filter
        self._handler = handler
        self._metrics = metrics
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._came = trio.Event()
        self._log = limited(get("postbox.mesh.bus"), topic_filter).bind(topic=topic_filter)

    def put(self, message: Message) -> None:
        size_bytes = len(message.payload)
        if len(self._waiting) >= WAITING_MESSAGES or self._bytes + size_bytes > WAITING_BYTES:
            self._metrics.bus_message("dropped")
            self._log.warning("more messages than can be dealt with: some are dropped")
            return
        self._waiting.append(message)
        self._bytes += size_bytes
        self._came.set()

    async def run(self) -> None:
        while True:
            await self._came.wait()
            self._came = trio.Event()
            while self._waiting:
                message = self._waiting.popleft()
                self._bytes -= len(message.payload)
                await self._deal_with(message)

    async def _deal_with(self, message: Message) -> None:
        try:
            await self._handler(message.topic, message.payload)
            self._metrics.bus_message("heard")
        except TooOften as error:
            self._metrics.bus_message("dropped")
            self._log.warning("more messages than are dealt with", error=str(error))
        except WireError as error:
            self._metrics.bus_message("refused")
            self._log.info("a message makes no sense", error=str(error))
        except Fault as fault:
            self._metrics.bus_message("failed")
            self._log.warning("a message could not be dealt with", error=str(fault))
        except Exception:  # a bug: this message's, and no other's
            self._metrics.bus_message("failed")
            self._log.exception("a message could not be dealt with")
