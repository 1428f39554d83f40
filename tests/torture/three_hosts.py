"""Kill -9 of three whole nodes that post to each other: every event arrives once, and in order.

They call each other over TLS. Somebody posts on each of them without a pause, by the verb, whether
the node serves or is down; meanwhile nodes are killed and started again at random, at times two at
once, at times while they start. In the end all links have to run empty, and each inbox holds what
was posted: all that a verb said was durable, each once, in the order in which it was posted. What
a verb was posting when its node was killed may be there or not, but not twice either.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from postbox.world import SystemClock
from support.command import postbox, told
from support.ports import free_port
from support.simulate import SeededRandom
from torture.account import Broken
from torture.served import Nap, Served

CHUNK = 80  # events a call of the verb, which takes half a second to start
LONGEST_S = 1.5  # from one kill to the next: most nodes are ready by then, some still start
LONGEST_DOWN_S = 0.5
TURN_S = 1.0
TWO_AT_ONCE = 0.3  # the share of kills that are of two
PATIENCE_S = 300.0  # for all links to run empty on a machine that is busy with everything else
PAGE = 1_000
TYPE = "test.Numbered"


@dataclass
class Link:
    """What one node posted to another, by the number in each event."""

    durable: list[int] = field(default_factory=list)
    uncertain: set[int] = field(default_factory=set)
    posted: int = 0

    def check(self, arrived: Sequence[int]) -> None:
        """Raises Broken."""
        lost = set(self.durable) - set(arrived)
        if lost:
            raise Broken(f"{len(lost)} are lost, the first is {min(lost)} of {self.posted}")
        if len(set(arrived)) < len(arrived):
            raise Broken(f"{len(arrived) - len(set(arrived))} came twice")
        if list(arrived) != sorted(arrived):
            raise Broken("they came in another order")
        if set(arrived) - set(self.durable) - self.uncertain:
            raise Broken("some came that nobody posted")


@dataclass
class Node:
    """One of the hosts."""

    name: str
    served: Served
    links: dict[str, Link]  # by the name of the other end

    @property
    def home(self) -> Path:
        return self.served.home

    def post(self, other: str) -> None:
        """A chunk of events."""
        link = self.links[other]
        numbers = range(link.posted, link.posted + CHUNK)
        link.posted += CHUNK
        file = self.home.with_suffix(".jsonl")
        file.write_text("".join(json.dumps({"n": n, "text": "x" * 150}) + "\n" for n in numbers))
        done = postbox("post", other, "--type", TYPE, "--data", file, "--json", "--home", self.home)
        if done.code == 0:
            link.durable += numbers
        elif "Traceback" in done.err:
            raise Broken(f"post: {done.err}")
        else:
            link.uncertain |= set(numbers)

    def queued(self) -> int:
        return sum(link["queued"] for link in told("links", "--home", self.home)["links"])

    def arrived(self, other: str) -> list[int]:
        """The numbers in its inbox, oldest first."""
        numbers: list[int] = []
        after = 0
        while True:
            asked = ("--host", other, "--after", str(after), "--limit", str(PAGE))
            events = told("inbox", *asked, "--home", self.home)["events"]
            if not events:
                return numbers
            if [event["seq"] for event in events] != list(
                range(after + 1, after + 1 + len(events))
            ):
                raise Broken(f"{self.name}: the numbers of the inbox after {after} have holes")
            after += len(events)
            numbers += [event["data"]["n"] for event in events]


@dataclass
class Posters:
    """A thread for each node, which posts to both others by turns."""

    nodes: Sequence[Node]
    _stop: threading.Event = field(default_factory=threading.Event)
    _failed: list[BaseException] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._post, args=(node,)) for node in self.nodes]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        self.check()

    def check(self) -> None:
        for failure in self._failed:
            raise failure

    def _post(self, node: Node) -> None:
        try:
            while not self._stop.is_set():
                for other in node.links:
                    node.post(other)
                    if not node.served.is_ready:  # the verb has had its home: the node's turn
                        node.served.nap(TURN_S)
        except BaseException as failure:
            self._failed.append(failure)

    def count(self) -> int:
        return sum(len(link.durable) for node in self.nodes for link in node.links.values())


def torture_hosts(
    folder: Path,
    stores: Sequence[str],
    is_over: Callable[[int, int], bool],
    seed: int,
    tell: Callable[[str], None],
    nap: Nap,
) -> str:
    """What came of it. `stores`: a database for each node, or none for SQLite. `is_over` is asked
    with the number of kills and of durable events. Raises Broken."""
    random, kills = SeededRandom(seed), 0
    with ExitStack() as stack:
        nodes = three_nodes(folder, stores, nap)
        for node in nodes:
            stack.callback(node.served.kill)
            node.served.start()
        for node in nodes:
            node.served.wait_ready()
        posters = Posters(nodes)
        with posters.running():
            while not is_over(kills, posters.count()):
                nap(random.fraction() * LONGEST_S)
                kills += _kill_some(nodes, random, nap)
                posters.check()
                tell(f"{kills} kills, {posters.count()} durable")
        for node in nodes:
            if not node.served.is_ready:
                node.served.wait_ready()
        _wait_empty(nodes, nap)
        _check(nodes)
        return f"{kills} kills of whole nodes, {posters.count()} events, 0 lost, 0 doubled"


def _kill_some(nodes: Sequence[Node], random: SeededRandom, nap: Nap) -> int:
    first = int(random.fraction() * len(nodes))
    chosen = [nodes[first]]
    if random.fraction() < TWO_AT_ONCE:
        chosen.append(nodes[(first + 1) % len(nodes)])
    for node in chosen:
        node.served.kill()
    nap(random.fraction() * LONGEST_DOWN_S)
    for node in chosen:
        node.served.start()
    if random.fraction() < 0.7:
        for node in chosen:
            node.served.wait_ready()
    return len(chosen)


def _wait_empty(nodes: Sequence[Node], nap: Nap) -> None:
    clock = SystemClock()
    until_s = clock.elapsed_s() + PATIENCE_S
    while any(queued := [node.queued() for node in nodes]):
        if clock.elapsed_s() > until_s:
            raise Broken(f"after {PATIENCE_S:.0f} s there are still queued: {queued}")
        nap(0.2)


def _check(nodes: Sequence[Node]) -> None:
    for node in nodes:
        for other in nodes:
            if other is not node:
                try:
                    other.links[node.name].check(node.arrived(other.name))
                except Broken as broken:
                    raise Broken(f"from {other.name} to {node.name}: {broken}") from broken
        node.served.check_log()


def three_nodes(folder: Path, stores: Sequence[str], nap: Nap) -> list[Node]:
    """Configured, each with a certificate; not started."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    names = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    nodes = []
    for at, name in enumerate(names):
        home = folder / "abc"[at]
        home.mkdir(mode=0o700)
        pem = home / "tls.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
        store = f'[node]\nstore = "{stores[at]}"\n' if stores else ""
        (home / "config.toml").write_text(
            f'{store}[serve]\nlisten = "{name}"\nloopback = true\n'
            f'tls_cert = "{pem}"\ntls_key = "{pem}"\n'
            f'[hosts]\nname = "{name}"\nca = "{folder / "ca.pem"}"\n'
        )
        links = {other: Link() for other in names if other != name}
        nodes.append(Node(name, Served(home, f"https://{name}", nap), links))
    return nodes
