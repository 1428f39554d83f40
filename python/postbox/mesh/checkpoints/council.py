"""Agreeing on checkpoints over the bus: this node proposes one about itself once a day, votes on
what others propose, and keeps what was agreed on.

Who is heard on the bus is known by its signature alone. A proposal or vote counts from a name that
is known by that very id (`trust add --id`, `trust import`, introductions); others are not so much
as told of in the log. What is agreed is an ordinary event: it comes in by the intake, whose core
checks its votes once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

import msgspec
import trio

from postbox.errors import Fault, WireError
from postbox.event import Standing
from postbox.logs import get, limited
from postbox.mesh.bus.plaza import PAYER
from postbox.mesh.checkpoints.answered import Answered
from postbox.mesh.checkpoints.attestations import (
    Proposal,
    decode_proposal,
    decode_vote,
    encode,
    is_signed,
    propose,
    vote,
)
from postbox.mesh.checkpoints.chains import Chain
from postbox.mesh.checkpoints.consensus import (
    CHECK_EVERY_S,
    INTERVAL_S,
    ONLINE,
    VOTERS,
    WINDOW_S,
    Again,
    Agreed,
    Ballot,
    NoAgreement,
    Outcome,
    is_close,
)
from postbox.mesh.merging.intake import Intake
from postbox.mesh.projections.opinions import Opinion
from postbox.mesh.reading import Checkpoint, Unread, read_event
from postbox.metrics import Metrics
from postbox.net.rates import Rate, TooOften
from postbox.pauses import around
from postbox.rules import Payer
from postbox.trust import authoring
from postbox.trust.authoring import Tally, make_event
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.world import Pool, World, fraction

PROPOSE = "nara/checkpoint/propose"
VOTE = "nara/checkpoint/vote"
FINAL = "nara/checkpoint/final"
QOS = 1  # nara's, of all three

FINAL_BYTES = 64 * 2**10  # of any event
JITTER_S = 3.0
"""A vote waits up to that long, by chance, so that a mesh does not answer all at once."""
CHECK_JITTER = 1 / 3
"""Of that, up or down, by chance: nodes that started together would else all propose in the same
second of every day."""
STALE_S = 300
"""How far a proposal's time may be from ours. nara votes on any; but what it signs is a claim about
that moment, and a node should not be had to sign one about next year."""
VOTES_PER_MINUTE, VOTES_AT_ONCE = 2.0, 4
"""For one subject: two rounds a day, and what a node that restarts does over. More is a flood."""
SIGNED_PER_MINUTE, SIGNED_BURST = 1_200, 1_000
"""Proposals, and votes on ours, whose signature is looked at, a third of a millisecond each. On one
proposal all of a mesh of a thousand nodes may vote at once."""
FINALS_PER_MINUTE, FINALS_BURST = 30, 100
"""That are looked at: ten signatures each, and all that is known of their subject. A mesh of a
thousand nodes agrees on one in a minute and a half."""
MAX_DUE = 256
"""Votes that wait for their moment; beyond, one is not cast."""
NOTHING = Tally()
"""Of whom a node knows only that, it neither proposes nor votes: five that are new to a mesh would
else agree that nobody has a past."""
OWN = Payer("operator", "this node")


class Bus(Protocol):
    @property
    def is_up(self) -> bool: ...

    async def publish(self, topic: str, payload: bytes, qos: int = 0) -> None: ...

    def handle(self, topic_filter: str, handler: Handler) -> None: ...


class Handler(Protocol):
    async def __call__(self, topic: str, payload: bytes, /) -> None: ...


class Views(Protocol):
    """What the node makes of its events."""

    def opinion(self, name: str) -> Opinion: ...

    def chain(self, name: str) -> Chain: ...


class Scene(NamedTuple):
    """What the council needs to know of the node around it. `is_settled`: whether its memory is
    back, without which its numbers are wrong; `online`: how many peers are there;
    `require_dealings`: raises WireError for a name that is banned."""

    is_settled: Callable[[], bool]
    online: Callable[[], int]
    require_dealings: Callable[[str], None]


Numbers: TypeAlias = tuple[Tally, Chain]


class _Due(NamedTuple):
    """A vote of ours, and when it is cast."""

    at_s: float
    payload: bytes


class Council:
    def __init__(
        self,
        world: World,
        identity: Identity,
        views: Views,
        intake: Intake,
        bus: Bus,
        directory: Directory,
        scene: Scene,
        metrics: Metrics,
    ) -> None:
        self._world = world
        self._me = identity
        self._views = views
        self._intake = intake
        self._bus = bus
        self._directory = directory
        self._scene = scene
        self._metrics = metrics
        self._rate = Rate(VOTES_PER_MINUTE, VOTES_AT_ONCE)
        self._signed = Rate(SIGNED_PER_MINUTE, SIGNED_BURST)
        self._finals = Rate(FINALS_PER_MINUTE, FINALS_BURST)
        self._answered = Answered(2 * STALE_S)
        self._ballot: Ballot | None = None
        self._settled = trio.Event()  # the ballot's
        self._cast, self._due = trio.open_memory_channel[_Due](MAX_DUE)
        self._log = get("postbox.mesh.checkpoints")
        bus.handle(PROPOSE, self._hear_proposal)
        bus.handle(VOTE, self._hear_vote)
        bus.handle(FINAL, self._hear_final)

    # -- about ourselves ------------------------------------------------------------------------

    async def propose_daily(self) -> None:
        """Until cancelled. A day after the last one that is here, or after this began; a clock that
        is set meanwhile puts nothing off."""
        clock = self._world.clock
        due_s = clock.elapsed_s() + INTERVAL_S - await self._last_age_s()
        while True:
            await trio.sleep(around(CHECK_EVERY_S, CHECK_JITTER, fraction(self._world.random)))
            is_due = clock.elapsed_s() >= due_s
            if not (is_due and self._may_propose() and await self._has_a_past()):
                continue
            try:
                if await self.propose():
                    due_s = clock.elapsed_s() + INTERVAL_S
            except Fault as fault:
                self._log.warning("could not propose a checkpoint", error=str(fault))

    async def propose(self) -> bool:
        """Both rounds, if it takes both. False if nobody voted: the next try may be soon then.
        Raises a fault if the bus fails, or the log cannot take what was agreed on."""
        tally, chain = await self._numbers(self._me.name)
        first = await self._round(tally, chain.reference, 1)
        last = first
        if isinstance(first, Again):
            last = await self._round(first.tally, chain.reference, 2)
        if isinstance(last, Agreed):
            await self._keep(last.checkpoint)
        else:
            self._metrics.checkpoint("no_agreement")
            tell = self._log.info if first == NoAgreement(0) else self._log.warning
            tell("no checkpoint was agreed on", needed=VOTERS)
        return first != NoAgreement(0)

    async def _round(self, tally: Tally, reference: str, nth: int) -> Outcome:
        proposal = propose(self._me, tally, reference, self._now_s(), nth)
        self._ballot = ballot = Ballot(proposal)
        self._settled = trio.Event()
        try:
            await self._bus.publish(PROPOSE, encode(proposal), QOS)
            self._metrics.checkpoint("proposed")
            self._log.info("proposed a checkpoint", round=nth, **msgspec.structs.asdict(tally))
            with trio.move_on_after(WINDOW_S):
                await self._settled.wait()
        finally:
            self._ballot = None

        def work() -> Outcome:
            return ballot.outcome(lambda name: self._views.opinion(name).uptime_s)

        return await self._world.threads.run(Pool.READER, work)

    async def _keep(self, checkpoint: authoring.Checkpoint) -> None:
        """First durable, then told."""
        event = make_event(checkpoint, self._world.clock.now_ns(), None)
        await self._intake.take(await self._intake.decode([event.body]), OWN)
        self._metrics.checkpoint("agreed")
        self._log.info("a checkpoint was agreed on", id=event.id, voters=len(checkpoint.voter_ids))
        await self._bus.publish(FINAL, event.body, QOS)

    def _may_propose(self) -> bool:
        return self._bus.is_up and self._scene.is_settled() and self._scene.online() >= ONLINE

    async def _has_a_past(self) -> bool:
        tally, _ = await self._numbers(self._me.name)
        return tally != NOTHING

    async def _last_age_s(self) -> int:
        """0 if there is none."""
        _, chain = await self._numbers(self._me.name)
        return 0 if chain.latest is None else max(0, self._now_s() - chain.latest.as_of_s)

    # -- what is heard --------------------------------------------------------------------------

    async def _hear_proposal(self, topic: str, payload: bytes) -> None:
        proposal = decode_proposal(payload)
        is_ours = proposal.subject == self._me.name
        if is_ours or proposal in self._answered or not self._scene.is_settled():
            return
        self._require_seldom(self._signed, topic)
        self._scene.require_dealings(proposal.attester)
        if not is_signed(proposal, self._key_of) or not self._is_timely(proposal):
            self._metrics.checkpoint("unheard")
            return
        if self._rate.wait_s(proposal.subject, self._world.clock.elapsed_s()):
            raise WireError(f"{proposal.subject} proposes checkpoints too often")
        self._answered.add(proposal, self._world.clock.elapsed_s())
        ours, chain = await self._numbers(proposal.subject)
        if ours == NOTHING:
            return
        approved = is_close(proposal.observation, ours)
        signed = proposal.observation if approved else ours
        reference = chain.reference_beside(proposal.last_seen_checkpoint_id)
        said = vote(self._me, proposal, signed, reference, approved=approved)
        due = _Due(trio.current_time() + JITTER_S * fraction(self._world.random), encode(said))
        try:
            self._cast.send_nowait(due)
        except trio.WouldBlock:
            raise WireError("more proposals than votes can be cast on") from None

    async def cast(self) -> None:
        """Sends our votes, each at its moment or a little later, until cancelled."""
        while True:
            due = await self._due.receive()
            await trio.sleep_until(due.at_s)
            try:
                await self._bus.publish(VOTE, due.payload, QOS)
                self._metrics.checkpoint("voted")
            except Fault as fault:
                limited(self._log, "votes").info("could not cast a vote", error=str(fault))

    async def _hear_vote(self, topic: str, payload: bytes) -> None:
        ballot = self._ballot
        if ballot is None:
            return
        said = decode_vote(payload)
        if said.subject != self._me.name:
            return
        self._require_seldom(self._signed, topic)
        self._scene.require_dealings(said.attester)
        if is_signed(said, self._key_of) and ballot.count(said):
            if ballot.is_settled():
                self._settled.set()
        else:
            self._metrics.checkpoint("unheard")

    async def _hear_final(self, topic: str, payload: bytes) -> None:
        """Kept if it is proved here, by as many different voters as must have agreed."""
        checkpoint = _final(payload)
        if checkpoint is None or checkpoint.subject == self._me.name:
            return
        self._require_seldom(self._finals, topic)
        batch = await self._intake.decode([payload])
        keys = self._directory.keys
        await self._world.threads.run(Pool.VERIFIER, lambda: batch.verify(keys))
        if batch.standings[0] != Standing.ATTESTED:
            self._metrics.checkpoint("unheard")
            return
        before = (await self._numbers(checkpoint.subject))[1]
        report = await self._intake.take(batch, PAYER)
        if report.imported:
            self._metrics.checkpoint("kept")
            self._note(checkpoint, before)

    def _require_seldom(self, rate: Rate, topic: str) -> None:
        """Before what is heard there costs anything: whoever is on the broker may publish."""
        wait_s = rate.wait_s(topic, self._world.clock.elapsed_s())
        if wait_s:
            raise TooOften(f"more messages to {topic} than are looked at", wait_s)

    # -- what is known --------------------------------------------------------------------------

    async def _numbers(self, name: str) -> Numbers:
        """What this node would say of it, and its checkpoints."""

        def work() -> Numbers:
            seen = self._views.opinion(name)
            tally = Tally(
                restarts=seen.counted_restarts,
                total_uptime=seen.uptime_s,
                start_time=seen.first_start_s,
            )
            return tally, self._views.chain(name)

        return await self._world.threads.run(Pool.READER, work)

    def _key_of(self, voter_id: str, name: str) -> bytes | None:
        is_its = self._directory.keys.name_of(voter_id) == name
        return self._directory.key_of(name) if is_its else None

    def _note(self, checkpoint: Checkpoint, before: Chain) -> None:
        if checkpoint.previous_checkpoint_id != before.reference:
            self._log.info(
                "a checkpoint does not go on from the last one that is known here",
                subject=checkpoint.subject,
                previous=checkpoint.previous_checkpoint_id,
                last=before.reference,
            )

    def _is_timely(self, proposal: Proposal) -> bool:
        return abs(proposal.as_of_time - self._now_s()) <= STALE_S

    def _now_s(self) -> int:
        return self._world.clock.now_ns() // 10**9


def _final(payload: bytes) -> Checkpoint | None:
    """None for what has too few different voters to be one. Raises WireError for what is none."""
    if len(payload) > FINAL_BYTES:
        raise WireError(f"it has {len(payload)} bytes, more than an event")
    try:
        said = read_event(payload).payload
    except Unread as unread:
        raise WireError(f"it is no event: {unread}") from unread
    if not isinstance(said, Checkpoint):
        raise WireError("it is no checkpoint")
    return said if len(set(said.voter_ids)) >= VOTERS else None
