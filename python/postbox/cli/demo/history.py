"""What the nodes of the demo are given: a history of which each has a part, and late news.

All of it is made from a seed and ends now, so each run has the same events at later times.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from postbox.cli.progress import progress
from postbox.mesh.chunks import chunks
from postbox.mesh.synthetic import emitters_for, generate, identities
from postbox.world import World

SEED = 2026
EVENTS = 80_000
NEWS = 500
"""The youngest, of some minutes: made now, and kept back for when the nodes are in step."""
ALL = EVENTS + NEWS


class History(NamedTuple):
    """Events as lines, in the order in which somebody learned them."""

    past: list[bytes]
    news: list[bytes]

    def share(self, number: int, of: int) -> list[bytes]:
        """The past without every `of`-th event: any two shares have all of it between them."""
        return [line for at, line in enumerate(self.past) if at % of != number]


class _Time(msgspec.Struct):
    ts: int


async def make_history(world: World) -> History:
    lines: list[bytes] = []
    with progress(f"making events (seed {SEED})", world.clock) as show:
        for chunk in chunks(generate(SEED, ALL, world.clock.now_ns()), 1_000):
            lines += chunk
            show(len(lines), len(lines) / ALL)
            await trio.lowlevel.checkpoint()  # Ctrl-C is heard in between
    times = [msgspec.json.decode(line, type=_Time).ts for line in lines]
    young = set(sorted(range(ALL), key=times.__getitem__)[EVENTS:])
    return History(
        [line for at, line in enumerate(lines) if at not in young],
        [lines[at] for at in sorted(young)],
    )


def write_events(path: Path, lines: Sequence[bytes]) -> None:
    path.write_bytes(b"\n".join(lines) + b"\n")


def write_keys(path: Path) -> None:
    """Of all who made the events, as `postbox trust import` takes them."""
    rows = [
        {"Name": one.name, "PublicKey": one.public_key_base64, "ID": one.id}
        for one in identities(SEED, emitters_for(ALL))
    ]
    path.write_bytes(msgspec.json.encode(rows))
