"""The bus, over a broker on a network in memory: it connects, subscribes, says, hears, and comes
back from whatever the broker or somebody on it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio

from postbox.config import MeshConfig
from postbox.errors import Fault, WireError, leaves
from postbox.mesh.bus import bus as bus_module
from postbox.mesh.bus.bus import Bus, NotUp
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.mqtt.codec import MAX_PACKET_BYTES
from support.broker import broker_at, listening, packet
from support.networks import DEFAULT_NETWORKS
from support.town import Town, in_town

BROKER, ANN, BOB = "100.64.0.100", "100.64.0.1", "100.64.0.2"
URL = f"mqtt://{BROKER}"
REACH = Reach(DEFAULT_NETWORKS, loopback=False)


@dataclass
class Ear:
    """A handler that notes what it hears."""

    heard: list[tuple[str, bytes]] = field(default_factory=list)
    raises: Sequence[Exception | None] = ()
    is_stuck: bool = False

    async def __call__(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, payload))
        if self.is_stuck:
            await trio.sleep_forever()
        error = self.raises[len(self.heard) - 1] if len(self.heard) <= len(self.raises) else None
        if error is not None:
            raise error


def told(metrics: Metrics, outcome: str) -> float:
    line = f'postbox_mqtt_messages_total{{outcome="{outcome}"}} '
    return next(
        float(each.removeprefix(line))
        for each in metrics.render().decode().splitlines()
        if each.startswith(line)
    )


@asynccontextmanager
async def bus_at(
    town: Town, address: str, url: str = URL, *, waits: bool = True, **ears: Ear
) -> AsyncIterator[tuple[Bus, Metrics]]:
    """`ears`: by topic filters, with _ for / and each for +."""
    metrics = Metrics()
    bus = Bus(town.world(address), MeshConfig(mqtt=url), REACH, metrics)
    for name, ear in ears.items():
        bus.handle(name.replace("_", "/").replace("each", "+"), ear)
    if not ears:
        bus.handle("none", Ear())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.run)
        if waits:
            await bus.wait_up()
        yield bus, metrics
        nursery.cancel_scope.cancel()


@in_town
async def test_what_one_says_the_others_hear_and_not_itself(town: Town) -> None:
    ann_ear, bob_ear = Ear(), Ear()
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with (
            bus_at(town, ANN, a_each=ann_ear) as (ann, metrics),
            bus_at(town, BOB, a_each=bob_ear),
        ):
            await ann.publish("a/b", b"at most once")
            await ann.publish("a/c", b"x" * 1_000_000, qos=1)
            await ann.publish("b/c", b"nobody's")
            await trio.sleep(1)
    assert bob_ear.heard == [("a/b", b"at most once"), ("a/c", b"x" * 1_000_000)]
    assert ann_ear.heard == []
    assert told(metrics, "published") == 3
    assert len({guest.client_id for guest in broker.arrivals}) == 2, "one would end the other"


@in_town
async def test_without_a_broker_nothing_is_said_and_nothing_runs(town: Town) -> None:
    bus = Bus(town.world(ANN), MeshConfig(), REACH, Metrics())
    await bus.run()
    assert not bus.is_configured
    assert not bus.is_up
    with pytest.raises(NotUp, match=r"mesh\.mqtt"):
        await bus.publish("a", b"b")


@in_town
async def test_the_broker_is_told_who_calls(town: Town) -> None:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN, f"mqtt://ann:p%40ss@{BROKER}"):
            (guest,) = broker.guests
            assert (guest.user, guest.password) == ("ann", "p@ss")
        await trio.sleep(1)
        assert broker.guests == [], "it said goodbye"


@in_town
async def test_a_bus_comes_back_when_its_broker_does(town: Town) -> None:
    ear, greetings = Ear(), 0

    async def greet() -> None:
        nonlocal greetings
        greetings += 1

    async with bus_at(town, ANN, waits=False, a=ear) as (bus, _):
        bus.greet(greet)
        await trio.sleep(300)
        assert not bus.is_up
        assert "nobody listens" in bus.last_error
        async with broker_at(town.world(BROKER).net, BROKER) as broker:
            await bus.wait_up()
            await broker.say("a", b"1")
            await trio.sleep(1)
            town.simulation.net.cut(ANN, BROKER)
            await trio.sleep(1)
            assert not bus.is_up
            with pytest.raises(NotUp):
                await bus.publish("b", b"lost")
            town.simulation.net.heal(ANN, BROKER)
            await bus.wait_up()
            await broker.say("a", b"2")
            await trio.sleep(1)
    assert ear.heard == [("a", b"1"), ("a", b"2")]
    assert greetings == 2


@in_town
async def test_pauses_grow_to_a_minute_and_a_broker_that_refuses_is_not_pressed(
    town: Town,
) -> None:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        broker.refusal = 0x87
        async with bus_at(town, ANN, waits=False) as (bus, _):
            await trio.sleep(3600)
            assert "Not authorized" in bus.last_error
        assert 40 < len(broker.arrivals) < 140


@in_town
async def test_a_subscription_that_is_refused_ends_the_connection(town: Town) -> None:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        broker.refused_filter = "a"
        async with bus_at(town, ANN, waits=False, a=Ear()) as (bus, _):
            await trio.sleep(10)
            assert not bus.is_up
            assert "refuses a subscription: Not authorized" in bus.last_error


@in_town
async def test_a_broker_that_says_nothing_any_more_is_left(town: Town) -> None:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN) as (bus, _):
            await trio.sleep(3600)
            assert len(broker.guests) == len(broker.arrivals) == 1, "an idle connection lasts"
            broker.is_silent = True
            with pytest.raises(Fault, match="did not answer"):
                await bus.publish("a", b"who hears?", qos=1)
            await trio.sleep(100)
            assert len(broker.arrivals) > 1
            assert not bus.is_up
            broker.is_silent = False
            await bus.wait_up()


@in_town
async def test_who_waits_for_an_answer_learns_that_the_connection_broke(town: Town) -> None:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN) as (bus, _):
            broker.is_silent = True
            with trio.fail_after(15):
                async with trio.open_nursery() as nursery:

                    async def say() -> None:
                        with pytest.raises(Fault, match="the connection is over"):
                            await bus.publish("a", b"b", qos=1)

                    nursery.start_soon(say)
                    await trio.sleep(1)
                    town.simulation.net.cut(ANN, BROKER)


@in_town
async def test_what_a_handler_raises_costs_that_message_alone(town: Town) -> None:
    ear = Ear(raises=[WireError("no sense"), Fault("no room"), KeyError("a bug"), None])
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN, a=ear) as (bus, metrics):
            for number in range(4):
                await broker.say("a", bytes([number]))
            await trio.sleep(1)
            assert len(ear.heard) == 4
            assert bus.is_up
    outcomes = {each: told(metrics, each) for each in ("heard", "refused", "failed")}
    assert outcomes == {"heard": 1, "refused": 1, "failed": 2}


@in_town
async def test_a_handler_that_hangs_delays_no_other_and_fills_no_memory(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "WAITING_BYTES", 100)
    stuck, quick = Ear(is_stuck=True), Ear()
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN, a=stuck, b=quick) as (_, metrics):
            for _ in range(3):
                await broker.say("a", b"x" * 60)
            await trio.sleep(1)
            assert told(metrics, "dropped") == 1, "the first is being dealt with, the second waits"
            for _ in range(1_000):
                await broker.say("a", b"")
            await broker.say("b", b"x" * 100)
            await trio.sleep(1)
            assert len(stuck.heard) == 1
            assert len(quick.heard) == 1
            assert told(metrics, "dropped") == 1 + 1_000 - (bus_module.WAITING_MESSAGES - 1)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed the connection"),
        (b"\x20\xff\xff\xff\xff\x01", "no MQTT"),
        (packet(0x20, bytes([0, 0, 0])) + b"\x30\xff\xff\xff\x7f", "a packet of 268435"),
        (packet(0x20, bytes([0, 0, 0])) + packet(0x30, b"\xff\xff"), "MQTT"),
        (packet(0x20, bytes([0, 0, 0])) + packet(0x00, b""), "MQTT"),
        (packet(0x20, b""), "MQTT"),
        (packet(0x20, bytes([0, 1])), "Unsupported protocol version"),  # of MQTT 3
        (packet(0x20, bytes([0, 0, 0])) + packet(0xE0, bytes([0x8B, 0])), "Server shutting down"),
        (b"", "closed the connection"),
    ],
)
@in_town
async def test_a_broker_that_is_none_does_no_harm(town: Town, said: bytes, error: str) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1_000)
        await stream.send_all(said)
        if said:
            await trio.sleep(1)
        await stream.aclose()

    async with listening(town.world(BROKER).net, BROKER, serve):
        async with bus_at(town, ANN, waits=False) as (bus, _):
            await trio.sleep(100)
            assert error in bus.last_error


@in_town
async def test_bytes_of_any_kind_end_a_connection_and_nothing_else(town: Town) -> None:
    drawn = town.simulation.random
    came = 0

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal came
        came += 1
        await stream.receive_some(1_000)
        await stream.send_all(packet(0x20, bytes([0, 0, 0])))
        with suppress(trio.BrokenResourceError):
            for _ in range(20):
                kind, size = drawn.bytes(2)
                await stream.send_all(packet(kind, drawn.bytes(size % 40)))
        await trio.sleep(2)
        await stream.aclose()

    async with listening(town.world(BROKER).net, BROKER, serve):
        async with bus_at(town, ANN, waits=False, a=Ear()):
            await trio.sleep(3600)
    assert came > 40


@in_town
async def test_a_message_larger_than_the_bound_is_not_waited_for(town: Town) -> None:
    """A broker that keeps to what it was told never sends one."""
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN, a=Ear()) as (bus, _):
            await broker.say("a", b"x" * MAX_PACKET_BYTES)
            await trio.sleep(0.1)
            assert not bus.is_up
            assert "a packet of" in bus.last_error


@in_town
async def test_plain_mqtt_is_spoken_only_where_the_wire_is_secure(town: Town) -> None:
    town.simulation.net.names["broker.example"] = ["93.184.216.34"]
    async with bus_at(town, ANN, "mqtt://broker.example", waits=False) as (bus, _):
        await trio.sleep(1)
        assert "outside of mesh.networks" in bus.last_error


@in_town
async def test_the_last_words_are_heard_before_a_bus_ends(town: Town) -> None:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        async with bus_at(town, ANN) as (bus, _):

            async def last_words() -> None:
                await bus.publish("a", b"chau")

            await bus.farewell(last_words, 5)
        await trio.sleep(1)
        assert broker.of("a") == [b"chau"]


@in_town
async def test_a_node_that_stops_as_the_connection_breaks_just_stops(town: Town) -> None:
    async with broker_at(town.world(BROKER).net, BROKER):
        for _ in range(5):
            async with bus_at(town, ANN):
                town.simulation.net.break_off(frozenset((ANN, BROKER)))


@in_town
async def test_a_bug_in_a_greeting_is_no_fault_of_the_broker(town: Town) -> None:
    async def greet() -> None:
        raise KeyError("a bug")

    bus = Bus(town.world(ANN), MeshConfig(mqtt=URL), REACH, Metrics())
    bus.handle("a", Ear())
    bus.greet(greet)
    async with broker_at(town.world(BROKER).net, BROKER):
        with pytest.raises(ExceptionGroup) as caught:
            await bus.run()
    assert isinstance(leaves(caught.value)[0], KeyError)
    assert not bus.is_up
