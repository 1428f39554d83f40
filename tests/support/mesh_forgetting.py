"""What a node's ledger forgets, seen as it happens: no attested event may go while another one is
held that nara would prune before it (`pruneUnlocked`), of the same standing.

Pings and observations are left out as what is lost: they have caps of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from postbox.event import Service, Standing
from postbox.log.committed import Committed
from postbox.node import Node
from postbox.store.contract import Entry, Lane, Reader
from postbox.trust.directory import Learned

PRIORITY = {Service.PING: 4, Service.SEEN: 3, Service.SOCIAL: 2, Service.HEY_THERE: 1}
PRIORITY[Service.CHAU] = 1
LASTING = 0
"""nara's numbers: the highest goes first, and this one never."""
NAMES = ("From", "actor", "target", "witness", "observer", "subject")
"""Fields of payloads that have one."""
CAPPED = (Service.PING, Service.OBSERVATION)


class Place(NamedTuple):
    """In the order of pruning: the least goes first."""

    tier: int  # 0: names a stranger, 1: does not, 2: is never pruned
    worth: int
    ts: int


class _Said(NamedTuple):
    priority: int
    names: frozenset[str]
    ts: int


class Forgetting:
    """Of one life of a node; a follower of its log, behind the ledger."""

    def __init__(self, node: Node) -> None:
        self.forgotten = 0
        """Attested events that had to go."""
        self.wrong: list[str] = []
        """Those that went although another one should have."""
        self._node = node
        self._held: dict[int, Entry] = {}
        self._gone: frozenset[int] = frozenset()
        self._learned_now: set[str] = set()

    async def begin(self) -> None:
        """From now on."""
        self._node.directory.listen(self._learned)
        await self._node.tail.join(self, self._load)

    def _load(self, reader: Reader) -> None:
        page = reader.page(Lane.MESH, None, 0, 1_000_000, 2**40)
        self._held = {one.pos: one for one in page.entries if one.body is not None}

    def _learned(self, learned: Learned) -> None:
        # What is forgotten in a commit is so by what was known before it.
        self._learned_now.update(learned.names)

    def applied(self, committed: Committed) -> None:
        self._held |= {one.pos: one for one in committed.entries if one.lane is Lane.MESH}
        gone = self._node.ledger.leaving()
        self._look_at([self._held[pos] for pos in gone - self._gone if pos in self._held])
        for pos in (*committed.removes, *committed.blanks):
            self._held.pop(pos, None)
        self._gone = gone
        self._learned_now.clear()

    def _look_at(self, gone: Iterable[Entry]) -> None:
        lost = [
            one
            for one in gone
            if one.flags == Standing.ATTESTED
            and one.kind not in CAPPED
            and one.id not in self._node.ledger.index
        ]
        if not lost:
            return
        self.forgotten += len(lost)
        places = [self._place(one) for one in self._held.values() if self._stays(one)]
        least = min(places, default=Place(0, 0, 0))
        self.wrong += [f"{one.id.hex()} before {least}" for one in lost if self._place(one) > least]

    def _stays(self, entry: Entry) -> bool:
        return entry.flags == Standing.ATTESTED and entry.id in self._node.ledger.index

    def _place(self, entry: Entry) -> Place:
        said = _said(entry)
        if said.priority == LASTING:
            return Place(2, 0, said.ts)
        names_stranger = not all(map(self._was_known, said.names))
        return Place(0 if names_stranger else 1, -said.priority, said.ts)

    def _was_known(self, name: str) -> bool:
        is_known = self._node.directory.key_of(name) is not None
        return is_known and name not in self._learned_now


def _said(entry: Entry) -> _Said:
    event: dict[str, Any] = msgspec.json.decode(entry.body or b"")
    payload = event[Service(entry.kind).wire_name.replace("-", "_")]
    names = frozenset(filter(None, map(payload.get, NAMES)))
    lasting = payload.get("type") != "status-change"
    priority = PRIORITY.get(Service(entry.kind), LASTING if lasting else 1)
    return _Said(priority, names, event["ts"])
