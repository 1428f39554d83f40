"""What the page about peers says of bounds and points is what the code does."""

from __future__ import annotations

from postbox.mesh.peers import finding, query, roster, standing_rules
from postbox.mesh.peers.choosing_rules import MOST_WEIGHT
from postbox.mesh.peers.known import Origin
from postbox.mesh.peers.offences import FEW, MANY
from postbox.mesh.peers.standing_rules import POINTS, Offence
from postbox.mesh.wire import URL_HEADER
from structure.pages import PAGES, unsaid, untold

PAGE = PAGES["mesh-peers"]


def test_every_origin_and_offence_is_explained_with_its_points() -> None:
    assert unsaid((*Origin, *Offence), PAGE) == []
    assert (
        untold([f"| `{offence}` | {points:g} |" for offence, points in POINTS.items()], PAGE) == []
    )


def test_every_bound_is_told() -> None:
    told = (
        f"`GET {query.PATH}`",
        f"{query.MAX_ASKED} in all",
        f"every {finding.TURN_S:g} s",
        f"up to {finding.LOOK_UPS} are looked for",
        f"once in {finding.AGAIN_NS // 10**9} s",
        f"up to {finding.CALLS} are called on",
        f"the {finding.RECENT} newest events",
        f"forgotten after {finding.FORGET_AFTER}",
        f"that {finding.FORGET_AFTER} look-ups did not find",
        f"after {roster.MOVED_FAILURES} failures in a row",
        f"holds {roster.MAX_PEERS:,} peers",
        f"it holds {roster.MAX_STRANGERS};",
        f"at most {MOST_WEIGHT:g} times as likely",
        f"From {standing_rules.DEMOTED_AT:g} on a peer is demoted",
        f"from {standing_rules.BANNED_AT:g} on banned",
        f"More than {standing_rules.MOST_POINTS:g} points",
        f"up to {standing_rules.MILD_POINTS:g} points",
        f"halve every {standing_rules.HALF_LIFE_NS // (3600 * 10**9)} hours",
        f"{FEW} or more events in one walk",
        f"{MANY} or more useless events",
        f"within {roster.HERE_NS // (60 * 10**9)} minutes",
        f"within {roster.ANSWERED_NS // 10**9} s before",
    )
    assert untold(told, PAGE) == []
    assert f"### `{URL_HEADER.title()}`" in PAGE
