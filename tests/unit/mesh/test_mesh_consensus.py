"""nara's rules of agreement about a node, as tables; and where ours are stricter."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pytest

from postbox.core import Batch, Keys
from postbox.errors import WireError
from postbox.event import Standing
from postbox.mesh.checkpoints.attestations import (
    MAX_BYTES,
    Proposal,
    Vote,
    decode_proposal,
    decode_vote,
    encode,
    is_signed,
    propose,
    vote,
)
from postbox.mesh.checkpoints.consensus import (
    MAX_SIGNATURES,
    VOTERS,
    Again,
    Agreed,
    Ballot,
    NoAgreement,
    Outcome,
    is_close,
)
from postbox.trust.authoring import Tally, make_event
from postbox.trust.keys import Identity, identity_of

ME, *OTHERS = (identity_of(f"node{n:02}", bytes([n + 1]) * 32) for n in range(15))
KNOWN = {(one.id, one.name): one.public_key for one in (ME, *OTHERS)}
MINE = Tally(restarts=7, total_uptime=86_400, start_time=1_700_000_000)
THEIRS = Tally(restarts=20, total_uptime=50_000, start_time=1_699_000_000)
NOW_S = 1_770_000_000
BEFORE = "5c6811eb19a168e7dcd57cf3d434f912"


def key_of(voter_id: str, name: str) -> bytes | None:
    return KNOWN.get((voter_id, name))


def proposal(nth: int = 1, tally: Tally = MINE) -> Proposal:
    return propose(ME, tally, BEFORE, NOW_S, nth)


def approval(voter: Identity, of: Proposal, reference: str = BEFORE) -> Vote:
    return vote(voter, of, of.observation, reference, approved=True)


def objection(voter: Identity, of: Proposal, tally: Tally = THEIRS) -> Vote:
    return vote(voter, of, tally, BEFORE, approved=False)


def settled(of: Proposal, votes: Sequence[Vote], uptimes: dict[str, int] | None = None) -> Outcome:
    ballot = Ballot(of)
    for one in votes:
        ballot.count(one)
    return ballot.outcome(lambda name: (uptimes or {}).get(name, 0))


# -- who agrees ---------------------------------------------------------------------------------


def test_five_approvals_make_a_checkpoint_with_the_proposers_signature_first() -> None:
    outcome = settled(proposal(), [approval(one, proposal()) for one in OTHERS[:5]])
    assert isinstance(outcome, Agreed)
    made = outcome.checkpoint
    assert made.voter_ids[0] == ME.id
    assert set(made.voter_ids[1:]) == {one.id for one in OTHERS[:5]}
    assert (made.version, made.previous_checkpoint_id, made.round) == (2, BEFORE, 1)
    assert made.observation == MINE
    assert made.as_of_time == NOW_S


def test_every_signature_of_a_checkpoint_is_over_what_it_says() -> None:
    """Else nobody who knows the voter would take it in."""
    of = proposal()
    outcome = settled(of, [objection(one, of) for one in OTHERS[:6]])
    assert isinstance(outcome, Agreed)
    made = outcome.checkpoint
    keys = Keys()
    for one in OTHERS:
        keys.put(one.name, [one.public_key], one.id)
    now_ns = NOW_S * 10**9
    batch = Batch.decode([make_event(made, now_ns, None).body], now_ns)
    batch.verify(keys)
    assert list(batch.standings) == [Standing.ATTESTED]


def test_four_are_too_few() -> None:
    votes = [approval(one, proposal()) for one in OTHERS[: VOTERS - 1]]
    outcome = settled(proposal(2), [approval(one, proposal(2)) for one in OTHERS[: VOTERS - 1]])
    assert outcome == NoAgreement(VOTERS - 1)
    assert settled(proposal(), votes) == Again(MINE)


def test_five_of_one_other_mind_outvote_the_proposer() -> None:
    of = proposal()
    outcome = settled(of, [objection(one, of) for one in OTHERS[:5]])
    assert isinstance(outcome, Agreed)
    assert outcome.checkpoint.observation == THEIRS
    assert ME.id not in outcome.checkpoint.voter_ids


def test_the_larger_group_wins() -> None:
    of = proposal()
    votes = [approval(one, of) for one in OTHERS[:5]]
    votes += [objection(one, of) for one in OTHERS[5:11]]
    outcome = settled(of, votes)
    assert isinstance(outcome, Agreed)
    assert outcome.checkpoint.observation == THEIRS


def test_of_equal_groups_the_proposal_wins_in_whatever_order_votes_came() -> None:
    of = proposal()
    votes = [approval(one, of) for one in OTHERS[:5]]
    votes += [objection(one, of) for one in OTHERS[5:10]]
    for order in (votes, votes[::-1]):
        outcome = settled(of, order)
        assert isinstance(outcome, Agreed)
        assert outcome.checkpoint.observation == MINE


def test_an_approval_that_goes_on_from_another_checkpoint_is_of_another_mind() -> None:
    """nara puts it under the proposal's reference, where its signature does not verify."""
    of = proposal()
    votes = [approval(one, of) for one in OTHERS[:4]]
    votes += [approval(one, of, reference="") for one in OTHERS[4:8]]
    assert settled(of, votes) == Again(MINE)


