"""The ledger in memory, kept up from the log, and what it hands back to the log.

A follower: it applies committed entries of the mesh lane, from whichever process. Two things go
the other way, as drafts: positions of what it had to forget, and events whose standing changed
because a key became known. Of several processes one does that, which holds the lease; each of the
others keeps what it would hand back, until the log shows that it was done. After a crash the log
may hold a little more than the ledger, never less; the rebuild forgets that again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import trio

from postbox.core import Batch, Keys, Ledger, Rebuild
from postbox.errors import Full
from postbox.event import Service, Standing
from postbox.log.admission import Admission
from postbox.log.committed import Committed
from postbox.log.tail import Tail
from postbox.logs import get, limited
from postbox.mesh.chunks import chunks
from postbox.mesh.drafts import drafts_of
from postbox.mesh.rules import Forget, MeshRules
from postbox.rules import Payer
from postbox.store.contract import Entry, Lane
from postbox.trust.directory import Learned
from postbox.world import Pool, World

RETENTION = "retention"
"""The lease of the process that hands back."""
SETTLE_EVENTS = 5_000  # forgotten or verified at a time: some 50 ms of a thread
FULL_RETRY_S = 10.0  # an operator needs longer to make room on a disk
FORGET_POSITIONS = 500  # in one draft, so that a large eviction is many small commits
MAX_KEPT = 200_000
"""Evicted positions, some 20 MB, that a process keeps while another one hands back. It is a handful
where all have as much memory; what is beyond leaves the log when a process starts anew."""
_LEDGER = Payer("operator", "the ledger")
_FAR_FUTURE_NS = 2**62  # stored events had their time checked when they came in


class MeshLedger:
    def __init__(self, world: World, ledger: Ledger, keys: Keys, *, forgets: bool = True) -> None:
        """`forgets`: what the ledger drops leaves the log, too. A verb that only reads does not do
        that: it may have been called with less memory than the node has."""
        self.index = ledger
        self.surplus = 0
        """Events of the log that the rebuild had no room for: they leave it first."""
        self.forgotten = 0
        """Events that left the log because the ledger had no room for them, since this was made."""
        self.is_partial = False
        """Whether the log has events, for good, that there was no room for here."""
        self._forgets = forgets
        self._world = world
        self._keys = keys
        self._evicted: dict[int, None] = {}  # a set in order
        self._doubtful: dict[int, bytes] = {}  # position -> body of unproven events to check
        self._disputed: set[str] = set()  # names of which a key counts no more
        self._looks_again = False  # at all events that may be doubtful: some may have been left out
        self._is_keeper = False
        self._work = trio.Event()
        self._settling = trio.Lock()

    def leaving(self) -> frozenset[int]:
        """Positions that this has dropped already and the log may still have."""
        return frozenset(self._evicted)

    def applied(self, committed: Committed) -> None:
        """The follower's call."""
        entries = [entry for entry in committed.entries if entry.lane is Lane.MESH]
        if entries or committed.removes:
            self._apply(committed.removes, entries)
            self._spare()

    def learned(self, learned: Learned) -> None:
        """The directory's call: whoever these names and ids are, their events can be checked."""
        self.index.learn(learned.names)
        self.index.count_votes_of(self._keys)
        self._doubtful.update(self.index.unproven(learned.names, learned.ids))
        if learned.disowned:
            self._disputed.update(learned.disowned)
            self._doubtful.update(self.index.attested_by(learned.disowned))
            _tell_disowned(learned.disowned)
        self._work.set()
        self._spare()

    async def rebuild(self, tail: Tail, disputed: Iterable[str] = ()) -> None:
        """From the log, before anything is answered. Names and voters are known by then. An entry
        that is no event (a damaged disk, another version's rules) is left out: `verify` finds and
        names it. `disputed`: names of which a key counts no more; a crash may have come before what
        it had signed was looked at."""
        self._disputed.update(disputed)
        rebuild = Rebuild(self.index)
        await tail.replay(Lane.MESH, lambda entries: self._evict(rebuild.add(_rows(entries))))
        await self._world.threads.run(Pool.VERIFIER, rebuild.finish)
        self.surplus = len(self._evicted)
        self._looks_again = True
        self._work.set()

    async def keep(self, admission: Admission) -> None:
        """The task that hands back what must change in the log, as it comes; under the lease."""
        self._tell_evicted()
        self._work.set()
        self._is_keeper = True
        try:
            while True:
                await self._work.wait()
                self._work = trio.Event()
                try:
                    await self.settle(admission)
                except Full:
                    # Nothing is lost by waiting: what must leave the log is still known here.
                    await trio.sleep(FULL_RETRY_S)
                    self._work.set()
        finally:
            self._is_keeper = False

    def _tell_evicted(self) -> None:
        """However few they are: after a crash of a full node it is a handful, which the count
        shows. By the count alone a small history that a smaller memory cuts looks the same."""
        if self._evicted:
            get("postbox.mesh.ledger").warning(
                "events leave the log: the ledger has no room for them",
                count=len(self._evicted),
                capacity=self.index.capacity,
            )

    async def settle(self, admission: Admission) -> None:
        """Hand back all there is, and what follows from it; returns when log and ledger agree.
        Under the lease, too."""
        async with self._settling:
            if self._looks_again:
                self._looks_again = False
                self._doubtful.update(self.index.all_unproven())
                self._doubtful.update(self.index.attested_by(list(self._disputed)))
            while self._evicted or self._doubtful:
                evicted = list(islice(self._evicted, SETTLE_EVENTS))
                await self._forget(admission, evicted)
                self._drop(evicted)
                self.forgotten += len(evicted)
                doubtful = dict(islice(self._doubtful.items(), SETTLE_EVENTS))
                await self._check(admission, doubtful)
                self._drop(doubtful)

    def _drop(self, positions: Iterable[int]) -> None:
        """Nothing is to be done about these any more."""
        for pos in positions:
            self._evicted.pop(pos, None)
            self._doubtful.pop(pos, None)

    def _spare(self) -> None:
        """Bounds what is kept while another process hands back. What may have been evicted once is
        not known again; what may be doubtful is."""
        if self._is_keeper:
            return
        while len(self._evicted) > max(MAX_KEPT, self.surplus):
            self._evicted.popitem()
        if len(self._doubtful) > SETTLE_EVENTS:
            self._doubtful.clear()
            self._looks_again = True

    def _apply(self, removed: Sequence[int], entries: Sequence[Entry]) -> None:
        evicted = self.index.apply(removed, _rows(entries))
        self._drop(removed)  # by this process, or another one
        doubtful = {e.pos: e.body for e in entries if e.body is not None and self._is_doubtful(e)}
        self._evict(evicted)
        if evicted or doubtful:
            self._doubtful.update(doubtful)
            self._work.set()

    def _is_doubtful(self, entry: Entry) -> bool:
        """A vote may be by somebody who became known while this was on its way; for a signed event
        the rules look, or, within one commit, the directory that follows after this. And the key
        by which an event was attested may have been dropped meanwhile."""
        if entry.flags == Standing.ATTESTED:
            return bool(self._disputed) and entry.author.decode() in self._disputed
        return entry.kind == Service.CHECKPOINT and entry.flags == Standing.UNPROVEN

    def _evict(self, evicted: Sequence[int]) -> None:
        if self._forgets:
            self._evicted.update(dict.fromkeys(evicted))
        else:
            self.is_partial |= bool(evicted)

    async def _forget(self, admission: Admission, positions: Iterable[int]) -> None:
        drafts = [
            Forget(self._world.new_id(), _LEDGER, tuple(part))
            for part in chunks(positions, FORGET_POSITIONS)
        ]
        await admission.submit(MeshRules(), drafts)

    async def _check(self, admission: Admission, doubtful: dict[int, bytes]) -> None:
        positions = list(doubtful)
        batch = await self._verified(list(doubtful.values()))
        wrong = [pos for pos, verdict in zip(positions, batch.verdicts, strict=True) if verdict]
        await self._forget(admission, wrong)
        if wrong:
            get("postbox.mesh.ledger").info(
                "events are refuted by keys, and gone", count=len(wrong)
            )
        drafts = drafts_of(batch, _LEDGER)
        proved = [draft for draft in drafts if draft.standing is Standing.ATTESTED]
        await admission.submit(MeshRules(), proved)

    async def _verified(self, bodies: list[bytes]) -> Batch:
        def work() -> Batch:
            batch = Batch.decode(bodies, _FAR_FUTURE_NS)
            batch.verify(self._keys)
            return batch

        return await self._world.threads.run(Pool.VERIFIER, work)


def _tell_disowned(names: Sequence[str]) -> None:
    log = limited(get("postbox.mesh.ledger"), "disowned")
    for name in names:
        log.warning(
            "a name has another key now: nobody had vouched for the former one, and what that one"
            " signed is removed",
            name=name,
        )


def _rows(entries: Sequence[Entry]) -> list[tuple[int, bytes, int]]:
    return [(e.pos, e.body, e.flags) for e in entries if e.body is not None]
