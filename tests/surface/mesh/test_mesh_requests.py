"""Hostile requests, over a real socket: each gets the answer of `docs/protocol/mesh.md`, costs the
next one nothing, and leaves nothing behind.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from postbox.world import World
from support.asking import (
    BODY,
    NOW_MS,
    Asked,
    Clock,
    asking,
    check_headers,
    checked,
    parsed,
    request_bytes,
    signed,
    spoken,
)
from support.hostile_requests import ODD, REQUESTS, Hostile
from support.mesh import ANN, BOB, NOW_NS, believe, digest, fixed_world, stored, tease

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol" / "mesh.md"
EVENTS = [tease(number) for number in range(1, 10)]


@asynccontextmanager
async def asked_by_ann(home: Path) -> AsyncIterator[tuple[Asked, Clock]]:
    clock = Clock()
    world: World = replace(fixed_world(), clock=clock)
    async with asking(home, EVENTS, world=world) as asked:
        await believe(asked.node, BOB)
        yield asked, clock


async def traces(asked: Asked) -> object:
    """Whatever a request could leave behind."""
    node = asked.node
    return (
        digest(node),
        node.directory.all(),
        node.waiting.all(),
        await stored(node),
        node.tail.head,
        [caller.name for caller in asked.mesh.peers.callers],
    )


def complaint(hostile: Hostile, said: bytes, asked: Asked) -> str | None:
    """What is wrong with the answer; None: nothing."""
    if not said:
        return "no answer"
    answer = parsed(said)
    if answer.status != hostile.status:
        return f"{answer.status}, {answer.body[:200]!r}"
    is_head = b"HEAD " in hostile.said[:5]
    if hostile.text not in answer.body.decode() and not is_head:
        return f"it says {answer.body[:200]!r}"
    if ("x-nara-signature" in answer.headers) != hostile.is_signed:
        return "signed" if not hostile.is_signed else "not signed"
    if hostile.is_signed:
        check_headers(answer, asked.node.identity)
    if hostile.text and not answer.headers["content-type"].startswith("text/plain"):
        return answer.headers["content-type"]
    if hostile.text and not is_head and not answer.body.endswith(b"\n"):
        return "no line"
    return None


PAGE = PROTOCOL.read_text(encoding="utf-8")
STATED = {
    (int(status), is_signed == "yes")
    for status, is_signed in re.findall(r"^\| (\d{3}) \| .* \| (yes|no) \|$", PAGE, re.MULTILINE)
}
"""Every kind of answer on the page: its status, and whether it is signed."""

TESTED_ELSEWHERE = {
    (200, True),  # test_mesh_server
    (200, False),
    (202, False),  # test_mesh_introductions
    (408, False),  # test_mesh_limits, and so the others
    (429, True),
    (429, False),
    (503, True),
    (503, False),
}


def test_the_page_states_these_answers_and_those_that_other_tests_get_and_no_more() -> None:
    assert {(one.status, one.is_signed) for one in REQUESTS} | TESTED_ELSEWHERE == STATED


def test_the_page_gives_every_reason_of_a_401() -> None:
    _, _, reasons = PAGE.partition("The text of a 401 is")
    stated = re.findall(r"`([^`]*)`", " ".join(reasons.partition("\n\n")[0].split()))[1:]
    failed = "Authentication failed: "
    beginnings = [failed + re.split("[{…]", reason)[0] for reason in stated]
    said = {failed + one.text.removeprefix(failed) for one in REQUESTS if one.status == 401}
    assert len(beginnings) == 7
    for beginning in beginnings:
        assert any(text.startswith(beginning) for text in said), beginning
    for text in said:
        assert any(text.startswith(beginning) for beginning in beginnings), text


def test_the_table_is_long_and_names_every_status_that_a_request_can_earn_by_itself() -> None:
    assert len({one.name for one in REQUESTS}) == len(REQUESTS) >= 60
    assert {one.status for one in REQUESTS} == {400, 401, 403, 404, 405, 413, 415, 431, 501}


async def test_each_is_answered_as_stated_and_the_next_good_one_is_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {}
    good = request_bytes(list(signed(ANN).items()), BODY)
    async with asked_by_ann(tmp_path) as (asked, clock):
        first = parsed(await spoken(asked.url, good))
        before = await traces(asked)
        for hostile in REQUESTS:
            clock.passed_s += 60  # so that none is answered 429
            trouble = complaint(hostile, await spoken(asked.url, hostile.said), asked)
            if trouble is not None:
                wrong[hostile.name] = trouble
            assert parsed(await spoken(asked.url, good)).body == first.body, hostile.name
        assert wrong == {}
        assert checked(first, asked.node.identity)["events"]
        assert await traces(asked) == before
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("name", ODD)
async def test_what_is_merely_odd_is_answered(tmp_path: Path, name: str) -> None:
    async with asked_by_ann(tmp_path) as (asked, _):
        said = await spoken(asked.url, ODD[name])
        if b"100-continue" in ODD[name]:
            head, _, said = said.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 100")
        answer = parsed(said)
        assert answer.status == 200, answer.body[:200]
        assert len(checked(answer, asked.node.identity)["events"]) == len(EVENTS)


async def test_a_request_can_be_replayed_for_thirty_seconds_and_no_longer(tmp_path: Path) -> None:
    """It reads, and changes nothing (docs/protocol/mesh.md, Replay)."""
    again = request_bytes(list(signed(ANN, NOW_MS).items()), BODY)
    async with asked_by_ann(tmp_path) as (asked, clock):
        for later_ms, status in ((0, 200), (0, 200), (30_000, 200), (30_001, 401)):
            clock.at_ns = NOW_NS + later_ms * 10**6
            assert parsed(await spoken(asked.url, again)).status == status
