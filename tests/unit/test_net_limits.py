"""postbox.net.limits as plain ASGI: an app, a receive, a send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import trio
import trio.testing
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPRequestEvent,
    Scope,
)

from postbox.net.limits import DRAIN_S, Limits, bounded

LIMITS = Limits(max_body_bytes=100, body_s=30.0)


def part(body: bytes, *, more: bool) -> HTTPRequestEvent:
    return {"type": "http.request", "body": body, "more_body": more}


class Wire:
    """What hypercorn is to an app: gives `events`, then silence; keeps what is sent."""

    def __init__(self, events: Iterable[ASGIReceiveEvent]) -> None:
        self._events = iter(events)
        self.taken = 0
        self.sent: list[ASGISendEvent] = []

    async def receive(self) -> ASGIReceiveEvent:
        await trio.lowlevel.checkpoint()
        for event in self._events:
            self.taken += 1
            return event
        return await trio.sleep_forever()

    async def send(self, event: ASGISendEvent) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(event)

    @property
    def statuses(self) -> list[int]:
        return [event["status"] for event in self.sent if event["type"] == "http.response.start"]


class Reader:
    """An app that reads its body to the end and answers 200; `in_child`: in a task of its own."""

    def __init__(self, *, in_child: bool = False, answer_first: bool = False) -> None:
        self.body = bytearray()
        self._in_child = in_child
        self._answer_first = answer_first

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if self._answer_first:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if self._in_child:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, receive)
        else:
            await self._read(receive)
        if not self._answer_first:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, receive: ASGIReceiveCallable) -> None:
        more = True
        while more:
            event = await receive()
            assert event["type"] == "http.request"
            self.body += event["body"]
            more = event["more_body"]


async def run(app: ASGIFramework, wire: Wire, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    scope = cast(
        Scope, {"type": "http", "method": "POST", "headers": headers}
    )  # all that is looked at
    await bounded(app, LIMITS)(scope, wire.receive, wire.send)


async def test_a_body_of_the_limit_passes_whole() -> None:
    app, wire = Reader(), Wire([part(b"a" * 60, more=True), part(b"b" * 40, more=False)])
    await run(app, wire)
    assert app.body == b"a" * 60 + b"b" * 40
    assert wire.statuses == [200]


async def test_the_byte_beyond_the_limit_never_reaches_the_app() -> None:
    app, wire = Reader(), Wire([part(b"a" * 100, more=True), part(b"b", more=False)])
    await run(app, wire)
    assert app.body == b"a" * 100
    assert wire.statuses == [413]


async def test_an_app_that_reads_in_another_task_is_refused_the_same() -> None:
    app, wire = Reader(in_child=True), Wire([part(b"a" * 101, more=False)])
    await run(app, wire)
    assert wire.statuses == [413]


async def test_an_answer_that_has_begun_is_not_followed_by_a_refusal() -> None:
    app, wire = Reader(answer_first=True), Wire([part(b"a" * 101, more=False)])
    await run(app, wire)
    assert wire.statuses == [200]
    assert len(wire.sent) == 1


async def test_an_endless_body_is_drained_a_little_and_no_further() -> None:
    wire = Wire(part(b"a" * 50, more=True) for _ in range(1000))
    await run(Reader(), wire)
    assert wire.statuses == [413]
    assert wire.taken == 5  # three to find out, two more up to the limit once again


async def test_a_declared_length_beyond_the_limit_is_refused_before_the_app_runs(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app, wire = Reader(), Wire([])
    started_s = trio.current_time()
    await run(app, wire, [(b"content-length", b"101")])
    assert wire.statuses == [413]
    assert app.body == b""
    assert trio.current_time() - started_s == DRAIN_S


async def test_a_body_that_does_not_come_is_refused_with_408(
    autojump_clock: trio.testing.MockClock,
) -> None:
    wire = Wire([part(b"a", more=True)])
    await run(Reader(), wire)
    assert wire.statuses == [408]


async def test_after_the_body_an_app_may_wait_for_ever_for_its_client_to_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    wire = Wire([part(b"a", more=False)])
    gone: list[str] = []

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        with trio.move_on_after(3600):
            await receive()
            gone.append("too early")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    await run(app, wire)
    assert wire.statuses == [200]
    assert gone == []
