"""What the node of the second version lived through: something in each table of the mesh and of
trust."""

from __future__ import annotations

from pathlib import Path

from postbox.mesh.calling.introductions import Met
from postbox.mesh.coordinates.vivaldi import Coordinate
from postbox.mesh.peers.standing_rules import Offence
from postbox.mesh.wire import MODES, About
from postbox.metrics import Metrics
from postbox.node import Node
from postbox.rules import Payer
from postbox.trust.authoring import Ping, make_event
from postbox.trust.rules import KeyRules, configured_draft
from postbox.trust.waiting_rules import WaitingRules, waiting_draft
from support.mesh import (
    ANN,
    BOB,
    CAT,
    MALLORY,
    NOW_NS,
    PEER,
    believe,
    checkpoint,
    hey_there,
    impostor,
    node_at,
    observation,
    take,
    tease,
)

URL, OTHER_URL = "http://100.64.0.7:7433", "http://100.64.0.8:7433"
FALSE_CAT = impostor("cat")
ROOM = 12
"""So that some of the events are gone."""


async def live(home: Path) -> None:
    async with node_at(home, ROOM, "second", peers=(URL,)) as node:
        await _get_to_know(node)
        ping = Ping(observer="bob", target="cat", rtt=12.5)
        events = [*map(tease, range(20, 30)), *map(observation, range(30, 33))]
        events += [checkpoint([ANN, BOB], 4), make_event(ping, NOW_NS - 3 * 10**9, BOB).body]
        await take(node, [*events, hey_there(BOB, 2), hey_there(CAT, 1)], PEER)
        await _meet(node)


async def _get_to_know(node: Node) -> None:
    """One name had a key that nobody vouches for, and lost it; another waits."""
    await believe(node, ANN, BOB)
    await take(node, [hey_there(FALSE_CAT, 9), tease(8, FALSE_CAT, "ann", FALSE_CAT)], PEER)
    new_id = node.world.new_id
    proved = configured_draft(new_id(), "cat", CAT.public_key, CAT.id, URL)
    await node.admission.submit(KeyRules(), [proved])
    waits = waiting_draft(
        new_id(), "mallory", MALLORY.public_key, None, "192.0.2.7", Payer("peer", "192.0.2.7")
    )
    await node.admission.submit(WaitingRules(), [waits])
    await node.settle()


async def _meet(node: Node) -> None:
    about = About("1.2.3", list(MODES), URL, "hog", 3_600)
    async with node.open_mesh(Metrics()) as mesh:
        roster = mesh.peers
        (cat,) = roster.configured
        roster.met(cat, Met("cat", about, 12.5, 0.0))
        roster.succeeded(cat)
        roster.walked(cat, NOW_NS - 5 * 10**9)
        roster.told("bob", OTHER_URL)
        await roster.accuse("bob", Offence.LITTERED, "52 of 60 events were of no use")
        mesh.coordinates.heard("cat", Coordinate(3.0, 4.0, 1.0, 0.5))
        mesh.coordinates.measured("cat", 12.5, NOW_NS)
        await mesh.saver.save(is_last=True)
