"""Everything stored looked at again, in threads of the node's."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Nothing, Progress, Tell
from postbox.event import Standing
from postbox.hosts.links.audit import find_broken_links
from postbox.log.audit import check_beside
from postbox.mesh.audit import Audit, audit, compare


class Wrong(Struct, frozen=True):
    position: int
    problem: str


class Verified(Struct, frozen=True):
    """The fields of `verify --json`: how many events were checked, of the good ones how many of
    each standing, and all that are wrong; `database`: what else is wrong, in words."""

    checked: int
    attested: int
    unproven: int
    hearsay: int
    wrong: list[Wrong]
    database: list[str] = []

    @property
    def is_sound(self) -> bool:
        return not self.wrong and not self.database


async def _verify(desk: Desk, _: Nothing, tell: Tell) -> Verified:
    node = desk.node
    head = node.tail.head
    found = Audit()

    def show(so_far: Audit, pos: int) -> None:
        tell(Progress(so_far.checked, min(1.0, pos / max(head, 1))))

    async def events() -> None:
        found.add(await audit(node, show))

    database = await check_beside(node.store, events)
    if not database:
        database += await node.store.read(find_broken_links)
    if not database and not found.unread:
        wrong, lost = await compare(node, found, head)
        found.wrong = sorted({*found.wrong, *wrong})
        database += lost
    return Verified(
        checked=found.checked,
        attested=found.standings[Standing.ATTESTED],
        unproven=found.standings[Standing.UNPROVEN],
        hearsay=found.standings[Standing.HEARSAY],
        wrong=[Wrong(pos, problem) for pos, problem in found.wrong],
        database=[*database, *found.unread],
    )


VERIFY = Command("verify", Nothing, Verified, _verify)