def test_a_voter_counts_once_and_the_proposer_not_at_all() -> None:
    of = proposal()
    ballot = Ballot(of)
    assert ballot.count(approval(OTHERS[0], of))
    assert not ballot.count(approval(OTHERS[0], of))
    assert not ballot.count(objection(OTHERS[0], of))
    assert not ballot.count(approval(ME, of))
    assert len(ballot) == 1


@pytest.mark.parametrize(
    "other",
    [
        proposal(2),
        propose(ME, MINE, BEFORE, NOW_S + 1, 1),
        propose(OTHERS[9], MINE, BEFORE, NOW_S, 1),
    ],
)
def test_a_vote_on_another_proposal_does_not_count(other: Proposal) -> None:
    assert not Ballot(proposal()).count(approval(OTHERS[0], other))


def test_it_is_settled_as_soon_as_five_agree_and_not_by_five_who_do_not() -> None:
    """nara counts at the fifth vote, whatever it is: one quick liar makes all first rounds fail."""
    of = proposal()
    ballot = Ballot(of)
    ballot.count(objection(OTHERS[9], of))
    for one in OTHERS[:4]:
        ballot.count(approval(one, of))
    assert not ballot.is_settled()
    ballot.count(approval(OTHERS[4], of))
    assert ballot.is_settled()


def test_a_checkpoint_bears_ten_signatures_of_who_is_up_longest() -> None:
    of = proposal()
    uptimes = {one.name: n for n, one in enumerate(OTHERS)}
    outcome = settled(of, [approval(one, of) for one in OTHERS], uptimes)
    assert isinstance(outcome, Agreed)
    assert len(outcome.checkpoint.voter_ids) == MAX_SIGNATURES
    longest = [one.id for one in OTHERS[::-1][: MAX_SIGNATURES - 1]]
    assert outcome.checkpoint.voter_ids == (ME.id, *longest)


# -- a second round -----------------------------------------------------------------------------


def test_a_first_round_that_fails_asks_again_with_the_mean_of_the_votes() -> None:
    of = proposal()
    votes = [
        objection(one, of, Tally(restarts=n, total_uptime=1_000 + n, start_time=NOW_S - n))
        for n, one in enumerate(OTHERS[:4], 10)
    ]
    votes.append(objection(OTHERS[4], of, Tally(restarts=10**9, total_uptime=1, start_time=NOW_S)))
    mean = Tally(restarts=11, total_uptime=1_011, start_time=NOW_S - 10)
    assert settled(of, votes) == Again(mean)


def test_a_second_round_that_fails_is_the_last() -> None:
    of = proposal(2)
    votes = [objection(one, of, Tally(restarts=n)) for n, one in enumerate(OTHERS)]
    assert settled(of, votes) == NoAgreement(len(OTHERS))


def test_without_votes_there_is_no_second_round() -> None:
    assert settled(proposal(), []) == NoAgreement(0)


@pytest.mark.parametrize(
    ("restarts", "uptime", "start", "close"),
    [
        (0, 0, 0, True),
        (5, 60, 60, True),
        (-5, -60, -60, True),
        (6, 0, 0, False),
        (-6, 0, 0, False),
        (0, 61, 0, False),
        (0, -61, 0, False),
        (0, 0, 61, False),
        (0, 0, -61, False),
    ],
)
def test_what_is_close_to_what_we_know_is_signed(
    restarts: int, uptime: int, start: int, close: bool
) -> None:
    known = Tally(
        restarts=MINE.restarts + restarts + 10,
        total_uptime=MINE.total_uptime + uptime,
        start_time=MINE.start_time + start,
    )
    assert is_close(msgspec.structs.replace(MINE, restarts=17), known) is close


