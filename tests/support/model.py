"""The contract as a dict: what store, admission and rules together must come to.

One draft at a time, plain loops, no SQL, no batches. Rules are given, as they are to the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from postbox.rules import Accepted, Decision, Draft, Duplicate, Outcome, Rejected, Rules
from postbox.store.contract import Entry, Found, Key, Lane, Row, Table, Window


class ModelState:
    """Everything is read already."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, key: tuple[Table, Key], /) -> Row | None:
        return self._model.rows.get((key[0].name, key[1]))

    def entry(self, lane: Lane, entry_id: bytes, /) -> Found | None:
        entry = self._model.find(lane, entry_id)
        if entry is None:
            return None
        return Found(entry.pos, entry.stream, entry.seq, entry.kind, entry.flags, entry.author)


class Model:
    def __init__(self) -> None:
        self.head = 0
        self.entries: dict[int, Entry] = {}
        self.rows: dict[tuple[str, Key], Row] = {}
        self.last_seqs: dict[bytes, int] = {}

    def find(self, lane: Lane, entry_id: bytes) -> Entry | None:
        for entry in self.entries.values():
            if entry.lane == lane and entry.id == entry_id:
                return entry
        return None

    def submit(self, rules: Rules[Any], draft: Draft) -> Outcome:
        state = ModelState(self)
        stored = state.entry(rules.lane, draft.id)
        if stored is not None and not rules.replaces(draft, stored):
            return Duplicate(stored.pos, stored.seq)
        decision = rules.decide(draft, state, 0)
        self.put_and_drop(decision)
        if decision.refuse is not None:
            return Rejected(decision.refuse)
        if decision.same_as is not None:
            return decision.same_as
        return self.write(decision, draft.id)

    def put_and_drop(self, decision: Decision) -> None:
        for table, row in decision.puts:
            self.rows[table.name, row[: table.key]] = row
        for table, key in decision.drops:
            self.rows.pop((table.name, key), None)

    def write(self, decision: Decision, draft_id: bytes) -> Outcome:
        for pos in decision.removes:
            self.entries.pop(pos, None)
        for pos in decision.blanks:
            if pos in self.entries:
                self.entries[pos] = replace(self.entries[pos], body=None)
        added = [self.append(new) for new in decision.entries]
        own = next((entry for entry in added if entry.id == draft_id), None)
        first = own or next(iter(added), None)
        return Accepted(self.head, None) if first is None else Accepted(first.pos, first.seq)

    def append(self, new: Any) -> Entry:
        self.head += 1
        seq = None
        if new.numbered:
            seq = self.last_seqs[new.stream] = self.last_seqs.get(new.stream, 0) + 1
        entry = Entry(
            self.head,
            new.lane,
            new.stream,
            seq,
            new.id,
            new.kind,
            new.flags,
            new.author,
            new.at_ms,
            new.body,
        )
        self.entries[self.head] = entry
        return entry

    def page(
        self, lane: Lane, windows: Sequence[Window] | None, after: int, limit: int
    ) -> list[Entry]:
        wanted = [
            entry
            for pos, entry in sorted(self.entries.items())
            if pos > after and entry.lane == lane and in_windows(entry, windows)
        ]
        return wanted[:limit]


def in_windows(entry: Entry, windows: Sequence[Window] | None) -> bool:
    return windows is None or any(
        window.stream == entry.stream and window.after < entry.pos <= window.upto
        for window in windows
    )
