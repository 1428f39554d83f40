"""One pull from a peer, by the operator's word."""

from __future__ import annotations

from msgspec import Struct, structs

from postbox.admin.command import Command, Desk, Progress, Tell
from postbox.admin.events import Taken
from postbox.mesh.calling.pull import Mode, pull


class Pull(Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    mode: Mode


async def _sync(desk: Desk, request: Pull, tell: Tell) -> Taken:
    node = desk.node
    before = 0 if desk.serving is None else node.ledger.forgotten
    async with desk.mesh() as mesh:
        peer = mesh.peer(request.url)
        pulled = await pull(
            peer, node.intake, request.mode, lambda so_far: tell(Progress(so_far.total))
        )
    await node.settle()
    taken = Taken.of(pulled.report)
    return structs.replace(taken, forgotten=node.ledger.forgotten - before)


SYNC = Command("sync", Pull, Taken, _sync)
