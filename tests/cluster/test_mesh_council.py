"""Nodes agree on checkpoints over a broker in memory, on virtual time: what comes of honest ones,
of liars, and of whoever else is on the broker."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from postbox.mesh.checkpoints import council
from postbox.mesh.checkpoints.attestations import Proposal, claim_of, encode, propose, vote
from postbox.mesh.checkpoints.consensus import CHECK_EVERY_S, WINDOW_S
from postbox.mesh.checkpoints.council import CHECK_JITTER, FINAL, PROPOSE, VOTE, VOTES_AT_ONCE
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.trust.authoring import (
    Checkpoint,
    Tally,
    attestation_of,
    make_event,
    with_voters,
)
from postbox.trust.keys import Identity, identity_of
from postbox.world import World
from support.hall import DAY_S, NOTHING, OTHERS, Hall, hall
from support.simulate import SkewedClock
from support.town import Town, in_town

STRANGERS = [identity_of(f"stranger{n}", bytes([100 + n]) * 32) for n in range(8)]
SHORT_DAY_S = 5_400


@in_town
async def test_seven_nodes_agree_on_what_they_know_of_one_of_them(town: Town) -> None:
    async with hall(town, whole=True) as here:
        await here.remember("node0", 4)
        assert await here.propose()
        held = [here.checkpoints(house, "node0") for house in here.houses]
        assert held == [held[0]] * 7
        assert len(held[0]) == 1
        final = here.said(FINAL)[0]["checkpoint"]
        assert (final["subject"], final["round"], final["version"]) == ("node0", 1, 2)
        assert final["observation"]["restarts"] == 4
        assert "previous_checkpoint_id" not in final
        assert final["voter_ids"][0] == here.first.node.identity.id
        assert 6 <= len(set(final["voter_ids"])) == len(final["signatures"])
        assert [one["approved"] for one in here.said(VOTE)] == [True] * 6


@pytest.fixture
def short_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of hours is a long time to simulate: it is one and a half here."""
    monkeypatch.setattr(council, "INTERVAL_S", SHORT_DAY_S)


@pytest.mark.usefixtures("short_days")
def test_once_a_day_each_proposes_and_the_next_goes_on_from_the_last(tmp_path: Path) -> None:
    @in_town
    async def test(town: Town) -> None:
        async with hall(town) as here:
            await here.stay(SHORT_DAY_S - 10)
            assert here.said(PROPOSE) == []
            await here.stay(CHECK_EVERY_S * (1 + CHECK_JITTER) + 60)
            when = [one["as_of_time"] for one in here.said(PROPOSE)]
            assert max(when) - min(when) > 60, "not all at once"
            subjects = [one["subject"] for one in here.said(PROPOSE)]
            assert sorted(subjects) == [f"node{n}" for n in range(7)]
            assert await here.propose()
            chains = [here.chain(house, "node0") for house in here.houses]
            assert chains == [chains[0]] * 7
            assert len(chains[0].links) == 2
            assert chains[0].links[1].previous == chains[0].links[0].id
            assert chains[0].breaks == 0

    test(tmp_path=tmp_path)


@pytest.mark.usefixtures("short_days")
def test_who_started_with_a_wrong_clock_proposes_a_day_later_all_the_same(tmp_path: Path) -> None:
    @in_town
    async def test(town: Town) -> None:
        clocks: dict[str, SkewedClock] = {}

        def world_at(where: str) -> World:
            world = town.world(where)
            clocks[where] = SkewedClock(world.clock, 0.0 if clocks else 86_400.0 * 30)
            return replace(world, clock=clocks[where])

        async with hall(town, world_at=world_at) as here:
            for clock in clocks.values():
                clock.ahead_s = 0.0
            await here.stay(SHORT_DAY_S + CHECK_EVERY_S * (1 + CHECK_JITTER) + 60)
            subjects = [one["subject"] for one in here.said(PROPOSE)]
            assert sorted(subjects) == [f"node{n}" for n in range(7)]

    test(tmp_path=tmp_path)


@pytest.mark.usefixtures("short_days")
def test_with_too_few_peers_online_nobody_proposes(tmp_path: Path) -> None:
    @in_town
    async def test(town: Town) -> None:
        async with hall(town, count=6) as here:
            await here.stay(SHORT_DAY_S + 2 * CHECK_EVERY_S)
            assert here.said(PROPOSE) == []

    test(tmp_path=tmp_path)


