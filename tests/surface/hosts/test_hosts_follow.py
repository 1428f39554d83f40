"""A stream that stays open: what is posted comes at once, and it ends with the node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)

from postbox.hosts import wire
from postbox.hosts.serving import callers as callers_module
from postbox.hosts.serving.callers import FOLLOWED_OF_HOST, STREAMS_OF_HOST
from postbox.hosts.serving.server import ALIVE_S
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.world import system_world
from support.asgi_call import Call, call, framed
from support.hosts_door import Caller, Door, door_at, note

B = "b.example:2289"
RESOURCE_EXHAUSTED = "8"
WORLD = system_world()
SYNC = wire.PATHS[wire.SYNC]


@asynccontextmanager
async def following(home: Path) -> AsyncIterator[tuple[Door, ASGIFramework, Caller, trio.Nursery]]:
    async with door_at(home) as door, trio.open_nursery() as nursery:
        caller = Caller(B, WORLD)
        await door.know(caller)
        yield door, door.hosts.make_app(), caller, nursery
        nursery.cancel_scope.cancel()


class Stream:
    """One that is open; `ended` when it is not any more."""

    def __init__(self) -> None:
        self.answer = Call()
        self.ended = trio.Event()

    async def run(self, app: ASGIFramework, caller: Caller) -> None:
        await call(app, SYNC, framed(caller.sync(follow=True)), answer=self.answer)
        self.ended.set()

    async def values(self, count: int) -> list[bytes]:
        events = map(pb.PostboxEvent.from_binary, await self.answer.until(count))
        return [b"" if event.event is None else event.event.value for event in events]


async def test_what_is_posted_comes_at_once_on_a_stream_that_has_caught_up(tmp_path: Path) -> None:
    async with following(tmp_path) as (door, app, caller, nursery):
        stream = Stream()
        await door.post(B, b"before")
        nursery.start_soon(stream.run, app, caller)
        assert await stream.values(1) == [b"before"]
        for text in (b"first", b"second"):
            await door.post(B, text)
        assert await stream.values(3) == [b"before", b"first", b"second"]
        await door.post("c.example:2289", b"for somebody else")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(stream.answer.messages) == 3
        assert not stream.ended.is_set()


async def test_a_quiet_stream_has_a_sign_of_life_with_how_the_link_stands(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with following(tmp_path) as (door, app, caller, nursery):
        stream = Stream()
        await door.post(B, b"one")
        nursery.start_soon(stream.run, app, caller)
        await stream.values(1)
        for number in (2, 3):
            while len(stream.answer.messages) < number:
                await trio.testing.wait_all_tasks_blocked(
                    0.01
                )  # or for a thread, which may be slow
                mock_clock.jump(ALIVE_S)
            event = pb.PostboxEvent.from_binary(stream.answer.messages[-1])
            assert event.alive
            assert event.view is not None
            assert (event.view.queued, event.view.acknowledged) == (1, 0)


async def test_a_host_has_one_open_stream_and_the_newest_counts(tmp_path: Path) -> None:
    """Nobody tells a server of a stream that broke far away."""
    async with following(tmp_path) as (door, app, caller, nursery):
        old, new = Stream(), Stream()
        await door.post(B, b"one")
        nursery.start_soon(old.run, app, caller)
        await old.values(1)
        nursery.start_soon(new.run, app, caller)
        await old.ended.wait()
        assert old.answer.trailers["grpc-status"] == "0"
        await door.post(B, b"two")
        assert await new.values(2) == [b"one", b"two"]
        assert len(old.answer.messages) == 1


def unread(app: ASGIFramework) -> ASGIFramework:
    """Its answers are begun, and nobody takes anything of them."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def begin(event: ASGISendEvent) -> None:
            await send(event)
            if event["type"] == "http.response.body":
                await trio.sleep_forever()

        await app(scope, receive, begin)

    return answer


async def test_a_host_that_does_not_read_its_streams_is_given_few(tmp_path: Path) -> None:
    """Each of them has a batch in memory, also when a newer one has ended it."""
    async with following(tmp_path) as (door, app, caller, nursery):
        await door.post(B, b"one")
        for _ in range(FOLLOWED_OF_HOST):
            stream = Stream()
            nursery.start_soon(stream.run, unread(app), caller)
            await stream.values(1)
        one_more = Stream()
        await one_more.run(app, caller)
        assert one_more.answer.trailers["grpc-status"] == RESOURCE_EXHAUSTED


async def test_streams_that_are_read_slowly_keep_no_post_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers_module, "REQUESTS_AT_ONCE", 2)
    async with following(tmp_path) as (door, app, caller, nursery):
        other = Caller("c.example:2289", WORLD)
        await door.know(other)
        await door.post(B, b"one")
        for _ in range(STREAMS_OF_HOST):
            slow = Call()
            sync = framed(caller.sync())
            nursery.start_soon(partial(call, unread(app), SYNC, sync, answer=slow))
            with trio.fail_after(10):
                await slow.until(1)
        one_more = await call(app, SYNC, framed(caller.sync()))
        assert one_more.trailers["grpc-status"] == RESOURCE_EXHAUSTED
        for each in (caller, other):
            posted = await call(app, wire.PATHS[wire.POST_EVENT], framed(each.post(note(1))))
            assert posted.trailers["grpc-status"] == "0"
        assert (await call(app, SYNC, framed(other.sync()))).trailers["grpc-status"] == "0"


async def test_open_streams_end_when_the_node_stops(tmp_path: Path) -> None:
    async with following(tmp_path) as (door, app, caller, nursery):
        stream, late = Stream(), Stream()
        await door.post(B, b"one")
        nursery.start_soon(stream.run, app, caller)
        await stream.values(1)
        door.hosts.end_streams()
        await stream.ended.wait()
        assert stream.answer.trailers["grpc-status"] == "0"
        await late.run(app, caller)
        assert await late.values(1) == [b"one"], "who asks now is given what there is"


async def test_a_stream_whose_host_went_away_leaves_nothing_behind(tmp_path: Path) -> None:
    async with following(tmp_path) as (door, app, caller, _):
        stream = Stream()
        await door.post(B, b"one")
        with trio.CancelScope() as asker:
            async with trio.open_nursery() as connection:
                connection.start_soon(partial(stream.run, app, caller))
                await stream.values(1)
                asker.cancel()
        assert not door.hosts.follows.open_hosts
        assert door.node.tail._waiting == {}
