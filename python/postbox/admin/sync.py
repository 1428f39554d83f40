"""One pull from a peer, by the operator's word."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Progress, Tell
from postbox.admin.events import Taken
from postbox.mesh.pull import Mode, pull


class Pull(Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    mode: Mode


async def _sync(desk: Desk, request: Pull, tell: Tell) -> Taken:
    node = desk.node
    async with desk.mesh() as mesh:
        peer = mesh.peer(request.url)
        pulled = await pull(
            peer, node.intake, request.mode, lambda so_far: tell(Progress(so_far.total))
        )
    await node.settle()
    return Taken.of(pulled.report)


SYNC = Command("sync", Pull, Taken, _sync)
