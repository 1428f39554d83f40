"""Commands asked of a node that serves, over its socket."""

from __future__ import annotations

from pathlib import Path

from postbox.admin import wire
from postbox.admin.command import VERSION, Command, NodeGone, Req, Res, Tell
from postbox.errors import Fault
from postbox.net.client import Client, Lines
from postbox.net.faults import BadAnswer, TooLarge, TooSlow, Unreachable

IDLE_S = 60.0
"""Without a line, where the node promises one every few seconds: it is stopped, or hopelessly
slow."""
MAX_LINE_BYTES = 64 * 2**20
"""Of a result: a million positions at which `verify` found something wrong."""


class NodeFault(Fault):
    """What the node could not do, in its own words."""


class RemoteOperator:
    def __init__(self, http: Client, home: Path) -> None:
        """`http`: a client of the socket. `home`: what the texts call the node."""
        self._http = http
        self._home = home

    async def call(self, command: Command[Req, Res], request: Req, tell: Tell | None = None) -> Res:
        """Cancelled here, it is cancelled in the node."""
        try:
            body = wire.encode(request)
        except ValueError as error:
            raise NodeFault(f"cannot ask the node for that: {error}") from error
        try:
            return await self._ask(command, body, tell)
        except Unreachable as error:
            raise self._gone(str(error)) from error
        except TooSlow as error:
            raise NodeGone(
                f"the node of {self._home} does not answer ({error})",
                "What was counted until then is stored: see whether its process is stopped or the"
                " machine overloaded",
            ) from error
        except (ValueError, BadAnswer, TooLarge) as error:
            raise NodeFault(
                f"what the node of {self._home} answered makes no sense: {error}"
            ) from error

    async def _ask(self, command: Command[Req, Res], body: bytes, tell: Tell | None) -> Res:
        async with self._http.lines(
            "POST",
            f"http://local{wire.PREFIX}{command.name}",
            body=body,
            headers={"content-type": "application/json", wire.VERSION_HEADER: VERSION},
            max_line_bytes=MAX_LINE_BYTES,
            idle_s=IDLE_S,
        ) as answer:
            if answer.status != 200:
                raise NodeFault(await _refusal(answer))
            last = await _last_line(answer, tell)
        if last.fault is not None:
            raise NodeFault(last.fault.text)
        if not last.result:
            raise self._gone("its answer ends before the result")
        return wire.decode(last.result, command.result)

    def _gone(self, why: str) -> NodeGone:
        return NodeGone(
            f"the node of {self._home} went away before it had answered ({why})",
            "What was counted until then is stored: start the node again, or run this on the"
            " stopped one",
        )


async def _last_line(answer: Lines, tell: Tell | None) -> wire.Line:
    line = wire.Line()
    async for raw in answer.lines:
        line = wire.decode(raw, wire.Line)
        if line.progress is not None and tell is not None:
            tell(line.progress)
    return line


async def _refusal(answer: Lines) -> str:
    text = b" ".join([line async for line in answer.lines]).decode("utf-8", "replace")
    theirs = answer.headers.get(wire.VERSION_HEADER, "unknown")
    return (
        f"the node would not do it: {text} (the node runs postbox {theirs}, this is postbox"
        f" {VERSION}: after an update, restart the node)"
    )
