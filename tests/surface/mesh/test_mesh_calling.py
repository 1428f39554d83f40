"""Whom a node calls at an address that others told, and whom it does not answer."""

from __future__ import annotations

import pytest

from postbox.mesh.calling.introductions import MeetingFault
from postbox.mesh.peers.standing_rules import Offence
from postbox.mesh.wire import SyncRequest
from support.mesh import ANN, BOB, CAT, believe
from support.nara import nara_in
from support.town import Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"


@in_town
async def test_who_is_looked_for_must_be_there_and_nobody_else_is_learned(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, url):
        await believe(box.node, BOB)
        with pytest.raises(MeetingFault, match="is cat, and bob was looked for there"):
            await box.mesh.peer(url, "bob").meet()
        with pytest.raises(MeetingFault, match=r"the key of cat at .* is not known"):
            await box.mesh.peer(url, "cat").meet()
        assert box.node.directory.key_of("cat") is None
        await believe(box.node, CAT)
        cat.knows(box.node.identity)
        heard = await box.mesh.peer(url, "cat").ask(SyncRequest(mode="recent"), box.node.intake)
        assert heard.peer == "cat"
        assert cat.complaints == []


@in_town
async def test_a_banned_name_is_answered_nothing_and_takes_nothing_in(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        await believe(box.node, ANN, CAT)
        for _ in range(4):
            await box.mesh.peers.accuse("cat", Offence.LIED, "it said so")
        for path in ("/events/sync", "/gossip/zine", "/dm"):
            answer = await cat.post(box.url, path, cat.zine())
            assert (answer.status, b"no dealings with cat" in answer.body) == (403, True)
        assert len(box.node.ledger.index) == 0
