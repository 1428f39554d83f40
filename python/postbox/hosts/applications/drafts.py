"""Takes what applications have posted in transactions of their own (the table `draft`).

An application commits a row beside whatever else it changes, by any connection to the node's
database and whether the node runs or not. The node gives the event its number, and drops the row in
the same commit. A row that can never be posted is kept with what is wrong with it, and the ones
behind it go on.
"""

from __future__ import annotations

from typing import assert_never

import trio

from postbox.errors import Full, Unavailable
from postbox.hosts.applications.draft_rules import PAYER, Settle, SettleRules
from postbox.hosts.applications.draft_tables import OPEN_DRAFTS, DraftRow, draft_row
from postbox.hosts.applications.events import BadEvent, Event, check
from postbox.hosts.links.postings import Posting, posted
from postbox.hosts.links.rules import HostRules
from postbox.log.admission import Admission
from postbox.log.retries import Retries
from postbox.logs import get
from postbox.rules import Accepted, Duplicate, Outcome, Rejected
from postbox.store.contract import Reader
from postbox.store.runner import StoreRunner
from postbox.trust.host_names import BadHostName, canonical_destination
from postbox.world import World

BUSY_S = 0.25  # from look to look while applications post: what they wait for at most
IDLE_S = 2.0  # and while they do not: a look costs a thread 0.1 ms
LOOKS = 20  # without a row, until it is idle
BATCH_ROWS = 100  # of up to a megabyte each
MAX_PROBLEM_CHARS = 1_000  # as in the table


class DraftTaker:
    """Runs in one process of the node at a time; harmless if it is two, since an event's id is its
    row's."""

    def __init__(
        self,
        world: World,
        store: StoreRunner,
        admission: Admission,
        rules: HostRules,
        own_host: str,
        is_local: bool,
    ) -> None:
        self._world = world
        self._store = store
        self._admission = admission
        self._rules = rules
        self._own_host = own_host
        self._is_local = is_local
        self._nudged = trio.Event()

    def nudge(self) -> None:
        """Something was posted, and will be committed soon."""
        self._nudged.set()

    async def run(self) -> None:
        """Until cancelled."""
        empty_looks, retries = 0, Retries()
        while True:
            try:
                taken = await self.take()
            except (Unavailable, Full):
                await retries.wait()
                continue
            retries.succeeded()
            empty_looks = 0 if taken else empty_looks + 1
            pause_s = BUSY_S if empty_looks < LOOKS else IDLE_S
            if taken < BATCH_ROWS and await self._pause(pause_s):
                empty_looks = 0

    async def take(self) -> int:
        """What is there by now, at most a batch; how many."""
        rows = await self._store.read(_open_drafts)
        if not rows:
            return 0
        postings, settled = [], []
        for row in rows:
            try:
                postings.append(self._posting(row))
            except (BadEvent, BadHostName, ValueError) as problem:
                settled.append(self._settle(row, str(problem)))
        outcomes = await self._admission.submit(self._rules, postings)
        by_id = {row.id: row for row in rows}
        for posting, outcome in zip(postings, outcomes, strict=True):
            settled += self._rest(by_id[posting.id], outcome)
        await self._admission.submit(SettleRules(), settled)
        return len(rows)

    def _posting(self, row: DraftRow) -> Posting:
        """Raises BadHostName and BadEvent."""
        host = canonical_destination(row.host, own=self._own_host, is_local=self._is_local)
        check(Event(row.type_url, row.value))
        at_ms = row.at_ms or self._world.clock.now_ns() // 1_000_000
        event = posted(row.id, row.type_url, row.value, at_ms)
        return Posting(PAYER, host, (event,), drafts=(row.n,))

    def _rest(self, row: DraftRow, outcome: Outcome) -> list[Settle]:
        """What is left to be done of a row: one that was posted is gone."""
        match outcome:
            case Accepted():
                return []
            case Duplicate():  # an event with this id was posted before
                return [self._settle(row)]
            case Rejected(reason):
                return [self._settle(row, reason.text)]
            case _ as never:
                assert_never(never)

    def _settle(self, row: DraftRow, problem: str = "") -> Settle:
        if problem:
            get("postbox.hosts.drafts").warning(
                "an application's draft cannot be posted", n=row.n, to=row.host, why=problem
            )
        return Settle(self._world.new_id(), row.n, problem[:MAX_PROBLEM_CHARS])

    async def _pause(self, wait_s: float) -> bool:
        """Whether it was ended by a nudge."""
        self._nudged = trio.Event()
        with trio.move_on_after(wait_s):
            await self._nudged.wait()
        return self._nudged.is_set()


def _open_drafts(snapshot: Reader) -> list[DraftRow]:
    return [draft_row(row) for row in snapshot.query(OPEN_DRAFTS, limit=BATCH_ROWS)]
