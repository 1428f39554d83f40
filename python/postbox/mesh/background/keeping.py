"""Keeping up with the peers that the operator configured: one task a peer, which walks through
the peer's pages from where it was, again and again, with a pause that differs from node to node.

A round begins some minutes before the newest event that the last one saw, since events may arrive
at the peer later than they were made; every few rounds it is an hour. What came even later is found
by the rounds that begin at the beginning: the first one, the one after a failure, and every so
many. Such a walk may be a long one: what interrupts it, the next round goes on with, where it was.

The log has a line when a peer begins to answer, to fail in some way, or to make us wait, and none
for each time that it does so again.
"""

from __future__ import annotations

from typing import NamedTuple

import trio

from postbox.errors import OUR_LOG, Fault
from postbox.logs import get, limited
from postbox.mesh.background import loops
from postbox.mesh.calling.client import Busy, Peer, Stranger
from postbox.mesh.calling.introductions import Met
from postbox.mesh.calling.pull import EndlessPages, PageWalk
from postbox.mesh.memory import MAX_CAPACITY
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.peers.known import Contact, Known
from postbox.mesh.peers.roster import Roster
from postbox.mesh.peers.standing_rules import Regard
from postbox.metrics import Metrics
from postbox.pauses import around, doubled
from postbox.world import World, fraction

PULLS = "mesh"
"""The lease of the process that keeps up, of those that a node has."""
NEAR_NS = 300 * 10**9
FAR_NS = 3600 * 10**9
FAR_EVERY = 6
"""Rounds. What a mesh of 1,000 names says in an hour is much to fetch each minute: this way it is
fetched fourteen times an hour, and what is late by minutes is still there at once."""
WHOLE_EVERY = 30
"""Rounds: with the default pause half an hour. To know 80,000 events again costs a second."""
JITTER = 0.2
"""Of the pause, up or down, so that nodes that started together do not ask together."""
FIRST_RETRY_S = 2.0
"""After a failure; it doubles up to the pause."""
MOST_NEW = 2 * 320_000
"""Events of one walk that were new: twice the largest memory mode, or twice what the peer says that
it has, if that is more, however long it takes. One that goes on makes them up; what came stays, and
is forgotten first."""
ROUND_S = 3600.0
"""Then a round ends, at the end of a page, and the next one goes on there: what came is judged, the
place is noted, and who is there is asked anew. A slow line is no offence."""


