"""One attempt at a recovery: several peers are asked at once, a task each, as the plan says; what
they give is taken in as it comes. What one of them does wrong ends its own part only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from postbox.core import Ledger
from postbox.errors import Fault
from postbox.logs import get
from postbox.mesh.boot.recovery_rules import (
    CUT_BYTES,
    LATE_S,
    Brought,
    Plan,
    Rest,
    Sample,
    Walk,
    goal_of,
)
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.pull import EndlessPages, PageWalk, ask
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.roster import Roster
from postbox.mesh.peers.standing_rules import Offence
from postbox.mesh.wire import SyncRequest
from postbox.world import World

JUDGE_S = 2.0
"""To note what a peer did, when its part is given up: the node may be stopping."""

_LOG = get("postbox.mesh.boot")


class Silent(Fault):
    """A peer whose part was given up, since nothing came any more."""


@dataclass(frozen=True)
class Means:
    """What a recovery works with. `peer_of`: who is asked."""

    world: World
    index: Ledger
    intake: Intake
    roster: Roster
    peer_of: Callable[[Known], Peer]

    def now_s(self) -> float:
        return self.world.clock.elapsed_s()


class Attempt:
    """`took`: is told what became of each answer's events."""

    def __init__(
        self, means: Means, peers: Sequence[Known], took: Callable[[Report], None]
    ) -> None:
        held = len(means.index)
        goal = goal_of(means.index.capacity)
        self.plan = Plan(goal, held, [one.url for one in peers], means.now_s())
        self._means = means
        self._peers = peers
        self._took = took
        self._changed = trio.Event()

    async def run(self) -> None:
        """Until all have told what they were to tell, have failed, or are silent."""
        async with trio.open_nursery() as nursery:
            for known in self._peers:
                nursery.start_soon(self._ask, known)
            while not self.plan.is_over(self._means.now_s()):
                await self.change()
            nursery.cancel_scope.cancel()
        for known in self._peers:
            if not self.plan.has_ended(known.url):
                await self._failed(known, Silent(f"{known.url} took too long"))
        await self._accuse_withholders()

    async def _accuse_withholders(self) -> None:
        withheld = self.plan.withheld()
        for known in self._peers:
            if known.url in withheld:
                why = "it gave next to nothing of what others gave"
                await self._means.roster.accuse(known.name, Offence.WITHHELD, why)

    async def _ask(self, known: Known) -> None:
        try:
            await _Asking(self, self._means, known).run()
        except Fault as fault:
            await self._failed(known, fault)
        self.tell()

    async def _failed(self, known: Known, fault: Fault) -> None:
        await self._means.roster.failed(known, fault)  # before all may be over
        self.plan.failed(known.url)
        tell = _LOG.info if self.plan.was_met(known.url) else _LOG.debug  # those away are counted
        tell("a peer gives no more for now", name=known.name, url=known.url, why=str(fault))

    def took(self, known: Known, report: Report) -> None:
        known.imported += report.imported
        known.rejected += report.rejected.total()
        self._took(report)
        self.tell()

    def tell(self) -> None:
        """Whoever waits looks again."""
        self._changed.set()
        self._changed = trio.Event()

    async def change(self) -> None:
        """Until something came, or somebody may be late."""
        with trio.move_on_after(LATE_S):
            await self._changed.wait()


class _Asking:
    """Of one peer."""

    def __init__(self, attempt: Attempt, means: Means, known: Known) -> None:
        self._attempt = attempt
        self._plan = attempt.plan
        self._means = means
        self._known = known
        self._peer = means.peer_of(known)
        self._newest_ns = 0
        self._events = 0  # it has, by its own word
        self._report = Report()

    async def run(self) -> None:
        await self._meet()
        roster, known = self._means.roster, self._known
        try:
            await self._follow_plan()
        finally:  # what came is to be judged, however it ended
            with trio.move_on_after(JUDGE_S, shield=True):
                await roster.gave(known, self._report)
        if self._plan.has_told(known.url):
            roster.succeeded(known)
        if self._plan.is_whole(known.url):  # of who gave samples, the rounds ask for the rest
            roster.walked(known, self._newest_ns)

    async def _follow_plan(self) -> None:
        while True:
            match self._plan.next(self._known.url, self._means.now_s()):
                case Sample(size):
                    await self._sample(size)
                case Walk(since_ns):
                    await self._walk(since_ns)
                case Rest.WAIT:
                    await self._attempt.change()
                case Rest.LEAVE:
                    return

    async def _meet(self) -> None:
        met = await self._peer.meet()
        known = self._known
        self._means.roster.met(known, met)
        events = None if met.about is None else met.about.events
        self._events = events or 0
        self._plan.met(known.url, self._means.roster.cursor_ns(known), events)

    async def _sample(self, size: int) -> None:
        request = SyncRequest(mode="sample", sample_size=size)
        heard, report = await ask(self._peer, request, self._means.intake)
        count, span = len(heard.batch), heard.batch.span()
        self._newest_ns = max(self._newest_ns, span[1] if span else 0)
        self._plan.sampled(
            self._known.url,
            Brought(count, report.imported),
            len(self._means.index),
            self._means.now_s(),
            is_all=count < size and heard.bytes < CUT_BYTES,
        )
        self._took(report)

    async def _walk(self, since_ns: int) -> None:
        walk = PageWalk(self._peer, self._means.intake, since_ns)
        try:
            if not await walk.run(self._paged):
                self._leave(walk.report)
                return
        finally:  # what was walked is walked, however it ended
            self._means.roster.walked(self._known, walk.reached_ns)
        self._newest_ns = max(self._newest_ns, walk.newest_ns)
        self._plan.walked(self._known.url)

    def _paged(self, taken: Report) -> bool:
        held, now_s = len(self._means.index), self._means.now_s()
        brought = Brought(taken.total, taken.imported)
        may_go_on = self._plan.paged(self._known.url, brought, held, now_s)
        self._took(taken)
        return may_go_on

    def _took(self, taken: Report) -> None:
        self._means.roster.proved(self._known)
        self._report.add(taken)
        self._attempt.took(self._known, taken)

    def _leave(self, report: Report) -> None:
        """In any case; and with a reproach, unless it said before that it has so much."""
        if report.total > 2 * self._events:
            raise EndlessPages(
                f"{self._known.url}: its pages had {report.total:,} events, and no end"
            )
        self._plan.failed(self._known.url)