@in_town
async def test_who_has_forgotten_its_past_is_told_by_the_others(town: Town) -> None:
    async with hall(town) as here:
        await here.remember("node0", 12, *here.houses[1:])
        assert await here.propose()
        final = here.said(FINAL)[0]["checkpoint"]
        assert final["observation"]["restarts"] == 12
        assert here.first.node.identity.id not in final["voter_ids"]
        assert len(here.checkpoints(here.first, "node0")) == 1


@in_town
async def test_who_disagree_meet_in_the_middle_in_a_second_round(town: Town) -> None:
    async with hall(town) as here:
        await here.remember("node0", 10, *here.houses[:4])
        await here.remember("node0", 16, *here.houses[4:])
        assert await here.propose()
        assert [one["round"] for one in here.said(PROPOSE)] == [1, 2]
        final = here.said(FINAL)[0]["checkpoint"]
        assert final["round"] == 2
        assert final["observation"]["restarts"] == 13
        assert len(here.checkpoints(here.houses[6], "node0")) == 1


@in_town
async def test_four_voters_make_no_checkpoint(town: Town) -> None:
    async with hall(town, count=5) as here:
        assert await here.propose()
        assert len(here.said(VOTE)) == 8, "two rounds"
        assert here.said(FINAL) == []
        assert all(here.checkpoints(house, "node0") == [] for house in here.houses)


@in_town
async def test_alone_on_the_broker_a_proposal_has_one_round(town: Town) -> None:
    async with hall(town, count=1) as here:
        began_s = trio.current_time()
        assert not await here.propose()
        assert trio.current_time() - began_s >= WINDOW_S
        assert [one["round"] for one in here.said(PROPOSE)] == [1]


# -- whoever else is on the broker --------------------------------------------------------------


Votes = Callable[[Proposal], list[bytes]]


def _votes(*voters: Identity) -> Votes:
    def of(proposal: Proposal) -> list[bytes]:
        return [
            encode(vote(one, proposal, proposal.observation, "", approved=True)) for one in voters
        ]

    return of


def _doubled(proposal: Proposal) -> list[bytes]:
    return _votes(*OTHERS[:1] * 20)(proposal)


def _forged(proposal: Proposal) -> list[bytes]:
    """Signed by strangers in the names of others."""
    said = [
        (vote(stranger, proposal, proposal.observation, "", approved=True), other)
        for stranger, other in zip(STRANGERS, OTHERS, strict=True)
    ]
    return [
        encode(msgspec.structs.replace(one, **fields))
        for one, other in said
        for fields in (
            {"attester": other.name, "attester_id": other.id},
            {"attester_id": other.id},
            {"attester": other.name},
        )
    ]


def _borrowed(proposal: Proposal) -> list[bytes]:
    """By one who is known, each time under another's id."""
    liar = OTHERS[0]
    votes = []
    for other in OTHERS:
        said = vote(liar, proposal, proposal.observation, "", approved=True)
        said = msgspec.structs.replace(said, attester_id=other.id)
        signed = liar.sign(attestation_of(claim_of(said), other.id))
        signature = base64.b64encode(signed).decode()
        votes += [encode(msgspec.structs.replace(said, signature=signature))]
    return votes


def _of_yesterday(proposal: Proposal) -> list[bytes]:
    old = msgspec.structs.replace(proposal, as_of_time=proposal.as_of_time - DAY_S)
    return _votes(*OTHERS)(old)


def _junk(proposal: Proposal) -> list[bytes]:
    return [b"", b"null", b"\xff", b"[" * 5_000, b"{}", b" " * 100_000, encode(proposal)]


@pytest.mark.parametrize(
    "votes", [_votes(*STRANGERS), _doubled, _forged, _borrowed, _of_yesterday, _junk]
)
def test_votes_that_prove_nothing_make_no_checkpoint(tmp_path: Path, votes: Votes) -> None:
    @in_town
    async def test(town: Town) -> None:
        async with hall(town, count=1) as here, trio.open_nursery() as nursery:
            nursery.start_soon(here.first.mesh.council.propose)
            await trio.sleep(1)
            proposal = msgspec.json.decode(here.broker.of(PROPOSE)[0], type=Proposal)
            for payload in votes(proposal):
                await here.broker.say(VOTE, payload)
            await trio.sleep(2 * WINDOW_S + 10)
            assert here.said(FINAL) == []

    test(tmp_path=tmp_path)


