"""Naras ask a postbox where it is and which checkpoints it has, and are asked where they are."""

from __future__ import annotations

import json

import msgspec
import trio

from postbox.mesh.coordinates.measuring import EVERY_S
from postbox.mesh.coordinates.vivaldi import Coordinate
from support.mesh import ANN, BOB, CAT, believe, checkpoint, take
from support.nara import nara_in
from support.nara_looks import timeline, where
from support.town import Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"


@in_town
async def test_a_nara_is_told_where_a_postbox_is(town: Town) -> None:
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        assert await where(cat, box.url) is None, "nobody measures yet"
        async with trio.open_nursery() as loops:
            loops.start_soon(box.mesh.keep_up)
            await trio.sleep(1)
            place = await where(cat, box.url)
            loops.cancel_scope.cancel()
        assert place == msgspec.to_builtins(box.mesh.coordinates.own)
        assert cat.complaints == []


@in_town
async def test_a_nara_gets_all_checkpoints_page_by_page(town: Town) -> None:
    checkpoints = [checkpoint((ANN, BOB, CAT), number) for number in range(7)]
    async with town.house(HERE, "box") as box, nara_in(town, THERE, CAT) as (cat, _):
        await believe(box.node, ANN, BOB, CAT)
        await take(box.node, checkpoints)
        assert await timeline(cat, box.url, 3) == 3
        assert list(cat.events.values()) == [json.loads(body) for body in reversed(checkpoints)]
        assert await timeline(cat, box.url, 1_000) == 1
        assert cat.complaints == []


@in_town
async def test_a_postbox_that_measures_the_way_to_a_nara_knows_where_it_is(town: Town) -> None:
    async with nara_in(town, THERE, CAT) as (cat, cat_url):
        cat.coordinates = {"x": 12.5, "y": -3.0, "height": 1.25, "error": 2.0}
        async with (
            town.house(HERE, "box", peers=(cat_url,)) as box,
            trio.open_nursery() as loops,
        ):
            loops.start_soon(box.mesh.keep_up)
            await trio.sleep(4 * EVERY_S)
            known = box.mesh.coordinates
            assert known.place_of("cat") == Coordinate(12.5, -3.0, 1.25, 2.0)
            assert known.asked_ns("cat") > 0
            loops.cancel_scope.cancel()
        assert cat.complaints == []
