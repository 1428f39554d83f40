"""Who waits for the operator, in memory: for the door's quick answer and for the operator's list.

Promises: after `load` and every commit applied in order it holds what the rows hold, whichever
process changed them. An entry applied twice, in order, does no harm.
"""

from __future__ import annotations

import msgspec

from postbox.store.contract import Entry, Lane, Reader
from postbox.trust.directory import Commit
from postbox.trust.tables import (
    ALL_WAITING,
    KIND_KEY,
    KIND_REFUSED,
    KIND_WAITS,
    LIMITS,
    STREAM,
    Group,
    KnownKey,
    WaitingName,
    waiting_name,
)


class Waiting:
    def __init__(self) -> None:
        self._names: dict[str, WaitingName] = {}

    def __len__(self) -> int:
        return len(self._names)

    def load(self, reader: Reader) -> None:
        """Start from the rows: before the first commit is applied, and after a gap in them."""
        self._names = {row.name: row for row in map(waiting_name, reader.query(ALL_WAITING))}

    def applied(self, committed: Commit) -> None:
        """The follower's call, in position order."""
        for entry in committed.entries:
            if entry.lane is Lane.NODE and entry.stream == STREAM and entry.body is not None:
                self._apply(entry, entry.body)

    def get(self, name: str) -> WaitingName | None:
        return self._names.get(name)

    def all(self) -> list[WaitingName]:
        """Who waits longest comes first."""
        return sorted(self._names.values(), key=lambda waiting: (waiting.at_ms, waiting.name))

    def has_room_for(self, name: str) -> bool:
        """Whether `name` waits, or may still come to. The rules hold the bound, by a count of their
        own; this spares a door the work."""
        return name in self._names or len(self) < LIMITS[Group.WAITING]

    def _apply(self, entry: Entry, body: bytes) -> None:
        match entry.kind:
            case kind if kind == KIND_WAITS:
                waiting = msgspec.json.decode(body, type=WaitingName)
                self._names[waiting.name] = waiting
            case kind if kind == KIND_REFUSED:
                self._names.pop(body.decode(), None)
            case kind if kind == KIND_KEY:
                self._names.pop(msgspec.json.decode(body, type=KnownKey).name, None)
