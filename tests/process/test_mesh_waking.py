"""A node with an empty home wakes up among real nodes on loopback and gets what they have, also
when some of them stall and are killed while it asks.

As many nodes and events as CI has time for; the whole of it: POSTBOX_RECOVERY_NODES=10
POSTBOX_RECOVERY_EVENTS=80000 pytest tests/process/test_mesh_waking.py (some minutes).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.mesh.importing import BATCH_EVENTS
from postbox.world import system_world
from support.command import TIMEOUT_S, postbox, ready_url, running, told
from support.mesh import id_of_body, node_at, small_history, take

NODES = int(os.environ.get("POSTBOX_RECOVERY_NODES", "4"))
EVENTS = int(os.environ.get("POSTBOX_RECOVERY_EVENTS", "3000"))
KILLED = 3
PATIENCE_S = 300.0
MEMORY = ("--memory", "hog")  # aims at 80,000
QUIET = "[mesh]\npull_every = 86400\n"
"""What comes comes by the recovery: no round of keeping up does its work."""


@dataclass
class Town:
    urls: list[str]
    processes: list[subprocess.Popen[str]]
    ids: frozenset[bytes]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Nodes that have it all, and do not know each other."""
    folder = tmp_path_factory.mktemp("town")
    homes = [folder / f"node{number}" for number in range(NODES)]
    history = small_history(EVENTS)
    trio.run(_fill, homes, history)
    with ExitStack() as stack:
        urls, processes = [], []
        for home in homes:
            url, process = stack.enter_context(_serving(home))
            urls.append(url)
            processes.append(process)
        yield Town(urls, processes, frozenset(map(id_of_body, history)))


async def _fill(homes: list[Path], history: list[bytes]) -> None:
    for home in homes:
        async with node_at(home, 320_000, home.name, system_world()) as node:
            for first in range(0, len(history), BATCH_EVENTS):
                await take(node, history[first : first + BATCH_EVENTS])


@contextmanager
def _serving(home: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(QUIET)
    listen = ("--listen", "127.0.0.1:0", "--loopback")
    with (home / "log").open("w") as log:
        with running("serve", "--home", home, *listen, *MEMORY, *words, log=log) as process:
            yield ready_url(process), process


@contextmanager
def newcomer(home: Path, urls: list[str]) -> Iterator[Path]:
    peers = [word for url in urls for word in ("--peer", url)]
    with _serving(home, *peers) as (_, process):
        yield home
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=TIMEOUT_S) == 0
    assert "Traceback" not in (home / "log").read_text()


async def said(home: Path, event: str) -> dict[str, Any]:
    """The first line of its log with that event, when it is there."""
    with trio.fail_after(PATIENCE_S):
        while True:
            for line in (home / "log").read_text().splitlines():
                if f'"{event}"' in line:
                    found: dict[str, Any] = json.loads(line)
                    return found
            await trio.sleep(0.1)


def ids_in(home: Path) -> set[bytes]:
    exported = home / "all.jsonl"
    assert postbox("export", exported, "--home", home).code == 0
    return set(map(id_of_body, exported.read_bytes().splitlines()))


async def test_an_empty_node_gets_all_that_its_peers_have(tmp_path: Path, town: Town) -> None:
    with newcomer(tmp_path / "new", town.urls) as home:
        done = await said(home, "recovery: done")
        assert done["imported"] >= EVENTS
        recovery = told("status", "--home", home)["recovery"]
        assert (recovery["stage"], recovery["peers"], recovery["missed"]) == ("done", NODES, 0)
    assert ids_in(home) >= town.ids


async def test_it_gets_all_when_some_of_them_die_while_they_are_asked(
    tmp_path: Path, town: Town
) -> None:
    dying = town.processes[:KILLED]
    for process in dying:
        process.send_signal(signal.SIGSTOP)  # its requests hang, as with one that is very slow
    with newcomer(tmp_path / "new", town.urls) as home:
        await said(home, "recovery: asks peers")
        for process in dying:
            process.kill()
        asked = await said(home, "recovery: peers were asked")
        # Who died before it was met counts as away.
        assert asked["told"] == NODES - KILLED
        assert asked["missed"] + asked.get("away", 0) == KILLED
        assert asked["held"] >= EVENTS
    assert ids_in(home) >= town.ids