# -- bytes --------------------------------------------------------------------------------------


def test_a_proposal_is_naras_json() -> None:
    said = proposal()
    assert encode(said) == (
        b'{"version":2,"subject":"node00","subject_id":"%s","observation":{"restarts":7,'
        b'"total_uptime":86400,"start_time":1700000000},"attester":"node00","attester_id":"%s",'
        b'"last_seen_checkpoint_id":"%s","as_of_time":1770000000,"signature":"%s","round":1}'
        % tuple(text.encode() for text in (ME.id, ME.id, BEFORE, said.signature))
    )
    assert decode_proposal(encode(said)) == said


def test_a_vote_is_naras_json() -> None:
    voter = OTHERS[0]
    said = vote(voter, proposal(), Tally(), "", approved=False)
    assert encode(said) == (
        b'{"version":2,"subject":"node00","subject_id":"%s","observation":{},"attester":"node01",'
        b'"attester_id":"%s","as_of_time":1770000000,"signature":"%s","proposal_ts":1770000000,'
        b'"round":1,"approved":false}'
        % tuple(text.encode() for text in (ME.id, voter.id, said.signature))
    )
    assert decode_vote(encode(said)) == said


def test_what_naras_add_is_left_alone() -> None:
    """Approving voters sign the proposer's numbers and send back all that it sent."""
    said = json.loads(encode(approval(OTHERS[0], proposal())))
    said["observation"] |= {"online": "ONLINE", "last_seen": 5}
    said["more"] = None
    assert is_signed(decode_vote(json.dumps(said).encode()), key_of)


def test_signatures_are_of_who_is_known_by_that_id_and_that_name() -> None:
    said = approval(OTHERS[0], proposal())
    replace = msgspec.structs.replace
    assert is_signed(said, key_of)
    assert is_signed(proposal(), key_of)
    for forged in (
        replace(said, attester_id=OTHERS[1].id),
        replace(said, attester=OTHERS[1].name),
        replace(said, attester=OTHERS[1].name, attester_id=OTHERS[1].id),
        replace(said, observation=THEIRS),
        replace(said, last_seen_checkpoint_id=""),
        replace(said, as_of_time=NOW_S + 1),
        replace(said, signature=""),
        replace(said, signature="?" * 88),
    ):
        assert not is_signed(forged, key_of)
    assert not is_signed(approval(identity_of("eve", b"e" * 32), proposal()), key_of)


def _changed(**fields: object) -> bytes:
    return json.dumps(json.loads(encode(proposal())) | fields).encode()


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "it is none"),
        (b"[]", "it is none"),
        (b"\xff", "it is none"),
        (b"[" * 5_000, "it is none"),
        (b" " * (MAX_BYTES + 1), "more than"),
        (_changed(version=1), "version 1"),
        (_changed(version=3), "version 3"),
        (_changed(round=3), "no round 3"),
        (_changed(round="1"), "it is none"),
        (_changed(as_of_time=-1), "it is none"),
        (_changed(as_of_time=2**63), "it is none"),
        (_changed(observation=None), "it is none"),
        (_changed(observation={"restarts": -1}), "out of their range"),
        (_changed(observation={"total_uptime": 2**63}), "out of their range"),
        (_changed(subject="a:b", attester="a:b"), "cannot be a name"),
        (_changed(attester=OTHERS[0].name), "about another"),
        (_changed(subject_id=OTHERS[0].id), "about another"),
        (_changed(signature="x" * 201), "it is none"),
    ],
)
def test_what_is_no_proposal_is_refused_with_the_reason(payload: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        decode_proposal(payload)


def test_a_vote_about_oneself_or_for_another_time_is_refused() -> None:
    own = vote(ME, proposal(), MINE, BEFORE, approved=True)
    with pytest.raises(WireError, match="votes about itself"):
        decode_vote(encode(own))
    late = msgspec.structs.replace(approval(OTHERS[0], proposal()), proposal_ts=NOW_S - 1)
    with pytest.raises(WireError, match="another time"):
        decode_vote(encode(late))
