"""What becomes of one draft of the hosts' door: rows in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from postbox.hosts.links.arrivals import Arrival, Arrived, PlainArrival, event_id, plain_id
from postbox.hosts.links.host_rules import MAX_VIEW_BYTES, Contact, Deal, SetHost
from postbox.hosts.links.place import (
    MAX_EPOCHS,
    Outgoing,
    Place,
    Span,
    UnknownPlace,
    incoming,
    outgoing,
)
from postbox.hosts.links.policy import Content, Judged
from postbox.hosts.links.postings import Posting, needs_of, posted, posted_in
from postbox.hosts.links.rules import Confirm, HostRules
from postbox.hosts.tables import (
    CONSENT,
    CONTACT,
    HOST,
    KIND_EVENT,
    KIND_LOST,
    LINK_IN,
    LINK_OUT,
    MAX_EVENT_BYTES,
    in_stream,
    out_stream,
)
from postbox.log.outbox_tables import OUTBOX, DurableReader, reader_row
from postbox.rules import Decision, NewEntry, Payer, Put, Reason, RowKey, State
from postbox.store.contract import IDENTITY, Lane, Table
from support.rows import Rows

HOST_NAME = "b.example:2289"
E1, E2, E3 = b"1" * 16, b"2" * 16, b"3" * 16
APP = Payer("operator", "")
NOTE = Table("note", CONSENT.columns, key=2)


class OddsOnly:
    """Takes no event whose value is even, and notes each that it takes."""

    tables = (NOTE,)

    def needs(self, host: str, contents: Sequence[Content], state: State) -> Iterable[RowKey]:
        return [RowKey(NOTE, (content.value.decode(), host)) for content in contents]

    def judge(self, host: str, contents: Sequence[Content], state: State, at_ms: int) -> Judged:
        puts: list[Put] = []
        for at, content in enumerate(contents):
            assert state[NOTE, (content.value.decode(), host)] is None
            if int(content.value) % 2 == 0:
                return Judged(at, Reason("even", "an even one\0"), tuple(puts))
            puts.append(Put(NOTE, (content.value.decode(), host, at_ms)))
        return Judged(len(contents), None, tuple(puts))


def node(epoch: bytes = E1) -> Rows:
    rows = Rows()
    rows.rows[IDENTITY.name, ("epoch",)] = ("epoch", epoch)
    return rows


def an_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def arrived(seq: int, epoch: bytes = E1, first: int = 1, before: bytes = b"") -> Arrived:
    value = b"%d" % seq
    return Arrived(b"body of " + value, epoch, seq, first, before, type_url="t", value=value)


def take(rows: Rows, *events: Arrived, rules: HostRules | None = None) -> Decision:
    return rows.decide(rules or HostRules(), Arrival(an_id(9), HOST_NAME, events), 5)


def places(rows: Rows) -> list[tuple[bytes, int]]:
    link = incoming(HOST_NAME, rows.rows.get((LINK_IN.name, (HOST_NAME,))))
    return [(place.epoch, place.seq) for place in link.places]


def numbers(decision: Decision) -> list[bytes]:
    return [entry.body for entry in decision.entries]


def test_a_first_posting_makes_the_link_its_reader_and_the_contact() -> None:
    rows = node()
    events = tuple([posted(an_id(at), "t", b"", 1) for at in (1, 2)])
    decision = rows.decide(HostRules(), Posting(APP, HOST_NAME, events), 5)
    first, second, contact = decision.entries
    assert (first.stream, first.id, first.numbered) == (out_stream(HOST_NAME), an_id(1), True)
    assert second.id == an_id(2)
    assert (contact.stream, contact.numbered) == (b"hosts", False)
    assert (OUTBOX.name, (f"to/{HOST_NAME}",)) in rows.rows
    link = outgoing(HOST_NAME, rows.rows[LINK_OUT.name, (HOST_NAME,)])
    assert link == Outgoing(HOST_NAME, 2, (Span(E1, 1),))


def test_another_doors_decision_can_post() -> None:
    rows = node()

    class Elsewhere:
        lane, tables = Lane.NODE, (LINK_OUT,)

        def needs(self, draft: Deal, state: State) -> Iterable[RowKey]:
            return [key for key in needs_of(HOST_NAME) if isinstance(key, RowKey)]

        def decide(self, draft: Deal, state: State, at_ms: int) -> Decision:
            return posted_in(state, HOST_NAME, [posted(an_id(1), "t", b"", 1)], at_ms)

        def replaces(self, draft: Deal, stored: object) -> bool:
            return False

    decision = rows.decide(Elsewhere(), Deal(an_id(2), APP, "ann", HOST_NAME), 5)
    assert decision.entries[0].id == an_id(1)


def test_an_event_that_no_host_would_take_cannot_be_posted() -> None:
    with pytest.raises(ValueError, match="takes 1,047,585 bytes"):
        posted(an_id(1), "t", bytes(MAX_EVENT_BYTES), 1)
    posted(an_id(1), "t", bytes(MAX_EVENT_BYTES - 200), 1)
    with pytest.raises(ValueError, match="at least one event"):
        Posting(APP, HOST_NAME, ())
    with pytest.raises(ValueError, match="1 to 250 bytes"):
        Posting(APP, "b" * 251, (posted(an_id(1), "t", b"", 1),))


def test_numbers_of_an_epoch_follow_each_other() -> None:
    rows = node()
    assert numbers(take(rows, arrived(1), arrived(2))) == [b"body of 1", b"body of 2"]
    assert numbers(take(rows, arrived(2), arrived(3))) == [b"body of 3"]
    assert take(rows, arrived(1), arrived(3)) == Decision()
    assert take(rows, arrived(5)) == Decision()
    assert places(rows) == [(E1, 3)]


def test_a_new_epoch_is_gone_on_in_by_whoever_has_all_that_came_before_it() -> None:
    rows = node()
    take(rows, arrived(1), arrived(2))
    assert take(rows, arrived(4, E2, first=4, before=E1)) == Decision()
    take(rows, arrived(3, E2, first=3, before=E1))
    assert places(rows) == [(E2, 3), (E1, 2)]
    assert take(rows, arrived(9, E3, first=3, before=b"x" * 16)) == Decision()
    take(rows, arrived(1, E3))  # a sender that has lost everything begins anew
    assert places(rows) == [(E3, 1), (E2, 3), (E1, 2)]


def test_a_new_epoch_counts_from_its_first_number_even_if_its_event_is_beyond_a_gap() -> None:
    rows = node()
    take(rows, arrived(1), arrived(2), arrived(3))
    decision = take(rows, arrived(9, E2, first=2, before=E1))
    assert not decision.entries
    assert places(rows) == [(E2, 1), (E1, 3)]


def test_an_epoch_that_comes_back_goes_on_where_it_was() -> None:
    rows = node()
    take(rows, arrived(1), arrived(2, E2, first=2, before=E1))
    decision = take(rows, arrived(1), arrived(2), arrived(3, E3, first=3, before=E1))
    assert numbers(decision) == [b"body of 2", b"body of 3"]
    assert places(rows) == [(E3, 3), (E1, 2), (E2, 2)]


def test_only_so_many_epochs_are_remembered() -> None:
    rows = node()
    for at in range(MAX_EPOCHS + 5):
        take(rows, arrived(1, at.to_bytes(16, "big")))
    assert len(places(rows)) == MAX_EPOCHS


def test_a_tombstone_of_what_is_lost_is_an_entry_for_the_numbers_that_had_not_come() -> None:
    rows = node()
    take(rows, arrived(1), arrived(2))
    decision = take(rows, Arrived(b"as it came", E1, 1, 1, upto=5, reason="lost"), arrived(6))
    lost, event = decision.entries
    assert (lost.kind, event.kind) == (KIND_LOST, KIND_EVENT)
    assert lost.id == event_id(HOST_NAME, E1, 3)
    assert places(rows) == [(E1, 6)]


def test_a_tombstone_of_what_was_refused_moves_the_place_and_leaves_nothing() -> None:
    rows = node()
    decision = take(rows, Arrived(b"", E1, 1, 1, upto=1, reason="refused"))
    assert not decision.entries
    assert places(rows) == [(E1, 1)]


def test_what_the_policy_does_not_take_ends_the_batch_before_it() -> None:
    rows, rules = node(), HostRules(OddsOnly())
    decision = take(rows, arrived(1), arrived(2), arrived(3), rules=rules)
    assert numbers(decision) == [b"body of 1"]
    assert (NOTE.name, ("1", HOST_NAME)) in rows.rows
    assert (NOTE.name, ("3", HOST_NAME)) not in rows.rows
    link = incoming(HOST_NAME, rows.rows[LINK_IN.name, (HOST_NAME,)])
    assert link.refusal is not None
    assert link.refusal.place == Place(E1, 2)
    assert (link.refusal.code, link.refusal.text) == ("even", "an even one\ufffd")
    assert take(rows, arrived(2), rules=rules) == Decision()  # the same again changes nothing
    take(rows, Arrived(b"", E1, 2, 1, upto=2, reason="refused"), arrived(3), rules=rules)
    link = incoming(HOST_NAME, rows.rows[LINK_IN.name, (HOST_NAME,)])
    assert (link.current, link.refusal) == (Place(E1, 3), None)


def test_a_first_event_that_is_refused_is_noted_before_anything_was_taken() -> None:
    rows, rules = node(), HostRules(OddsOnly())
    take(rows, arrived(2, E2, first=2, before=E1), rules=rules)
    assert places(rows) == []
    take(rows, arrived(1), arrived(2, E2, first=2, before=E1), rules=rules)
    link = incoming(HOST_NAME, rows.rows[LINK_IN.name, (HOST_NAME,)])
    assert link.places == (Place(E2, 1), Place(E1, 1))
    assert link.refusal is not None
    assert link.refusal.place == Place(E2, 2)


def test_a_plain_event_is_stored_under_the_id_of_its_request() -> None:
    rows, rules = node(), HostRules(OddsOnly())
    one = plain_id(HOST_NAME, b"jti", b"body of 1")
    assert one != plain_id(HOST_NAME, b"another", b"body of 1")
    assert one != plain_id("c.example:2289", b"jti", b"body of 1")
    decision = rows.decide(rules, PlainArrival(one, HOST_NAME, arrived(1)), 5)
    [entry] = decision.entries
    assert entry == NewEntry(
        *(Lane.HOSTS, in_stream(HOST_NAME), one, KIND_EVENT, HOST_NAME.encode(), 5),
        b"body of 1",
        numbered=True,
    )
    refused = rows.decide(rules, PlainArrival(an_id(3), HOST_NAME, arrived(2)), 5)
    assert refused.refuse is not None
    assert refused.refuse.code == "even"


def test_a_confirmation_without_a_link_is_refused() -> None:
    assert node().decide(HostRules(), Confirm(an_id(1), HOST_NAME, 7), 5).refuse is not None


def test_a_late_confirmation_neither_goes_back_nor_forgets_a_dead_letter() -> None:
    rows = node()
    name = f"to/{HOST_NAME}"
    reader = DurableReader(name, Lane.HOSTS, (out_stream(HOST_NAME),), 7)
    rows.rows[OUTBOX.name, (name,)] = reader_row(reader)
    assert rows.decide(HostRules(), Confirm(an_id(1), HOST_NAME, 7), 5) == Decision()
    assert rows.decide(HostRules(), Confirm(an_id(2), HOST_NAME, 6), 5) == Decision()
    assert rows.decide(HostRules(), Confirm(an_id(3), HOST_NAME, 8), 5).puts


def test_a_place_is_compared_an_epoch_at_a_time() -> None:
    link = Outgoing(HOST_NAME, 9, (Span(E1, 1), Span(E2, 4), Span(E3, 7)))
    assert [link.label_of(seq) for seq in (3, 4, 9)] == [(E1, 1, b""), (E2, 4, E1), (E3, 7, E2)]
    assert [link.end_of(seq) for seq in (1, 4, 8)] == [3, 6, 9]
    assert link.reached(Place(), E3) == 0
    assert link.reached(Place(E2, 5), E3) == 5
    assert link.reached(Place(E1, 50), E3) == 3
    with pytest.raises(UnknownPlace):
        link.reached(Place(E3, 10), E3)
    assert link.reached(Place(E3, 10), b"4" * 16) == 9  # the log has been put back since


def test_the_oldest_epochs_of_a_sender_are_counted_to_the_next_one() -> None:
    link = Outgoing(HOST_NAME, 0, ())
    for at in range(MAX_EPOCHS + 3):
        link = link.extended(at.to_bytes(16, "big"), 1)
    assert len(link.spans) == MAX_EPOCHS
    assert link.spans[0] == Span((3).to_bytes(16, "big"), 1)


def test_the_operators_word_is_kept_until_it_is_taken_back() -> None:
    rows = node()
    decision = rows.decide(HostRules(), SetHost(an_id(1), HOST_NAME, admit="allow"), 5)
    assert decision.entries[0].body == b'{"host":"b.example:2289","admit":"allow","tokens":""}'
    rows.decide(HostRules(), SetHost(an_id(2), HOST_NAME, tokens="plain"), 5)
    assert rows.rows[HOST.name, (HOST_NAME,)] == (HOST_NAME, "allow", "plain")
    assert rows.decide(HostRules(), SetHost(an_id(3), HOST_NAME, admit="allow"), 5) == Decision()
    rows.decide(HostRules(), SetHost(an_id(4), HOST_NAME, admit="", tokens=""), 5)
    assert (HOST.name, (HOST_NAME,)) not in rows.rows


def test_a_contact_is_told_once_and_its_time_only_grows() -> None:
    rows = node()
    assert rows.decide(HostRules(), Contact(an_id(1), HOST_NAME, 7), 9).entries
    later = Contact(an_id(2), HOST_NAME, 8, b"view")
    assert not rows.decide(HostRules(), later, 9).entries
    assert rows.decide(HostRules(), Contact(an_id(3), HOST_NAME, 8, b"old"), 9) == Decision()
    rows.decide(HostRules(), Contact(an_id(4), HOST_NAME, 10), 9)
    assert rows.rows[CONTACT.name, (HOST_NAME,)] == (HOST_NAME, 7, 10, b"view")
    too_long = Contact(an_id(5), HOST_NAME, 11, bytes(MAX_VIEW_BYTES + 1))
    rows.decide(HostRules(), too_long, 9)
    assert rows.rows[CONTACT.name, (HOST_NAME,)] == (HOST_NAME, 7, 11, b"")


def test_consent_is_as_old_as_the_first_dealing_and_can_end() -> None:
    rows = node()
    rows.decide(HostRules(), Deal(an_id(1), APP, "ann@a.example", HOST_NAME), 5)
    rows.decide(HostRules(), Deal(an_id(2), APP, "ann@a.example", HOST_NAME), 6)
    assert rows.rows[CONSENT.name, ("ann@a.example", HOST_NAME)][2] == 5
    rows.decide(HostRules(), Deal(an_id(3), APP, "ann@a.example", HOST_NAME, is_over=True), 7)
    assert (CONSENT.name, ("ann@a.example", HOST_NAME)) not in rows.rows
    with pytest.raises(ValueError, match="1 to 400 characters"):
        Deal(an_id(4), APP, "", HOST_NAME)
