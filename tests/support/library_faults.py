"""What goes wrong between a device and its host, and in a device: wishes for `Host.wishes`, and a
fuse that burns down with each step that a device makes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, Scope

from support.library_host import ADDRESS, Host, Wish, replayed
from support.library_phone import Phone, whose


class Fuse(trio.abc.Instrument):
    """Ends a device, at one of the places where its tasks wait: the `steps`-th from now on."""

    def __init__(self, phone: Phone, steps: int, end: Callable[[], None]) -> None:
        self._address = phone.address
        self._left = steps
        self._end = end

    def light(self) -> None:
        trio.lowlevel.add_instrument(self)

    def put_out(self) -> None:
        self._left = -1
        with suppress(KeyError):
            trio.lowlevel.remove_instrument(self)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.context.get(whose) == self._address and self._left >= 0:
            self._left -= 1
            if self._left < 0:
                self._end()


@dataclass
class Faults:
    """`after_s`, `count`: how late, and behind how many parts of an answer."""

    host: Host
    after_s: float = 1.0
    count: int = 0

    def wish(self, name: str) -> Wish:
        found: Wish = getattr(self, name)
        return found

    async def never_comes(self, app: ASGIFramework, scope: Scope, receive: Any, send: Any) -> None:
        """The request."""
        self._break_off(scope)

    async def answer_is_lost(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        """And all that goes over the same connection."""
        await app(scope, receive, _nowhere)
        self._break_off(scope)

    async def answer_is_late(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        answer: list[Any] = []

        async def hold(part: Any) -> None:
            answer.append(part)

        await app(scope, receive, hold)
        await trio.sleep(self.after_s)
        for part in answer:
            await send(part)

    async def comes_twice(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        """The device is told what the second one is answered."""
        body = await _body(receive)
        await app(scope, replayed(body, receive), _nowhere)
        await app(scope, replayed(body, receive), send)

    async def comes_again_later(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        """Behind others of the same device: a proxy that was slow."""
        body = await _body(receive)
        await app(scope, replayed(body, receive), send)
        self.host.nursery.start_soon(self._later, app, scope, body)

    async def comes_only_later(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        """When the device has long given it up, and sent it again."""
        body = await _body(receive)
        self.host.nursery.start_soon(self._later, app, scope, body)
        self._break_off(scope)

    async def is_busy(self, app: ASGIFramework, scope: Scope, receive: Any, send: Any) -> None:
        """A proxy says so, of a host that is not there."""
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"starting"})

    async def breaks_in_the_middle(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        left = self.count

        async def counting(part: Any) -> None:
            nonlocal left
            left -= part["type"] == "http.response.body"
            await send(part)
            if left < 0:
                self._break_off(scope)

        await app(scope, receive, counting)

    async def drips(
        self, app: ASGIFramework, scope: Scope, receive: ASGIReceiveCallable, send: Any
    ) -> None:
        async def slowly(part: Any) -> None:
            await trio.sleep(self.after_s / 4)
            await send(part)

        await app(scope, receive, slowly)

    async def _later(self, app: ASGIFramework, scope: Scope, body: bytes) -> None:
        """To the host as it is now: it may have gone down meanwhile, and come up again."""
        await trio.sleep(self.after_s)
        door = self.host.door if self.host.is_up else None
        if door is None:
            return
        with trio.move_on_after(30):
            try:
                await door.app(scope, replayed(body, _gone_later), _nowhere)
            except Exception:
                if self.host.is_up and self.host.door is door:
                    raise

    def _break_off(self, scope: Any) -> None:
        self.host.simulation.net.break_off(frozenset((ADDRESS, scope["client"][0])))


OF_A_BATCH = (
    "never_comes",
    "answer_is_lost",
    "answer_is_late",
    "comes_twice",
    "comes_again_later",
    "comes_only_later",
    "is_busy",
)
OF_A_STREAM = ("never_comes", "is_busy", "answer_is_lost", "breaks_in_the_middle", "drips")


async def _nowhere(part: Any) -> None:
    await trio.lowlevel.checkpoint()


async def _gone_later() -> Any:
    await trio.sleep_forever()


async def _body(receive: ASGIReceiveCallable) -> bytes:
    part: Any = await receive()
    found: bytes = part["body"]
    return found
