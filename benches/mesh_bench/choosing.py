"""What it costs the loop to choose whom to ask, by the number of peers: of a roster in which all
are in touch, or only heard of in events, or gone; and to count those that are online, for
`/metrics`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from kernel_bench.places import Place
from postbox.mesh.door import Mesh
from postbox.mesh.synthetic import identities
from postbox.trust.authoring import Ping, make_event
from postbox.trust.keys import Identity
from support.mesh import believe, take
from support.simulate import Simulation, simulate
from support.town import House, Town

SIZES = (10, 100, 1_000)
TIMES = 200
HOUR_NS = 3600 * 10**9
CHOSEN = 5


def rows(_: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("peers", "in touch: ms of CPU", "heard of", "gone", "all that are online")
    for size in SIZES:
        found: list[float] = []
        with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
            simulate(1, partial(_measure, Path(folder), size, found))
        yield (f"{size:,}", *[f"{each_ms:.2f}" for each_ms in found])


async def _measure(folder: Path, size: int, found: list[float], simulation: Simulation) -> None:
    crowd = identities(1, size)
    async with Town(simulation, folder).house("100.64.0.1", "one") as house:
        await believe(house.node, *crowd)
        now_ns = house.node.world.clock.now_ns()
        await take(house.node, [_ping(who, crowd, now_ns - HOUR_NS // 2) for who in crowd])
        for last_ns, age_ns in ((now_ns, 0), (1, 0), (1, 2 * HOUR_NS)):
            _know(house, crowd, last_ns)
            house.mesh.peers.are_online = partial(_as_of, house.mesh, now_ns + age_ns)
            found.append(_ms(lambda: house.mesh.peers.choose(CHOSEN, purpose="gossip")))
        projections = house.mesh.knowledge.projections
        found.append(_ms(lambda: projections.are_online(projections.names())))


def _ping(who: Identity, crowd: Sequence[Identity], at_ns: int) -> bytes:
    target = crowd[(crowd.index(who) + 1) % len(crowd)].name
    return make_event(Ping(observer=who.name, target=target, rtt=1.5), at_ns, who).body


def _know(house: House, crowd: Sequence[Identity], last_ns: int) -> None:
    for who in crowd:
        house.mesh.peers.heard(who.name, "http://100.64.0.2:7433")
        known = house.mesh.peers.get(who.name)
        assert known is not None
        known.last_contact_ns = last_ns


def _as_of(mesh: Mesh, now_ns: int, names: Sequence[str]) -> list[bool]:
    codes = mesh.knowledge.ledger.index.presences(names, now_ns=now_ns, fresh_ns=HOUR_NS)
    return [code == 1 for code in codes]


def _ms(work: Callable[[], object]) -> float:
    took_s = []
    for _ in range(TIMES):
        begun_s = time.thread_time()
        work()
        took_s.append(time.thread_time() - begun_s)
    return median(took_s) * 1_000
