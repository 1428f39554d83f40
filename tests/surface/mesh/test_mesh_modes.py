"""What `POST /api/sync` answers: which events, in which order, how many, and where a page ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.asking import BODY, Asked, asking, signed
from support.homes import Imported
from support.mesh import ANN, NOW_NS, Plain, history_lines, in_order, plain, take, tease


@pytest.fixture
def home(imported: Imported, copy_of: Callable[[Imported], Path]) -> Path:
    """Of a node with nara's history."""
    return copy_of(imported)


@pytest.fixture(scope="module")
def events() -> list[Plain]:
    return [plain(line) for line in history_lines()]


FILTERS: list[tuple[list[str], list[str]]] = [
    ([], []),
    (["ping"], []),
    (["hey-there", "chau"], []),
    (["checkpoint"], []),
    ([], ["brisk-comet"]),
    (["seen", "observation"], ["brisk-comet", "cedar-harbor"]),
    (["social"], ["nobody-at-all"]),
    (["no-such-service"], []),
]


async def test_services_and_subjects_work_in_every_mode(home: Path, events: list[Plain]) -> None:
    """Against a dumb filter over the file."""
    async with asking(home) as asked:
        for services, subjects in FILTERS:
            wanted = [event.id for event in in_order(events, services, subjects)]
            fields = {"services": services, "subjects": subjects}
            page = await asked.events(mode="page", **fields)
            assert page == wanted[:5_000]
            assert await asked.events(mode="recent", limit=5_000, **fields) == wanted[:-5001:-1]
            assert await asked.events(**fields) == wanted[:-101:-1], "an omitted mode is recent"
            assert await asked.events(since_time=0, **fields) == wanted[-5_000:]
            sample = await asked.events(mode="sample", **fields)
            assert len(sample) == min(5_000, len(wanted))
            places = {event_id: place for place, event_id in enumerate(wanted)}
            order = [places[event_id] for event_id in sample]
            assert order == sorted(set(order)), "of those asked for, each once, by time"


async def test_an_older_request_gets_what_nara_would_serve(home: Path, events: list[Plain]) -> None:
    ids = [event.id for event in in_order(events, ["ping", "chau"])]
    times = {event.id: event.ts for event in events}
    since = times[ids[100]]
    later = [event_id for event_id in ids if times[event_id] > since]
    fields: dict[str, Any] = {"services": ["ping", "chau"]}
    async with asking(home) as asked:
        assert await asked.events(since_time=since, **fields) == later
        assert await asked.events(max_events=7, **fields) == ids[-7:]
        assert await asked.events(max_events=-1, **fields) == ids
        for index in range(3):
            sliced = await asked.events(slice_index=index, slice_total=3, **fields)
            assert sliced == ids[index::3]
        assert await asked.events(slice_index=9, slice_total=3, **fields) == ids[0::3]
        assert await asked.events(slice_total=0, **fields) == ids


async def test_sizes_are_what_was_asked_or_the_default(home: Path) -> None:
    async with asking(home) as asked:
        for mode, field, default in (
            ("sample", "sample_size", 5_000),
            ("page", "page_size", 5_000),
            ("recent", "limit", 100),
        ):
            for size, expected in (
                (1, 1),
                (7, 7),
                (5_000, 5_000),
                (5_001, 5_000),
                (0, default),
                (-1, default),
                (-(2**63), default),
                (2**63 - 1, 5_000),
            ):
                assert len(await asked.events(mode=mode, **{field: size})) == expected


async def test_a_sample_holds_every_critical_event_and_differs_from_the_next(
    home: Path,
) -> None:
    critical = {
        event["id"]
        for event in map(json.loads, history_lines())
        if event["svc"] in ("checkpoint", "hey-there", "chau")
        or event.get("observation", {}).get("type") in ("restart", "first-seen")
    }
    assert len(critical) == 3_664
    async with asking(home) as asked:
        first, second = await asked.events(mode="sample"), await asked.events(mode="sample")
    assert critical <= set(first)
    assert critical <= set(second)
    assert first != second


