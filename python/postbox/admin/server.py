"""A serving node's side of its socket: carries out what the operator asks.

A client that goes away, as at a Ctrl-C, has its command cancelled (`net` does that to every app);
what it had made durable stays.
A command that fails, whatever way, costs its own answer and nothing else: faults are told as they
are, anything else is a bug, which the node's log shows and the operator is told of.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct

from postbox.admin import wire
from postbox.admin.command import VERSION, Command, Desk, Progress
from postbox.admin.commands import COMMANDS
from postbox.admin.place import claimed
from postbox.errors import Fault, in_one_line, leaves
from postbox.logs import get
from postbox.net.asgi import Reply, discard_body, read_body, send_reply, text
from postbox.net.limits import Limits
from postbox.net.server import UnixAddress, serve

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        HTTPScope,
        Scope,
    )

PROGRESS_S = 0.1
"""Between two lines of progress: nobody reads faster."""
LIMITS = Limits(grace_s=2.0, send_s=600.0)
"""A batch of an import is done in a fraction of this grace; a verify or a pull would use up any.
The operator's terminal may be paused for a while."""

_log = get("postbox.admin")


async def serve_operator(
    desk: Desk,
    commands: Mapping[str, Command[Any, Any]] = COMMANDS,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the operator of `desk.node` on the socket of its home, until `stop` is set. The home's
    lock is held as long as the node is open."""
    node = desk.node
    with claimed(node.home) as path:
        await serve(
            node.world,
            make_app(desk, commands),
            UnixAddress(path),
            stop=stop,
            limits=LIMITS,
            task_status=task_status,
        )


def make_app(desk: Desk, commands: Mapping[str, Command[Any, Any]]) -> ASGIFramework:
    """The ASGI app behind the socket."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        command = _command(scope, commands)
        if isinstance(command, Reply):
            await discard_body(receive)
            await send_reply(send, command)
            return
        body = await read_body(receive)
        if body is None:
            return
        try:
            request = wire.decode(body, command.request)
        except ValueError as error:
            await send_reply(send, _refusal(400, f"{command.name} cannot be asked that: {error}"))
            return
        await _carry_out(_Work(command, desk, request), send)

    return app


def _command(
    scope: HTTPScope, commands: Mapping[str, Command[Any, Any]]
) -> Command[Any, Any] | Reply:
    name = scope["path"].removeprefix(wire.PREFIX)
    command = commands.get(name)
    if not scope["path"].startswith(wire.PREFIX) or command is None:
        return _refusal(404, f"no such command: {scope['path'][:100]}")
    if scope["method"] != "POST":
        return _refusal(405, f"use POST {scope['path']}", allow="POST")
    return command


def _refusal(status: int, line: str, **headers: str) -> Reply:
    return text(status, line, **{wire.VERSION_HEADER: VERSION}, **headers)


async def _carry_out(work: _Work, send: ASGISendCallable) -> None:
    headers = [
        (b"content-type", b"application/x-ndjson"),
        (wire.VERSION_HEADER.encode(), VERSION.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.run)
        while not work.ended.is_set():
            with trio.move_on_after(wire.HEARTBEAT_S):
                await work.news.wait()
            line = work.take_progress()
            await send({"type": "http.response.body", "body": line, "more_body": True})
            with trio.move_on_after(PROGRESS_S):
                await work.ended.wait()
    line = work.take_progress() + work.last_line
    await send({"type": "http.response.body", "body": line, "more_body": False})


class _Work:
    """A command under way, and the lines about it: the latest progress, never a queue of it."""

    def __init__(self, command: Command[Any, Any], desk: Desk, request: Struct) -> None:
        self._name = command.name
        self._run = partial(command.run, desk, request, self._tell)
        self._progress: Progress | None = None
        self.news = trio.Event()
        self.ended = trio.Event()
        self.last_line = b""

    async def run(self) -> None:
        try:
            self.last_line = wire.encode_result(await self._run())
        except Exception as error:
            self.last_line = wire.encode_failure(_failure(self._name, error))
        self.ended.set()
        self.news.set()

    def take_progress(self) -> bytes:
        """A line with the latest, or an empty one: a sign of life."""
        progress, self._progress = self._progress, None
        self.news = trio.Event()
        return wire.encode_progress(progress)

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
        self.news.set()


def _failure(name: str, error: Exception) -> wire.Failure:
    errors = leaves(error)
    if all(isinstance(one, Fault) for one in errors):
        return wire.Failure("fault", in_one_line(errors))
    _log.error("command failed", command=name, exc_info=error)
    return wire.Failure(
        "internal",
        f"the node failed at this ({in_one_line(errors) or type(error).__name__}): that is a bug,"
        " which its log shows; the node goes on",
    )
