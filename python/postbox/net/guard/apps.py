"""Runs the app for each request of a connection. What an app has not read of a body is held here,
and when its client is gone it is cancelled, unless it has answered."""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import trio

from postbox.logs import get, limited

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import ASGIFramework, ASGIReceiveEvent, ASGISendEvent, Scope, TaskGroup

    from postbox.net.limits import Limits

log = limited(get("postbox.net"), "faults of ours")

LARGE_BYTES = 64 * 2**10
"""Of a body, that is freed when its request is over. An app that answers by an error often leaves
the two referring to each other, and the error to all that it came through; a process that looks for
such circles as rarely as `postbox serve` does would have hundreds of them by then."""


@dataclass(frozen=True)
class Serving:
    """What the connections of one server share."""

    app: ASGIFramework
    config: Config
    context: WorkerContext
    limits: Limits


class Apps:
    """Runs the app for each request of a connection; in hypercorn's place of a task group."""

    def __init__(
        self,
        serving: Serving,
        tasks: trio.Nursery,
        held_bytes: float,
        taken: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._serving = serving
        self._tasks = tasks
        self._held_bytes = held_bytes
        self._taken = taken

    def spawn(self, func: Callable[..., Awaitable[None]], *args: Any) -> None:
        self._tasks.start_soon(func, *args)

    def of_stream(self, taken: Callable[[int], Awaitable[None]]) -> TaskGroup:
        """For HTTP/2: all that comes is held, and what the app has read is told to `taken`."""
        return cast("TaskGroup", Apps(self._serving, self._tasks, math.inf, taken))

    async def spawn_app(
        self,
        app: object,
        config: object,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        inbox = _Inbox(self._held_bytes, self._taken)
        self._tasks.start_soon(self._run, inbox, scope, send)
        return inbox.put

    async def _run(
        self,
        inbox: _Inbox,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> None:
        async def answer(event: ASGISendEvent) -> None:
            is_part = event["type"] == "http.response.body"
            has_more = is_part and bool(event.get("more_body", False))
            if is_part and not has_more:
                inbox.is_answered = True
            await send(event)
            if has_more:  # without end, perhaps, and to a client that is gone nothing would wait
                await trio.lowlevel.checkpoint()

        try:
            with inbox.life:
                await self._serving.app(scope, inbox.receive, answer)
        except Exception:
            log.exception("an app failed at a request")
        except trio.Cancelled:  # by the server's end: the connection's comes first, and no answer
            await trio.lowlevel.cancel_shielded_checkpoint()
            raise
        finally:
            await inbox.close()
            await send(None)
        if inbox.came_bytes > LARGE_BYTES:
            gc.collect(0)


class _Inbox:
    """A request's body on its way to the app, and the client's going away."""

    def __init__(
        self, held_bytes: float, taken: Callable[[int], Awaitable[None]] | None = None
    ) -> None:
        self.life = trio.CancelScope()
        self.is_answered = False
        self.came_bytes = 0
        self._held_bytes = held_bytes
        self._taken = taken
        self._body = bytearray()
        self._has_end = False
        self._is_gone = False
        self._is_closed = False
        self._changed = trio.Event()

    async def put(self, event: ASGIReceiveEvent) -> None:
        if event["type"] == "http.request":
            self._body += event["body"]
            self.came_bytes += len(event["body"])
            self._has_end = self._has_end or not event["more_body"]
        else:
            self._is_gone = True
            if not self.is_answered:
                self.life.cancel()
        self._change()
        if self._is_closed:
            await self._let_go()
        while len(self._body) > self._held_bytes and not self._is_gone:
            await self._changed.wait()

    async def receive(self) -> ASGIReceiveEvent:
        while not (self._body or self._has_end or self._is_gone):
            await self._changed.wait()
        if self._body or self._has_end:
            is_end, self._has_end = self._has_end, False  # more may come while `_let_go` waits
            part = await self._let_go()
            return {"type": "http.request", "body": part, "more_body": not is_end}
        await trio.lowlevel.checkpoint()  # where an app that has not answered is cancelled
        return {"type": "http.disconnect"}

    async def close(self) -> None:
        """The app is done: what comes now is thrown away."""
        self._is_closed = True
        await self._let_go()

    async def _let_go(self) -> bytes:
        part, self._body = bytes(self._body), bytearray()
        self._change()
        if part and self._taken is not None:
            await self._taken(len(part))
        return part

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
