"""All that a node holds about keys, over rules on a dict: rows, directory, who waits, the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from postbox.core import Keys
from postbox.rules import EntryKey
from postbox.store.contract import Entry, Found, Key, Row
from postbox.trust.directory import Directory
from postbox.trust.rules import KeyDraft, KeyRules
from postbox.trust.tables import KnownKey, WaitingName
from postbox.trust.waiting import Waiting
from postbox.trust.waiting_rules import AnyDraft, WaitingRules
from support.rows import Rows


class Commit(NamedTuple):
    entries: list[Entry]


class Held(NamedTuple):
    """A snapshot, to compare."""

    rows: dict[tuple[str, Key], Row]
    known: list[KnownKey]
    waiting: list[WaitingName]
    core: dict[str, list[bytes]]
    ids: dict[str, str | None]  # also those that are only claimed: whose the core says they are


class KeyRing:
    def __init__(self) -> None:
        self.rows = Rows()
        self.directory = Directory(Keys())
        self.waiting = Waiting()
        self.entries: list[Entry] = []

    def say(self, draft: KeyDraft | AnyDraft, at_ms: int = 1) -> str:
        """What admission would answer: the code of a refusal, `duplicate`, `nothing` or
        `changed`."""
        rules: Any = KeyRules() if isinstance(draft, KeyDraft) else WaitingRules()
        stored = self.rows.entries.get(EntryKey(rules.lane, draft.id))
        if stored is not None and not rules.replaces(draft, stored):
            return "duplicate"
        decision = self.rows.decide(rules, draft, at_ms)
        if decision.refuse is not None:
            assert decision.refuse.text
            assert (decision.entries, decision.puts) == ((), ())
            return decision.refuse.code
        entries = []
        for new in decision.entries:
            entry = Entry(
                len(self.entries) + 1, new.lane, new.stream, None, new.id, new.kind, new.flags,
                new.author, new.at_ms, new.body,
            )  # fmt: skip
            self.entries.append(entry)
            entries.append(entry)
            found = Found(entry.pos, entry.stream, None, entry.kind, 0, b"")
            self.rows.entries[EntryKey(entry.lane, entry.id)] = found
        self.directory.applied(Commit(entries))
        self.waiting.applied(Commit(entries))
        return "changed" if entries else "nothing"

    def attempt(self, make: Callable[[], KeyDraft | AnyDraft]) -> str:
        """As `say`; `no_draft` for what cannot even be one."""
        try:
            draft = make()
        except ValueError:
            return "no_draft"
        return self.say(draft, at_ms=9)

    def held(self) -> Held:
        known, keys = self.directory.all(), self.directory.keys
        ids = {str(row[0]) for (table, _), row in self.rows.rows.items() if table == "voter"}
        ids |= {one.id for one in known if one.id is not None}
        ids |= {one.id for one in self.waiting.all() if one.id is not None}
        return Held(
            dict(self.rows.rows),
            known,
            self.waiting.all(),
            {one.name: keys.keys_of(one.name) for one in known},
            {one: keys.name_of(one) for one in ids},
        )
