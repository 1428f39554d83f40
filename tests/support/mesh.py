"""Mesh events to order, and nodes to put them into, for tests of the mesh door.

Everything is real: the home, the database, the threads, the sockets on loopback. Only the wall
clock is fixed, a day after the newest event of `data/nara`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import trio
from hypercorn.typing import ASGIFramework

from postbox.config import Config, MeshConfig, NodeConfig, ServeConfig
from postbox.core import Batch, Keys
from postbox.mesh.calling.client import Peer
from postbox.mesh.door import Mesh
from postbox.mesh.merging.intake import Report
from postbox.mesh.synthetic import generate
from postbox.mesh.wire import MODES, About
from postbox.metrics import Metrics
from postbox.net.limits import DEFAULT_LIMITS, Limits
from postbox.net.server import TcpAddress, serve
from postbox.node import Node, open_node
from postbox.rules import Outcome, Payer
from postbox.store.contract import Entry, Lane
from postbox.trust.authoring import (
    Chau,
    Checkpoint,
    HeyThere,
    Observation,
    Social,
    Tally,
    make_event,
    with_voters,
)
from postbox.trust.keys import Identity, identity_of
from postbox.trust.rules import KeyRules, operator_draft
from postbox.world import World, system_world
from support.simulate import WALL_CLOCK_START_NS, FixedClock

NARA = Path(__file__).parents[1] / "data" / "nara"
HISTORY = NARA / "history.jsonl.gz"
NARAS = NARA / "naras.json"

NOW_NS = WALL_CLOCK_START_NS
DAY_NS = 86_400 * 10**9
OPERATOR = Payer("operator", "import")
PEER = Payer("peer", "somebody")

Wrap: TypeAlias = Callable[[ASGIFramework], ASGIFramework]


ANN, BOB, CAT, MALLORY = (
    identity_of(name, name.encode().ljust(32, b".")) for name in ("ann", "bob", "cat", "mallory")
)


def impostor(name: str) -> Identity:
    """Somebody else who uses that name."""
    return identity_of(name, b"false".ljust(32, b"."))


# -- events -------------------------------------------------------------------------------------


def tease(
    number: int, by: Identity = ANN, target: str = "bob", signer: Identity | None = ANN
) -> bytes:
    """A social event, `number` seconds before now."""
    social = Social(type="tease", actor=by.name, target=target, reason="random")
    return make_event(social, NOW_NS - number * 10**9, signer).body


def hello_of(who: Identity, at_ns: int, mesh_ip: str = "") -> bytes:
    payload = HeyThere(from_=who.name, public_key=who.public_key_base64, mesh_ip=mesh_ip, id=who.id)
    return make_event(payload, at_ns, who).body


def hey_there(who: Identity, number: int = 0) -> bytes:
    return hello_of(who, NOW_NS - number * 10**9)


def chau_of(who: Identity, at_ns: int) -> bytes:
    payload = Chau(from_=who.name, public_key=who.public_key_base64, id=who.id)
    return make_event(payload, at_ns, who).body


def observation(number: int, observer: str = "ann", subject: str = "bob") -> bytes:
    """Unsigned, as nara leaves them."""
    seen = Observation(
        observer=observer,
        subject=subject,
        type="status-change",
        importance=2,
        online_state="ONLINE",
    )
    return make_event(seen, NOW_NS - number * 10**9, None).body


def checkpoint(voters: Sequence[Identity], number: int = 0, subject: Identity = ANN) -> bytes:
    """About `subject`, signed by these voters inside."""
    plain = Checkpoint(
        version=2,
        subject=subject.name,
        subject_id=subject.id,
        observation=Tally(restarts=3, total_uptime=86_400, start_time=1_700_000_000),
        as_of_time=NOW_NS // 10**9 - number,
        round=1,
    )
    return make_event(with_voters(plain, voters), NOW_NS - number * 10**9, None).body


def history_lines() -> list[bytes]:
    with gzip.open(HISTORY) as file:
        return file.read().splitlines()


def small_history(count: int = 1_000, seed: int = 1) -> list[bytes]:
    """Signed, all different, in the mix of the real one."""
    return list(generate(seed, count, NOW_NS - DAY_NS))


def id_of_body(body: bytes) -> bytes:
    return bytes.fromhex(json.loads(body)["id"])


def judged(keys: Keys, *bodies: bytes) -> list[tuple[int, int]]:
    """(verdict, standing) of each, as this node would have them."""
    batch = Batch.decode(bodies, NOW_NS)
    batch.verify(keys)
    return list(zip(batch.verdicts, batch.standings, strict=True))


# -- nodes --------------------------------------------------------------------------------------


def fixed_world(at_ns: int = NOW_NS) -> World:
    """The real outside, but for its wall clock."""
    return replace(system_world(), clock=FixedClock(at_ns))


def config_of(capacity: int = 100_000, *, loopback: bool = True, **mesh: Any) -> Config:
    """`mesh`: keys of the section `mesh`."""
    return Config(
        node=NodeConfig(memory=str(capacity)),
        serve=ServeConfig(loopback=loopback),
        mesh=MeshConfig(**mesh),
    )


@asynccontextmanager
async def node_at(
    home: Path,
    capacity: int = 100_000,
    name: str | None = None,
    world: World | None = None,
    **config: Any,
) -> AsyncIterator[Node]:
    """`config`: as `config_of` takes it."""
    settings = config_of(capacity, **config)
    async with open_node(world or fixed_world(), home, settings, name) as node:
        yield node


async def take(node: Node, bodies: Sequence[bytes], payer: Payer = OPERATOR) -> Report:
    """Taken in as from a file, and settled."""
    report = await node.intake.take(await node.intake.decode(bodies), payer)
    await node.settle()
    return report


async def believe(node: Node, *who: Identity, with_ids: bool = True) -> list[Outcome]:
    """The operator's `trust add`."""
    drafts = [
        operator_draft(node.world.new_id(), one.name, one.public_key, one.id if with_ids else None)
        for one in who
    ]
    outcomes = await node.admission.submit(KeyRules(), drafts)
    await node.settle()
    return outcomes


