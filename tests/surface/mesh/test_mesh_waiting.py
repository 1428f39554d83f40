"""A node's list of who waits for its operator: kept by the log, also over a restart."""

from __future__ import annotations

from pathlib import Path

from postbox.node import Node
from postbox.trust.keys import Identity
from postbox.trust.tables import Source
from postbox.trust.waiting_rules import WaitingRules, admit_draft, refuse_draft, waiting_draft
from support.mesh import ANN, BOB, CAT, PEER, believe, node_at, standings, take, tease


async def wait(node: Node, *who: Identity) -> None:
    drafts = [
        waiting_draft(node.world.new_id(), one.name, one.public_key, one.id, "203.0.113.5", PEER)
        for one in who
    ]
    await node.admission.submit(WaitingRules(), drafts)


def names(node: Node) -> list[str]:
    return [one.name for one in node.waiting.all()]


async def test_who_waits_is_there_after_a_restart_and_who_was_answered_is_not(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        await wait(node, ANN, BOB, CAT)
        assert names(node) == ["ann", "bob", "cat"]
        await node.admission.submit(WaitingRules(), [refuse_draft(node.world.new_id(), "bob")])
        await believe(node, CAT)
        assert names(node) == ["ann"]
    async with node_at(tmp_path) as node:
        assert names(node) == ["ann"]
        assert node.directory.key_of("ann") is None


async def test_what_a_name_signed_while_it_waited_is_proved_when_it_is_admitted(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        await wait(node, ANN)
        await take(node, [tease(1)])
        assert standings(node) == (0, 1, 0)
        await node.admission.submit(WaitingRules(), [admit_draft(node.world.new_id(), "ann")])
        await node.settle()
        assert standings(node) == (1, 0, 0)
        known = node.directory.get("ann")
        assert known is not None
        assert known.source is Source.ADMITTED
