"""Postboxes and naras agree on checkpoints about each other, each by its own rules."""

from __future__ import annotations

import json

import trio

from support.hall import OTHERS, Hall, hall
from support.mesh import id_of_body
from support.nara_council import BALLOT, FINAL, PROPOSE, VOTE, NaraVoter
from support.nara_events import Event
from support.town import Town, in_town

START_S = 1_700_000_000
SAME: Event = {"restarts": 1, "start_time": START_S}


def naras(here: Hall, *, knows: Event = SAME) -> list[NaraVoter]:
    everybody = [*OTHERS, *(house.node.identity for house in here.houses)]
    ring = {one.id: one.public_key for one in everybody}
    return [NaraVoter(who, ring, lambda _: dict(knows)) for who in OTHERS]


@in_town
async def test_naras_agree_with_a_postbox_on_what_it_proposes(town: Town) -> None:
    async with hall(town, count=1) as here, trio.open_nursery() as nursery:
        voters = naras(here)[:6]
        for previous in ("", "goes on"):
            before = len(here.broker.of(FINAL))
            nursery.start_soon(here.first.mesh.council.propose)
            await trio.sleep(1)
            proposal = here.broker.of(PROPOSE)[-1]
            for voter in voters:
                await here.broker.say(VOTE, voter.vote_on(proposal))
            await trio.sleep(5)
            finals = here.broker.of(FINAL)
            assert len(finals) == before + 1
            assert all(voter.hear_final(finals[-1]) for voter in voters)
            assert [voter.complaints for voter in voters] == [[]] * 6
            said = json.loads(finals[-1])["checkpoint"]
            assert bool(said.get("previous_checkpoint_id")) is bool(previous)
            assert len(said["voter_ids"]) >= 6
        assert len(here.checkpoints(here.first, "node0")) == 2


@in_town
async def test_postboxes_agree_with_a_nara_on_what_it_proposes(town: Town) -> None:
    async with hall(town, count=6) as here:
        nara = naras(here)[0]
        proposal = nara.proposal(here.now_s())
        await here.broker.say(PROPOSE, proposal)
        await trio.sleep(5)
        votes = here.broker.of(VOTE)
        assert len(votes) == 6
        assert all(json.loads(vote)["approved"] for vote in votes)
        now_ns = here.first.node.world.clock.now_ns()
        final = nara.final(proposal, votes, now_ns)
        assert nara.complaints == []
        assert nara.hear_final(final)
        await here.broker.say(FINAL, final)
        await trio.sleep(5)
        kept = [here.checkpoints(house, nara.who.name) for house in here.houses]
        assert kept == [[id_of_body(final).hex()]] * 6


@in_town
async def test_a_nara_that_is_far_off_is_told_what_postboxes_know(town: Town) -> None:
    async with hall(town, count=1) as here:
        nara = naras(here, knows={"restarts": 40, "start_time": START_S})[0]
        await here.broker.say(PROPOSE, nara.proposal(here.now_s()))
        await trio.sleep(5)
        (vote,) = here.broker.of(VOTE)
        said = nara.read(vote, BALLOT)
        assert nara.complaints == []
        assert (said["approved"], said["observation"]) == (False, SAME)
