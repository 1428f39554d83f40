"""What is held against peers, in memory: kept up from the log, of whichever process it came.

Promises: after `load` and every commit applied in order it holds what the rows hold. An entry
carries the whole record, so one applied twice, in order, does no harm.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from postbox.log.committed import Committed
from postbox.logs import get, limited
from postbox.mesh.peers.rules import Told
from postbox.mesh.peers.standing_rules import CLEAN, Record, Regard, regard_of
from postbox.mesh.tables import ALL_RECORDS, KIND_RECORD, PEERS_STREAM, record_of
from postbox.store.contract import Lane, Reader
from postbox.world import Clock

LINES_PER_MINUTE = 60


class Records:
    """A follower of the log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._log = limited(get("postbox.mesh.peers"), "records", LINES_PER_MINUTE)

    def load(self, reader: Reader) -> None:
        rows = reader.query(ALL_RECORDS)
        self._records = {str(row[0]): record_of(row) for row in rows}

    def applied(self, committed: Committed) -> None:
        """The follower's call."""
        for entry in committed.streams.get((Lane.NODE, PEERS_STREAM), ()):
            if entry.kind == KIND_RECORD and entry.body is not None:
                self._take(msgspec.json.decode(entry.body, type=Told))

    def of(self, name: str) -> Record:
        return self._records.get(name, CLEAN)

    def all(self) -> dict[str, Record]:
        return dict(self._records)

    def regard(self, name: str) -> Regard:
        record = self._records.get(name)
        return Regard.GOOD if record is None else regard_of(record, self._clock.now_ns())

    def listen(self, listener: Callable[[str], None]) -> None:
        """Called with the name of each peer whose regard may have changed; must not raise."""
        self._listeners.append(listener)

    def _take(self, told: Told) -> None:
        before = self.regard(told.name)
        if told.record == CLEAN:
            self._records.pop(told.name, None)
        else:
            self._records[told.name] = told.record
        now = self.regard(told.name)
        if now is not before:
            self._tell(told, now)
        for listener in self._listeners:
            listener(told.name)

    def _tell(self, told: Told, now: Regard) -> None:
        if now is Regard.GOOD:
            self._log.info("a peer is thought well of again", name=told.name)
            return
        self._log.warning(
            f"a peer is {now}",
            name=told.name,
            why=told.record.why,
            remedy="it ends by itself, or by postbox peers forgive NAME"
            if not told.record.by_operator
            else "until postbox peers forgive NAME",
        )
