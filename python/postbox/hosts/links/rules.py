"""The rules of the hosts' door: which of its drafts is decided where.

What goes out is decided in `postings`, what comes in in `arrivals`, and what is known of hosts in
`host_rules`. Three drafts are so short that they are decided here: how far the other end has come
(`Confirm`), since when it has (`Mark`), and what is kept no longer (`Trim`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import takewhile
from typing import TypeAlias, assert_never

from msgspec import Struct

from postbox.hosts.applications.draft_tables import DRAFT, HANDLED
from postbox.hosts.links.arrivals import (
    Arrival,
    PlainArrival,
    decide_arrival,
    decide_plain,
    needs_of_arrival,
)
from postbox.hosts.links.host_rules import Contact, Deal, SetHost, decide_host, row_of
from postbox.hosts.links.policy import Policy, TakesAll
from postbox.hosts.links.postings import (
    Forget,
    Posting,
    Refuse,
    Repost,
    decide_letter,
    decide_posting,
    decide_refusal,
    needs_of,
    needs_of_letter,
)
from postbox.hosts.tables import CONSENT, CONTACT, DONE, HOST, LINK_IN, LINK_OUT, out_reader
from postbox.log.outbox_rules import advanced
from postbox.log.outbox_tables import DEAD, OUTBOX
from postbox.rules import Decision, EntryKey, Payer, Put, RowKey, State, StreamKey
from postbox.store.contract import IDENTITY, Found, Lane, Table


class Confirm(Struct, frozen=True):
    """The other host has everything up to the posting at `pos`. Dead letters stay."""

    id: bytes
    host: str
    pos: int

    @property
    def payer(self) -> Payer:
        return Payer("host", self.host)

    @property
    def size_bytes(self) -> int:
        return 256


class Mark(Struct, frozen=True):
    """The reader is done with everything up to `pos` at `at_ms`; what was noted at the times in
    `drops` is of no use any more."""

    id: bytes
    reader: str
    at_ms: int
    pos: int
    drops: tuple[int, ...] = ()

    @property
    def payer(self) -> Payer:
        return Payer("operator", "retention")

    @property
    def size_bytes(self) -> int:
        return 256


class Trim(Struct, frozen=True):
    """Entries at the beginning of a link's stream that are kept no longer, in order: `retention`
    knows that the reader is done with each. One that became a dead letter meanwhile stays, and so
    does what is behind it."""

    id: bytes
    reader: str
    removes: tuple[int, ...]

    @property
    def payer(self) -> Payer:
        return Payer("operator", "retention")

    @property
    def size_bytes(self) -> int:
        return 64 * len(self.removes)


LinkDraft: TypeAlias = (
    Posting
    | Refuse
    | Repost
    | Forget
    | Arrival
    | PlainArrival
    | Confirm
    | Mark
    | Trim
    | SetHost
    | Contact
    | Deal
)


def _is_no_letter(reader: str, state: State, pos: int) -> bool:
    return state[DEAD, (reader, pos)] is None


class HostRules:
    lane = Lane.HOSTS

    def __init__(self, policy: Policy | None = None) -> None:
        """`policy`: what of other hosts' contents is taken, and what it changes."""
        self._policy = policy or TakesAll()
        self.tables: tuple[Table, ...] = (
            *(HOST, CONTACT, CONSENT, LINK_OUT, LINK_IN, DONE, DRAFT, HANDLED),
            *(OUTBOX, DEAD, IDENTITY),
            *self._policy.tables,
        )

    def needs(self, draft: LinkDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        match draft:
            case Posting():
                return needs_of(draft.host)
            case Arrival() | PlainArrival():
                return needs_of_arrival(draft, state, self._policy)
            case Refuse() | Repost() | Forget():
                return needs_of_letter(draft)
            case Confirm():
                return (RowKey(OUTBOX, (out_reader(draft.host),)),)
            case Mark():
                return ()
            case Trim():
                return [RowKey(DEAD, (draft.reader, pos)) for pos in draft.removes]
            case SetHost() | Contact() | Deal():
                return (row_of(draft),)
            case _ as never:
                assert_never(never)

    def decide(self, draft: LinkDraft, state: State, at_ms: int) -> Decision:
        match draft:
            case Posting():
                return decide_posting(draft, state, at_ms)
            case Arrival():
                return decide_arrival(draft, state, at_ms, self._policy)
            case PlainArrival():
                return decide_plain(draft, state, at_ms, self._policy)
            case Refuse():
                return decide_refusal(draft, state, at_ms)
            case Repost() | Forget():
                return decide_letter(draft, state, at_ms)
            case Confirm():
                return advanced(state, out_reader(draft.host), draft.pos)
            case Mark():
                drops = tuple([RowKey(DONE, (draft.reader, at_ms)) for at_ms in draft.drops])
                return Decision(
                    puts=(Put(DONE, (draft.reader, draft.at_ms, draft.pos)),), drops=drops
                )
            case Trim():
                is_done = partial(_is_no_letter, draft.reader, state)
                return Decision(removes=tuple(takewhile(is_done, draft.removes)))
            case SetHost() | Contact() | Deal():
                return decide_host(draft, state, at_ms)
            case _ as never:
                assert_never(never)

    def replaces(self, draft: LinkDraft, stored: Found) -> bool:
        return False
