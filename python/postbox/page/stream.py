"""The page as it changes, as server-sent events (WHATWG HTML, 9.2).

A message without a name is HTML: those sections that are not as this browser has them, each in
its place. `figures` are the new points of the curve, if any, and a sign of life; `moved` says that
there are new events, `over` that the session ended. A reader who does not take a message for
SEND_S is let go, and comes back. Nothing runs unless somebody looks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import trio

from postbox.page.files import POLICY
from postbox.page.gathering import TICK_S
from postbox.page.showing import Section, Showing

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
    )

    Receive: TypeAlias = ASGIReceiveCallable
    Send: TypeAlias = ASGISendCallable

MOST: Final = 24
"""Browsers that look at once. Each is sent some 20 KB at first."""
MOST_OF_ONE: Final = 8
"""Of a session. A browser has six connections to a node, or one for all of its tabs; those beside
them are of a telephone that has lost its network, and nobody notices for a quarter of an hour."""
SEND_S: Final = 10.0
HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep messages until it has many
    *((name.encode(), value.encode()) for name, value in POLICY.items()),
]


class Streams:
    """Those of this process."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._open: dict[trio.CancelScope, str] = {}  # by session, the oldest first
        self._is_over = False

    def count(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        return self._is_over or len(self._open) >= MOST

    def make_room(self, session: str) -> None:
        """The oldest stream of a session that has too many gives way."""
        own = [scope for scope, owner in self._open.items() if owner == session]
        for scope in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._open[scope]
            scope.cancel()

    def end_all(self) -> None:
        """When the node stops."""
        self._is_over = True
        for scope in self._open:
            scope.cancel()

    async def send(
        self, session: str, is_in: Callable[[], bool], receive: Receive, send: Send
    ) -> None:
        """Until the browser goes away, the session is over (`is_in`) or the node stops."""
        async with trio.open_nursery() as nursery:
            self._open[nursery.cancel_scope] = session
            nursery.start_soon(_leave, receive, nursery.cancel_scope)
            try:
                await self._send_all(is_in, send)
            finally:
                self._open.pop(nursery.cancel_scope, None)
            nursery.cancel_scope.cancel()
        await _sent(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, is_in: Callable[[], bool], send: Send) -> None:
        head: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": 200,
            "headers": HEADERS,
        }
        if not await _sent(send, head):
            return
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
        had: dict[str, Section] = {}
        head, shown_s = 0, 0.0
        while is_in():
            shown = await self._showing.look()
            changed = [one for one in shown.sections if had.get(one.name) is not one]
            had.update((one.name, one) for one in changed)
            message = b"".join(one.lines for one in changed) + b"\n" if changed else b""
            new = [point for point in shown.points if point.at_s > shown_s]
            shown_s = new[-1].at_s if new else shown_s
            message += _named("figures", new)
            if head and shown.head != head:
                message += _named("moved", shown.head)
            head = shown.head
            yield message
            await trio.sleep(TICK_S)
        yield _named("over", 0)


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


def _named(name: str, content: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(content))
