"""Rules on a dict: rows and entries by key, without a store or admission."""

from collections.abc import Iterable
from typing import TypeVar

from postbox.rules import Decision, Draft, EntryKey, RowKey, Rules, StreamKey, Unread
from postbox.store.contract import Found, Key, Lane, Row, Table

D = TypeVar("D", bound=Draft)


class Rows:
    """Rows that a draft may see once its rules have asked for them; what is decided is kept.

    `entries`: what is stored. A draft sees its own without asking, others as it sees rows."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Key], Row] = {}
        self.entries: dict[EntryKey, Found] = {}
        self._asked: set[RowKey | EntryKey | StreamKey] = set()

    def __getitem__(self, key: tuple[Table, Key], /) -> Row | None:
        table, row_key = key
        if RowKey(table, row_key) not in self._asked:
            raise Unread(RowKey(table, row_key))
        return self.rows.get((table.name, row_key))

    def entry(self, lane: Lane, id: bytes) -> Found | None:
        key = EntryKey(lane, id)
        if key not in self._asked:
            raise Unread(key)
        return self.entries.get(key)

    def decide(self, rules: Rules[D], draft: D, at_ms: int) -> Decision:
        """One draft through `needs` and `decide`, in at most three rounds."""
        self._asked = {EntryKey(rules.lane, draft.id)}
        for _ in range(3):
            self._asked |= set(self._round(rules.needs(draft, self)))
        decision = rules.decide(draft, self, at_ms)
        for table, row in decision.puts:
            self.rows[table.name, row[: table.key]] = row
        for table, key in decision.drops:
            self.rows.pop((table.name, key), None)
        return decision

    def _round(
        self, needs: Iterable[RowKey | EntryKey | StreamKey]
    ) -> Iterable[RowKey | EntryKey | StreamKey]:
        try:
            yield from needs
        except Unread:
            return
