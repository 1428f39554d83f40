"""The page as it changes, as server-sent events (WHATWG HTML, 9.2).

A message without a name is HTML: those sections that are not as this browser has them, each in
its place. `figures` are the points of the curve, `moved` says that there are new events, `over`
that the session ended. A reader who does not take a message for SEND_S is let go, and comes back.
Nothing runs unless somebody looks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import trio

from postbox.errors import Fault
from postbox.page.files import POLICY
from postbox.page.gathering import TICK_S, Gathering, Sight
from postbox.page.rendering import Pages
from postbox.page.view import view_of

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPResponseBodyEvent,
    )

    Receive: TypeAlias = ASGIReceiveCallable
    Send: TypeAlias = ASGISendCallable

MOST: Final = 24
"""Browsers that look at once. Each message is some 20 KB."""
SEND_S: Final = 10.0
HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep messages until it has many
    *((name.encode(), value.encode()) for name, value in POLICY.items()),
]


class Streams:
    """Those of this process."""

    def __init__(self, gathering: Gathering, pages: Pages) -> None:
        self._gathering = gathering
        self._pages = pages
        self._open: set[trio.CancelScope] = set()
        self._is_over = False

    def count(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        return self._is_over or len(self._open) >= MOST

    def end_all(self) -> None:
        """When the node stops."""
        self._is_over = True
        for scope in self._open:
            scope.cancel()

    async def send(self, is_in: Callable[[], bool], receive: Receive, send: Send) -> None:
        """Until the browser goes away, the session is over (`is_in`) or the node stops."""
        if not await _sent(
            send, {"type": "http.response.start", "status": 200, "headers": HEADERS}
        ):
            return
        async with trio.open_nursery() as nursery:
            self._open.add(nursery.cancel_scope)
            nursery.start_soon(_leave, receive, nursery.cancel_scope)
            try:
                await self._send_all(is_in, send)
            finally:
                self._open.discard(nursery.cancel_scope)
            nursery.cancel_scope.cancel()
        await _sent(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, is_in: Callable[[], bool], send: Send) -> None:
        async with aclosing(self._messages(is_in)) as messages:
            async for message in messages:
                piece: HTTPResponseBodyEvent = {
                    "type": "http.response.body",
                    "body": message,
                    "more_body": True,
                }
                if not await _sent(send, piece):
                    return

    async def _messages(self, is_in: Callable[[], bool]) -> AsyncGenerator[bytes]:
        had: dict[str, str] = {}
        head, shown_s = 0, 0.0
        while is_in():
            try:
                sight = await self._gathering.look()
            except Fault:  # as of a database that is away: what is shown stays, and gets no newer
                await trio.sleep(TICK_S)
                yield b": \n\n"
                continue
            now = self._sections(sight)
            changed = [(name, text) for name, text in now if had.get(name) != text]
            had.update(changed)
            new = [point for point in sight.points if point.at_s > shown_s]
            shown_s = new[-1].at_s if new else shown_s
            message = _html("".join(text for _, text in changed)) + _named("figures", new)
            if head and sight.head != head:
                message += _named("moved", sight.head)
            head = sight.head
            yield message
            await trio.sleep(TICK_S)
        yield _named("over", 0)

    def _sections(self, sight: Sight) -> list[tuple[str, str]]:
        return list(self._pages.sections(view_of(sight)))


async def _sent(send: Send, event: ASGISendEvent) -> bool:
    """Did the browser take it in time?"""
    with trio.move_on_after(SEND_S) as patience:
        await send(event)
    return not patience.cancelled_caught


async def _leave(receive: Receive, scope: trio.CancelScope) -> None:
    """A browser that goes away is noticed before the next message."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _html(text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines() if line.strip())
    return f"{lines}\n".encode() if lines else b": \n\n"


def _named(name: str, content: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(content))
