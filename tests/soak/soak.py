"""One node under mixed good and bad clients for a long time: `make soak`, an hour of it.

The node is the real `postbox serve` with nara's history. Good clients ask it for pages, samples
and the newest, signed, and check both signatures of every answer; bad ones run every attack of
`support.attackers`, one after another, several at once. Every ten seconds the node's memory is
read from /proc. Ends with 0 if every good request was answered and memory stayed flat.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import trio

from postbox.errors import Fault
from postbox.mesh.calling.client import Peer
from postbox.mesh.wire import SyncRequest
from postbox.metrics import Metrics
from postbox.node import Node, open_node
from postbox.world import system_world
from support.attackers import ATTACKS, GONE, Target
from support.command import postbox, ready_url, running
from support.mesh import HISTORY, config_of

SAMPLE_S = 10.0
ATTACKERS = 4  # at once
ATTACK_S = 20.0  # of each attack at most, slow ones too
PAUSE_S = 0.5  # between attacks, and between good requests
GOOD_CLIENTS = 3
WARM_UP_SHARE = 0.25
"""Of the time, before memory is judged: allocators and caches fill at first."""
MAX_GROWTH_MIB_PER_HOUR = 12.0
"""The slope that counts as flat: less than a tenth of the node's memory in an hour."""


CONFIG = "[serve]\nmax_connections_per_address = 1000\n"
"""Good and bad come from one address here; on a network those who flood shut out themselves."""


@dataclass
class Tally:
    served: int = 0
    failures: list[str] = field(default_factory=list)
    attacks: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds, MiB

    def slope_mib_per_hour(self) -> float:
        """Least squares over what came after the warm-up."""
        judged = self.memory[int(len(self.memory) * WARM_UP_SHARE) :]
        if len(judged) < 3:
            return 0.0
        times, sizes = zip(*judged, strict=True)
        return statistics.linear_regression(times, sizes).slope * 3600


async def be_good(node: Node, url: str, number: int, tally: Tally) -> None:
    """Asks in turn for a page, a sample and the newest, as `postbox sync` does."""
    async with node.open_mesh(Metrics()) as mesh:
        peer = mesh.peer(url)
        cursor: str | None = None
        while True:
            for mode in ("page", "sample", "recent"):
                request = SyncRequest(mode=mode, cursor=cursor if mode == "page" else None)
                try:
                    heard = await ask(peer, request, node)
                except Fault as fault:
                    tally.failures.append(f"client {number}, {mode}: {fault}")
                    continue
                tally.served += 1
                cursor = heard if mode == "page" else cursor
                await trio.sleep(PAUSE_S)


async def ask(peer: Peer, request: SyncRequest, node: Node) -> str | None:
    """The next cursor; the events are judged and thrown away."""
    return (await peer.ask(request, node.intake)).next_cursor


async def be_bad(target: Target, start: int, tally: Tally) -> None:
    names = list(ATTACKS)
    at = start
    while True:
        name = names[at % len(names)]
        at += 1
        with trio.move_on_after(ATTACK_S), suppress(OSError, *GONE):
            await ATTACKS[name](target)
        tally.attacks[name] += 1
        await trio.sleep(PAUSE_S)


async def watch(pid: int, minutes: float, tally: Tally) -> None:
    """A line a minute, until the time is over."""
    start_s = trio.current_time()
    shown = 0
    while (elapsed_s := trio.current_time() - start_s) < minutes * 60:
        tally.memory.append((elapsed_s, resident_mib(pid)))
        if elapsed_s >= shown * 60:
            tell(shown, pid, tally)
            shown += 1
        await trio.sleep(SAMPLE_S)


def tell(minute: int, pid: int, tally: Tally) -> None:
    print(
        f"minute {minute:3}: {tally.served:6} good answers, {len(tally.failures)} failures,"
        f" {tally.attacks.total():5} attacks, {tally.memory[-1][1]:6.1f} MiB,"
        f" {open_files(pid)} open files",
        flush=True,
    )


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the node is gone")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def soak(minutes: float, folder: Path) -> Tally:
    assert postbox("import", HISTORY, "--home", folder / "node").code == 0
    (folder / "node" / "config.toml").write_text(CONFIG)
    tally = Tally()
    words = ("serve", "--home", folder / "node", "--listen", "127.0.0.1:0", "--loopback")
    with (folder / "log").open("w") as log, running(*words, log=log) as process:
        url = ready_url(process)
        where = urlsplit(url)
        target = Target("127.0.0.1", where.port or 0, "/api/sync")
        async with trio.open_nursery() as nursery:
            for number in range(GOOD_CLIENTS):
                home = folder / f"client{number}"
                node = open_node(system_world(), home, config_of(), f"client{number}")
                nursery.start_soon(run_good, node, url, number, tally)
            for number in range(ATTACKERS):
                start = number * len(ATTACKS) // ATTACKERS
                nursery.start_soon(be_bad, target, start, tally)
            await watch(process.pid, minutes, tally)
            nursery.cancel_scope.cancel()
    return tally


async def run_good(
    opening: AbstractAsyncContextManager[Node], url: str, number: int, tally: Tally
) -> None:
    async with opening as node:
        await be_good(node, url, number, tally)


def conclude(tally: Tally) -> int:
    slope = tally.slope_mib_per_hour()
    first, last = tally.memory[0][1], tally.memory[-1][1]
    print(f"\n{tally.served} good requests answered, {len(tally.failures)} failed")
    for failure in tally.failures[:20]:
        print(f"  {failure}")
    for name, count in sorted(tally.attacks.items()):
        print(f"  {count:5} x {name}")
    print(f"memory {first:.1f} MiB at first, {last:.1f} at last, {slope:+.1f} MiB an hour")
    is_good = tally.served > 0 and not tally.failures and slope < MAX_GROWTH_MIB_PER_HOUR
    print("held" if is_good else "did NOT hold")
    return int(not is_good)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="postbox-soak-") as folder:
        tally = trio.run(soak, asked.minutes, Path(folder))
    return conclude(tally)


if __name__ == "__main__":
    sys.exit(main())
