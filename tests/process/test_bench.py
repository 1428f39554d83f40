"""`postbox bench`: it ends, and every figure is there; none of them is a promise."""

from __future__ import annotations

from itertools import islice

import msgspec
import pytest

from postbox.cli.bench.children import BenchFault, running
from postbox.cli.bench.load import Load, Press, loopback_addresses
from postbox.cli.bench.pull import PARTS, SETTLE
from postbox.cli.bench.served import CONNECTIONS, Served, print_served
from postbox.mesh.serving.callers import STRANGERS_BURST
from postbox.world import system_world
from support.command import told

EVENTS = 400
ANSWERS = {
    "sample 5,000, JSON",
    "sample 5,000, msgpack",
    "page 5,000, JSON",
    "page 5,000, msgpack",
    "recent 100, JSON",
    "recent 100, msgpack",
    "ping",
}


@pytest.fixture(scope="module")
def found() -> Served:
    numbers = told("bench", "--served", "--events", str(EVENTS), "--seconds", "0.03")
    return msgspec.convert(numbers, Served)


def test_every_answer_is_measured_beside_a_bare_one(found: Served) -> None:
    measured = [(one.name, one.connections) for one in found.answers]
    assert sorted(measured) == sorted((name, many) for name in ANSWERS for many in CONNECTIONS)
    for one in found.answers:
        for way in (one.bare, one.served):
            assert way.per_s > 0
            assert 0 < way.p50_ms <= way.p99_ms
            # MB/s are answers/s of that size; a sample's differ a little in length
            assert way.mb_per_s * 1e3 == pytest.approx(way.per_s * one.kb, rel=0.02)
    assert len(found.yardsticks) == 2


def test_a_pull_brings_all_events_and_its_parts_are_the_whole(found: Served) -> None:
    pulled = found.pulls.median
    assert pulled.events == EVENTS
    assert tuple(pulled.parts_s) == PARTS
    assert sum(pulled.parts_s.values()) == pytest.approx(pulled.total_s, rel=0.05)
    assert all(pulled.parts_s[part] > 0 for part in PARTS[: PARTS.index(SETTLE)])
    assert sorted(found.pulls.totals_s)[1] == pulled.total_s


def test_tables_are_markdown(found: Served, capsys: pytest.CaptureFixture[str]) -> None:
    print_served(found)
    answers, pulled, yardsticks = (
        [line.split(" | ") for line in table.splitlines()]
        for table in capsys.readouterr().out.split("\n\n")
        if table.startswith("| ")
    )
    assert {row[0].removeprefix("| ") for row in answers[2:]} == ANSWERS
    assert [row[0].removeprefix("| ") for row in pulled[2:]] == [*PARTS, "in all"]
    assert len(yardsticks) == 4
    for table in (answers, pulled, yardsticks):
        assert {len(row) for row in table} == {len(table[0])}
        assert set("".join(table[1])) == {"|", "-", " "}


def test_the_operations_in_process_are_measured() -> None:
    names = [figure["name"] for figure in told("bench", "--events", str(EVENTS))]
    assert names[:3] == [
        "yardstick: one PyNaCl verification of 300 bytes",
        "yardstick: SHA-256 of 5,000 x 300 bytes",
        "sample 5,000",
    ]
    assert sum(name.startswith("log: ") for name in names) == 2


async def test_every_byte_of_every_connection_is_counted() -> None:
    clock = system_world().clock
    async with running("postbox.cli.bench.bare") as server:
        press, load = Press(clock, server.url, loopback_addresses()), Load()
        request = b"GET /100000 HTTP/1.1\r\nHost: bench\r\n\r\n"
        assert await press.size_of(request) == 100_000
        for _ in range(2):
            await press.turn(request, 8, 0.05, load)
    assert len(load.latencies_s) >= 16
    assert load.bytes == 100_000 * len(load.latencies_s)


async def test_an_answer_that_is_none_ends_it() -> None:
    async with running("postbox.cli.bench.bare") as server:
        press = Press(system_world().clock, server.url, loopback_addresses())
        with pytest.raises(BenchFault, match=r"was answered 'HTTP/1\.1 500"):
            await press.size_of(b"GET /nothing HTTP/1.1\r\nHost: bench\r\n\r\n")


async def test_a_server_that_does_not_start_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(BenchFault, match="postbox ended before")):
        async with running("postbox", "no-such-verb"):
            raise AssertionError("it is running")
    assert "no-such-verb" in "".join(capfd.readouterr())


async def test_no_address_asks_more_often_than_a_node_bears() -> None:
    load, addresses = Load(), loopback_addresses()
    async with running("postbox.cli.bench.bare") as server:
        press = Press(system_world().clock, server.url, addresses)
        await press.turn(b"GET /10 HTTP/1.1\r\nHost: bench\r\n\r\n", 1, 1.0, load)
    fresh = list(islice(loopback_addresses(), 10**6))
    used = fresh.index(next(addresses))
    assert used >= len(load.latencies_s) / (STRANGERS_BURST - 1), "each connection asks once before"
    assert len(set(fresh)) == 10**6
