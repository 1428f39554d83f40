"""Kill -9 of the whole node while it serves, takes a file and keeps up with a peer.

Half of the events come from files that grow, through the socket of the serving node, half from a
peer over HTTP. What the import had counted is there after the kill, nothing is twice, and `verify`
finds nothing wrong. In the end the node has what one has that was never killed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.command import counts, ready_url, running, served, told
from support.mesh import small_history
from support.simulate import SeededRandom
from torture.account import Broken

EVENTS = 30_000  # a few seconds to take: kills meet it half way
LONGEST_S = 2.0  # of a life after the node is ready


def torture_node(
    folder: Path, cycles: int, seed: int, tell: Callable[[str], None], nap: Callable[[float], None]
) -> str:
    """What came of it. Raises Broken."""
    lines = small_history(EVENTS, seed)
    everything = written(folder / "everything.jsonl", lines)
    peer, home, calm = folder / "peer", folder / "home", folder / "calm"
    told("import", written(folder / "odd.jsonl", lines[1::2]), "--home", peer)
    for here, there in ((peer, home), (home, peer)):
        key = told("keys", "show", "--home", there)
        told("trust", "add", key["name"], key["public_key"], "--id", key["id"], "--home", here)
    random, counted = SeededRandom(seed), 0
    with served(peer) as url:
        for cycle in range(1, cycles + 1):
            half = lines[: EVENTS * cycle // cycles : 2]
            file = written(folder / "even.jsonl", half)
            counted = max(counted, live(home, url, file, LONGEST_S * random.fraction(), nap))
            status = check(home, counted)
            tell(f"kill {cycle}: {counted} counted, {status['events']} of {EVENTS} there")
    for each in (home, calm):
        told("import", everything, "--home", each)
    ends = [check(each, EVENTS)["digest"] for each in (home, calm)]
    if ends[0] != ends[1]:
        raise Broken(f"the node ends with {ends[0]}, one that was never killed with {ends[1]}")
    return f"{cycles} kills of the whole node, {counted} events counted before one, 0 lost"


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


def live(home: Path, peer: str, file: Path, seconds: float, nap: Callable[[float], None]) -> int:
    """Until the kill; how many events the import had counted by then."""
    listen = ("--listen", "127.0.0.1:0", "--loopback", "--peer", peer)
    with (
        (home.parent / "log").open("a") as log,
        running("serve", "--home", home, *listen, log=log) as node,
    ):
        ready_url(node)
        with running("import", file, "--home", home) as importing:
            assert importing.stderr is not None
            heard: list[str] = []
            hearing = threading.Thread(target=lambda: heard.extend(importing.stderr or ()))
            hearing.start()
            nap(seconds)
            node.send_signal(signal.SIGKILL)
            node.wait()
            hearing.join()
    return max([0, *counts(heard)])


def check(home: Path, counted: int) -> Any:
    status = told("status", "--home", home)
    verified = told("verify", "--home", home)
    if status["events"] < counted:
        raise Broken(f"{counted} events were counted, and {status['events']} are there")
    if verified["wrong"] or verified["checked"] != status["events"] > EVENTS:
        raise Broken(f"verify: {verified}")
    return status
