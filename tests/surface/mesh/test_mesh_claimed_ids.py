"""An id that a stranger claims as its own, and the checkpoints of whoever really has it."""

from __future__ import annotations

from pathlib import Path

from postbox.mesh.audit import audit
from postbox.node import Node
from postbox.rules import Accepted, Rejected
from postbox.trust.keys import Identity, identity_of
from postbox.trust.rules import KeyRules, introduction_draft, operator_draft
from postbox.trust.waiting_rules import WaitingRules, admit_draft, waiting_draft
from support.mesh import (
    ANN,
    BOB,
    CAT,
    MALLORY,
    PEER,
    believe,
    checkpoint,
    node_at,
    standings,
    stored,
    take,
)


async def introduced(node: Node, who: Identity, voter_id: str) -> None:
    """`who` comes as under the policy `open`."""
    draft = introduction_draft(node.world.new_id(), who.name, who.public_key, voter_id, PEER)
    [outcome] = await node.admission.submit(KeyRules(), [draft])
    await node.settle()
    assert isinstance(outcome, Accepted)


async def test_who_claims_the_id_of_a_voter_spoils_no_checkpoint_of_its_owner(
    tmp_path: Path,
) -> None:
    early, late = checkpoint([ANN, BOB, CAT], 1), checkpoint([ANN, BOB, CAT], 2)
    async with node_at(tmp_path) as node:
        await believe(node, ANN, CAT)
        assert (await take(node, [early])).imported == 1
        await introduced(node, MALLORY, BOB.id)
        assert len(await stored(node)) == 1, "what bob voted for is still there"
        assert (await take(node, [late])).imported == 1
        assert standings(node) == (2, 0, 0)
        await believe(node, BOB)
        assert node.directory.keys.name_of(BOB.id) == "bob"
        assert standings(node) == (2, 0, 0)
        result = await audit(node, lambda *_: None)
        assert (result.checked, result.wrong) == (2, [])
    async with node_at(tmp_path) as node:
        assert standings(node) == (2, 0, 0)
        assert node.directory.keys.name_of(BOB.id) == "bob"


async def test_who_introduces_itself_under_two_names_attests_no_checkpoint(tmp_path: Path) -> None:
    one, two = (identity_of(name, name.encode().ljust(32, b"!")) for name in ("one", "two"))
    made_up = checkpoint([one, two])
    async with node_at(tmp_path) as node:
        for who in (one, two):
            await introduced(node, who, who.id)
        assert (await take(node, [made_up])).imported == 1
        assert standings(node) == (0, 1, 0)
    async with node_at(tmp_path) as node:
        assert standings(node) == (0, 1, 0), "nor after a restart"


async def test_votes_count_once_the_operator_has_said_whose_id_it_is(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await introduced(node, BOB, BOB.id)
        cat = waiting_draft(node.world.new_id(), "cat", CAT.public_key, CAT.id, "100.64.0.3", PEER)
        await node.admission.submit(WaitingRules(), [cat])
        await take(node, [checkpoint([BOB, CAT])])
        assert standings(node) == (0, 1, 0)
        await node.admission.submit(WaitingRules(), [admit_draft(node.world.new_id(), "cat")])
        await node.settle()
        assert standings(node) == (0, 1, 0), "one voter is known now"
        await believe(node, BOB)
        assert standings(node) == (1, 0, 0)


async def test_a_squatter_of_an_id_keeps_its_owner_neither_from_coming_nor_from_getting_it(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        await introduced(node, MALLORY, BOB.id)
        await introduced(node, BOB, BOB.id)
        assert node.directory.keys.name_of(BOB.id) is None
        [given] = await believe(node, BOB)
        assert isinstance(given, Accepted)
        assert node.directory.keys.name_of(BOB.id) == "bob"
        assert node.directory.key_of("mallory") == MALLORY.public_key, "a name like any other"
        wanted = operator_draft(node.world.new_id(), "mallory", MALLORY.public_key, BOB.id)
        [refused] = await node.admission.submit(KeyRules(), [wanted])
        assert isinstance(refused, Rejected)
        assert refused.reason.code == "id_taken"
