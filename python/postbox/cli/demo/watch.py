"""What the nodes say of themselves, asked again and again until something holds of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import trio
from msgspec import structs

from postbox.admin.command import Nothing
from postbox.admin.peers import PEERS, Seen
from postbox.admin.status import STATUS, Status
from postbox.cli.demo.commands import DemoFailed
from postbox.cli.demo.nodes import Nodes, ServingNode
from postbox.cli.demo.view import DIGITS, Row, view
from postbox.world import Clock

PAUSE_S = 0.3
PAUSE_SHARE = 4.0
"""Of the time that a look took, which is mostly the node's, for a digest of all its events: so that
watching takes no more than a fifth of what it has."""


@dataclass(frozen=True)
class Look:
    """`at_s`: of the clock, when it was answered."""

    at_s: float
    status: Status
    peers: Sequence[Seen]


Holds: TypeAlias = Callable[[Mapping[str, Look]], bool]


class Watch:
    def __init__(self, nodes: Nodes, clock: Clock, homes: Mapping[str, str]) -> None:
        """`homes`: every home, with the URL of its node."""
        self._nodes = nodes
        self._clock = clock
        self._home_of = {url: home for home, url in homes.items()}
        self._rows = {home: Row(home) for home in homes}
        self._looks: dict[str, Look] = {}
        self._said: dict[str, Row] = {}
        self._news: list[tuple[str, str]] = []
        self._changed = trio.Event()

    def lost(self, home: str, note: str) -> None:
        """It does not serve any more; its next life counts from zero."""
        self._looks.pop(home, None)
        self._rows[home] = replace(self._rows[home], is_up=False, note=note, reaches="-")

    def digest_of(self, home: str) -> str:
        return self._looks[home].status.digest

    def events_of(self, home: str) -> int:
        return self._looks[home].status.events

    async def until(
        self, watched: Sequence[ServingNode], holds: Holds, what: str, within_s: float
    ) -> float:
        """Shows the nodes until `holds` of fresh looks at all that are watched. The seconds that it
        took; raises DemoFailed if it takes too long."""
        started_s = self._clock.elapsed_s()
        for node in watched:
            if node.home not in self._looks:
                self._rows[node.home] = replace(self._rows[node.home], note="ready")

        def is_done() -> bool:
            looks = {node.home: self._looks.get(node.home) for node in watched}
            fresh = {home: look for home, look in looks.items() if look and look.at_s > started_s}
            return len(fresh) == len(watched) and holds(fresh)

        with trio.move_on_after(within_s):
            async with trio.open_nursery() as nursery:
                for node in watched:
                    nursery.start_soon(self._follow, node)
                await self._show_until(is_done, started_s)
                nursery.cancel_scope.cancel()
            return self._clock.elapsed_s() - started_s
        raise DemoFailed(self._late(what, within_s))

    async def _show_until(self, is_done: Callable[[], bool], started_s: float) -> None:
        with view(self._said) as show:
            while not is_done():
                self._changed = trio.Event()
                await self._changed.wait()
                news, self._news = self._news, []
                seen = [row for row in self._rows.values() if row.events]
                show(seen, news, self._clock.elapsed_s() - started_s)

    async def _follow(self, node: ServingNode) -> None:
        async with self._nodes.operator(node) as operator:
            while True:
                asked_s = self._clock.elapsed_s()
                status = await operator.call(STATUS, Nothing())
                peers = (await operator.call(PEERS, Nothing())).peers
                look = Look(self._clock.elapsed_s(), status, peers)
                self._seen(node.home, look)
                await trio.sleep(max(PAUSE_S, PAUSE_SHARE * (look.at_s - asked_s)))

    def _seen(self, home: str, look: Look) -> None:
        before = self._looks.get(home)
        held = before.status.events if before else None
        happened = self._happened(before, look)
        self._news += [(home, note) for note in happened]
        self._rows[home] = Row(
            home,
            events=look.status.events,
            reaches=f"{sum(peer.answers for peer in look.peers)} of {len(look.peers)}",
            digest=settled(held, look.status.events, look.status.digest),
            note=happened[-1] if happened else self._rows[home].note,
            is_up=True,
        )
        self._looks[home] = look
        self._changed.set()

    def _happened(self, before: Look | None, look: Look) -> list[str]:
        earlier = {peer.url: peer for peer in before.peers} if before else {}
        return [
            note
            for peer in look.peers
            for note in notes(self._home_of[peer.url], earlier.get(peer.url), peer)
        ]

    def _late(self, what: str, within_s: float) -> str:
        held = ", ".join(
            f"{row.home} {row.events:,} events ({row.digest or 'changing'}: {row.note})"
            for row in self._rows.values()
        )
        return f"{what}: not within {within_s:.0f} s. {held}. `postbox demo --keep` keeps the logs"


def settled(before: int | None, events: int, digest: str) -> str:
    """The digest of a node that held as many events when it was asked before, else "". A node
    counts them after it has made their digest: of one that pulls, the two are of two moments."""
    return digest[:DIGITS] if before == events else ""


def notes(home: str, before: Seen | None, now: Seen) -> Iterator[str]:
    """What happened between this node and its peer `home`, if it is worth telling. Whether it is
    reached: by what is asked of it now, as the row says it, not by rounds that are over."""
    was = before or structs.replace(now, contact="new", pulls=0, imported=0)
    if was.answers != now.answers:
        yield f"reaches {home} again" if now.answers else f"cannot reach {home}"
    if now.pulls > was.pulls == 0:
        yield f"has all of {home}, {now.imported:,} new"
    elif now.imported > was.imported:
        yield f"{now.imported - was.imported:,} new from {home}"
    elif now.contact == "pulling" != was.contact and not was.pulls:
        yield f"asks {home}"


def in_step(events: int) -> Holds:
    """All hold the same, and that is so many events; nodes that serve make a few of their own."""

    def holds(looks: Mapping[str, Look]) -> bool:
        least = min(look.status.events for look in looks.values())
        return least >= events and len({look.status.digest for look in looks.values()}) == 1

    return holds
