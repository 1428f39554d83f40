"""Whom a client connects to, on a network in memory that notes every address that is called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
import trio
import trio.testing

from postbox.connections import MAX_ADDRESSES
from postbox.net import dial
from postbox.net.addresses import Reach
from postbox.net.client import CONNECT_S, Client, open_client
from postbox.net.faults import Forbidden, Unreachable
from support.memory_net import MemoryNet
from support.networks import DEFAULT_NETWORKS

GOOD, OTHER, METADATA = "100.64.0.9", "100.64.0.10", "169.254.169.254"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere"


@dataclass
class NotingNet(MemoryNet):
    """Answers at every address that it is asked for, but those that are `down`; `lost` ones never
    pick up."""

    called: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    down: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    async def resolve(self, host: str) -> list[str]:
        self.resolved.append(host)
        return await super().resolve(host)

    async def connect(self, address: str, port: int, source: str = "127.0.0.1") -> trio.abc.Stream:
        self.called.append(address)
        if address in self.down:
            raise OSError(f"{address} is down")
        if address in self.lost:
            await trio.sleep_forever()
        return await super().connect(address, port, source)


@asynccontextmanager
async def calling(net: NotingNet, *, loopback: bool = False) -> AsyncIterator[Client]:
    async def answer(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(ANSWER)

    async with trio.open_nursery() as nursery:
        for address in (GOOD, OTHER, METADATA, "127.0.0.1"):
            listeners = await net.listen(address, 80)
            nursery.start_soon(partial(trio.serve_listeners, answer, listeners))
        async with open_client(net, reach=Reach(DEFAULT_NETWORKS, loopback=loopback)) as client:
            yield client
        nursery.cancel_scope.cancel()


async def get(client: Client, host: str) -> bytes:
    url = f"http://{host}/"
    answer = await client.request("GET", url, max_body_bytes=100, deadline_s=30.0)
    return answer.body


@pytest.mark.parametrize(
    "addresses",
    [
        [METADATA],
        [GOOD, METADATA],
        [METADATA, GOOD],
        [GOOD, "127.0.0.1"],
        [GOOD, "::ffff:127.0.0.1"],
        [GOOD, "fe80::1%eth0"],
        [GOOD] * MAX_ADDRESSES + [METADATA],
    ],
)
async def test_a_name_with_one_address_that_may_not_be_called_is_not_called_at_all(
    addresses: list[str],
) -> None:
    net = NotingNet({"peer": addresses})
    async with calling(net) as client:
        with pytest.raises(Forbidden, match="will not call peer: "):
            await get(client, "peer")
    assert net.called == []


async def test_a_name_is_resolved_once_and_what_was_judged_is_called() -> None:
    """Whoever owns the name may give another address to whom asks twice."""

    @dataclass
    class Rebinding(NotingNet):
        async def resolve(self, host: str) -> list[str]:
            found = await super().resolve(host)
            self.names[host] = [METADATA]
            return found

    net = Rebinding({"peer": [GOOD]})
    async with calling(net) as client:
        assert await get(client, "peer") == b"here"
        assert (net.resolved, net.called) == (["peer"], [GOOD])
        with pytest.raises(Forbidden):
            await get(client, "peer")
    assert (net.resolved, net.called) == (["peer", "peer"], [GOOD])


async def test_what_does_not_answer_is_passed_over() -> None:
    net = NotingNet({"peer": [OTHER, GOOD]}, down=(OTHER,))
    async with calling(net) as client:
        assert await get(client, "peer") == b"here"
    assert net.called == [OTHER, GOOD]


async def test_an_address_that_never_picks_up_leaves_time_for_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    net = NotingNet({"peer": [OTHER, GOOD]}, lost=(OTHER,))
    async with calling(net) as client:
        assert await get(client, "peer") == b"here"
    assert net.called == [OTHER, GOOD]


async def test_a_look_up_that_takes_all_the_time_is_a_fault_and_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A thread that asks a name server is not cancelled."""

    class Slow(NotingNet):
        async def resolve(self, host: str) -> list[str]:
            with trio.CancelScope(shield=True):
                await trio.sleep(CONNECT_S + 1)
            return self.names[host]

    async with calling(Slow({"peer": [GOOD, OTHER]})) as client:
        for _ in range(3):
            with pytest.raises(Unreachable, match="no connection within 5 s"):
                await get(client, "peer")


@pytest.mark.parametrize("steps", range(12))
async def test_a_call_that_is_cancelled_leaves_its_place_to_others(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """At whichever step: httpcore2 loses one where it does not look."""
    monkeypatch.setattr(dial, "MAX_CONNECTIONS", 2)
    async with calling(NotingNet({"peer": [GOOD]})) as client:
        for _ in range(4):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(get, client, "peer")
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        with trio.fail_after(10):
            assert await get(client, "peer") == b"here"


async def test_of_many_addresses_a_few_are_tried() -> None:
    many = tuple(f"100.64.1.{number}" for number in range(10))
    net = NotingNet({"peer": list(many)}, down=many)
    async with calling(net) as client:
        with pytest.raises(Unreachable, match=r"100\.64\.1\.3 is down"):
            await get(client, "peer")
    assert net.called == list(many[:MAX_ADDRESSES])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]
)
async def test_an_address_in_the_url_is_judged_as_any_other(host: str) -> None:
    net = NotingNet()
    async with calling(net) as client:
        with pytest.raises(Forbidden):
            await get(client, host)
    assert net.called == []
