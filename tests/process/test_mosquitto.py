"""The bus against a real Mosquitto: in plain and by TLS, through a restart and a silence; and nodes
that reach each other by nothing else, `POSTBOX_BUS_EVENTS=80000` for a history of that length."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from postbox.config import MeshConfig
from postbox.errors import Fault
from postbox.mesh.bus import topics
from postbox.mesh.bus.bus import Bus
from postbox.mesh.bus.exchange import ANSWER_EVENTS
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.mqtt import connection
from postbox.world import system_world
from support.command import postbox, served, told
from support.mesh import id_of_body, plain, small_history
from support.mosquitto import PASSWORD, Mosquitto, Start

EVENTS = int(os.environ.get("POSTBOX_BUS_EVENTS", "2000"))
PATIENCE_S = 300 + EVENTS / 100
REACH = Reach((), loopback=True)


@asynccontextmanager
async def bus_on(
    broker: Mosquitto, url: str = "", ca: Path | None = None, topic: str = "nara/+/x"
) -> AsyncIterator[tuple[Bus, list[bytes]]]:
    heard: list[bytes] = []

    async def hear(topic: str, payload: bytes) -> None:
        heard.append(payload)

    config = MeshConfig(mqtt=url or broker.url, mqtt_ca=ca or broker.authority)
    bus = Bus(system_world(), config, REACH, Metrics())
    bus.handle(topic, hear)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bus.run)
        yield bus, heard
        nursery.cancel_scope.cancel()


async def until(heard: list[bytes], count: int) -> None:
    while len(heard) < count:  # noqa: ASYNC110
        await trio.sleep(0.01)


@pytest.mark.parametrize("tls", [False, True])
async def test_messages_of_any_size_go_from_one_to_the_other(mosquitto: Start, tls: bool) -> None:
    broker = mosquitto(tls=tls, user="ann")
    large = bytes(range(256)) * 20_000
    with trio.fail_after(PATIENCE_S):
        async with bus_on(broker) as (one, own), bus_on(broker) as (other, heard):
            await one.wait_up()
            await other.wait_up()
            await one.publish("nara/plaza/x", b"small")
            await one.publish("nara/plaza/x", large, qos=1)
            await until(heard, 2)
            assert heard == [b"small", large]
            assert own == []


async def test_a_bus_is_back_after_its_broker_was_away(mosquitto: Start) -> None:
    broker = mosquitto()
    with trio.fail_after(PATIENCE_S):
        async with bus_on(broker) as (one, _), bus_on(broker) as (other, heard):
            await one.wait_up()
            await other.wait_up()
            broker.stop()
            while one.is_up or other.is_up:  # noqa: ASYNC110
                await trio.sleep(0.01)
            broker.start()
            await one.wait_up()
            await other.wait_up()
            await one.publish("nara/plaza/x", b"again", qos=1)
            await until(heard, 1)


async def refusal(broker: Mosquitto, url: str = "", ca: Path | None = None) -> str:
    async with bus_on(broker, url, ca) as (bus, _):
        while not bus.last_error:  # noqa: ASYNC110
            await trio.sleep(0.01)
        return bus.last_error


async def test_a_broker_that_cannot_prove_who_it_is_learns_no_password(
    mosquitto: Start, tmp_path: Path
) -> None:
    broker = mosquitto(tls=True, user="ann")
    with trio.fail_after(PATIENCE_S):
        as_system_trusts = broker.url.replace("localhost", "127.0.0.1")
        assert "certificate verify failed" in await refusal(broker, as_system_trusts)
        missing = await refusal(broker, ca=tmp_path / "missing.pem")
        assert "mesh.mqtt_ca: cannot use" in missing
        assert PASSWORD not in missing
        plain = await refusal(broker, broker.url.replace("mqtts", "mqtt"))
        assert "closed the connection" in plain or "broken" in plain.lower()


async def test_a_wrong_password_is_told(mosquitto: Start) -> None:
    broker = mosquitto(user="ann")
    with trio.fail_after(PATIENCE_S):
        wrong = await refusal(broker, broker.url.replace(PASSWORD[-2:], "xx"))
        assert "does not let this node in: Not authorized" in wrong
        nobody = await refusal(broker, f"mqtt://localhost:{broker.port}")
        assert "does not let this node in: Not authorized" in nobody


async def test_a_broker_that_hangs_is_left(
    mosquitto: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE_S", 1)
    monkeypatch.setattr(connection, "ANSWER_S", 0.2)
    broker = mosquitto()
    with trio.fail_after(PATIENCE_S):
        async with bus_on(broker) as (bus, _):
            await bus.wait_up()
            broker.halt()
            with pytest.raises(Fault, match="did not answer"):
                await bus.publish("nara/plaza/x", b"who hears?", qos=1)
            while bus.is_up:  # noqa: ASYNC110
                await trio.sleep(0.05)
            assert "said nothing for" in bus.last_error


def newest_social(events: list[bytes]) -> list[bytes]:
    """Their ids."""
    told = [plain(event) for event in events]
    social = sorted([one for one in told if one.service == "social"], reverse=True)
    return [bytes.fromhex(one.id) for one in social]


def ids_in(home: Path) -> set[bytes]:
    told("export", home / "all.jsonl", "--home", home)
    return set(map(id_of_body, (home / "all.jsonl").read_bytes().splitlines()))


async def test_a_node_that_reaches_only_the_broker_gets_what_it_missed(
    mosquitto: Start, tmp_path: Path
) -> None:
    """Real nodes, none of which knows another's address. Of more social events than one answer has
    the newest come for certain, and of the others what is about few enough names."""
    broker = mosquitto()
    history, events = tmp_path / "history.jsonl", small_history(EVENTS)
    history.write_bytes(b"\n".join(events) + b"\n")
    newest = newest_social(events)[:ANSWER_EVENTS]
    homes = [tmp_path / name for name in ("one", "two", "new")]
    for home in homes[:2]:
        assert postbox("import", history, "--home", home).code == 0

    async with bus_on(broker, topic=topics.CHAU) as (witness, goodbyes):
        await witness.wait_up()
        with ExitStack() as stack:
            for home in homes:
                stack.enter_context(served(home, "--mqtt", broker.url))
            with trio.fail_after(PATIENCE_S):
                while not set(newest) <= ids_in(homes[2]):  # noqa: ASYNC110
                    await trio.sleep(0.5)
            status = told("status", "--home", homes[2])
        assert status["mqtt"] == {"broker": broker.url, "up": True, "error": ""}
        with trio.fail_after(PATIENCE_S):
            await until(goodbyes, len(homes))
    assert len(newest) > 200
