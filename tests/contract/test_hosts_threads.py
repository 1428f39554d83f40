"""Applications' transactions beside a node that writes, in real threads and on real disks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from postbox.hosts.applications.events import Event
from postbox.hosts.applications.handlers import Delivery
from postbox.hosts.applications.host import Host
from postbox.hosts.tables import out_stream
from postbox.log.committed import Interest
from postbox.store.application import Connection, execute, in_transaction
from postbox.store.contract import Lane
from postbox.world import Pool, system_world
from support.host_kernel import B, C, HostKernel, open_host_kernel

ORDERS = 60
PATIENCE_S = 60


def order(number: int) -> Event:
    return Event("x/shop.Order", str(number).encode())


async def sent(it: HostKernel, count: int, to: str) -> list[bytes]:
    """What was posted to that host, once it is so much."""
    interest = Interest(Lane.HOSTS, frozenset((out_stream(to),)))
    with trio.fail_after(PATIENCE_S):
        while True:
            head = it.kernel.tail.head
            found = [event.value for event in await it.sent(to)]
            if len(found) >= count:
                return found
            await it.kernel.tail.wait(interest, head)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_applications_handlers_and_the_node_write_beside_each_other(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    file = str(tmp_path / "node.db")
    place = file if engine == "sqlite" else request.getfixturevalue("database")
    world, host = system_world(), Host()

    def reply(delivery: Delivery[bytes], connection: Connection) -> None:
        execute(connection, "insert into bought (n) values (?)", (int(delivery.message),))
        host.post_in(connection, C, Event("x/shop.Thanks", delivery.message))

    def sell(connection: Connection, number: int) -> None:
        execute(connection, "insert into sold (n) values (?)", (number,))
        host.post_in(connection, B, order(number))

    def sell_all(connection: Connection) -> None:
        for number in range(ORDERS):
            in_transaction(connection, partial(sell, connection, number))
        connection.close()

    async def buy(it: HostKernel) -> None:
        for number in range(ORDERS):
            await it.arrive(order(number), start=number + 1)

    host.on_in_transaction("shop.Order", reply)
    async with open_host_kernel(world, place, host=host) as it:
        it.run("create table bought (n bigint primary key)")
        it.run("create table sold (n bigint primary key)")
        own = await host.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.threads.run, Pool.HANDLER, partial(sell_all, own))
            nursery.start_soon(buy, it)
        numbers = [str(number).encode() for number in range(ORDERS)]
        assert await sent(it, ORDERS, B) == numbers
        assert await sent(it, ORDERS, C) == numbers
        assert it.run("select count(*) from bought") == it.run("select count(*) from sold")
        assert it.run("select count(*) from sold") == [(ORDERS,)]
        assert await it.outbox.dead() == []
