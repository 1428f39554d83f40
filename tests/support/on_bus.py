"""Nodes that share a broker in memory, and nothing else unless their town says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from postbox.mesh.bus import topics
from postbox.mesh.reading import read_event
from postbox.rules import Payer
from postbox.trust.keys import Identity
from support.broker import Broker, broker_at
from support.mesh import hello_of, stored
from support.town import House, Town

BROKER = "100.64.0.100"
URL = f"mqtt://{BROKER}"
OWN = Payer("operator", "self")


@asynccontextmanager
async def on_broker(town: Town) -> AsyncIterator[Broker]:
    async with broker_at(town.world(BROKER).net, BROKER) as broker:
        yield broker


@asynccontextmanager
async def living(
    town: Town, address: str, name: str, *, is_up: bool = True, **mesh: Any
) -> AsyncIterator[House]:
    """A node with all that it does by itself."""
    async with town.house(address, name, mqtt=URL, **mesh) as house:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.mesh.keep_up)
            if is_up:
                await house.mesh.bus.wait_up()
            yield house
            nursery.cancel_scope.cancel()


async def writes(house: House, bodies: Sequence[bytes]) -> None:
    """The node itself, into its log."""
    intake = house.node.intake
    report = await intake.take(await intake.decode(bodies), OWN)
    assert not report.rejected, report


async def ids(house: House) -> set[str]:
    """Of the mesh events that it has stored."""
    return {read_event(one.body).id for one in await stored(house.node) if one.body}


async def says_hello(broker: Broker, who: Identity, at_ns: int, mesh_ip: str = "") -> bytes:
    body = hello_of(who, at_ns, mesh_ip)
    await broker.say(topics.HEY_THERE, body)
    return body
