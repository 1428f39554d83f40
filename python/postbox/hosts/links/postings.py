"""Events on their way out: pure rules that give each its number on the link, in the commit that
makes it durable.

A posting needs no host to be up. The first one to a host makes the link's durable reader, which is
what then works until everything has arrived. Another door makes a posting part of its own decision
by `needs_of` and `posted_in`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Struct

from postbox.hosts.applications.draft_tables import DRAFT
from postbox.hosts.links.bodies import content
from postbox.hosts.links.host_rules import check_host, new_contact
from postbox.hosts.links.place import outgoing, outgoing_row
from postbox.hosts.tables import (
    KIND_EVENT,
    LINK_OUT,
    MAX_EVENT_BYTES,
    out_reader,
    out_stream,
)
from postbox.log.outbox_rules import Bury, added, buried
from postbox.log.outbox_tables import DEAD, OUTBOX
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import IDENTITY, Key, Lane, Row

LABEL_BYTES = 128
"""More than a number takes that is put to an event when it is sent: two epochs and two varints."""

EPOCH: Key = ("epoch",)
_CONTACT_DOMAIN = b"postbox: first posting to a host\0"


class Posted(Struct, frozen=True, gc=False):
    """An event to be posted. `id`: of its entry, and its name on the wire: 16 new bytes."""

    id: bytes
    body: bytes  # a serialised PostboxEvent, without its number


def posted(event_id: bytes, type_url: str, value: bytes, at_ms: int) -> Posted:
    """Raises ValueError, with a text for people, for what no host would take."""
    body = content(event_id, type_url, value, at_ms)
    if len(body) > MAX_EVENT_BYTES - LABEL_BYTES:
        raise ValueError(
            f"the event takes {len(body):,} bytes, and {MAX_EVENT_BYTES - LABEL_BYTES:,} are the"
            " most that one may take: put what is large where it can be fetched, and post its name"
        )
    return Posted(event_id, body)


class Posting(Struct, frozen=True):
    """Events for one host (its canonical name), which get numbers that follow each other. Its
    outcome has the first one's. `drafts`: rows of the table `draft` that these events were, and
    which are gone with the same commit."""

    payer: Payer
    host: str
    events: tuple[Posted, ...]
    drafts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.events:
            raise ValueError("a posting has at least one event")
        check_host(self.host)

    @property
    def id(self) -> bytes:
        """Of the first event: the same posting again is a duplicate."""
        return self.events[0].id

    @property
    def size_bytes(self) -> int:
        return sum([len(event.body) + 128 for event in self.events])


class Repost(Struct, frozen=True):
    """The dead letter at `pos` of the link to a host, once more under a new number. `event`: its
    body, with a new id."""

    payer: Payer
    host: str
    pos: int
    event: Posted

    @property
    def id(self) -> bytes:
        return self.event.id

    @property
    def size_bytes(self) -> int:
        return len(self.event.body) + 256


class Forget(Struct, frozen=True):
    """The dead letter at `pos` of the link to a host is given up for good."""

    id: bytes
    payer: Payer
    host: str
    pos: int

    @property
    def size_bytes(self) -> int:
        return 256


class Refuse(Struct, frozen=True):
    """The other host does not take this posting, for good: a dead letter, and done with all before
    it. Also if it had taken it before it was put back: both would else go round for ever."""

    id: bytes
    host: str
    pos: int
    entry_id: bytes
    error: str

    @property
    def payer(self) -> Payer:
        return Payer("host", self.host)

    @property
    def size_bytes(self) -> int:
        return 256 + len(self.error)


def needs_of(host: str) -> tuple[RowKey | StreamKey, ...]:
    """What `posted_in` looks at."""
    return (
        RowKey(IDENTITY, EPOCH),
        RowKey(LINK_OUT, (host,)),
        RowKey(OUTBOX, (out_reader(host),)),
        StreamKey(out_stream(host)),
    )


def posted_in(state: State, host: str, events: Sequence[Posted], at_ms: int) -> Decision:
    row = state[LINK_OUT, (host,)]
    epoch = epoch_of(state[IDENTITY, EPOCH])
    link = outgoing(host, row).extended(epoch, len(events))
    stream = out_stream(host)
    entries = [_entry(stream, event, at_ms) for event in events]
    if row is None:
        entries.append(new_contact(_contact_id(host), host, at_ms))
    reader = added(state, out_reader(host), Lane.HOSTS, (stream,))
    return Decision(tuple(entries), (Put(LINK_OUT, outgoing_row(link)), *reader))


def _contact_id(host: str) -> bytes:
    return hashlib.sha256(_CONTACT_DOMAIN + host.encode()).digest()[:16]


def epoch_of(row: Row | None) -> bytes:
    """The log's now, by the row of `EPOCH`."""
    match row:
        case (_, bytes(epoch)):
            return epoch
        case other:
            raise ValueError(f"the log has no epoch: {other!r}")


def _entry(stream: bytes, event: Posted, at_ms: int) -> NewEntry:
    return NewEntry(Lane.HOSTS, stream, event.id, KIND_EVENT, b"", at_ms, event.body, numbered=True)


def decide_posting(draft: Posting, state: State, at_ms: int) -> Decision:
    decision = posted_in(state, draft.host, draft.events, at_ms)
    if not draft.drafts:
        return decision
    drops = tuple([RowKey(DRAFT, (n,)) for n in draft.drafts])
    return Decision(entries=decision.entries, puts=decision.puts, drops=drops)


def needs_of_letter(
    draft: Refuse | Repost | Forget,
) -> Iterable[RowKey | EntryKey | StreamKey]:
    reader = out_reader(draft.host)
    yield RowKey(DEAD, (reader, draft.pos))
    match draft:
        case Refuse():
            yield RowKey(OUTBOX, (reader,))
            yield EntryKey(Lane.HOSTS, draft.entry_id)
        case Repost():
            yield from needs_of(draft.host)
        case Forget():
            pass


def decide_refusal(draft: Refuse, state: State, at_ms: int) -> Decision:
    if state.entry(Lane.HOSTS, draft.entry_id) is None:
        return Decision()  # it was trimmed meanwhile: its number says `lost`, and that is all
    bury = Bury(draft.pos, out_stream(draft.host), draft.entry_id, draft.error)
    return buried(state, out_reader(draft.host), bury, at_ms)


def decide_letter(draft: Repost | Forget, state: State, at_ms: int) -> Decision:
    """The letter's entry is erased: its number stays a tombstone for whoever asks again, and a
    receiver that was restored is not sent the event under both numbers."""
    letter = RowKey(DEAD, (out_reader(draft.host), draft.pos))
    if state[letter] is None:
        text = f"there is no dead letter for {draft.host} at {draft.pos}: it was settled meanwhile"
        return Decision(refuse=Reason("unknown_letter", text))
    if isinstance(draft, Forget):
        return Decision(drops=(letter,), blanks=(draft.pos,))
    again = posted_in(state, draft.host, (draft.event,), at_ms)
    return Decision(again.entries, again.puts, drops=(letter,), blanks=(draft.pos,))
