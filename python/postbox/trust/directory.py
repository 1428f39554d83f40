"""Who is known, in memory: the keys that signatures are checked with, kept up from the log.

Promises: after `load` and every commit applied in order it holds what the rows hold, whichever
process changed them. An entry carries its whole row, so one applied twice does no harm.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from postbox.core import Keys
from postbox.store.contract import Entry, Lane, Reader
from postbox.trust.tables import (
    ALL_KEYS,
    KIND_KEY,
    LIMITS,
    STREAM,
    Group,
    KnownKey,
    Source,
    group_of,
    known_key,
)


class Learned(NamedTuple):
    """Whose keys, and which voters' ids, are new or changed: what they signed is worth another
    look. `disowned`: of these names the ones of which a key counts no more."""

    names: tuple[str, ...]
    ids: tuple[str, ...]
    disowned: tuple[str, ...] = ()


Listener: TypeAlias = Callable[[Learned], None]


class Commit(Protocol):
    """As much of a commit as matters here; the log lies above trust."""

    @property
    def entries(self) -> Sequence[Entry]: ...


class Directory:
    def __init__(self, keys: Keys) -> None:
        """`keys` is filled here and by nobody else; the core checks signatures with it."""
        self.keys = keys
        self._known: dict[str, KnownKey] = {}
        self._listeners: list[Listener] = []
        self._counts: Counter[Group] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def listen(self, listener: Listener) -> None:
        """Called after each change, and after `load`, with what is new; must not raise."""
        self._listeners.append(listener)

    def load(self, reader: Reader) -> None:
        """Start from the rows: before the first commit is applied, and after a gap in them."""
        self._learn(known_key(row) for row in reader.query(ALL_KEYS))

    def applied(self, committed: Commit) -> None:
        """The follower's call, in position order."""
        self._learn(
            msgspec.json.decode(entry.body, type=KnownKey)
            for entry in committed.entries
            if entry.lane is Lane.NODE
            and entry.stream == STREAM
            and entry.kind == KIND_KEY
            and entry.body is not None
        )

    def key_of(self, name: str) -> bytes | None:
        """The current key, for what is signed now (requests, answers)."""
        known = self._known.get(name)
        return None if known is None else known.key

    def get(self, name: str) -> KnownKey | None:
        return self._known.get(name)

    def all(self) -> list[KnownKey]:
        """By name."""
        return [self._known[name] for name in sorted(self._known)]

    def disputed(self) -> list[str]:
        """Names that had a key that counts no more."""
        return [known.name for known in self._known.values() if known.dropped]

    def room_for(self, source: Source) -> int:
        """How many new names may still come from there, which spares a door the work for more: the
        rules refuse those, by a count of their own."""
        group = group_of(source)
        return sys.maxsize if group is None else max(0, LIMITS[group] - self._counts[group])

    def _learn(self, rows: Iterable[KnownKey]) -> None:
        names: dict[str, None] = {}
        disowned: dict[str, None] = {}
        ids: dict[str, None] = {}
        for row in rows:
            before = self._known.get(row.name)
            if before == row:
                continue
            self._known[row.name] = row
            self._count(before, row)
            self.keys.put(row.name, row.keys, row.voter_id)
            names[row.name] = None
            if before is not None and row.dropped > before.dropped:
                disowned[row.name] = None
            # its votes are looked up by id, and a new key may prove those, too
            if row.voter_id is not None:
                ids[row.voter_id] = None
        if not names:
            return
        learned = Learned(tuple(names), tuple(ids), tuple(disowned))
        for listener in self._listeners:
            listener(learned)

    def _count(self, before: KnownKey | None, after: KnownKey) -> None:
        for row, change in ((before, -1), (after, 1)):
            group = None if row is None else group_of(row.source)
            if group is not None:
                self._counts[group] += change