@in_town
async def test_the_same_votes_by_five_who_are_known_make_one(town: Town) -> None:
    async with hall(town, count=1) as here, trio.open_nursery() as nursery:
        nursery.start_soon(here.first.mesh.council.propose)
        await trio.sleep(1)
        proposal = msgspec.json.decode(here.broker.of(PROPOSE)[0], type=Proposal)
        for payload in _votes(*OTHERS[:5])(proposal):
            await here.broker.say(VOTE, payload)
        await trio.sleep(1)
        assert len(here.said(FINAL)) == 1, "at once, not at the end of the minute"


@in_town
async def test_what_is_not_worth_a_vote_gets_none(town: Town) -> None:
    async with hall(town, count=1) as here:
        other, stranger = OTHERS[0], STRANGERS[0]
        now_s = here.now_s()
        for payload in (
            here.proposal(stranger),
            here.proposal(other, at_s=now_s - 301),
            here.proposal(other, at_s=now_s + 301),
            here.proposal(here.first.node.identity),
            here.proposal(other)[:-1],
            encode(msgspec.structs.replace(_parsed(here.proposal(other)), version=1)),
            encode(msgspec.structs.replace(_parsed(here.proposal(stranger)), subject_id=other.id)),
        ):
            await here.broker.say(PROPOSE, payload)
        await trio.sleep(10)
        assert here.said(VOTE) == []
        await here.broker.say(PROPOSE, here.proposal(OTHERS[2]))  # of whom nothing is known
        await trio.sleep(10)
        assert here.said(VOTE) == []
        await here.broker.say(PROPOSE, here.proposal(other))
        await trio.sleep(10)
        assert [one["subject"] for one in here.said(VOTE)] == [other.name]


@in_town
async def test_with_whom_is_banned_nothing_is_agreed_on(town: Town) -> None:
    async with hall(town, count=1) as here, trio.open_nursery() as nursery:
        node = here.first.node
        await here.remember(OTHERS[0].name, 1)
        ban = Sentence(OTHERS[0].name, "ban", "", node.world.clock.now_ns())
        await node.admission.submit(PeerRules(), [ban])
        await here.broker.say(PROPOSE, here.proposal(OTHERS[0]))
        await trio.sleep(10)
        assert here.said(VOTE) == []
        nursery.start_soon(here.first.mesh.council.propose)
        await trio.sleep(1)
        proposal = msgspec.json.decode(here.broker.of(PROPOSE)[-1], type=Proposal)
        for payload in _votes(*OTHERS[:5])(proposal):
            await here.broker.say(VOTE, payload)
        await trio.sleep(2 * WINDOW_S + 10)
        assert here.said(FINAL) == [], "four votes that count are too few"


def _parsed(payload: bytes) -> Proposal:
    return msgspec.json.decode(payload, type=Proposal)


@in_town
async def test_a_vote_signs_the_proposed_numbers_if_they_are_close_and_else_our_own(
    town: Town,
) -> None:
    async with hall(town, count=1) as here:
        await here.remember("other0", 9)
        start = 1_700_000_000
        for restarts in (9, 14, 15):
            tally = Tally(restarts=restarts, start_time=start + 60)
            await here.broker.say(PROPOSE, here.proposal(OTHERS[0], tally=tally))
            await trio.sleep(10)
        votes = here.said(VOTE)
        assert [one["approved"] for one in votes] == [True, True, False]
        assert [one["observation"]["restarts"] for one in votes] == [9, 14, 9]
        assert votes[2]["observation"]["start_time"] == start


@in_town
async def test_a_node_that_is_not_awake_yet_does_not_vote(town: Town) -> None:
    async with hall(town, count=1) as here:
        here.first.mesh.recovery.progress.ended_ns = 0
        await here.broker.say(PROPOSE, here.proposal(OTHERS[0]))
        await trio.sleep(10)
        assert here.said(VOTE) == []


@in_town
async def test_a_flood_of_proposals_by_one_name_gets_few_votes(town: Town) -> None:
    async with hall(town, count=1) as here:
        for n in range(100):
            await here.broker.say(PROPOSE, here.proposal(OTHERS[0], at_s=here.now_s() - n))
        await trio.sleep(10)
        assert len(here.said(VOTE)) == VOTES_AT_ONCE
        await here.broker.say(PROPOSE, here.proposal(OTHERS[1]))
        await trio.sleep(10)
        assert len(here.said(VOTE)) == VOTES_AT_ONCE + 1, "others are not made to wait"


