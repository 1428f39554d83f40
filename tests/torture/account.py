"""What was acknowledged, and whether the log has it: all, once, in order, with its numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from postbox.store.contract import Entry, Lane, Reader, Store
from support.toy_chat import CHAT
from torture.script import (
    PAYERS,
    blanked_by,
    draft_of,
    has_entry,
    named,
    own_chat,
    renames_upto,
)

PAGE = 2_000


class Broken(Exception):
    """The log does not hold what was promised."""


@dataclass
class Account:
    """Grows with each life of the process."""

    acknowledged: list[int] = field(default_factory=lambda: [0] * PAYERS)
    """By payer, the number of its last draft that was answered; it submits them in order."""
    knows_places: bool = True
    answers: int = 0
    unknown_but_there: int = 0  # entries whose answer was lost with the process
    _stored: list[int] = field(default_factory=lambda: [0] * PAYERS)
    _places: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    _pos: int = 0  # all up to here was looked at
    _seqs: Counter[bytes] = field(default_factory=Counter)

    def take(self, line: str) -> None:
        """An answer: the payer, the first draft's number, and then each one's `pos:seq`."""
        payer, first, *places = line.split()
        who, number = int(payer), int(first)
        if number != self.acknowledged[who] + 1:
            raise Broken(f"payer {who} was answered {number} after {self.acknowledged[who]}")
        for at, place in enumerate(places, start=number):
            if has_entry(at):
                pos, seq = place.split(":")
                self._meet((who, at), (int(pos), int(seq)))
        self.acknowledged[who] += len(places)
        self.answers += len(places)

    def _meet(self, name: tuple[int, int], place: tuple[int, int]) -> None:
        """The answer and the log tell of one place, whichever is heard first."""
        if not self.knows_places:
            return
        known = self._places.pop(name, None)
        if known is None:
            self._places[name] = place
        elif known != place:
            raise Broken(f"draft {name} was answered {place} and is at {known}, or the reverse")

    def check(self, store: Store) -> None:
        """What came since the last time."""
        store.read(self._read_on)
        store.read(self._check_rows)
        for payer, acknowledged in enumerate(self.acknowledged):
            last = acknowledged if has_entry(acknowledged) else acknowledged - 1
            if self._stored[payer] < last:
                raise Broken(f"payer {payer}: {acknowledged} answered, {self._stored[payer]} there")
        waiting = sum(number > self.acknowledged[payer] for payer, number in self._places)
        if waiting != len(self._places):
            raise Broken("an answer names a place that the log does not have")
        self.unknown_but_there += waiting

    def _read_on(self, reader: Reader) -> None:
        more = True
        while more:
            page = reader.page(Lane.CLIENTS, None, self._pos, PAGE, 2**24)
            for entry in page.entries:
                self._look_at(entry)
            more = page.more
        if reader.head != self._pos:
            raise Broken(f"the head is {reader.head}, and the last entry at {self._pos}")

    def _look_at(self, entry: Entry) -> None:
        payer, number = named(entry.id)
        if entry.pos != self._pos + 1:
            raise Broken(f"after position {self._pos} comes {entry.pos}")
        if entry.seq != self._seqs[entry.stream] + 1:
            raise Broken(f"{entry.stream!r}: {entry.seq} after {self._seqs[entry.stream]}")
        self._pos, self._seqs[entry.stream] = entry.pos, entry.seq
        if number == 0:
            return
        expected = self._stored[payer] + 1
        if number != (expected if has_entry(expected) else expected + 1):
            raise Broken(f"payer {payer}: draft {number} is stored after {self._stored[payer]}")
        self._stored[payer] = number
        self._meet((payer, number), (entry.pos, entry.seq))
        self._check_body(payer, number, entry)

    def _check_body(self, payer: int, number: int, entry: Entry) -> None:
        draft, blanked = draft_of(payer, number), blanked_by(number)
        if entry.stream != draft.chat:
            raise Broken(f"draft {number} of payer {payer} is in {entry.stream!r}")
        is_blank = entry.body is None
        if is_blank if blanked is None else self.acknowledged[payer] >= blanked and not is_blank:
            raise Broken(f"draft {number} of payer {payer} is blank, or is not: {is_blank}")
        if entry.body is not None and entry.body != draft.text.encode():
            raise Broken(f"draft {number} of payer {payer} has another text")

    def _check_rows(self, reader: Reader) -> None:
        """A rename and its entry are one commit."""
        rows = reader.rows(CHAT, [(own_chat(payer),) for payer in range(PAYERS)])
        for payer, stored in enumerate(self._stored):
            row = rows[own_chat(payer),]
            if row is None or row[2] != 1 + renames_upto(stored):
                raise Broken(f"payer {payer}: the row is {row}, and {stored} drafts are stored")

    def check_all(self, store: Store) -> None:
        """The whole log, from its first entry."""
        anew = Account(self.acknowledged, knows_places=False)
        store.read(anew._read_on)
        store.read(anew._check_rows)
