"""Events that came from another host: pure rules that store each exactly once, in order.

A batch is one decision. It takes what comes next on the link and moves the link's place, in the
commit that stores the entries; what was taken before is passed over, and nothing beyond a gap is
looked at. So whoever sends may send again whatever it is not sure of. What the policy does not take
ends the batch before it: its number is noted with the reason, and the place stays before it until
the sender has put a tombstone there.

What became of a batch is not in its outcome but in the link's row (`Incoming`): how far it is now
in the batch's epoch, and whether the next number is one that is not taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from postbox.hosts.links.bodies import REFUSED, label, tombstone
from postbox.hosts.links.place import MAX_EPOCHS, Incoming, Place, Refusal, incoming, incoming_row
from postbox.hosts.links.policy import Content, Policy
from postbox.hosts.tables import KIND_EVENT, KIND_LOST, LINK_IN, in_reader, in_stream
from postbox.log.outbox_rules import added
from postbox.log.outbox_tables import MAX_ERROR_CHARS, OUTBOX
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Lane

_ID_DOMAIN = b"postbox: event of a link\0"


class Arrived(Struct, frozen=True, gc=False):
    """A numbered event or tombstone, checked by `wire`: numbers from 1 on, epochs of 16 bytes."""

    body: bytes  # the PostboxEvent as it came
    epoch: bytes = b""
    seq: int = 0
    first: int = 0  # the first number of the epoch
    before: bytes = b""  # the epoch of the number before that
    upto: int = 0  # of a tombstone, the last number it stands for; 0: an event
    reason: str = ""  # of a tombstone
    type_url: str = ""
    value: bytes = b""


class Arrival(Struct, frozen=True):
    """What came from a host (authenticated, by its canonical name) at once. `id`: 16 new bytes;
    what makes it harmless to submit the same events again is the link's place."""

    id: bytes
    host: str
    events: tuple[Arrived, ...]

    @property
    def payer(self) -> Payer:
        return Payer("host", self.host)

    @property
    def size_bytes(self) -> int:
        return sum([len(event.body) + 128 for event in self.events])


class PlainArrival(Struct, frozen=True):
    """An event without a number, of a host that knows only the specification."""

    id: bytes  # by `plain_id`
    host: str
    event: Arrived

    @property
    def payer(self) -> Payer:
        return Payer("host", self.host)

    @property
    def size_bytes(self) -> int:
        return len(self.event.body) + 128


def plain_id(host: str, jti: bytes, event: bytes) -> bytes:
    """The same request again is a duplicate; who signs anew means another event. `event`: the
    bytes of the request's event."""
    digest = hashlib.sha256(event).digest()
    return hashlib.sha256(b"%b%b\0%b%b" % (_ID_DOMAIN, host.encode(), jti, digest)).digest()[:16]


def event_id(host: str, epoch: bytes, seq: int) -> bytes:
    """Of the entry of a numbered event: the same again if this node is restored and is sent it once
    more, so that effects elsewhere can go by it."""
    name = b"%b%b\0%b%d" % (_ID_DOMAIN, host.encode(), epoch, seq)
    return hashlib.sha256(name).digest()[:16]


_FORGOTTEN = Reason(
    "epoch_forgotten",
    f"these events are of an epoch of the sender's log that was over {MAX_EPOCHS} epochs ago, and"
    " were taken then. A log that was put back numbers what it sends in its newest epochs: the"
    " sender runs on a copy of its log, or is no postbox",
)


class Walked(NamedTuple):
    """What becomes of a batch, if the policy takes everything."""

    link: Incoming
    fresh: tuple[tuple[Arrived, int], ...]  # to be stored, each with its number


def walk(link: Incoming, events: Iterable[Arrived]) -> Walked:
    """As far as numbers follow each other."""
    places = {place.epoch: place.seq for place in reversed(link.places)}  # the current one last
    epoch, last = link.current.epoch, link.current.seq
    fresh = []
    for event in events:
        if event.epoch != epoch:
            known = places.pop(event.epoch, None)
            if known is None:
                if event.first > 1 and places.get(event.before, 0) < event.first - 1:
                    break  # what was given before this epoch is not all here
                known = event.first - 1
            epoch, last = event.epoch, known
            places[epoch] = last
        if event.seq > last + 1:
            break
        upto = event.upto or event.seq
        if upto > last:
            fresh.append((event, last + 1))
            places[epoch] = last = upto
    found = tuple([Place(epoch, seq) for epoch, seq in reversed(places.items())])
    return Walked(_moved(link, found[:MAX_EPOCHS]), tuple(fresh))


def _moved(link: Incoming, places: tuple[Place, ...]) -> Incoming:
    """What was refused is not, once the place is beyond it."""
    refusal = link.refusal
    if refusal is not None and places[0] != Place(refusal.place.epoch, refusal.place.seq - 1):
        refusal = None
    return Incoming(link.host, places, link.at_ms, refusal)


