"""What a node learns of what peers send: from what was committed and is proved, once a commit, and
nothing that it does not care to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postbox.mesh.merging.intake import Report
from postbox.mesh.merging.news import Farewell, Hello, News, Trip
from postbox.mesh.projections.presence import Presence
from postbox.node import Node
from postbox.trust.authoring import Observation, Ping, Social, make_event
from postbox.trust.keys import Identity
from support.mesh import (
    ANN,
    BOB,
    CAT,
    MALLORY,
    NOW_NS,
    PEER,
    believe,
    chau_of,
    hey_there,
    impostor,
    node_at,
    observation,
    take,
    tease,
)

S = 10**9
FALSE_ANN = impostor("ann")


def ping(by: Identity, target: str, ago_s: int, rtt_ms: float = 1.5) -> bytes:
    return make_event(
        Ping(observer=by.name, target=target, rtt=rtt_ms), NOW_NS - ago_s * S, by
    ).body


def chau(who: Identity, ago_s: int) -> bytes:
    return chau_of(who, NOW_NS - ago_s * S)


def online(node: Node, *names: str) -> list[Presence]:
    return [node.projections.online(name) for name in names]


def heard(node: Node) -> list[News]:
    told: list[News] = []
    node.news.listen(told.append)
    return told


# -- news ---------------------------------------------------------------------------------------


async def test_a_commit_is_told_once_with_all_that_it_teaches(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN, BOB)
        told = heard(node)
        bodies = [hey_there(ANN, 9), chau(BOB, 8), ping(ANN, "dan", 7, 2.25), tease(6)]
        await take(node, bodies, PEER)
    assert told == [
        News(
            names=("ann", "bob", "dan"),
            hellos=(Hello("ann", "", ANN.id, NOW_NS - 9 * S),),
            chaus=(Farewell("bob", NOW_NS - 8 * S),),
            pings=(Trip("ann", "dan", 2.25, NOW_NS - 7 * S),),
        )
    ]


async def test_what_is_not_proved_teaches_nothing(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN)
        told = heard(node)
        unsigned = make_event(Ping(observer="ann", target="bob", rtt=1.0), NOW_NS, None).body
        bodies = [observation(1), unsigned, ping(CAT, "bob", 2), tease(3, BOB, signer=MALLORY)]
        report = await take(node, bodies, PEER)
        assert report.imported == 4
        forged = [hey_there(FALSE_ANN, 4), tease(5, ANN, signer=FALSE_ANN)]
        assert (await take(node, forged, PEER)).rejected.total() == 2
        assert told == []
        assert online(node, "ann", "bob", "cat", "mallory") == ["unknown"] * 4


async def test_what_turns_out_to_be_true_later_is_told_then(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        told = heard(node)
        await take(node, [ping(CAT, "bob", 2)], PEER)
        assert told == []
        await believe(node, CAT)
        assert told == [News(("bob", "cat"), pings=(Trip("cat", "bob", 1.5, NOW_NS - 2 * S),))]
        assert online(node, "cat", "bob") == ["online", "online"]


async def test_what_is_known_is_told_no_second_time(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN)
        await take(node, [tease(1)], PEER)
        told, version = heard(node), node.projections.version
        assert await take(node, [tease(1), tease(1)], PEER) == Report(duplicates=2)
        assert (told, node.projections.version) == ([], version)


# -- views --------------------------------------------------------------------------------------


async def test_an_answer_makes_the_views_look_again_once(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN)
        version = node.projections.version
        assert (await take(node, list(map(tease, range(1, 501))), PEER)).imported == 500
        assert node.projections.version == version + 1


async def test_a_node_that_starts_again_thinks_what_it_thought(tmp_path: Path) -> None:
    bodies = [hey_there(ANN, 5), chau(BOB, 8), ping(ANN, "dan", 9), observation(3, subject="eve")]

    async def thoughts(node: Node) -> list[Any]:
        names = ["ann", "bob", "cat", "dan", "eve"]
        opinions = [node.projections.opinion(name) for name in names]
        clout, ways = await node.projections.clout(), await node.projections.round_trips()
        return [online(node, *names), opinions, clout, ways, node.projections.names()]

    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN, BOB)
        await take(node, [*bodies, *map(tease, range(1, 9))], PEER)
        before = await thoughts(node)
    assert before[0] == ["online", "offline", "unknown", "online", "unknown"]
    assert before[1][4].uptime_s == 3
    assert before[2].keys() == {"ann"}
    assert before[3] == {("ann", "dan"): 1.5}
    async with node_at(tmp_path / "home") as node:
        assert await thoughts(node) == before


async def test_who_is_forgotten_is_unknown_again(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home", capacity=10) as node:
        await believe(node, ANN, BOB)
        await take(node, [ping(ANN, "dan", 100)], PEER)
        assert online(node, "ann", "dan") == ["online", "online"]
        await take(node, [hey_there(BOB, nth) for nth in range(1, 11)], PEER)
        assert online(node, "ann", "dan", "bob") == ["unknown", "unknown", "online"]


async def test_liars_make_no_living_node_look_gone(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN, MALLORY)
        gone = Observation(
            observer="mallory",
            subject="ann",
            type="status-change",
            importance=2,
            online_state="OFFLINE",
        )
        lies = [make_event(gone, NOW_NS - nth * S, MALLORY).body for nth in range(3)]
        await take(node, [*lies, hey_there(ANN, 200)], PEER)
        assert online(node, "ann") == ["online"]


# -- taste --------------------------------------------------------------------------------------


def status_change(importance: int) -> bytes:
    told = Observation(
        observer="ann",
        subject="bob",
        type="status-change",
        importance=importance,
        online_state="ONLINE",
    )
    return make_event(told, NOW_NS - importance * S, None).body


async def test_small_talk_of_peers_is_not_kept_by_a_chill_node(tmp_path: Path) -> None:
    restart = Observation(
        observer="ann", subject="bob", type="restart", importance=1, start_time=1, restart_num=1
    )
    comeback = Social(type="tease", actor="ann", target="bob", reason="comeback")
    kept = [
        make_event(restart, NOW_NS, None).body,
        make_event(comeback, NOW_NS, ANN).body,
        ping(ANN, "bob", 1),
    ]
    async with node_at(tmp_path / "home", chill=81) as node:
        await believe(node, ANN)
        reports: list[Report] = []
        node.intake.listen(lambda _, report: reports.append(report))
        bodies = [tease(1), tease(2), status_change(1), status_change(2), *kept]
        expected = Report(imported=4, filtered=3)
        assert await take(node, bodies, PEER) == expected
        assert reports == [expected]
        assert expected.total == len(bodies)
        assert len(node.ledger.index) == 4
        assert await take(node, bodies, PEER) == Report(duplicates=4, filtered=3)


async def test_an_import_is_taken_whatever_the_taste(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home", chill=99, sociability=0, agreeableness=99) as node:
        await believe(node, ANN)
        assert await take(node, [tease(1), status_change(1)]) == Report(imported=2)


@pytest.mark.parametrize("taste", [{}, {"chill": 70, "sociability": 30, "agreeableness": 80}])
async def test_at_its_default_nothing_is_dropped(tmp_path: Path, taste: dict[str, Any]) -> None:
    async with node_at(tmp_path / "home", **taste) as node:
        await believe(node, ANN)
        assert await take(node, [tease(1), status_change(1)], PEER) == Report(imported=2)
