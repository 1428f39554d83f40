"""Checks every stored event again, as if it had just come: its form, its id, its signature; and
whether the ledger holds what the log holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from postbox.core import Batch, Keys, Ledger, verdict_names
from postbox.event import Service, Standing
from postbox.log.admission import Admission
from postbox.log.audit import Walk
from postbox.log.tail import Tail
from postbox.mesh.chunks import chunks
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.rules import Forget, MeshRules
from postbox.rules import Payer
from postbox.store.contract import Entry, EntryName, Found, Lane
from postbox.store.runner import StoreRunner
from postbox.trust.directory import Directory
from postbox.world import World

IDS_AT_ONCE = 5_000  # looked up in the log: some 20 ms of a reader
MAX_LOST = 100  # told of
_NOT_JUDGED = 255  # what the core says where an event is refused
_FAR_FUTURE_NS = 2**62  # times were checked against the clock when they came

NOT_HELD = "in the log, and not in the ledger"


@dataclass
class Audit:
    """`standings`: of the good ones. `wrong`: position in the log and what is wrong there.
    `unheld`: position and id of good ones that the ledger did not hold when they were looked at.
    `unread`: why the rest of the log could not be read, if it could not."""

    checked: int = 0
    standings: Counter[Standing] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    unheld: list[tuple[int, bytes]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add(self, other: Audit) -> None:
        self.checked += other.checked
        self.standings += other.standings
        self.wrong += other.wrong
        self.unheld += other.unheld
        self.unread += other.unread


class Compared(Protocol):
    """As much of an open node as an audit looks at."""

    @property
    def world(self) -> World: ...
    @property
    def store(self) -> StoreRunner: ...
    @property
    def tail(self) -> Tail: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def ledger(self) -> MeshLedger: ...


async def audit(node: Compared, progress: Callable[[Audit, int], None]) -> Audit:
    """The whole mesh lane, with the keys known now. `progress` is also told the position up to
    which all is checked."""
    result = Audit()

    def take(page: Audit, next_pos: int) -> None:
        result.add(page)
        progress(result, next_pos)

    judge = partial(_check, node.directory.keys, node.ledger.index)
    walk = Walk(node.world.threads, node.store, Lane.MESH, judge, take)
    result.unread = await walk.run()
    return result


def _check(keys: Keys, index: Ledger, entries: Sequence[Entry]) -> Audit:
    found = Audit()
    whole = [entry for entry in entries if entry.body is not None]
    batch = Batch.decode([entry.body or b"" for entry in whole], _FAR_FUTURE_NS)
    batch.verify(keys)
    ids = {number: event_id for number, event_id, *_ in batch.accepted()}
    judged = zip(whole, batch.verdicts, batch.standings, strict=True)
    for number, (entry, verdict, standing) in enumerate(judged):
        found.checked += 1
        problem = _problem(entry, ids.get(number), verdict, standing)
        if problem is not None:
            found.wrong.append((entry.pos, problem))
            continue
        found.standings[Standing(standing)] += 1
        if entry.id not in index:
            found.unheld.append((entry.pos, entry.id))
    return found


def _problem(entry: Entry, event_id: bytes | None, verdict: int, standing: int) -> str | None:
    if verdict or standing == _NOT_JUDGED:
        return verdict_names[verdict]
    if event_id != entry.id:
        return "stored under another id than its own"
    if entry.kind == Service.CHECKPOINT and standing == Standing.UNPROVEN:
        return None  # an id that has moved to another name takes its votes with it
    if standing != entry.flags:
        noted, found = Standing(entry.flags).name.lower(), Standing(standing).name.lower()
        return f"noted as {noted}, and is {found}"
    return None


async def compare(
    node: Compared, found: Audit, head: int
) -> tuple[list[tuple[int, str]], list[str]]:
    """What only the log has, by its position, and what only the ledger has. `found`: by an audit
    before which the ledger had applied all up to `head`.

    What was on its way into one of them or out of it when it was looked at is looked at again,
    behind all that was under way."""
    is_same = not found.unheld and found.standings.total() == len(node.ledger.index)
    if is_same or node.ledger.is_partial:
        return [], []
    suspects = await _lost(node)
    await _catch_up(node)
    return await _unheld(node, found, head), await _still_lost(node, suspects)


async def _catch_up(node: Compared) -> None:
    """What was dropped leaves the log, too, but where another process may be the one to see to it:
    there it is known to be `leaving`."""
    nothing = Forget(node.world.new_id(), Payer("operator", "verify"), ())
    await node.admission.submit(MeshRules(), [nothing])
    if node.store.is_shared:
        await node.tail.catch_up()
    else:
        await node.ledger.settle(node.admission)


async def _unheld(node: Compared, found: Audit, head: int) -> list[tuple[int, str]]:
    leaving = node.ledger.leaving()
    suspects = [each for each in found.unheld if each[0] <= head and each[0] not in leaving]
    wrong = []
    for some in chunks(suspects, IDS_AT_ONCE):
        there = await _find(node.store, [event_id for _, event_id in some])
        for pos, event_id in some:
            stored = there.get((Lane.MESH, event_id))
            if stored is not None and stored.pos == pos and event_id not in node.ledger.index:
                wrong.append((pos, NOT_HELD))
    return wrong


async def _lost(node: Compared) -> list[bytes]:
    suspects: list[bytes] = []
    index, cursor = node.ledger.index, None
    while True:
        page = index.page(cursor, IDS_AT_ONCE, (), ())
        suspects += await _missing(node.store, page.ids())
        cursor = page.next_cursor
        if cursor is None:
            return suspects


async def _still_lost(node: Compared, suspects: list[bytes]) -> list[str]:
    held = [event_id for event_id in suspects if event_id in node.ledger.index]
    missing = await _missing(node.store, held[:MAX_LOST])
    return [
        f"the event {event_id.hex()} is not in the log: the ledger has it" for event_id in missing
    ]


async def _missing(store: StoreRunner, ids: Sequence[bytes]) -> list[bytes]:
    there = await _find(store, ids)
    return [event_id for event_id in ids if (Lane.MESH, event_id) not in there]


async def _find(store: StoreRunner, ids: Sequence[bytes]) -> dict[EntryName, Found]:
    names = [(Lane.MESH, event_id) for event_id in ids]
    return await store.read(lambda reader: reader.find(names))
