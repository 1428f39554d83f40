"""The broker of `mesh.mqtt`, as `postbox doctor` looks at it: connected to as a node connects."""

from __future__ import annotations

from typing import Literal, NamedTuple

from postbox.config import Config
from postbox.errors import Fault, leaves
from postbox.mesh.bus import topics
from postbox.mesh.bus.bus import BadAuthorities, broker_tls
from postbox.net.addresses import reach_of
from postbox.net.faults import Forbidden
from postbox.net.mqtt.broker import Broker, broker_of
from postbox.net.mqtt.connection import NoTls, Refused, open_mqtt
from postbox.world import World


class BrokerSeen(NamedTuple):
    state: Literal["ok", "wrong"]
    text: str
    cure: str = ""


async def examine_broker(config: Config, world: World) -> BrokerSeen:
    """Is it there, does its certificate verify, does it let this node in and listen? Nothing is
    published. In some 40 s at most."""
    broker = broker_of(config.mesh.mqtt)
    since_s = world.clock.elapsed_s()
    faults: list[Fault] = []
    try:
        await _call(broker, config, world)
    except* Fault as group:
        faults += [one for one in leaves(group) if isinstance(one, Fault)]
    if faults:
        return BrokerSeen("wrong", str(faults[0]), _cure(faults[0]))
    took_ms = (world.clock.elapsed_s() - since_s) * 1_000
    how = "over TLS, its certificate verified" if broker.is_tls else "without TLS"
    return BrokerSeen("ok", f"{broker} lets this node in, {how}, in {took_ms:.0f} ms")


async def _call(broker: Broker, config: Config, world: World) -> None:
    tls = broker_tls(broker, config.mesh.mqtt_ca)
    client_id = f"postbox-doctor-{world.random.bytes(8).hex()}"
    async with open_mqtt(
        world.net, reach_of(config), broker, client_id, lambda _: None, tls
    ) as connection:
        await connection.subscribe([topics.HEY_THERE])


def _cure(fault: Fault) -> str:
    match fault:
        case BadAuthorities():
            return "mesh.mqtt_ca names a PEM file of the authority that has certified the broker"
        case NoTls():
            return (
                "mesh.mqtt names the host that is in the broker's certificate, and mesh.mqtt_ca the"
                " authority that signed it, if the system does not trust it"
            )
        case Refused():
            return (
                "look at the user and the password in mesh.mqtt, and at what the broker allows"
                " them: a node reads and writes nara/#"
            )
        case Forbidden():
            return "use mqtts://, or name the broker's network in mesh.networks if it is secure"
        case _:
            return "is it running, and are host and port in mesh.mqtt right?"