class Keeper:
    """Of one link."""

    def __init__(
        self,
        world: World,
        peer: Peer,
        link: Known,
        roster: Roster,
        intake: Intake,
        pause_s: float,
        metrics: Metrics,
    ) -> None:
        self._world = world
        self._roster = roster
        self._peer = peer
        self._link = link
        self._intake = intake
        self._pause_s = pause_s
        self._metrics = metrics
        self._log = limited(get("postbox.mesh.background.keeping"), link.url).bind(url=link.url)
        self._told: tuple[Contact, type[Fault] | None] = (Contact.NEW, None)
        self._rounds = 0  # since the last one that began at the beginning
        self._is_first = True  # of the rounds
        self._failures = 0  # in a row
        self._walk: _Walk | None = None  # that is under way, or was interrupted

    async def run(self) -> None:
        while True:
            pause_s = await self.round()
            self._link.next_ns = self._world.clock.now_ns() + int(pause_s * 1e9)
            await trio.sleep(pause_s)

    async def round(self) -> float:
        """One walk, or a part of one. The seconds until the next."""
        if self._roster.regard(self._link.name) is Regard.BANNED:
            self._link.contact = Contact.BANNED
            return self._next_s(None)
        self._link.contact, self._link.next_ns = Contact.PULLING, 0
        try:
            came = await self._go_on()
        except OUR_LOG as fault:
            return self._wait_for_the_log(fault)
        except Fault as fault:
            await self._failed(fault)
            return self._next_s(fault)
        await self._succeeded(came)
        return self._next_s(None)

    async def _go_on(self) -> Report:
        """What this round has brought."""
        met = await self._peer.meet()
        self._roster.met(self._link, met)
        walk = self._walk = self._walk_with(met)
        came, until_s = Report(), self._world.clock.elapsed_s() + ROUND_S
        pages = walk.pages

        def took(taken: Report) -> bool:
            self._count(taken, came)
            require_end(self._link, pages.report, most_new(met))
            return self._world.clock.elapsed_s() < until_s

        is_over = await pages.run(took)
        self._roster.walked(self._link, pages.newest_ns if is_over else pages.reached_ns)
        if is_over:
            self._walk, self._is_first = None, False
            self._rounds += 1
        return came

    def _walk_with(self, met: Met) -> _Walk:
        walk = self._walk
        if walk is not None and walk.name == met.name:
            return walk
        is_whole = self._is_whole()
        since_ns = 0 if is_whole else self._since_ns()
        return _Walk(met.name, is_whole, PageWalk(self._peer, self._intake, since_ns))

    def _is_whole(self) -> bool:
        """The first round is not, of a peer that was walked through before this node started."""
        is_due = self._rounds % WHOLE_EVERY == 0
        return self._failures > 0 or (is_due and not (self._is_first and self._cursor_ns()))

    def _count(self, taken: Report, came: Report) -> None:
        """Each page when it is taken: a walk that fails later has brought it as well."""
        self._roster.proved(self._link)
        came.add(taken)
        self._link.imported += taken.imported
        self._link.rejected += taken.rejected.total()

    def _since_ns(self) -> int:
        """An event may say that it is of the future; what comes until then is not to be missed."""
        overlap_ns = NEAR_NS if self._rounds % FAR_EVERY else FAR_NS
        return max(0, min(self._cursor_ns(), self._world.clock.now_ns()) - overlap_ns)

    def _cursor_ns(self) -> int:
        return self._roster.cursor_ns(self._link)

    async def _succeeded(self, came: Report) -> None:
        self._failures = 0
        self._metrics.pull("done")
        self._roster.succeeded(self._link)
        await self._roster.gave(self._link, came)
        self._link.pulls += 1
        self._enter(Contact.REACHED, None)
        if came.imported or came.rejected:
            refused = came.rejected.total()
            self._log.info(
                "pulled", name=self._link.name, new_events=came.imported, refused=refused
            )

    async def _failed(self, fault: Fault) -> None:
        self._failures += 1
        self._rounds = 0
        is_whole = self._walk is not None and self._walk.is_whole
        if isinstance(fault, EndlessPages) or not is_whole:
            self._walk = None
        await self._roster.failed(self._link, fault)
        self._metrics.pull("failed")
        is_waiting = isinstance(fault, Stranger)
        self._enter(Contact.WAITING if is_waiting else Contact.FAILED, fault)

    def _wait_for_the_log(self, fault: Fault) -> float:
        """The peer is as it was, and so is the walk, which goes on when there is a log again."""
        self._link.contact, _ = self._told
        self._log.warning(loops.WAITS, error=str(fault))
        return min(self._pause_s, loops.PAUSE_S)

    def _enter(self, contact: Contact, fault: Fault | None) -> None:
        link = self._link
        link.contact, link.last_error = contact, "" if fault is None else str(fault)
        told, self._told = self._told, (contact, None if fault is None else type(fault))
        if told == self._told:
            return
        if fault is None:
            self._log.info("a peer answers", name=link.name, kind=link.kind)
        elif contact is Contact.WAITING:
            self._log.warning("a peer does not know this node", error=link.last_error)
        else:
            self._log.warning("a peer cannot be pulled from", error=link.last_error)

    def _next_s(self, fault: Fault | None) -> float:
        pause_s = self._pause_s
        if self._failures:
            pause_s = doubled(FIRST_RETRY_S, self._failures, pause_s)
        pause_s = around(pause_s, JITTER, fraction(self._world.random))
        return max(pause_s, fault.wait_s) if isinstance(fault, Busy) else pause_s


class _Walk(NamedTuple):
    """With the peer of this name. `is_whole`: it began at the beginning."""

    name: str
    is_whole: bool
    pages: PageWalk


def most_new(met: Met) -> int:
    told = 0 if met.about is None else met.about.events or 0
    return max(MOST_NEW, 2 * min(told, MAX_CAPACITY))


def require_end(link: Known, so_far: Report, most: int) -> None:
    """Raises EndlessPages after more new events than there can be."""
    if so_far.imported > most:
        raise EndlessPages(
            f"{link.url} had {so_far.imported:,} new events, and no end: its pages may have none."
            " What came before was taken"
        )


async def keep_up(keepers: list[Keeper]) -> None:
    """Until cancelled."""
    async with trio.open_nursery() as nursery:
        for keeper in keepers:
            nursery.start_soon(keeper.run)
