"""Every stored event checked again, in threads of the node's."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Progress, Tell
from postbox.event import Standing
from postbox.mesh.audit import audit


class Wrong(Struct, frozen=True):
    position: int
    problem: str


class Verified(Struct, frozen=True):
    """The fields of `verify --json`: how many were checked, of the good ones how many of each
    standing, and all that are wrong."""

    checked: int
    attested: int
    unproven: int
    hearsay: int
    wrong: list[Wrong]


async def _verify(desk: Desk, _: Nothing, tell: Tell) -> Verified:
    node = desk.node
    result = await audit(
        node.world,
        node.tail,
        node.directory.keys,
        lambda so_far, share: tell(Progress(so_far.checked, share)),
    )
    return Verified(
        checked=result.checked,
        attested=result.standings[Standing.ATTESTED],
        unproven=result.standings[Standing.UNPROVEN],
        hearsay=result.standings[Standing.HEARSAY],
        wrong=[Wrong(pos, problem) for pos, problem in result.wrong],
    )


VERIFY = Command("verify", Nothing, Verified, _verify)