def digest(node: Node) -> str:
    return node.ledger.index.digest().hex()


def standings(node: Node) -> tuple[int, int, int]:
    """Attested, unproven, hearsay."""
    counts = node.ledger.index.counts()
    return counts["attested"], counts["unproven"], counts["hearsay"]


async def stored(node: Node) -> list[Entry]:
    """What the log holds of the mesh, read from the database."""
    entries: list[Entry] = []
    await node.tail.replay(Lane.MESH, entries.extend)
    return [entry for entry in entries if entry.body is not None]


async def stored_standing(node: Node, body: bytes) -> list[tuple[int, int]]:
    """(position, standing) of each entry with this event's id: one, or none."""
    wanted = id_of_body(body)
    return [(entry.pos, entry.flags) for entry in await stored(node) if entry.id == wanted]


def held_ids(node: Node) -> set[bytes]:
    """What the ledger serves, asked page by page."""
    ids: set[bytes] = set()
    cursor = None
    while True:
        found = node.ledger.index.page(cursor, None, (), ())
        ids.update(found.ids())
        cursor = found.next_cursor
        if cursor is None:
            return ids


# -- on loopback --------------------------------------------------------------------------------


@asynccontextmanager
async def mesh_of(node: Node) -> AsyncIterator[Mesh]:
    """The node's door, as the node has it when it serves."""
    async with node.open_mesh(Metrics()) as mesh:
        yield mesh


@asynccontextmanager
async def serving_mesh(
    node: Node, limits: Limits = DEFAULT_LIMITS, wrap: Wrap = lambda app: app
) -> AsyncIterator[tuple[str, Mesh]]:
    """The node's own server on a free port of loopback: its URL, and its door. `wrap`: what stands
    between the server and the door, to listen or to change the caller's address."""
    stop = trio.Event()
    address = TcpAddress("127.0.0.1", 0)
    async with mesh_of(node) as mesh, trio.open_nursery() as nursery:
        app = wrap(mesh.make_app(lambda: About("1", list(MODES), "", "custom", 0)))
        run = partial(serve, node.world, app, address, stop=stop, limits=limits)
        url = await nursery.start(run)
        try:
            yield str(url), mesh
        finally:
            stop.set()


@asynccontextmanager
async def serving(node: Node, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[str]:
    """The URL of a node that serves as above."""
    async with serving_mesh(node, limits) as (url, _):
        yield url


@dataclass
class Pair:
    """A server with a history, and a client of its own identity that the server knows."""

    server: Node
    client: Node
    url: str
    mesh: Mesh
    """The client's."""

    @property
    def peer(self) -> Peer:
        """The server, as the client asks it."""
        return self.mesh.peer(self.url)


@asynccontextmanager
async def pair_of(server_home: Path, client_home: Path) -> AsyncIterator[Pair]:
    """Two nodes that know each other's keys; the first serves."""
    async with node_at(server_home) as server, node_at(client_home) as client:
        await believe(server, client.identity)
        await believe(client, server.identity)
        async with serving(server) as url, mesh_of(client) as mesh:
            yield Pair(server, client, url, mesh)


# -- a model of what requests mean --------------------------------------------------------------


class Plain(NamedTuple):
    """As much of an event as filters and orders look at."""

    ts: int
    id: str
    service: str
    actor: str
    target: str


_ROLES = {
    "social": ("social", "actor", "target"),
    "ping": ("ping", "observer", "target"),
    "observation": ("observation", "observer", "subject"),
    "hey-there": ("hey_there", "From", "From"),
    "chau": ("chau", "From", "From"),
    "seen": ("seen", "observer", "subject"),
    "checkpoint": ("checkpoint", "", "subject"),
}


def plain(body: bytes) -> Plain:
    event: dict[str, Any] = json.loads(body)
    key, actor, target = _ROLES[event["svc"]]
    payload = event[key]
    return Plain(
        event["ts"], event["id"], event["svc"], payload.get(actor, ""), payload.get(target, "")
    )


def in_order(
    events: Sequence[Plain], services: Sequence[str] = (), subjects: Sequence[str] = ()
) -> Iterator[Plain]:
    """Those that a request asks for, oldest first."""
    for event in sorted(events):
        is_about = event.actor in subjects or event.target in subjects
        if (not services or event.service in services) and (not subjects or is_about):
            yield event


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()
