"""From nothing to a node that answers, with a million stored events: all that `open_node` does, the
start of the interpreter left out. `EVENTS=80000` makes it fewer.

The events are signed and different, as a mesh's are; they go to the log without being verified,
which an opening node does not do again either.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import trio

from kernel_bench.places import SQLITE, Place
from postbox.cli.bench.history import SEED
from postbox.config import Config, NodeConfig
from postbox.event import Service, Standing
from postbox.home import DATABASE
from postbox.mesh.chunks import chunks
from postbox.mesh.rules import STREAM
from postbox.mesh.synthetic import emitters_for, generate, identities
from postbox.node import open_node
from postbox.store.contract import Change, Entry, Lane, Tx
from postbox.store.open import open_store
from postbox.trust.rules import KeyRules, operator_draft
from postbox.world import World, system_world

EVENTS = int(os.environ.get("EVENTS", "1000000"))
RUNS = 3
AT_ONCE = 5_000
_SERVICES = {service.wire_name: service for service in Service}


def rows(places: dict[str, Place]) -> Iterator[Sequence[str]]:
    yield ("engine", "events", "ready after s", "CPU s", "CPU µs an event", "SHA-256 of all, s")
    with tempfile.TemporaryDirectory(prefix="postbox-bench-") as folder:
        home = Path(folder)
        sha_s = trio.run(_fill, home)
        found = [trio.run(_open, home) for _ in range(RUNS)]
    ready_s, cpu_s = (min(each) for each in zip(*found, strict=True))
    told = f"{ready_s:.2f}", f"{cpu_s:.2f}", f"{cpu_s / EVENTS * 1e6:.1f}", f"{sha_s:.2f}"
    yield SQLITE, f"{EVENTS:,}", *told


def _config() -> Config:
    return Config(node=NodeConfig(memory=str(EVENTS)))


async def _fill(home: Path) -> float:
    """Returns how long it took to hash all the events: the yardstick."""
    world, sha_s = system_world(), 0.0
    crowd = identities(SEED, emitters_for(EVENTS))
    async with open_node(world, home, _config()) as node:
        keys = [operator_draft(world.new_id(), one.name, one.public_key, one.id) for one in crowd]
        await node.admission.submit(KeyRules(), keys)
    async with open_store(world, str(home / DATABASE)) as store:
        for bodies in chunks(generate(SEED, EVENTS, world.clock.now_ns()), AT_ONCE):
            await store.write(partial(_append, bodies))
            begun_s = time.perf_counter()
            for body in bodies:
                hashlib.sha256(body).digest()
            sha_s += time.perf_counter() - begun_s
    return sha_s


def _append(bodies: Sequence[bytes], tx: Tx) -> None:
    first = tx.head + 1
    tx.apply(Change(appends=[_entry(pos, body) for pos, body in enumerate(bodies, first)]))


def _entry(pos: int, body: bytes) -> Entry:
    event = json.loads(body)
    kind, author = _SERVICES[event["svc"]], event.get("emitter", "").encode()
    at_ms = event["ts"] // 1_000_000
    event_id = bytes.fromhex(event["id"])
    return Entry(
        pos, Lane.MESH, STREAM, None, event_id, kind, Standing.ATTESTED, author, at_ms, body
    )


async def _open(home: Path) -> tuple[float, float]:
    world: World = system_world()
    begun_s, cpu_s = time.perf_counter(), time.process_time()
    async with open_node(world, home, _config()) as node:
        ready_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
        assert len(node.ledger.index) == EVENTS
    return ready_s, cpu_s
