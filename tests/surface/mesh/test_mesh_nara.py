"""A node among naras: what they ask it, what it asks them, byte for byte as they have it. The nara
of these tests is strict, and is itself held against what a real one printed."""

from __future__ import annotations

import base64
import json

import pytest

from postbox.mesh.calling.pull import Mode, pull
from postbox.mesh.wire import SyncRequest
from support.mesh import (
    ANN,
    BOB,
    CAT,
    NARA,
    believe,
    checkpoint,
    held_ids,
    hey_there,
    history_lines,
    id_of_body,
    observation,
    take,
    tease,
)
from support.nara import Nara, nara_in
from support.nara_events import Choked, content_of, go, read_event, verifies, written
from support.town import House, Town, in_town

VECTORS = json.loads((NARA / "vectors.json").read_bytes())
EVENTS = [tease(9), tease(8), observation(7), hey_there(ANN, 6), checkpoint([ANN, BOB], 5)]


# -- the nara of these tests ---------------------------------------------------------------------


def test_it_reads_what_a_real_nara_wrote() -> None:
    keys = {one["name"]: base64.b64decode(one["public_key"]) for one in VECTORS["identities"]}
    for event, content in zip(VECTORS["events"], VECTORS["content_strings"], strict=True):
        assert content_of(read_event(event)) == content
        if event.get("sig"):
            assert verifies(event, keys[event["emitter"]])


def test_it_writes_what_real_naras_wrote() -> None:
    for line in history_lines()[:2_000]:
        assert go(written(read_event(json.loads(line)))) == line


@pytest.mark.parametrize(
    "changed",
    [
        {"social": None},
        {"id": "short"},
        {"ts": 1.5},
        {"svc": "barrio"},
        {"social": {"type": "tease", "actor": "ann", "target": 5}},
        {"social": {"type": "shout", "actor": "ann", "target": "bob"}},
    ],
)
def test_it_chokes_where_a_real_nara_would(changed: dict[str, object]) -> None:
    with pytest.raises(Choked):
        read_event(json.loads(tease(1)) | changed)


# -- asks us -------------------------------------------------------------------------------------


async def acquainted(house: House, nara: Nara) -> None:
    await believe(house.node, nara.who, ANN, BOB)
    nara.knows(house.node.identity, ANN, BOB)


@in_town
async def test_a_nara_gets_all_it_asks_for(town: Town) -> None:
    async with town.house("100.64.0.1", "box") as box, nara_in(town, "100.64.0.2", CAT) as (cat, _):
        await acquainted(box, cat)
        await take(box.node, EVENTS)
        assert len(await cat.sync(box.url, mode="sample", sample_size=5_000)) == len(EVENTS)
        assert len(await cat.sync(box.url, mode="recent", limit=3)) == 3
        asked = {"services": ["checkpoint"], "mode": "page", "page_size": 1_000}
        assert len(await cat.sync(box.url, **asked)) == 1
        assert {bytes.fromhex(one) for one in cat.events} == held_ids(box.node)
        assert cat.complaints == []


# -- is asked by us ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sample", "page", "recent"])
@in_town
async def test_a_nara_is_asked_as_by_one_of_its_kind(town: Town, mode: Mode) -> None:
    async with (
        town.house("100.64.0.1", "box") as box,
        nara_in(town, "100.64.0.2", CAT) as (
            cat,
            url,
        ),
    ):
        await acquainted(box, cat)
        cat.add(*EVENTS)
        await pull(box.mesh.peer(url), box.node.intake, mode, lambda _: None)
        assert held_ids(box.node) == {id_of_body(body) for body in EVENTS}
        assert cat.complaints == []
        assert cat.asked[0].body.startswith(b'{"from":"box","services":null,"subjects":null,"mode"')


@in_town
async def test_a_filter_and_a_cursor_are_written_as_a_nara_does(town: Town) -> None:
    async with (
        town.house("100.64.0.1", "box") as box,
        nara_in(town, "100.64.0.2", CAT) as (
            cat,
            url,
        ),
    ):
        await acquainted(box, cat)
        request = SyncRequest(
            services=["checkpoint"], subjects=["a<b>&c"], mode="page", page_size=1_000, cursor="7"
        )
        await box.mesh.peer(url).ask(request, box.node.intake)
        assert cat.complaints == []
        assert cat.asked[0].body == (
            b'{"from":"box","services":["checkpoint"],"subjects":["a\\u003cb\\u003e\\u0026c"],'
            b'"mode":"page","cursor":"7","page_size":1000}'
        )


@in_town
async def test_a_nara_that_does_not_know_us_asks_us_back(town: Town) -> None:
    async with (
        town.house("100.64.0.1", "box") as box,
        nara_in(town, "100.64.0.2", CAT) as (
            cat,
            url,
        ),
    ):
        cat.add(*EVENTS)
        await pull(box.mesh.peer(url), box.node.intake, "recent", lambda _: None)
        assert len(held_ids(box.node)) == len(EVENTS)
        assert cat.complaints == []
