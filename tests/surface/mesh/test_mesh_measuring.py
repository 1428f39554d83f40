"""Nodes measure the ways to each other on virtual time, and find their places by it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import trio

from postbox.mesh.coordinates.coordinates import AGAIN_ERROR, Coordinates
from postbox.mesh.coordinates.measuring import EVERY_S, Measuring, Target
from postbox.mesh.coordinates.vivaldi import SPAN_MS, Coordinate
from postbox.metrics import Metrics
from postbox.net.asgi import JSON, Reply, text
from support.mesh import believe
from support.town import PORT, Canned, House, Town, after, in_town

ANN, BOB, CAT = "100.64.0.1", "100.64.0.2", "100.64.0.3"
PLACE = {"x": 30.0, "y": 0.0, "height": 1.0, "error": 0.2}


def url(address: str) -> str:
    return f"http://{address}:{PORT}"


def pings(house: House) -> list[dict[str, Any]]:
    """The ping events that the house holds, newest first."""
    found = house.node.ledger.index.recent(100, ("ping",), ())
    return [json.loads(body) for body in found.bodies()]


@in_town
async def test_two_nodes_find_how_far_they_are_apart(town: Town) -> None:
    async with (
        town.house(ANN, "ann", peers=(url(BOB),)) as ann,
        town.house(BOB, "bob", wrap=after(0.0205), peers=(url(ANN),)) as bob,
        trio.open_nursery() as loops,
    ):
        loops.start_soon(ann.mesh.keep_up)
        loops.start_soon(bob.mesh.keep_up)
        await trio.sleep(20 * EVERY_S + 1)
        known = ann.mesh.coordinates
        assert known.distance_ms("bob") == pytest.approx(20.5, abs=0.1)
        assert known.moves > 10
        assert known.place_of("bob") is not None
        said = pings(ann)[0]
        assert said["emitter"] == said["ping"]["observer"] == "ann"
        assert said["ping"]["target"] == "bob"
        assert said["ping"]["rtt"] == pytest.approx(20.5, abs=0.1), "with fractions"
        loops.cancel_scope.cancel()


@in_town
async def test_a_node_that_starts_again_is_where_it_was(town: Town) -> None:
    async with town.house(BOB, "bob", wrap=after(0.0205), peers=(url(ANN),)) as bob:
        async with (
            town.house(ANN, "ann", peers=(url(BOB),)) as ann,
            trio.open_nursery() as loops,
        ):
            loops.start_soon(ann.mesh.keep_up)
            loops.start_soon(ann.mesh.saver.run)
            loops.start_soon(bob.mesh.keep_up)
            await trio.sleep(20 * EVERY_S + 1)
            loops.cancel_scope.cancel()
        before = ann.mesh.coordinates.own
        assert ann.mesh.coordinates.moves > 10
        async with town.house(ANN, "ann", peers=(url(BOB),)) as ann:
            again = ann.mesh.coordinates.own
            assert (again.x, again.y, again.height) == (before.x, before.y, before.height)
            assert again.error == max(before.error, AGAIN_ERROR)
            ann.mesh.coordinates.restore(Coordinate(height=float("inf")))
            assert ann.mesh.coordinates.own == again


@in_town
async def test_where_a_node_is_can_be_asked_while_it_measures(town: Town) -> None:
    async with town.house(ANN, "ann") as ann, town.caller(BOB) as http:

        async def asked() -> Any:
            answer = await http.request(
                "GET", ann.url + "/coordinates", max_body_bytes=4096, deadline_s=5
            )
            assert answer.status == 200
            return json.loads(answer.body)

        assert await asked() == {"name": "ann", "coordinates": None}
        async with trio.open_nursery() as loops:
            loops.start_soon(ann.mesh.keep_up)
            await trio.sleep(1)
            own = ann.mesh.coordinates.own
            assert await asked() == {"name": "ann", "coordinates": msgspec.to_builtins(own)}
            loops.cancel_scope.cancel()
        assert await asked() == {"name": "ann", "coordinates": None}


# -- peers of all kinds -------------------------------------------------------------------------


@dataclass
class Bench:
    """A node whose measuring is done by hand."""

    house: House
    targets: list[Target] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        node = self.house.node
        self.known = Coordinates(node.world.random, "ann", "relative")
        self.measuring = Measuring(
            node.world,
            node.identity,
            self.known,
            node.intake,
            lambda: self.targets,
            self.house.mesh.peer,
            self.metrics,
        )

    def told(self, outcome: str) -> int:
        line = f'postbox_measurements_total{{outcome="{outcome}"}} '
        (figure,) = (
            each.removeprefix(line)
            for each in self.metrics.render().decode().splitlines()
            if each.startswith(line)
        )
        return int(float(figure))


@asynccontextmanager
async def bench(town: Town) -> AsyncIterator[Bench]:
    async with town.house(ANN, "ann") as house:
        await believe(house.node, house.node.identity)
        yield Bench(house)


def nara(place: object, name: str = "bob", said: str = "bob") -> Canned:
    """`said`: who it is by its coordinates."""
    return Canned(
        {
            "/ping": Reply(200, json.dumps({"from": name, "public_key": "x"}).encode(), JSON),
            "/coordinates": Reply(
                200, json.dumps({"name": said, "coordinates": place}).encode(), JSON
            ),
        },
        pause_s=0.032,
    )


@in_town
async def test_a_nara_is_measured_too(town: Town) -> None:
    async with bench(town) as here, town.serving(BOB, nara(PLACE)):
        here.targets.append(Target("bob", url(BOB)))
        await here.measuring.once()
        assert here.known.distance_ms("bob") == pytest.approx(32, abs=0.1)
        assert here.known.moves == 1
        assert here.told("done") == 1
        assert [one["ping"]["target"] for one in pings(here.house)] == ["bob"]


@in_town
async def test_a_peer_without_a_place_is_measured_and_moves_nobody(town: Town) -> None:
    async with bench(town) as here, town.serving(BOB, nara(None)):
        here.targets.append(Target("bob", url(BOB)))
        await here.measuring.once()
        assert here.known.distance_ms("bob") == pytest.approx(32, abs=0.1)
        assert here.known.moves == 0


@pytest.mark.parametrize(
    "answers",
    [
        nara({**PLACE, "x": SPAN_MS * 2}),
        nara({**PLACE, "error": -1}),
        nara({**PLACE, "x": "near"}),
        nara([]),
        nara(PLACE, said="eve"),
        nara(PLACE, name="eve"),
        Canned({"/ping": nara(PLACE).answers["/ping"]}),
        Canned({**nara(PLACE).answers, "/ping": text(500, "no")}),
        Canned({**nara(PLACE).answers, "/coordinates": Reply(200, b"[" * 10_000, JSON)}),
        Canned({**nara(PLACE).answers, "/coordinates": Reply(200, b" " * 100_000, JSON)}),
        Canned(nara(PLACE).answers, pause_s=6.0),
    ],
)
def test_who_is_not_what_was_looked_for_moves_nobody(tmp_path: Any, answers: Canned) -> None:
    @in_town
    async def test(town: Town) -> None:
        async with bench(town) as here, town.serving(BOB, answers):
            here.targets.append(Target("bob", url(BOB)))
            before = here.known.own
            await here.measuring.once()
            assert here.known.own == before
            assert (here.told("done"), here.told("failed")) == (0, 1)
            assert pings(here.house) == []

    test(tmp_path=tmp_path)


@in_town
async def test_who_was_never_measured_comes_first_then_who_was_longest_ago(town: Town) -> None:
    bob, cat = nara(PLACE), nara(PLACE, name="cat", said="cat")
    async with bench(town) as here, town.serving(BOB, bob), town.serving(CAT, cat):
        here.targets.append(Target("bob", url(BOB)))
        await here.measuring.once()
        await trio.sleep(EVERY_S)
        here.targets.append(Target("cat", url(CAT)))
        here.targets.append(Target("ann", url(ANN)))  # ourselves, whom nobody measures
        asked = []
        for _ in range(6):
            await here.measuring.once()
            asked.append((len(bob.asked) // 2, len(cat.asked) // 2))
            await trio.sleep(EVERY_S)
        assert asked == [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (4, 3)]


@in_town
async def test_a_peer_of_an_unsure_place_is_measured_more_often(town: Town) -> None:
    bob = nara({**PLACE, "error": 2.0})
    cat = nara({**PLACE, "error": 0.4}, name="cat", said="cat")
    async with bench(town) as here, town.serving(BOB, bob), town.serving(CAT, cat):
        here.targets += [Target("bob", url(BOB)), Target("cat", url(CAT))]
        for _ in range(30):
            await here.measuring.once()
            await trio.sleep(EVERY_S)
        assert len(bob.asked) > 2 * len(cat.asked) > 0


@in_town
async def test_without_peers_nothing_is_measured(town: Town) -> None:
    async with bench(town) as here:
        await here.measuring.once()
        assert (here.told("done"), here.told("failed")) == (0, 0)
