"""A severed world: the crash of a node, as its own code sees it."""

from __future__ import annotations

import pytest
import trio

from postbox.errors import Fatal
from postbox.store.contract import Change, Entry, Lane
from postbox.store.sqlite.driver import open_sqlite
from postbox.world import Pool
from support.simulate import MemoryDisk, Severed, Simulation, simulate

ENTRY = Entry(1, Lane.NODE, b"s", None, bytes(16), 1, 1, b"", 1, b"body")


def test_after_a_crash_no_read_no_write_and_no_send_gets_through() -> None:
    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        node, peer = simulation.node(disk), simulation.node(MemoryDisk())
        store = open_sqlite(node.world.disk, "node.db", [], bytes(16), bytes(32))
        listeners = await peer.world.net.listen("10.0.0.2", 80)
        stream = await node.world.net.connect("10.0.0.2", 80)
        far = await listeners[0].accept()
        node.sever()
        with pytest.raises(Fatal):
            store.write(lambda tx: tx.apply(Change(appends=[ENTRY])))
        with pytest.raises(Severed):
            store.read(lambda reader: reader.head)
        with pytest.raises(Severed):
            await stream.send_all(b"too late")
        with pytest.raises(Severed):
            await node.world.net.connect("10.0.0.2", 80)
        with pytest.raises(Severed):
            await node.world.threads.run(Pool.READER, lambda: None)
        with pytest.raises(Severed):
            node.world.disk.open_database("node.db")
        with trio.fail_after(1):
            assert await far.receive_some(1) == b""  # the peer sees the connection end

    simulate(1, main)


def test_a_crash_inside_a_transaction_leaves_nothing_of_it_and_no_lock() -> None:
    async def main(simulation: Simulation) -> None:
        disk = MemoryDisk()
        node = simulation.node(disk)
        connection = node.world.disk.open_database("node.db")
        connection.execute("create table t (a)")
        connection.execute("begin immediate")
        connection.execute("insert into t values (1)")
        node.sever()
        again = simulation.node(disk).world.disk.open_database("node.db")
        assert again.execute("select count(*) from t").fetchall() == [(0,)]
        again.execute("insert into t values (2)")

    simulate(1, main)


def test_work_in_a_thread_takes_virtual_time_and_is_not_abandoned() -> None:
    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        done = []
        begun_s = world.clock.elapsed_s()
        with trio.move_on_after(1e-6) as scope:
            await world.threads.run(Pool.WRITER, lambda: done.append(1))
        assert done == [1]
        assert not scope.cancelled_caught
        assert world.clock.elapsed_s() > begun_s + 1e-6

    simulate(1, main)
