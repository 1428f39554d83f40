"""The page as it changes: what is sent, to how many, and that it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from postbox.errors import Unavailable
from postbox.page import stream
from postbox.page.gathering import TICK_S, Sight
from postbox.page.rendering import SECTIONS
from postbox.page.showing import lines_of
from postbox.page.view import View
from postbox.world import World
from support.asgi_call import Call
from support.mesh import ANN, node_at, small_history, take
from support.page import Browser, page_of
from support.simulated import simulated

OPEN = (None,)
"""A browser that stays: what it sends never ends."""


async def look(nursery: trio.Nursery, browser: Browser) -> Call:
    """A stream under way, with its first message."""
    answer = Call()

    async def run() -> None:
        await browser.ask("/page/stream", "GET", b"", None, answer=answer)

    nursery.start_soon(run)
    while not answer.parts:
        await answer.moved.wait()
    return answer


async def another(browser: Browser) -> Browser:
    """Somebody else, logged in."""
    other = replace(browser, cookie="")
    await other.log_in()
    return other


async def parts_of(answer: Call, count: int) -> list[str]:
    while len(answer.parts) < count:
        await answer.moved.wait()
    return [part.decode() for part in answer.parts]


@simulated
async def test_the_first_message_is_all_and_later_ones_what_changed(
    world: World, tmp_path: Path
) -> None:
    async with (
        node_at(tmp_path, name=ANN.name, world=world) as node,
        page_of(node) as browser,
        trio.open_nursery() as nursery,
    ):
        await browser.log_in()
        answer = await look(nursery, browser)
        assert answer.headers["content-type"] == "text/event-stream"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        (first,) = await parts_of(answer, 1)
        for name in ("head", "problems", "tiles", "ledger", "mesh", "links", "clients"):
            assert f'id="{name}"' in first
        await take(node, small_history(50))
        _, second = await parts_of(answer, 2)
        assert 'id="ledger"' in second
        assert 'id="links"' not in second, "it is as it was"
        assert "event: moved\n" in second
        figures = second.partition("event: figures\ndata: ")[2].partition("\n")[0]
        ((_, stored, given),) = msgspec.json.decode(figures)
        assert stored >= 50 / (2 * TICK_S)
        assert given == 0
        nursery.cancel_scope.cancel()


@simulated
async def test_ten_who_look_cost_one_look_and_one_rendering(world: World, tmp_path: Path) -> None:
    async with (
        node_at(tmp_path, world=world) as node,
        page_of(node) as browser,
        trio.open_nursery() as nursery,
    ):
        people = [await another(browser) for _ in range(10)]
        answers = [await look(nursery, one) for one in people]
        gathering, pages = browser.site._showing._gathering, browser.site._showing._pages
        new, section, looks, renderings = gathering._new, pages.section, 0, Counter[str]()

        async def looked(now_s: float) -> Sight:
            nonlocal looks
            looks += 1
            return await new(now_s)

        def rendered(name: str, view: View) -> str:
            renderings[name] += 1
            return section(name, view)

        gathering._new, pages.section = looked, rendered  # type: ignore[method-assign]
        await trio.sleep(5 * TICK_S)
        assert 4 <= looks <= 6
        assert renderings == dict.fromkeys(SECTIONS, looks)
        assert all(len(answer.parts) >= 4 for answer in answers)
        assert (await people[0].ask("/")).status == 200
        assert renderings.total() == len(SECTIONS) * looks, "of what was just rendered"
        nursery.cancel_scope.cancel()


@simulated
async def test_there_are_so_many_places_and_a_place_is_free_again(
    world: World, tmp_path: Path
) -> None:
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        people = [await another(browser) for _ in range(stream.MOST // stream.MOST_OF_ONE)]
        await browser.log_in()
        async with trio.open_nursery() as nursery:
            for one in people * stream.MOST_OF_ONE:
                await look(nursery, one)
            with trio.fail_after(10 * TICK_S):
                refused = await browser.ask("/page/stream")
            assert (refused.status, refused.headers["retry-after"]) == (503, "30")
            nursery.cancel_scope.cancel()
        assert browser.site.streams.count() == 0
        async with trio.open_nursery() as nursery:
            await look(nursery, browser)
            nursery.cancel_scope.cancel()


@simulated
async def test_of_too_many_of_one_session_the_oldest_gives_way(
    world: World, tmp_path: Path
) -> None:
    """As of a telephone that loses its network again and again, and is not heard of any more."""
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        other = await another(browser)
        await browser.log_in()
        async with trio.open_nursery() as nursery:
            stays = await look(nursery, other)
            answers = [await look(nursery, browser) for _ in range(stream.MOST_OF_ONE + 3)]
            await trio.sleep(TICK_S / 2)
            ended = [answer.parts[-1] == b"" for answer in answers]
            assert ended == [True] * 3 + [False] * stream.MOST_OF_ONE
            assert stays.parts[-1] != b""
            assert browser.site.streams.count() == stream.MOST_OF_ONE + 1
            nursery.cancel_scope.cancel()


@simulated
async def test_a_node_that_cannot_be_looked_at_says_so_above_what_was_seen(
    world: World, tmp_path: Path
) -> None:
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        await browser.log_in()
        gathering = browser.site._showing._gathering
        new = gathering._new

        async def fail(now_s: float) -> Sight:
            raise Unavailable("the database is away")

        async with trio.open_nursery() as nursery:
            answer = await look(nursery, browser)
            gathering._new = fail  # type: ignore[method-assign]
            *_, second, third = await parts_of(answer, 3)
            assert "what you see is from before: the database is away" in second
            assert 'id="problems"' not in third, "said once"
            assert "event: figures" in third, "and there is a sign of life"
            gathering._new = new  # type: ignore[method-assign]
            *_, last = await parts_of(answer, 4)
            assert "Nothing needs you" in last
            nursery.cancel_scope.cancel()


@simulated
async def test_who_does_not_read_is_let_go(world: World, tmp_path: Path) -> None:
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        await browser.log_in()
        answer = Call(pause=trio.sleep_forever)
        began_s = trio.current_time()
        with trio.move_on_after(10 * stream.SEND_S):
            await browser.ask("/page/stream", "GET", b"", None, answer=answer)
        assert browser.site.streams.count() == 0
        assert trio.current_time() - began_s <= 3 * stream.SEND_S + 1


@simulated
async def test_a_stream_ends_with_its_session_and_with_the_node(
    world: World, tmp_path: Path
) -> None:
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        await browser.log_in()
        async with trio.open_nursery() as nursery:
            answer = await look(nursery, browser)
            await browser.post("/page/logout")
        assert b"event: over\n" in answer.body
        await browser.log_in()
        async with trio.open_nursery() as nursery:
            await look(nursery, browser)
            browser.site.streams.end_all()
        assert browser.site.streams.count() == 0
        assert (await browser.ask("/page/stream")).status == 503, "the node stops"


@simulated
async def test_nothing_is_looked_at_when_nobody_looks(world: World, tmp_path: Path) -> None:
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        await browser.log_in()
        async with trio.open_nursery() as nursery:
            await look(nursery, browser)
            nursery.cancel_scope.cancel()
        before = browser.site._showing._gathering._sight
        await trio.sleep(100 * TICK_S)
        assert browser.site._showing._gathering._sight is before


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\n", "a\u2028b\rc"])
def test_a_text_never_ends_its_message(text: str) -> None:
    *lines, last = lines_of(text).decode().split("\n")
    assert last == ""
    assert all(line.startswith("data: ") for line in lines)
    assert "\r" not in "".join(lines)
