"""Commands on a node that this process has open."""

from __future__ import annotations

from postbox.admin.command import Command, Desk, Progress, Req, Res, Tell


class LocalOperator:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def call(self, command: Command[Req, Res], request: Req, tell: Tell | None = None) -> Res:
        return await command.run(self._desk, request, tell or _ignore)


def _ignore(_: Progress) -> None:
    pass
