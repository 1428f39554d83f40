"""`GET /api/checkpoints/all`, as naras ask it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postbox.mesh.checkpoints import listing
from postbox.net.client import Answer
from support.asking import Asked, Clock, asking
from support.mesh import ANN, BOB, CAT, checkpoint, fixed_world, tease

PATH = "/api/checkpoints/all"
CHECKPOINTS = [checkpoint((ANN, BOB, CAT), number) for number in range(7, 0, -1)]


async def get(asked: Asked, **query: object) -> Answer:
    return await asked.http.request(
        "GET",
        asked.url + PATH,
        query={key: str(value) for key, value in query.items()},
        max_body_bytes=2**20,
        deadline_s=60,
    )


async def told(asked: Asked, **query: object) -> dict[str, Any]:
    answer = await get(asked, **query)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    content: dict[str, Any] = json.loads(answer.body)
    return content


async def test_it_is_naras_answer_with_the_events_as_they_are(tmp_path: Path) -> None:
    async with asking(tmp_path, [*CHECKPOINTS, tease(1)]) as asked:
        answer = await asked.raw(b"", {}, "GET", PATH)
        head = b'{"checkpoints":[' + b",".join(CHECKPOINTS)
        rest = (
            b'],"count":7,"has_more":false,"limit":1000,"offset":0,"server":"%s","total":7}\n'
            % asked.node.identity.name.encode()
        )
        assert answer.body == head + rest


async def test_one_walks_through_them_by_limit_and_offset_as_naras_do(tmp_path: Path) -> None:
    async with asking(tmp_path, CHECKPOINTS) as asked:
        seen: list[Any] = []
        for offset in (0, 3, 6):
            page = await told(asked, limit=3, offset=offset)
            assert (page["total"], page["offset"], page["limit"]) == (7, offset, 3)
            assert page["count"] == len(page["checkpoints"])
            assert page["has_more"] is (offset < 6)
            seen += page["checkpoints"]
        assert seen == [json.loads(body) for body in CHECKPOINTS]


async def test_an_offset_behind_the_end_has_none(tmp_path: Path) -> None:
    async with asking(tmp_path, CHECKPOINTS) as asked:
        for offset in (7, 8, 10**17):
            page = await told(asked, offset=offset)
            assert (page["checkpoints"], page["has_more"], page["count"]) == ([], False, 0)


async def test_a_node_without_checkpoints_has_an_empty_list(tmp_path: Path) -> None:
    async with asking(tmp_path, [tease(1)]) as asked:
        page = await told(asked, limit="", offset="")
        assert (page["checkpoints"], page["total"], page["limit"]) == ([], 0, 1_000)


async def test_a_page_that_is_full_by_its_bytes_says_that_there_is_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_BYTES", 2 * len(CHECKPOINTS[0]) + 2)
    async with asking(tmp_path, CHECKPOINTS) as asked:
        page = await told(asked, offset=4)
        assert (page["count"], page["has_more"]) == (2, True)
        assert (await told(asked, offset=6))["has_more"] is False
    monkeypatch.setattr(listing, "MAX_BYTES", 10)
    async with asking(tmp_path, ()) as asked:
        assert (await told(asked))["count"] == 1, "else a walk would not get on"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "x"},
        {"limit": -1},
        {"limit": 0},
        {"offset": -1},
        {"offset": "1e3"},
        {"offset": "9" * 19},
    ],
)
async def test_what_is_no_number_is_refused_in_words(
    tmp_path: Path, query: dict[str, object]
) -> None:
    async with asking(tmp_path, CHECKPOINTS) as asked:
        answer = await get(asked, **query)
        assert answer.status == 400
        assert next(iter(query)).encode() in answer.body


async def test_a_query_of_a_hundred_arguments_and_more_is_refused(tmp_path: Path) -> None:
    async with asking(tmp_path, CHECKPOINTS) as asked:
        answer = await get(asked, **{f"a{n}": n for n in range(101)})
        assert (answer.status, answer.body[:9]) == (400, b"the query")


async def test_a_limit_is_cut_to_what_naras_give(tmp_path: Path) -> None:
    async with asking(tmp_path, CHECKPOINTS) as asked:
        assert (await told(asked, limit=1_000_000))["limit"] == 10_000


async def test_head_and_other_methods(tmp_path: Path) -> None:
    async with asking(tmp_path, CHECKPOINTS) as asked:
        head = await asked.raw(b"", {}, "HEAD", PATH)
        assert (head.status, head.body) == (200, b"")
        post = await asked.raw(b"", {}, "POST", PATH)
        assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")


async def test_an_address_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    world = replace(fixed_world(), clock=Clock())
    async with asking(tmp_path, CHECKPOINTS, world=world) as asked:
        for _ in range(listing.PER_MINUTE):
            await told(asked, limit=1)
        answer = await get(asked)
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) >= 1
