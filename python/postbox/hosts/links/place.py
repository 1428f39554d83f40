"""How far a link has come, on both of its ends: pure values, and rows as values.

The numbers of a link grow without a hole for as long as its sender lives, but a sender whose log
went back gives some out a second time. So a number counts together with the epoch of the log in
which it was given. The sender knows from which number on which epoch's are (`Outgoing`); the
receiver keeps the last number of each epoch that it met (`Incoming`). An epoch that is new to the
receiver is one to go on in if it has all that its sender counts as given before: each number says
with which one its epoch began, and the epoch before that (`Label`). That is exact however often
either end is restored, to whichever moment.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

from postbox.hosts.tables import LINK_IN, LINK_OUT
from postbox.store.contract import Row

MAX_EPOCHS = 64  # of a link. Each is a restore; 64 take 2 KiB, written with every batch


class Place(Struct, frozen=True, gc=False, array_like=True):
    """All numbers of `epoch` up to `seq`, and all that were given before that epoch."""

    epoch: bytes = b""
    seq: int = 0


NOWHERE = Place()


class Span(Struct, frozen=True, gc=False, array_like=True):
    """The numbers from `first` on were given in this epoch, up to where the next span begins."""

    epoch: bytes
    first: int


class Label(NamedTuple):
    """What a number is sent with."""

    epoch: bytes
    first: int  # the first number of the epoch
    before: bytes  # the epoch of the number before that; empty: there is none


class UnknownPlace(ValueError):
    """A place that says nothing about this link, with a text for whoever named it."""


class Outgoing(Struct, frozen=True, array_like=True):
    """A row of `link_out`."""

    host: str
    last_seq: int
    spans: tuple[Span, ...]  # oldest first

    def extended(self, epoch: bytes, count: int) -> Outgoing:
        """With `count` more numbers, given in `epoch`."""
        spans = self.spans
        if not spans or spans[-1].epoch != epoch:
            spans = _bounded((*spans, Span(epoch, self.last_seq + 1)))
        return Outgoing(self.host, self.last_seq + count, spans)

    def label_of(self, seq: int) -> Label:
        at = self._span_at(seq)
        before = self.spans[at - 1].epoch if at else b""
        span = self.spans[at]
        return Label(span.epoch, span.first, before)

    def end_of(self, seq: int) -> int:
        """The last number that has the label of this one."""
        at = self._span_at(seq) + 1
        return self.last_seq if at == len(self.spans) else self.spans[at].first - 1

    def reached(self, place: Place, epoch: bytes) -> int:
        """The number up to which whoever is at this place has all of ours. `epoch`: the log's now,
        in which nobody can be further than we are; in one that is over, he may be, since a log that
        went back forgot numbers that it gave. Raises UnknownPlace."""
        if place == NOWHERE:
            return 0
        span = next((each for each in self.spans if each.epoch == place.epoch), None)
        if span is None:
            raise UnknownPlace(
                f"the place is in an epoch in which nothing was posted to {self.host}: it says"
                " nothing about what has arrived. Ask for everything, without a place"
            )
        end = self.end_of(span.first)
        if place.seq > end and span is self.spans[-1] and span.epoch == epoch:
            raise UnknownPlace(
                f"the place is beyond the last number posted to {self.host}, {end}: {place.seq}."
                " If this log was put back, `postbox restore` has to be told, so that it gets a new"
                " epoch"
            )
        return min(place.seq, end)

    def _span_at(self, seq: int) -> int:
        for at in range(len(self.spans) - 1, 0, -1):
            if self.spans[at].first <= seq:
                return at
        return 0


def _bounded(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Without the oldest one if they are too many; the next one then stands for it, too."""
    if len(spans) <= MAX_EPOCHS:
        return spans
    return (Span(spans[1].epoch, 1), *spans[2:])


class Refusal(Struct, frozen=True):
    """A number that is not taken, for good, and why."""

    place: Place
    code: str
    text: str


class Incoming(Struct, frozen=True):
    """A row of `link_in`."""

    host: str
    places: tuple[Place, ...] = ()  # one an epoch, that of the last arrival first
    at_ms: int = 0  # of the last arrival
    refusal: Refusal | None = None  # of the number after the first place, if it was not taken

    @property
    def current(self) -> Place:
        return self.places[0] if self.places else NOWHERE

    def place_in(self, epoch: bytes) -> Place:
        """The place in this epoch, or the current one if it is new."""
        return next((place for place in self.places if place.epoch == epoch), self.current)


_spans = msgspec.msgpack.Decoder(tuple[Span, ...])
_places = msgspec.msgpack.Decoder(tuple[Place, ...])
_pack = msgspec.msgpack.Encoder().encode


def outgoing(host: str, row: Row | None) -> Outgoing:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case None:
            return Outgoing(host, 0, ())
        case (str(), int(last_seq), bytes(spans)):
            return Outgoing(host, last_seq, _spans.decode(spans))
        case _:
            raise ValueError(f"not a row of the table {LINK_OUT.name}: {row!r}")


def outgoing_row(link: Outgoing) -> Row:
    return (link.host, link.last_seq, _pack(link.spans))


def incoming(host: str, row: Row | None) -> Incoming:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case None:
            return Incoming(host)
        case (str(), bytes(packed), int(at_ms), int(seq), str(code), str(text)):
            places = _places.decode(packed)
            refusal = Refusal(Place(places[0].epoch, seq), code, text) if seq else None
            return Incoming(host, places, at_ms, refusal)
        case _:
            raise ValueError(f"not a row of the table {LINK_IN.name}: {row!r}")


def incoming_row(link: Incoming) -> Row:
    refusal = link.refusal or Refusal(NOWHERE, "", "")
    packed = _pack(link.places)
    return (link.host, packed, link.at_ms, refusal.place.seq, refusal.code, refusal.text)