async def test_pages_of_five_thousand_walk_over_everything_once_in_order(
    home: Path, events: list[Plain]
) -> None:
    ids = [event.id for event in in_order(events)]
    async with asking(home) as asked:
        walked, cursors = await walk(asked, 5_000)
    assert walked == ids
    assert len(cursors) == 15


async def test_pages_of_seven_walk_over_what_was_asked_for_once_in_order(
    home: Path, events: list[Plain]
) -> None:
    """Two services of one name: bursts share a timestamp, so pages end inside of them."""
    services, subjects = ["social", "seen"], ["brisk-comet"]
    wanted = list(in_order(events, services, subjects))
    ties = sum(one.ts == other.ts for one, other in pairwise(wanted))
    assert len(wanted) > 1_000
    assert ties > 10, "no tie to end a page in"
    async with asking(home) as asked:
        walked, cursors = await walk(asked, 7, services=services, subjects=subjects)
    assert walked == [event.id for event in wanted]
    check_cursors(wanted, cursors, 7)


async def test_a_page_that_ends_among_equal_times_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    """Fifty events of one time; sizes that end in it, before it and behind it."""
    burst = [tease(10, target=f"t{number}") for number in range(50)]
    all_events = [*[tease(n) for n in range(11, 20)], *burst, *[tease(n) for n in range(1, 9)]]
    wanted = list(in_order([plain(body) for body in all_events]))
    async with asking(tmp_path, all_events) as asked:
        for size in (1, 7, 9, 10, 49, 50, 51, 59, 60, 66, 67, 68):
            walked, cursors = await walk(asked, size)
            assert walked == [event.id for event in wanted]
            check_cursors(wanted, cursors, size)


def check_cursors(wanted: list[Plain], cursors: list[str], size: int) -> None:
    """The last event's time in decimal, unless events of that time remain: then it goes on behind
    that very event. None after the last event (DESIGN, trust)."""
    for number, cursor in enumerate(cursors, 1):
        last, following = wanted[number * size - 1], wanted[number * size]
        ties = last.ts == following.ts
        assert cursor == (f"{last.ts}.{last.id}" if ties else str(last.ts))
    assert len(cursors) == (len(wanted) - 1) // size


async def walk(asked: Asked, size: int, **fields: Any) -> tuple[list[str], list[str]]:
    """As a nara client walks: echoing the cursor until there is none."""
    ids: list[str] = []
    cursors: list[str] = []
    cursor = ""
    while True:
        content = await asked.ask(mode="page", page_size=size, cursor=cursor, **fields)
        ids += [event["id"] for event in content["events"] or ()]
        cursor = content.get("next_cursor", "")
        if not cursor:
            assert "next_cursor" not in content
            return ids, cursors
        cursors.append(cursor)


async def test_a_plain_time_is_a_cursor_and_means_everything_later(tmp_path: Path) -> None:
    bodies = [tease(number) for number in range(5, 0, -1)]
    async with asking(tmp_path, bodies) as asked:
        for at, body in enumerate(bodies):
            ts = plain(body).ts
            later = [plain(one).id for one in bodies[at + 1 :]]
            assert await asked.events(mode="page", cursor=str(ts)) == later
            assert await asked.events(mode="page", cursor=str(ts - 1)) == [plain(body).id, *later]
        assert len(await asked.events(mode="page", cursor="0")) == 5
        assert await asked.ask(mode="page", cursor=str(2**63 - 1)) | {"sig": ""} == {
            "from": asked.node.identity.name,
            "events": None,
            "ts": NOW_NS // 10**9,
            "sig": "",
        }


async def test_events_are_served_as_the_bytes_they_came_as(tmp_path: Path) -> None:
    odd = tease(1).replace(b'"ts":', b'"unknown" : [1.50, "\\u003c"] , "ts" : ')
    async with asking(tmp_path, [odd]) as asked:
        answer = await asked.raw(BODY, signed(ANN))
    assert odd in answer.body


async def test_what_is_committed_while_serving_is_served_at_once(tmp_path: Path) -> None:
    async with asking(tmp_path) as asked:
        assert await asked.events() == []
        await take(asked.node, [tease(1)])
        assert await asked.events() == [plain(tease(1)).id]
