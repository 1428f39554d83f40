"""Bad input: each event gets the verdict of `docs/protocol/mesh.md`, and its neighbours nothing."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from postbox.core import verdict_names
from postbox.mesh.importing import import_file, take_raws
from postbox.rules import Payer
from support.hostile import EVENTS, FILES, GOOD, million_lines
from support.mesh import (
    ANN,
    BOB,
    OPERATOR,
    PEER,
    believe,
    node_at,
    stored,
    take,
    tease,
)

FIRST, LAST = tease(101), tease(102)
ON_LINES = [one for one in EVENTS if b"\n" not in one.raw]


def test_the_table_is_long_and_names_every_verdict_that_refuses() -> None:
    assert len({one.raw for one in EVENTS}) == len(EVENTS) >= 60
    refusing = set(verdict_names) - {"ok", "known", "below_retention"}
    assert {one.verdict for one in EVENTS} == refusing


@pytest.mark.parametrize("payer", [PEER, OPERATOR], ids=["from a peer", "from a file"])
async def test_each_gets_its_verdict_and_costs_its_neighbours_nothing(
    tmp_path: Path, payer: Payer
) -> None:
    good, wrong = [], {}
    async with node_at(tmp_path) as node:
        await believe(node, ANN, BOB)
        for number, hostile in enumerate(EVENTS):
            around = [tease(200 + 2 * number), tease(201 + 2 * number)]
            report = await take(node, [around[0], hostile.raw, around[1]], payer)
            if (report.imported, report.rejected) != (2, {hostile.verdict: 1}):
                wrong[hostile.name] = report
            good += around
        assert wrong == {}
        assert [entry.body for entry in await stored(node)] == good
        assert node.directory.key_of("ann") == ANN.public_key


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_just_within_the_bounds_is_taken(tmp_path: Path, name: str) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, ANN, BOB)
        assert (await take(node, [FIRST, GOOD[name], LAST])).imported == 3


@pytest.mark.parametrize("kind", FILES)
async def test_a_file_full_of_them_gives_up_its_good_events(tmp_path: Path, kind: str) -> None:
    bad = [one.raw for one in ON_LINES]
    path = tmp_path / "file"
    path.write_bytes(FILES[kind](FIRST, bad, LAST))
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN, BOB)
        taking = partial(take_raws, node.intake)
        report, damage = await import_file(node.world, taking, path, lambda *_: None)
        assert damage is None
        assert report.imported == 2
        assert report.rejected == Counter(one.verdict for one in ON_LINES)
        assert {entry.body for entry in await stored(node)} == {FIRST, LAST}


async def test_an_array_of_those_that_are_json_gives_up_its_good_events(tmp_path: Path) -> None:
    bad = [one for one in EVENTS if one.verdict not in ("not_json", "too_deep")]
    path = tmp_path / "file.json"
    path.write_bytes(b"[" + b",\n".join([FIRST, *(one.raw for one in bad), LAST]) + b"]")
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN, BOB)
        taking = partial(take_raws, node.intake)
        report, damage = await import_file(node.world, taking, path, lambda *_: None)
        assert (damage, report.imported) == (None, 2)
        assert report.rejected == Counter(one.verdict for one in bad)


async def test_a_million_lines_of_garbage_are_counted_and_nothing_is_stored(
    tmp_path: Path,
) -> None:
    path = tmp_path / "garbage.gz"
    path.write_bytes(million_lines())
    async with node_at(tmp_path / "home") as node:
        await take(node, [FIRST])
        taking = partial(take_raws, node.intake)
        report, damage = await import_file(node.world, taking, path, lambda *_: None)
        assert damage is None
        assert report.rejected.total() == report.total == 1_000_000
        assert [entry.body for entry in await stored(node)] == [FIRST]


async def test_a_thousand_forged_signatures_among_good_ones_are_all_found(tmp_path: Path) -> None:
    """The batch fails as a whole: each culprit is found by halving it."""
    by_bob = [tease(number, signer=BOB) for number in range(1, 501)]
    forged = [event.replace(b'"emitter":"bob"', b'"emitter":"ann"') for event in by_bob]
    good = [tease(number) for number in range(501, 1_001)]
    mixed = [event for pair in zip(forged, good, strict=True) for event in pair]
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        report = await take(node, mixed)
        assert (report.imported, report.rejected) == (500, {"bad_signature": 500})
        assert {entry.body for entry in await stored(node)} == set(good)


async def test_the_clock_decides_what_is_too_far_ahead(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        report = await take(node, [tease(-900), tease(-901)])
        assert (report.imported, report.rejected) == (1, {"future": 1})
