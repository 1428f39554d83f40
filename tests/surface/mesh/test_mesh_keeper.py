"""What the node does by itself, without a verb that waits for it: hand back, check again, go on."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from postbox.home import DATABASE
from postbox.mesh.audit import audit
from postbox.mesh.drafts import drafts_of
from postbox.mesh.rules import MeshRules
from postbox.node import Node
from postbox.rules import Accepted
from postbox.trust.keys import identity_of
from postbox.trust.rules import KeyRules, operator_draft
from postbox.trust.tables import LIMITS, Group, Source
from support.mesh import (
    ANN,
    BOB,
    CAT,
    OPERATOR,
    PEER,
    believe,
    checkpoint,
    hey_there,
    impostor,
    node_at,
    standings,
    stored,
    take,
    tease,
)

FALSE_ANN = impostor("ann")
PATIENCE_S = 60.0  # a loop that never ends is a failure, not a hang


async def until_stored(node: Node, count: int) -> None:
    """Waits for the node's own tasks: nothing here settles."""
    with trio.fail_after(PATIENCE_S):
        while len(await stored(node)) != count:
            await trio.lowlevel.checkpoint()


async def test_the_keeper_hands_back_what_the_ledger_drops_as_it_comes(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home", capacity=4) as node:
        for round_ in range(1, 4):  # it has to wake more than once
            bodies = [tease(100 - 10 * round_ - number) for number in range(6)]
            await node.intake.take(await node.intake.decode(bodies), OPERATOR)
            await until_stored(node, 4)


async def test_the_keeper_checks_events_whose_key_has_come(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        await node.intake.take(await node.intake.decode([tease(1)]), OPERATOR)
        draft = operator_draft(node.world.new_id(), ANN.name, ANN.public_key, None)
        await node.admission.submit(KeyRules(), [draft])
        with trio.fail_after(PATIENCE_S):
            while standings(node) != (1, 0, 0):
                await trio.lowlevel.checkpoint()


async def test_a_key_that_comes_in_one_commit_with_an_event_finds_it(tmp_path: Path) -> None:
    """The event was verified without the key, and decided before it."""
    async with node_at(tmp_path / "home") as node:
        batch = await node.intake.decode([tease(1)])
        batch.verify(node.directory.keys)
        (event,) = drafts_of(batch, OPERATOR)
        key = operator_draft(node.world.new_id(), ANN.name, ANN.public_key, None)

        async def submit_event() -> None:
            (outcome,) = await node.admission.submit(MeshRules(), [event])
            assert isinstance(outcome, Accepted)

        head = node.tail.head
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit_event)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(node.admission.submit, KeyRules(), [key])
        await node.settle()
        assert node.tail.head > head
        assert standings(node) == (1, 0, 0)


async def test_an_unsigned_hey_there_with_another_key_goes_when_the_key_is_known(
    tmp_path: Path,
) -> None:
    """So that it makes no difference which came first."""
    false = hey_there(FALSE_ANN).replace(b'"emitter":"ann",', b"")
    start = false.index(b'"sig":"')
    unsigned = false[:start] + false[false.index(b'","', start) + 3 - 1 :]
    async with node_at(tmp_path / "home") as node:
        assert (await take(node, [unsigned])).imported == 1
        await believe(node, ANN)
        assert await stored(node) == []


async def test_a_checkpoint_goes_when_a_third_vote_turns_out_to_be_false(tmp_path: Path) -> None:
    false_cat = impostor("cat")
    body = checkpoint([BOB, ANN, false_cat]).replace(false_cat.id.encode(), CAT.id.encode())
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN, BOB)
        assert (await take(node, [body])).imported == 1
        assert standings(node) == (1, 0, 0)
        await believe(node, CAT)
        assert await stored(node) == []


async def test_a_damaged_entry_is_named_by_verify_and_keeps_no_verb_from_its_work(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    async with node_at(home) as node:
        await take(node, [tease(1), tease(2), tease(3)])
        pos = (await stored(node))[1].pos
    database = apsw.Connection(str(home / DATABASE))
    database.execute("update entry set body = x'00' where pos = ?", (pos,))
    database.close()
    async with node_at(home) as node:
        assert len(node.ledger.index) == 2
        result = await audit(node, lambda *_: None)
        assert (result.checked, result.wrong) == (3, [(pos, "not_json")])
        assert (await take(node, [tease(4)])).imported == 1


async def test_peers_answers_make_so_many_names_known_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, Group.TOLD, 3)
    minted = [identity_of(f"minted{n}", bytes([n]) * 32) for n in range(5)]
    async with node_at(tmp_path / "home") as node:
        await take(node, [hey_there(one, 9 - n) for n, one in enumerate(minted)], PEER)
        assert node.directory.room_for(Source.ANSWER) == 0
        assert standings(node) == (3, 2, 0)
        await take(node, [hey_there(CAT)], PEER)
        assert node.directory.get("cat") is None
        await take(node, [hey_there(BOB)], OPERATOR)
        known = node.directory.get("bob")
        assert known is not None
        assert known.source is Source.HEY_THERE
    async with node_at(tmp_path / "home") as node:
        assert node.directory.room_for(Source.ANSWER) == 0
