"""The history that everything is measured on: made from a seed, verified, and put where it is
asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from postbox import core
from postbox.cli.progress import progress
from postbox.config import Config, NodeConfig
from postbox.event import Service, Standing
from postbox.mesh.chunks import chunks
from postbox.mesh.importing import take_raws
from postbox.mesh.synthetic import emitters_for, generate, identities
from postbox.node import open_node
from postbox.trust.keys import Identity
from postbox.trust.rules import KeyDraft, KeyRules, operator_draft
from postbox.world import World

SEED = 2026
SPARE = 4_000
"""Events beyond the ledger's, to be added one by one: some of every service."""
AT_ONCE = 5_000


class Stored(NamedTuple):
    """A verified event, as the log has it."""

    service: Service
    standing: Standing
    body: bytes


@dataclass(frozen=True)
class Made:
    """A history, verified. `crowd`: whoever is in it. `spare`: the events beyond those that fill
    the ledger."""

    now_ns: int
    keys: core.Keys
    crowd: list[Identity]
    events: list[Stored]
    spare: list[Stored]

    @property
    def me(self) -> Identity:
        """Who answers."""
        return self.crowd[0]

    @property
    def other(self) -> Identity:
        """Who asks."""
        return self.crowd[1]


def make_history(world: World, count: int) -> Made:
    now_ns = world.clock.now_ns()
    total = count + SPARE
    crowd = identities(SEED, emitters_for(total))
    keys = core.Keys()
    for one in crowd:
        keys.put(one.name, [one.public_key], one.id)
    events: list[Stored] = []
    with progress(f"making history (seed {SEED})", world.clock) as show:
        for chunk in chunks(generate(SEED, total, now_ns), AT_ONCE):
            events += _verified(chunk, now_ns, keys)
            show(len(events), len(events) / total)
    return Made(now_ns, keys, list(crowd), events[:count], events[count:])


def _verified(bodies: list[bytes], now_ns: int, keys: core.Keys) -> list[Stored]:
    batch = core.Batch.decode(bodies, now_ns)
    batch.verify(keys)
    return [Stored(Service(row[3]), Standing(row[4]), row[7]) for row in batch.accepted()]


def filled(world: World, made: Made, capacity: int) -> core.Ledger:
    """A ledger with the history in it."""
    ledger = core.Ledger(capacity, world.random.bytes(16))
    ledger.learn([one.name for one in made.crowd])
    numbered = enumerate(made.events, 1)
    for chunk in chunks(numbered, AT_ONCE):
        ledger.apply([], [(pos, one.body, one.standing) for pos, one in chunk])
    return ledger


async def fill_home(world: World, made: Made, home: Path) -> None:
    """A node with the history in it, that holds it all and knows everyone in it."""
    config = Config(node=NodeConfig(memory=str(len(made.events))))
    async with open_node(world, home, config) as node:
        await node.admission.submit(KeyRules(), known_keys(world, made))
        with progress("filling a home", world.clock) as show:
            for number, chunk in enumerate(chunks(made.events, AT_ONCE), 1):
                await take_raws(node.intake, [one.body for one in chunk])
                show(min(number * AT_ONCE, len(made.events)))


def known_keys(world: World, made: Made) -> list[KeyDraft]:
    """The operator's word for everyone in the history."""
    return [operator_draft(world.new_id(), one.name, one.public_key, one.id) for one in made.crowd]
