"""When nodes agree about a node: nara's rules (checkpoint_service.go), pure. Votes in, a checkpoint
out, or another round, or nothing.

Where this is stricter than nara: a voter counts once, by its id; the vote of the node itself does
not count among the five; and an approval counts for what it signs, so that no checkpoint is made
whose signatures are over something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from postbox.mesh.checkpoints.attestations import Attestation, Proposal, Vote, claim_of
from postbox.mesh.projections.statistics import trimmed_mean
from postbox.trust.authoring import Checkpoint, Tally

INTERVAL_S = 24 * 3600
"""From one checkpoint of ours, or one attempt, to the next."""
CHECK_EVERY_S = 15 * 60
WINDOW_S = 60.0
"""For votes on a proposal."""
VOTERS = 5
"""That must agree, beside the proposer. Five of whom a majority is honest make one lie harmless."""
MAX_SIGNATURES = 10
MAX_VOTES = 1_000
"""That are looked at for one proposal: known voters, so as many as a mesh has nodes."""
ONLINE = 6
"""Peers that must be there for a proposal to be worth its messages."""
RESTARTS_OFF, UPTIME_OFF_S, START_OFF_S = 5, 60, 60
"""How far off what is proposed may be from what a voter knows, to be signed all the same."""


class Value(NamedTuple):
    """What voters agree on, or do not."""

    restarts: int
    total_uptime: int
    start_time: int
    reference: str


class Agreed(NamedTuple):
    checkpoint: Checkpoint


class Again(NamedTuple):
    """In a second round, with this in place of what we know ourselves."""

    tally: Tally


class NoAgreement(NamedTuple):
    """`votes`: how many came."""

    votes: int


Outcome: TypeAlias = Agreed | Again | NoAgreement
UptimeOf: TypeAlias = Callable[[str], int]


def is_close(proposed: Tally, known: Tally) -> bool:
    """May a node that knows this sign that?"""
    return (
        abs(proposed.restarts - known.restarts) <= RESTARTS_OFF
        and abs(proposed.total_uptime - known.total_uptime) <= UPTIME_OFF_S
        and abs(proposed.start_time - known.start_time) <= START_OFF_S
    )


def value_of(said: Attestation) -> Value:
    seen = said.observation
    return Value(seen.restarts, seen.total_uptime, seen.start_time, said.last_seen_checkpoint_id)


class Ballot:
    """Of one proposal of ours. Votes given to it are by voters who proved who they are."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self._votes: dict[str, Vote] = {}

    def __len__(self) -> int:
        return len(self._votes)

    def count(self, vote: Vote) -> bool:
        """Whether it counts: it is about this proposal, and this voter's first."""
        mine = self.proposal
        is_about_it = (vote.subject, vote.subject_id, vote.proposal_ts, vote.round) == (
            mine.subject,
            mine.subject_id,
            mine.as_of_time,
            mine.round,
        )
        is_new = vote.attester_id not in self._votes and vote.attester_id != mine.subject_id
        if not (is_about_it and is_new) or len(self._votes) >= MAX_VOTES:
            return False
        self._votes[vote.attester_id] = vote
        return True

    def is_settled(self) -> bool:
        """Do enough agree? Then later votes change nothing that matters."""
        return bool(self._agreeing())

    def outcome(self, uptime_of: UptimeOf) -> Outcome:
        """When it is settled, or its time is up. `uptime_of`: seconds, by the voter's name."""
        agreeing = self._agreeing()
        if agreeing:
            return Agreed(self._checkpoint(agreeing, uptime_of))
        if self.proposal.round == 1 and self._votes:
            return Again(_mean(vote.observation for vote in self._votes.values()))
        return NoAgreement(len(self._votes))

    def _agreeing(self) -> Sequence[Vote]:
        """The largest group of one mind, if it is large enough; of equal ones ours, or the
        greatest value, so that nothing depends on the order in which votes came."""
        groups: dict[Value, list[Vote]] = {}
        for vote in self._votes.values():
            groups.setdefault(value_of(vote), []).append(vote)
        if not groups:
            return ()
        mine = value_of(self.proposal)
        best = max(groups, key=lambda value: (len(groups[value]), value == mine, value))
        return groups[best] if len(groups[best]) >= VOTERS else ()

    def _checkpoint(self, agreeing: Sequence[Vote], uptime_of: UptimeOf) -> Checkpoint:
        """The proposer signs first, if that is what it proposed; then who is up longest."""
        by_uptime = sorted(agreeing, key=lambda vote: (-uptime_of(vote.attester), vote.attester_id))
        signers: list[Attestation] = [*by_uptime]
        if value_of(self.proposal) == value_of(agreeing[0]):
            signers.insert(0, self.proposal)
        signers = signers[:MAX_SIGNATURES]
        return replace(
            claim_of(agreeing[0]),
            voter_ids=tuple(one.attester_id for one in signers),
            signatures=tuple(one.signature for one in signers),
        )


def _mean(tallies: Iterable[Tally]) -> Tally:
    seen = list(tallies)
    return Tally(
        restarts=trimmed_mean([one.restarts for one in seen]),
        total_uptime=trimmed_mean([one.total_uptime for one in seen]),
        start_time=trimmed_mean([one.start_time for one in seen]),
    )
