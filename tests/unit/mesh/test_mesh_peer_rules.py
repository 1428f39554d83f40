"""How rows of peers change: a dict, a draft, a decision."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.rules import (
    Accuse,
    ForgetPeers,
    PeerRules,
    Remember,
    Sentence,
    Told,
    record_id,
)
from postbox.mesh.peers.standing_rules import CLEAN, Offence, Record
from postbox.mesh.tables import (
    KIND_RECORD,
    PEER,
    PEER_RECORD,
    PEERS_STREAM,
    peer_of,
    peer_row,
    record_of,
)
from postbox.rules import EntryKey
from postbox.store.contract import Found, Lane
from support.rows import Rows

RULES = PeerRules()
NOW_NS = 1_790_000_000 * 10**9
BOB = Known(
    url="http://100.64.0.7:7433",
    name="bob",
    origin=Origin.MET,
    kind="postbox",
    version="1",
    memory_mode="hog",
    uptime_s=5,
    rtt_ms=1.5,
    last_contact_ns=10,
    cursor_ns=20,
    told_ns=30,
)


def row_of_bob(rows: Rows) -> Known:
    return peer_of(rows.rows[PEER.name, ("bob",)])


def record_of_bob(rows: Rows) -> Record:
    row = rows.rows.get((PEER_RECORD.name, ("bob",)))
    return CLEAN if row is None else record_of(row)


def lied(at_ns: int = NOW_NS, why: str = "why") -> Accuse:
    return Accuse("bob", Offence.LIED, why, at_ns)


def test_a_peer_is_remembered_without_an_entry_and_read_as_it_was() -> None:
    rows = Rows()
    decision = rows.decide(RULES, Remember(b"1" * 16, (BOB,)), 0)
    assert (len(decision.puts), decision.entries, decision.drops) == (1, (), ())
    assert row_of_bob(rows) == BOB
    with pytest.raises(ValueError, match="not a row of the table peer"):
        peer_of(peer_row(BOB)[:-1])


def test_what_another_process_knows_better_stays() -> None:
    rows = Rows()
    rows.decide(RULES, Remember(b"1" * 16, (BOB,)), 0)
    heard = Known(name="bob", origin=Origin.TOLD, last_contact_ns=11, cursor_ns=3, told_ns=40)
    rows.decide(RULES, Remember(b"2" * 16, (heard,)), 0)
    merged = row_of_bob(rows)
    assert (merged.url, merged.origin, merged.kind) == (BOB.url, Origin.MET, "postbox")
    assert (merged.last_contact_ns, merged.cursor_ns, merged.told_ns) == (11, 20, 40)
    moved = replace(heard, url="http://100.64.0.8:7433")
    rows.decide(RULES, Remember(b"3" * 16, (moved,)), 0)
    assert row_of_bob(rows).url == moved.url


def test_to_forget_a_peer_leaves_what_is_held_against_it() -> None:
    rows = Rows()
    rows.decide(RULES, Remember(b"1" * 16, (BOB,)), 0)
    rows.decide(RULES, lied(), 0)
    rows.decide(RULES, ForgetPeers(b"2" * 16, ("bob",)), 0)
    assert (PEER.name, ("bob",)) not in rows.rows
    assert record_of_bob(rows).offences == 1


def test_an_accusation_has_an_entry_with_the_whole_record_in_place_of_the_one_before() -> None:
    rows = Rows()
    first = rows.decide(RULES, lied(), 7)
    (entry,) = first.entries
    assert (entry.lane, entry.stream, entry.kind) == (Lane.NODE, PEERS_STREAM, KIND_RECORD)
    assert (entry.id, entry.at_ms, first.removes) == (record_id("bob"), 7, ())
    assert msgspec.json.decode(entry.body, type=Told) == Told("bob", record_of_bob(rows))
    stored = Found(5, PEERS_STREAM, None, KIND_RECORD, 0, b"")
    rows.entries[EntryKey(Lane.NODE, record_id("bob"))] = stored
    assert RULES.replaces(lied(NOW_NS + 1), stored)
    assert rows.decide(RULES, lied(NOW_NS + 1), 8).removes == (5,)
    assert record_of_bob(rows).offences == 2
    assert record_of_bob(rows).points == pytest.approx(20)


def test_one_accusation_that_is_submitted_twice_counts_once() -> None:
    rows = Rows()
    rows.decide(RULES, lied(), 0)
    assert rows.decide(RULES, lied(), 0).entries == ()
    assert record_of_bob(rows).offences == 1


def test_the_operator_bans_and_forgives() -> None:
    rows = Rows()
    rows.decide(RULES, lied(), 0)
    rows.decide(RULES, Sentence("bob", "ban", "he spams", NOW_NS), 0)
    banned = record_of_bob(rows)
    assert (banned.by_operator, banned.why, banned.offences) == (True, "he spams", 1)
    forgiven = rows.decide(RULES, Sentence("bob", "forgive", "", NOW_NS), 0)
    assert msgspec.json.decode(forgiven.entries[0].body, type=Told) == Told("bob", CLEAN)
    assert record_of_bob(rows) == CLEAN
    assert (PEER_RECORD.name, ("bob",)) not in rows.rows


def test_there_is_nothing_to_forgive_a_peer_that_did_nothing() -> None:
    assert Rows().decide(RULES, Sentence("bob", "forgive", "", NOW_NS), 0).entries == ()


def test_a_ban_without_a_reason_says_who_spoke_it() -> None:
    rows = Rows()
    rows.decide(RULES, Sentence("bob", "ban", "", NOW_NS), 0)
    assert record_of_bob(rows).why == "banned by the operator"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 65, "a\nb"])
def test_what_is_no_name_cannot_be_sentenced(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        Sentence(name, "ban", "", 0)


def test_a_reason_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most 300 characters"):
        Sentence("bob", "ban", "x" * 301, 0)