def needs_of_arrival(
    draft: Arrival | PlainArrival, state: State, policy: Policy
) -> Iterable[RowKey | EntryKey | StreamKey]:
    host = draft.host
    yield RowKey(LINK_IN, (host,))
    yield RowKey(OUTBOX, (in_reader(host),))
    yield StreamKey(in_stream(host))
    if isinstance(draft, PlainArrival):
        contents = [_plain_content(draft)]
    else:
        yield from [_name(host, event) for event in draft.events if _begins_epoch(event)]
        contents = _contents(host, draft.events)
    yield from policy.needs(host, contents, state)


def _begins_epoch(event: Arrived) -> bool:
    return event.seq == event.first


def _name(host: str, event: Arrived) -> EntryKey:
    return EntryKey(Lane.HOSTS, event_id(host, event.epoch, event.seq))


def _is_forgotten(link: Incoming, walked: Walked, state: State) -> bool:
    """Whether an epoch that seems to be new was here before: the entry of its first number is."""
    known = {place.epoch for place in link.places}
    return any(
        event.epoch not in known and state.entry(*_name(link.host, event)) is not None
        for event, _ in walked.fresh
        if _begins_epoch(event)
    )


def _contents(host: str, events: Iterable[Arrived]) -> list[Content]:
    return [
        Content(event.type_url, event.value, event_id(host, event.epoch, event.seq))
        for event in events
        if not event.upto
    ]


def _plain_content(draft: PlainArrival) -> Content:
    return Content(draft.event.type_url, draft.event.value, draft.id)


def decide_arrival(draft: Arrival, state: State, at_ms: int, policy: Policy) -> Decision:
    link = incoming(draft.host, state[LINK_IN, (draft.host,)])
    events, refusal = draft.events, None
    walked = walk(link, events)
    if _is_forgotten(link, walked, state):
        return Decision(refuse=_FORGOTTEN)
    contents = _contents(draft.host, [event for event, _ in walked.fresh])
    judged = policy.judge(draft.host, contents, state, at_ms)
    if judged.refusal is not None:
        refused, at = _content_at(walked, judged.taken)
        events = events[: next(i for i, event in enumerate(events) if event is refused)]
        walked = walk(link, events)
        refusal = _refusal(refused, at, judged.refusal)
    moved = walked.link if refusal is None else _refusing(walked.link, refusal)
    if moved == link:
        return Decision()
    stored = Incoming(moved.host, moved.places, at_ms, moved.refusal)
    reader = added(state, in_reader(draft.host), Lane.HOSTS, (in_stream(draft.host),))
    return Decision(
        entries=(*_entries(draft.host, walked, at_ms), *judged.entries),
        puts=(Put(LINK_IN, incoming_row(stored)), *reader, *judged.puts),
        drops=judged.drops,
    )


def _content_at(walked: Walked, count: int) -> tuple[Arrived, int]:
    """The event behind the first `count` contents."""
    return [(event, seq) for event, seq in walked.fresh if not event.upto][count]


def _refusal(event: Arrived, seq: int, reason: Reason) -> Refusal:
    text = reason.text.replace("\0", "\ufffd")[:MAX_ERROR_CHARS]
    return Refusal(Place(event.epoch, seq), reason.code, text)


def _refusing(link: Incoming, refusal: Refusal) -> Incoming:
    """The place is right before the refused number, whose epoch may begin with it."""
    place = Place(refusal.place.epoch, refusal.place.seq - 1)
    others = tuple([each for each in link.places if each.epoch != place.epoch])
    return Incoming(link.host, (place, *others)[:MAX_EPOCHS], link.at_ms, refusal)


def _entries(host: str, walked: Walked, at_ms: int) -> tuple[NewEntry, ...]:
    stream, author = in_stream(host), host.encode()
    return tuple(
        [
            NewEntry(
                lane=Lane.HOSTS,
                stream=stream,
                id=event_id(host, event.epoch, seq),
                kind=KIND_LOST if event.upto else KIND_EVENT,
                author=author,
                at_ms=at_ms,
                body=_lost(event, seq) if event.upto else event.body,
                numbered=True,
            )
            for event, seq in walked.fresh
            if event.reason != REFUSED
        ]
    )


def _lost(event: Arrived, seq: int) -> bytes:
    """A PostboxEvent: of the tombstone's numbers, those that had not come before."""
    grave = tombstone(seq, event.upto, event.reason)
    return label(event.epoch, event.first, event.before) + grave


def decide_plain(draft: PlainArrival, state: State, at_ms: int, policy: Policy) -> Decision:
    host, event = draft.host, draft.event
    judged = policy.judge(host, [_plain_content(draft)], state, at_ms)
    if judged.refusal is not None:
        return Decision(refuse=judged.refusal)
    stream = in_stream(host)
    entry = NewEntry(
        Lane.HOSTS, stream, draft.id, KIND_EVENT, host.encode(), at_ms, event.body, numbered=True
    )
    reader = added(state, in_reader(host), Lane.HOSTS, (stream,))
    return Decision(
        entries=(entry, *judged.entries), puts=(*reader, *judged.puts), drops=judged.drops
    )
