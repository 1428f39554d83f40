"""How events from outside get into the log: one way for files and for peers.

    bytes -> decode -> what is known? -> signatures -> drafts -> taste -> admission

Decoding and verifying run in a thread, on the deliverer's account; nothing here learns from an
event before it is committed. The result is counts: one bad event costs its neighbours nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from postbox.core import Batch, verdict_names
from postbox.log.admission import Admission
from postbox.mesh.drafts import drafts_of
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.merging.personality_rules import JUDGED, Personality
from postbox.mesh.reading import read_event
from postbox.mesh.rules import MEET_AGAIN, VERIFY_AGAIN, MeshDraft, MeshRules
from postbox.rules import Accepted, Duplicate, Outcome, Payer, Rejected
from postbox.trust.directory import Directory
from postbox.trust.rules import KeyRules, hey_there_draft
from postbox.trust.tables import Source
from postbox.world import Pool, World


@dataclass
class Report:
    """What became of events, in numbers. `rejected`: by the verdicts of `docs/protocol/mesh.md`."""

    imported: int = 0
    duplicates: int = 0
    pruned: int = 0  # below what the ledger retains
    rejected: Counter[str] = field(default_factory=Counter)
    filtered: int = 0  # not to this node's taste

    @property
    def total(self) -> int:
        settled = self.imported + self.duplicates + self.pruned + self.filtered
        return settled + self.rejected.total()

    def add(self, other: Report) -> None:
        self.imported += other.imported
        self.duplicates += other.duplicates
        self.pruned += other.pruned
        self.rejected += other.rejected
        self.filtered += other.filtered


Wanted: TypeAlias = Callable[[MeshDraft], bool]

MEETINGS = 3
"""So often a checkpoint is compared with the copy that came meanwhile. One that leaves the log just
then is met by nobody: what is there counts."""


class Intake:
    def __init__(
        self,
        world: World,
        admission: Admission,
        directory: Directory,
        ledger: MeshLedger,
        personality: Personality,
        cutoffs: Sequence[tuple[str, int]] = (),
    ) -> None:
        """`personality`: what peers send is dropped by; of an import nothing is. `cutoffs`: names,
        checkpoints about which are refused up to that second of Unix time."""
        self._world = world
        self._admission = admission
        self._directory = directory
        self._ledger = ledger
        self._personality = personality
        self._cutoffs = cutoffs
        self._listeners: list[Callable[[Payer, Report], None]] = []

    def listen(self, listener: Callable[[Payer, Report], None]) -> None:
        """Called with what became of each batch; must not raise."""
        self._listeners.append(listener)

    async def decode(self, raws: Sequence[bytes]) -> Batch:
        now_ns, cutoffs = self._world.clock.now_ns(), self._cutoffs
        decode = partial(Batch.decode, raws, now_ns, cutoffs)
        return await self._world.threads.run(Pool.VERIFIER, decode)

    async def take(self, batch: Batch, payer: Payer, is_wanted: Wanted = lambda _: True) -> Report:
        """Everything good in this batch is durable on return. `is_wanted`: of what is good, what
        the caller wants; the rest counts as filtered."""
        await self.judge(batch, payer)
        return await self.admit(batch, payer, is_wanted)

    async def judge(self, batch: Batch, payer: Payer) -> None:
        """Each event gets its verdict; nothing is stored but keys of names that are new."""
        await self._introduce(batch, payer)
        await self._verify(batch)

    async def admit(self, batch: Batch, payer: Payer, is_wanted: Wanted = lambda _: True) -> Report:
        """As `take`, of a batch that was judged."""
        report = await self._admit(batch, payer, is_wanted, MEETINGS)
        for listener in self._listeners:
            listener(payer, report)
        return report

    async def _admit(self, batch: Batch, payer: Payer, is_wanted: Wanted, meetings: int) -> Report:
        report = _judged(batch)
        good = drafts_of(batch, payer)
        wanted = [draft for draft in good if is_wanted(draft)]
        report.filtered += len(good) - len(wanted)
        drafts = self._tasteful(wanted, payer, report)
        outcomes = await self._admission.submit(MeshRules(), drafts)
        again = _count(drafts, outcomes, report, meetings)
        if again:
            batch = await self.decode(again)
            await self.judge(batch, payer)
            report.add(await self._admit(batch, payer, is_wanted, meetings - 1))
        return report

    def _tasteful(
        self, drafts: Sequence[MeshDraft], payer: Payer, report: Report
    ) -> Sequence[MeshDraft]:
        if payer.kind != "peer" or self._personality.keeps_all:
            return drafts
        kept = [draft for draft in drafts if self._keeps(draft)]
        report.filtered += len(drafts) - len(kept)
        return kept

    def _keeps(self, draft: MeshDraft) -> bool:
        is_judged = draft.service in JUDGED
        return not is_judged or self._personality.keeps(read_event(draft.body).payload)

    async def _introduce(self, batch: Batch, payer: Payer) -> None:
        """Names that present themselves in the batch, before anything they signed is judged:
        pages and samples do not come in that order."""
        keys = self._directory.keys
        claims = await self._world.threads.run(Pool.VERIFIER, lambda: batch.introductions(keys))
        if payer.kind == "peer":
            claims = claims[: self._directory.room_for(Source.ANSWER)]
        drafts = [hey_there_draft(name, key, payer) for name, key in claims]
        await self._admission.submit(KeyRules(), drafts)

    async def _verify(self, batch: Batch) -> None:
        index, keys = self._ledger.index, self._directory.keys

        def work() -> None:
            batch.sift(index)  # what is known needs no check of its signature
            batch.verify(keys)
            batch.sift(index)  # now by what each event is proved to be

        await self._world.threads.run(Pool.VERIFIER, work)


def _judged(batch: Batch) -> Report:
    """What was settled without the log."""
    verdicts = Counter(verdict_names[code] for code in batch.verdicts if code)
    return Report(
        duplicates=verdicts.pop("known", 0),
        pruned=verdicts.pop("below_retention", 0),
        rejected=verdicts,
    )


def _count(
    drafts: Sequence[MeshDraft], outcomes: Sequence[Outcome], report: Report, meetings: int
) -> list[bytes]:
    """Adds what the log said. Returns the events to be taken again: their signer became known while
    they were on their way, which happens once to a signer, or a copy came."""
    again = []
    for draft, outcome in zip(drafts, outcomes, strict=True):
        match outcome:
            case Accepted():
                report.imported += 1
            case Duplicate():
                report.duplicates += 1
            case Rejected(reason) if reason.code == VERIFY_AGAIN:
                again.append(draft.body)
            case Rejected(reason) if reason.code == MEET_AGAIN and meetings > 0:
                again.append(draft.body)
            case Rejected(reason) if reason.code == MEET_AGAIN:
                report.duplicates += 1
            case Rejected(reason):
                report.rejected[reason.code] += 1
    return again
