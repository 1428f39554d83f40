"""The page as it changes: what is sent, to how many, and that it ends."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio

from postbox.page import stream
from postbox.page.gathering import TICK_S, Gathering
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
async def test_all_who_look_share_one_look(world: World, tmp_path: Path) -> None:
    async with (
        node_at(tmp_path, world=world) as node,
        page_of(node) as browser,
        trio.open_nursery() as nursery,
    ):
        await browser.log_in()
        answers = [await look(nursery, browser) for _ in range(stream.MOST)]
        gathering: Gathering = browser.site._gathering
        reads = 0
        new = gathering._new

        async def counted(now_s: float) -> object:
            nonlocal reads
            reads += 1
            return await new(now_s)

        gathering._new = counted  # type: ignore[method-assign,assignment]
        await trio.sleep(5 * TICK_S)
        assert 4 <= reads <= 6
        assert all(len(answer.parts) >= 4 for answer in answers)
        nursery.cancel_scope.cancel()


@simulated
async def test_there_are_so_many_places_and_a_place_is_free_again(
    world: World, tmp_path: Path
) -> None:
    async with node_at(tmp_path, world=world) as node, page_of(node) as browser:
        await browser.log_in()
        async with trio.open_nursery() as nursery:
            for _ in range(stream.MOST):
                await look(nursery, browser)
            with trio.fail_after(10 * TICK_S):
                refused = await browser.ask("/page/stream")
            assert (refused.status, refused.headers["retry-after"]) == (503, "30")
            nursery.cancel_scope.cancel()
        assert browser.site.streams.count() == 0
        async with trio.open_nursery() as nursery:
            await look(nursery, browser)
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
        before = browser.site._gathering._sight
        await trio.sleep(100 * TICK_S)
        assert browser.site._gathering._sight is before


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\n", "a\u2028b\rc"])
def test_a_text_never_ends_its_message(text: str) -> None:
    lines = stream._html(text).decode().split("\n")
    assert lines[-2:] == ["", ""]
    assert all(line.startswith(("data: ", ": ")) for line in lines[:-2])
    assert "\r" not in "".join(lines)
