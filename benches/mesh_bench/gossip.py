"""What gossip costs one node, by the size of its mesh: rounds of a real node with real ones over a
network in memory, on virtual time. Each name of the mesh has written a ping every 30 s, and all
nodes hold what they hold in the end, so what is measured is the exchange itself: what is new costs
what it costs to verify, whichever way it comes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kernel_bench.places import Place
from postbox.mesh.calling.client import Peer
from postbox.mesh.gossip.rounds import Gossip
from postbox.mesh.gossip.zine import make_zine
from postbox.mesh.peers.known import Known
from postbox.mesh.synthetic import identities
from postbox.trust.authoring import Ping, make_event
from postbox.trust.keys import Identity
from support.mesh import believe, take
from support.simulate import Simulation, simulate
from support.town import House, Town

SIZES = (10, 100, 1_000)
PARTNERS = 9  # real nodes; the names of a larger mesh lead to one of them
ROUNDS = 20
PING_S, LATELY_S = 30, 300


def rows(_: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("nodes", "events of 5 minutes", "in a zine", "its KB", "a round: exchanges", "ms of CPU")
    for size in SIZES:
        found = _Found()
        with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
            simulate(1, partial(_measure, Path(folder), size, found))
        yield (
            f"{size:,}",
            f"{found.events:,}",
            f"{found.told:,}",
            f"{found.zine_bytes / 1_000:,.0f}",
            f"{found.exchanges / ROUNDS:.1f}",
            f"{found.cpu_s / ROUNDS * 1_000:,.0f}",
        )


@dataclass
class _Found:
    """`cpu_s`: of all rounds and both sides."""

    events: int = 0
    told: int = 0
    zine_bytes: int = 0
    exchanges: int = 0
    cpu_s: float = 0.0


async def _measure(folder: Path, size: int, found: _Found, simulation: Simulation) -> None:
    town, crowd = Town(simulation, folder), identities(1, size)
    async with AsyncExitStack() as stack:
        addresses = [f"100.64.0.{number}" for number in range(1, PARTNERS + 2)]
        houses = [
            await stack.enter_async_context(town.house(address, f"house{number}"))
            for number, address in enumerate(addresses)
        ]
        events = _lately(crowd, houses[0].node.world.clock.now_ns())
        for house in houses:
            await believe(house.node, *crowd)
            await take(house.node, events)
        one, *partners = houses
        found.events = len(one.node.ledger.index)
        now_ns = one.node.world.clock.now_ns()
        made = make_zine(one.node.identity, one.node.ledger.index, now_ns)
        found.told, found.zine_bytes = made.events, len(made.body)
        await _gossip(one, partners, crowd, found)


def _lately(crowd: Sequence[Identity], now_ns: int) -> list[bytes]:
    return [
        make_event(
            Ping(observer=who.name, target=crowd[(at + ago_s) % len(crowd)].name, rtt=1.5),
            now_ns - ago_s * 10**9 - at * 1_000,
            who,
        ).body
        for at, who in enumerate(crowd)
        for ago_s in range(0, LATELY_S - PING_S, PING_S)
    ]


async def _gossip(
    one: House, partners: Sequence[House], crowd: Sequence[Identity], found: _Found
) -> None:
    roster, leads = one.mesh.peers, dict[str, Peer]()
    for at, who in enumerate(crowd):
        partner = partners[at % len(partners)]
        leads[who.name] = one.mesh.peer(partner.url)
        roster.told(who.name)
        known = roster.get(who.name)
        assert known is not None
        known.url = partner.url
        roster.succeeded(known)

    def peer_of(known: Known) -> Peer:
        found.exchanges += 1
        return leads[known.name]

    gossip = Gossip(
        one.node.world,
        one.mesh.zines,
        roster,
        peer_of,
        one.mesh.metrics,
        chattiness=50,
        is_short=False,
    )

    await gossip.round()  # in which they get to know each other
    found.exchanges = 0
    begun_s = time.process_time()
    for _ in range(ROUNDS):
        await gossip.round()
    found.cpu_s = time.process_time() - begun_s