@in_town
async def test_an_old_proposal_said_again_gets_no_vote_and_costs_its_subject_none(
    town: Town,
) -> None:
    async with hall(town, count=1) as here:
        old = here.proposal(OTHERS[0])
        for _ in range(20):
            await here.broker.say(PROPOSE, old)
        await trio.sleep(10)
        assert len(here.said(VOTE)) == 1
        for _ in range(20):
            await here.broker.say(PROPOSE, old)
        for _ in range(3):
            await trio.sleep(1)
            await here.broker.say(PROPOSE, here.proposal(OTHERS[0]))
        await trio.sleep(10)
        assert len(here.said(VOTE)) == VOTES_AT_ONCE


@in_town
async def test_a_vote_refers_to_what_the_proposer_refers_to_if_it_is_of_the_same_second(
    town: Town,
) -> None:
    async with hall(town, count=1) as here:
        subject = OTHERS[0]
        both = [_final(here, OTHERS[1:6], subject, restarts=n) for n in (1, 2)]
        for payload in both:
            await here.broker.say(FINAL, payload)
        await trio.sleep(5)
        ids = here.checkpoints(here.first, subject.name)
        assert len(ids) == 2
        for reference in (*ids, "f" * 32):
            said = propose(subject, NOTHING, reference, here.now_s(), 1)
            await here.broker.say(PROPOSE, encode(said))
            await trio.sleep(5)
        referred = [one["last_seen_checkpoint_id"] for one in here.said(VOTE)]
        assert referred == [*ids, ids[-1]]


@in_town
async def test_two_liars_do_not_change_what_five_agreed_on(town: Town) -> None:
    async with hall(town, count=1) as here:
        subject = OTHERS[7]
        await here.broker.say(FINAL, _final(here, OTHERS[:5], subject))
        await trio.sleep(5)
        lie = _final(here, [*OTHERS[:2], *STRANGERS[:3]], subject, restarts=999)
        await here.broker.say(FINAL, lie)
        await trio.sleep(5)
        assert here.first.node.ledger.index.counts()["checkpoint"] == 2
        assert here.first.node.projections.opinion(subject.name).counted_restarts == 3


def _final(
    here: Hall, voters: Sequence[Identity], subject: Identity = OTHERS[7], restarts: int = 3
) -> bytes:
    plain = Checkpoint(
        version=2,
        subject=subject.name,
        subject_id=subject.id,
        observation=Tally(restarts=restarts, total_uptime=86_400, start_time=1_700_000_000),
        as_of_time=here.now_s(),
        round=1,
    )
    now_ns = here.first.node.world.clock.now_ns()
    return make_event(with_voters(plain, voters), now_ns, None).body


@in_town
async def test_what_others_agreed_on_is_kept_if_it_is_proved_here(town: Town) -> None:
    async with hall(town, count=1) as here:
        me = here.first.node.identity
        refused = [
            _final(here, OTHERS[:4]),  # too few
            _final(here, [*OTHERS[:4], OTHERS[0]]),  # and one of them twice
            _final(here, STRANGERS[:6]),  # of nobody who is known
            _final(here, [OTHERS[0], *STRANGERS[:5]]),  # of one who is
            _final(here, OTHERS[:5], subject=me),  # about us: we know what was agreed on
            _final(here, OTHERS[:5]).replace(b'"restarts":3', b'"restarts":4'),
            b"{}",
            b" " * 70_000,
        ]
        for payload in refused:
            await here.broker.say(FINAL, payload)
        await trio.sleep(5)
        index = here.first.node.ledger.index
        assert index.counts()["checkpoint"] == 0
        await here.broker.say(FINAL, _final(here, [*OTHERS[:2], *STRANGERS[:3]]))
        await trio.sleep(5)
        assert len(here.checkpoints(here.first, OTHERS[7].name)) == 1


@in_town
async def test_of_a_flood_of_what_was_agreed_on_little_is_looked_at(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(council, "FINALS_BURST", 2)
    async with hall(town, count=1) as here:
        for subject in OTHERS[5:]:
            await here.broker.say(FINAL, _final(here, OTHERS[:5], subject))
        await trio.sleep(5)
        index = here.first.node.ledger.index
        assert index.counts()["checkpoint"] == 2
        await trio.sleep(60)
        await here.broker.say(FINAL, _final(here, OTHERS[:5]))
        await trio.sleep(5)
        assert index.counts()["checkpoint"] == 3
