"""What a batch comes to: every door's rules over the drafts in order, inside one transaction.

Knows no door. Reads sets, not rows: the drafts' ids, then what the rules say they need, a few
rounds of one read a table. Nothing here writes: the plan holds the change, and `change` goes to
the store in one piece. Rules that raise spoil their own draft only, because a decision touches the
batch's state after it was made, and checked, as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from postbox.log.waiting import Failed
from postbox.rules import (
    Accepted,
    Decision,
    Draft,
    Duplicate,
    EntryKey,
    NewEntry,
    Outcome,
    Rejected,
    RowKey,
    Rules,
    StreamKey,
    Unread,
)
from postbox.store.contract import (
    IDENTITY,
    Change,
    Entry,
    EntryName,
    Found,
    Key,
    Lane,
    Row,
    Table,
    Tx,
    Wanted,
)

_LAST_TOKEN = "last_token"
MAX_ROUNDS = 3  # of needs: a row, what it points to, and what that points to
MAX_KNOWN_STREAMS = 10_000  # whose last number is remembered between batches: about 2 MB

Item: TypeAlias = tuple[Rules[Any], Any]  # a draft, with its door's rules


class Numbers:
    """The last number of each stream, kept between batches while nobody else wrote."""

    def __init__(self) -> None:
        self._head = -1  # the log's head for which `last` holds
        self.last: dict[bytes, int] = {}

    def begin(self, head: int, is_next: bool) -> None:
        """Until `commit` says otherwise, what this batch adds may turn out not to be. A log that
        went back and grew again, as after a failover, may have our head and other numbers: that
        is what `is_next` (see `contract.Tx`) excludes."""
        if self._head != head or not is_next or len(self.last) > MAX_KNOWN_STREAMS:
            self.last.clear()
        self._head = -1

    def commit(self, head: int) -> None:
        self._head = head


class Plan(NamedTuple):
    """What a batch comes to, before it is committed."""

    outcomes: list[Outcome | Failed]
    change: Change
    head: int  # the log's head after it
    has_failed: bool  # some outcome is none
    token: bytes  # in the database if a plan that leaves no entries was committed; else empty


def plan_batch(items: Sequence[Item], tx: Tx, numbers: Numbers, at_ns: int) -> Plan:
    numbers.begin(tx.head, tx.is_next)
    batch = Batch(tx, numbers, at_ns // 1_000_000)
    failures = batch.read_all(items)
    outcomes: list[Outcome | Failed] = []
    for at, (rules, draft) in enumerate(items):
        if at in failures:
            outcomes.append(Failed(failures[at]))
            continue
        try:
            outcomes.append(batch.decide(rules, draft))
        except Exception as error:  # a bug of the door's, whatever it is: its own draft's
            outcomes.append(Failed(error))
            failures[at] = error
    change, token = batch.change(), b""
    if not _traces(change) and not change.is_empty():
        token = at_ns.to_bytes(8, "big") + items[0][1].id
        change = replace(change, puts={**change.puts, IDENTITY: [(_LAST_TOKEN, token)]})
    return Plan(outcomes, change, batch.head, bool(failures), token)


def has_landed(plan: Plan, tx: Tx) -> bool:
    """Whether an earlier try, whose commit was not answered, was committed after all. Then all its
    entries are at their places. One would not tell: another process may have been given the same
    event, and committed it at that very place with others. Without entries the token tells, unless
    another process wrote one since: then the plan is made again, which its rules allow."""
    if plan.token:
        return tx.rows(IDENTITY, [(_LAST_TOKEN,)]) == {(_LAST_TOKEN,): (_LAST_TOKEN, plan.token)}
    expected = _traces(plan.change)
    if not expected:
        return False
    found = tx.find(expected)
    return all(name in found and found[name].pos == pos for name, pos in expected.items())


def _traces(change: Change) -> dict[EntryName, int]:
    """The entries that are there after it, by name, with their places."""
    removed = frozenset(change.removes)
    return {
        (entry.lane, entry.id): entry.pos for entry in change.appends if entry.pos not in removed
    }


class BatchState(dict[tuple[Table, Key], Row | None]):
    """What rules see. A dict, because the lookup of a row is what rules do most."""

    def __init__(self) -> None:
        self.entries: dict[EntryName, Entry | Found | None] = {}  # as stored, or of this batch

    def __missing__(self, key: tuple[Table, Key]) -> Row | None:
        raise Unread(RowKey(*key))

    def entry(self, lane: Lane, entry_id: bytes) -> Found | None:
        try:
            entry = self.entries[lane, entry_id]
        except KeyError:
            raise Unread(EntryKey(lane, entry_id)) from None
        return None if entry is None else found_of(entry)


class Round:
    """What to read in the next round."""

    def __init__(self, state: BatchState, seqs: dict[bytes, int]) -> None:
        self._state = state
        self._seqs = seqs
        self._rows: dict[Table, dict[Key, None]] = {}
        self._entries: dict[EntryName, None] = {}
        self._streams: dict[bytes, None] = {}

    def ask(self, rules: Rules[Any], draft: Draft) -> bool:
        """Whether the rules have to be asked again: they looked at what is not read yet. If they
        did not, what they named depends on nothing that is still to come."""
        try:
            for key in rules.needs(draft, self._state):
                self.add(key)
        except Unread as early:
            self.add(early.key)
            return True
        return False

    def add(self, key: RowKey | EntryKey | StreamKey) -> None:
        if isinstance(key, RowKey):
            if key not in self._state:
                self._rows.setdefault(key.table, {})[key.key] = None
        elif isinstance(key, EntryKey):
            if key not in self._state.entries:
                self._entries[key] = None
        elif key.stream not in self._seqs:
            self._streams[key.stream] = None

    def read(self, tx: Tx, own: Sequence[EntryName] = ()) -> None:
        """`own`: entries that are read besides."""
        entries = dict.fromkeys(own) | self._entries
        if not (entries or self._rows or self._streams):
            return
        known = tx.look_up(Wanted(entries, self._rows, self._streams))
        state = self._state
        for table, rows in known.rows.items():
            for key, row in rows.items():
                state[table, key] = row
        state.entries.update(entries)
        state.entries.update(known.entries)
        self._seqs.update(known.last_seqs)


class Batch:
    """The state of one batch while its drafts are decided in order."""

    def __init__(self, tx: Tx, numbers: Numbers, at_ms: int) -> None:
        self._tx = tx
        self._seqs = numbers.last
        self._at_ms = at_ms
        self._state = BatchState()
        self._appends: list[Entry] = []
        self._removes: list[int] = []
        self._blanks: list[int] = []
        self._written: dict[tuple[Table, Key], None] = {}
        self._names: dict[int, EntryName] | None = None  # by position, once something is removed
        self.head = tx.head

    def read_all(self, items: Sequence[Item]) -> dict[int, Exception]:
        """Reads what the drafts need; returns the drafts whose `needs` raised. What they name at
        once is read together with their own entries, for one question to the store; so drafts that
        are stored already are asked, too."""
        first = Round(self._state, self._seqs)
        failures: dict[int, Exception] = {}
        asking = self._ask(first, items, range(len(items)), failures)
        first.read(self._tx, [(rules.lane, draft.id) for rules, draft in items])
        failures = {at: failures[at] for at in failures if self._is_new(items[at], at, {})}
        for _ in range(MAX_ROUNDS):
            pending = [at for at in asking if self._is_new(items[at], at, failures)]
            if not pending:
                break
            again = Round(self._state, self._seqs)
            asking = self._ask(again, items, pending, failures)
            again.read(self._tx)
        return failures

    def _ask(
        self,
        wanted: Round,
        items: Sequence[Item],
        pending: Sequence[int],
        failures: dict[int, Exception],
    ) -> list[int]:
        """Those that have to be asked again."""
        asking = []
        for at in pending:
            try:
                if wanted.ask(*items[at]):
                    asking.append(at)
            except Exception as error:  # a bug of the door's: its own draft's
                failures[at] = error
        return asking

    def _is_new(self, item: Item, at: int, failures: dict[int, Exception]) -> bool:
        rules, draft = item
        stored = self._state.entries[rules.lane, draft.id]
        try:
            return stored is None or rules.replaces(draft, found_of(stored))
        except Exception as error:  # as above
            failures[at] = error
            return False

    def decide(self, rules: Rules[Any], draft: Draft) -> Outcome:
        name = (rules.lane, draft.id)
        state = self._state
        stored = state.entries[name]
        if stored is not None and not rules.replaces(draft, found_of(stored)):
            return Duplicate(stored.pos, stored.seq)
        try:
            decision = rules.decide(draft, state, self._at_ms)
        except Unread:
            decision = self._decide_again(rules, draft)
        return self._absorb(decision, name)

    def _decide_again(self, rules: Rules[Any], draft: Draft) -> Decision:
        """What the drafts before wrote may lead to rows that were not read: `needs` sees it now."""
        for _ in range(MAX_ROUNDS):
            again = Round(self._state, self._seqs)
            is_asking = again.ask(rules, draft)
            again.read(self._tx)
            self._names = None  # there may be entries now that it does not have
            if not is_asking:
                break
        return rules.decide(draft, self._state, self._at_ms)

    def _absorb(self, decision: Decision, name: EntryName) -> Outcome:
        # Raised before anything is touched, for what would fail the whole batch later.
        if decision.refuse is not None and (
            decision.entries or decision.drops or decision.removes or decision.blanks
        ):
            raise ValueError("a decision that refuses may only put rows")
        if decision.same_as is not None and (decision.entries or decision.refuse is not None):
            raise ValueError("a decision that finds the same stored has no entry and no refusal")
        known = self._state.entries
        for new in decision.entries:
            stored = known.get((new.lane, new.id))
            if stored is not None and stored.pos not in decision.removes:
                raise ValueError(f"the id {new.id.hex()} is stored already, at {stored.pos}")
        return self._take(decision, name)

    def _take(self, decision: Decision, name: EntryName) -> Outcome:
        if decision.puts or decision.drops:
            self._write(decision)
        if decision.refuse is not None:
            return Rejected(decision.refuse)
        if decision.removes:
            self._remove(decision.removes)
        if decision.blanks:
            self._blanks += decision.blanks
        if decision.same_as is not None:
            return decision.same_as
        own = None
        for new in decision.entries:
            entry = self._append(new)
            if own is None or entry.id == name[1]:
                own = entry
        return Accepted(self.head, None) if own is None else Accepted(own.pos, own.seq)

    def _append(self, new: NewEntry) -> Entry:
        stream, lane = new.stream, new.lane
        self.head = pos = self.head + 1
        seq = self._next_seq(stream) if new.numbered else None
        entry = Entry(
            pos, lane, stream, seq, new.id, new.kind, new.flags, new.author, new.at_ms, new.body
        )
        self._appends.append(entry)
        self._state.entries[lane, new.id] = entry
        if self._names is not None:
            self._names[pos] = (lane, new.id)
        return entry

    def _next_seq(self, stream: bytes) -> int:
        seqs = self._seqs
        if stream not in seqs:
            seqs.update(self._tx.last_seqs((stream,)))
        seqs[stream] = seq = seqs[stream] + 1
        return seq

    def _write(self, decision: Decision) -> None:
        state, written = self._state, self._written
        for table, row in decision.puts:
            key = (table, row[: table.key])
            state[key] = row
            written[key] = None
        for dropped in decision.drops:
            state[dropped] = None
            written[dropped] = None

    def _remove(self, positions: Sequence[int]) -> None:
        self._removes += positions
        entries = self._state.entries
        if self._names is None:
            self._names = {entry.pos: name for name, entry in entries.items() if entry}
        for pos in positions:
            name = self._names.pop(pos, None)
            if name is not None:
                entries[name] = None

    def change(self) -> Change:
        puts: dict[Table, list[Row]] = {}
        drops: dict[Table, list[Key]] = {}
        for table, key in self._written:
            row = self._state[table, key]
            if row is None:
                drops.setdefault(table, []).append(key)
            else:
                puts.setdefault(table, []).append(row)
        return Change(self._removes, self._blanks, self._appends, puts, drops)


def found_of(entry: Entry | Found) -> Found:
    if isinstance(entry, Found):
        return entry
    return Found(entry.pos, entry.stream, entry.seq, entry.kind, entry.flags, entry.author)
