"""Keys of hosts as rows and as a signed list: what is believed, kept, and followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.hosts.keys.key_list import (
    MAX_KEYS,
    MAX_REPLY_BYTES,
    BadKeyReply,
    make_reply,
    read_reply,
)
from postbox.hosts.keys.own_keys import OwnKeys
from postbox.hosts.keys.rules import (
    STREAM,
    HostKeyRules,
    LearnKeys,
    PeerKey,
    PeerKeys,
    Rotate,
    peer_keys,
    peer_row,
    rotation,
)
from postbox.hosts.tables import HOST_KEY, PEER_KEY
from postbox.hosts.wire import CAPABILITIES
from postbox.log.committed import Committed
from postbox.rpc.auth.v1.auth_pb import GetKeyReply, HostKey, KeyList
from postbox.rules import EntryKey
from postbox.store.contract import Entry, Found, Lane
from postbox.trust.host_keys import (
    AHEAD_MS,
    FIRST,
    IN_FLIGHT_MS,
    KEEP_MS,
    Rotation,
    host_key,
    kid_of,
    rotated,
)
from postbox.trust.keys import identity_of
from postbox.trust.tokens import StrictToken, read_token, verify
from support.rows import Rows
from support.simulate import FixedClock

A, B = "a.example:2289", "b.example:2289"
SEED = b"a" * 32
NOW_MS = 1_795_219_200_000
KEYS = [host_key(SEED, number) for number in range(6)]
WEAK = bytes(32)


def peer(host: str = A, *numbers: int, at_ms: int = NOW_MS) -> PeerKeys:
    keys = tuple(
        PeerKey(KEYS[number].kid, KEYS[number].public_key, 0, at_ms + KEEP_MS)
        for number in numbers or (0,)
    )
    return PeerKeys(host, keys, CAPABILITIES, at_ms)


# -- the list ------------------------------------------------------------------------------------


def test_an_answer_is_read_as_it_was_made() -> None:
    read = read_reply(make_reply(A, SEED, FIRST, NOW_MS), A, NOW_MS + 5)
    assert read.their_now_ms == NOW_MS
    assert read.peer.host == A
    assert read.peer.capabilities == ("strict", "PostEvents", "Ack", "follow")
    assert read.peer.keys == (PeerKey(KEYS[0].kid, KEYS[0].public_key, 0, NOW_MS + KEEP_MS),)
    assert read.peer.fetched_at_ms == NOW_MS + 5


def test_who_knows_the_specification_alone_finds_the_current_key_in_field_1() -> None:
    raw = make_reply(A, SEED, Rotation(1, NOW_MS, NOW_MS + KEEP_MS), NOW_MS)
    assert raw[:34] == b"\x0a\x20" + KEYS[1].public_key


def test_an_answer_without_a_list_is_that_of_a_host_which_knows_the_specification_alone() -> None:
    read = read_reply(b"\x0a\x20" + KEYS[0].public_key, A, NOW_MS)
    key = PeerKey(kid_of(KEYS[0].public_key), KEYS[0].public_key, 0, NOW_MS + KEEP_MS)
    assert read.peer == PeerKeys(A, (key,), (), NOW_MS)
    assert read.their_now_ms is None


def test_during_a_rotation_both_keys_are_in_the_list_and_the_current_one_signs_it() -> None:
    pending = rotated(FIRST, NOW_MS, is_at_once=False)
    assert isinstance(pending, Rotation)
    for now_ms, numbers in ((NOW_MS, (0, 1)), (NOW_MS + AHEAD_MS, (1, 0))):
        read = read_reply(make_reply(A, SEED, pending, now_ms), A, now_ms).peer
        assert [key.key for key in read.keys] == [KEYS[number].public_key for number in numbers]
    early = read_reply(make_reply(A, SEED, pending, NOW_MS), A, NOW_MS).peer
    assert [key.kid for key in early.usable(NOW_MS)] == [KEYS[0].kid]
    assert [key.kid for key in early.usable(NOW_MS + AHEAD_MS)] == [KEYS[0].kid, KEYS[1].kid]
    late = read_reply(make_reply(A, SEED, pending, NOW_MS + AHEAD_MS), A, NOW_MS + AHEAD_MS).peer
    assert [key.kid for key in late.usable(NOW_MS + AHEAD_MS)] == [KEYS[1].kid, KEYS[0].kid]


def test_a_key_in_wrong_hands_is_withdrawn_by_the_list_that_leaves_it_out() -> None:
    changed = rotated(FIRST, NOW_MS, is_at_once=True)
    assert isinstance(changed, Rotation)
    soon_ms = NOW_MS + IN_FLIGHT_MS
    in_flight = read_reply(make_reply(A, SEED, changed, NOW_MS), A, NOW_MS).peer
    assert [key.kid for key in in_flight.usable(soon_ms - 1)] == [KEYS[1].kid, KEYS[0].kid]
    assert [key.kid for key in in_flight.usable(soon_ms)] == [KEYS[1].kid]
    later = read_reply(make_reply(A, SEED, changed, soon_ms), A, soon_ms).peer
    assert [key.kid for key in later.keys] == [KEYS[1].kid]


def reply(
    key: bytes = KEYS[0].public_key,
    host: str = A,
    listed: Sequence[HostKey] | None = None,
    capabilities: Sequence[str] = ("strict",),
    sign: Callable[[bytes], bytes] = KEYS[0].sign,
    domain: bytes = b"postbox host keys\n",
) -> bytes:
    keys = list(listed) if listed is not None else [entry()]
    raw = KeyList(host=host, keys=keys, capabilities=list(capabilities), now_ms=NOW_MS).to_binary()
    return GetKeyReply(key=key, list=raw, signature=sign(domain + raw)).to_binary()


def entry(number: int = 0, **changed: object) -> HostKey:
    key = KEYS[number]
    said = {"kid": key.kid, "key": key.public_key, "valid_until_ms": NOW_MS + 1000} | changed
    return HostKey(**said)  # type: ignore[arg-type]


def test_a_good_answer_in_the_form_of_the_bad_ones() -> None:
    assert read_reply(reply(), A, NOW_MS).peer.keys[0].valid_until_ms == NOW_MS + 1000


BAD_REPLIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "32 raw bytes, not 0"),
    "noise": (b"\xff" * 40, "cannot be read"),
    "cut": (reply()[:-10], "cannot be read"),
    "a length of 4 GiB": (b"\x0a\xff\xff\xff\xff\x0f", "cannot be read"),
    "groups in groups": (b"\x0b" * 10_000, "cannot be read"),
    "too long": (b"\x0a\x20" + bytes(32) + b"\x12" * MAX_REPLY_BYTES, "at most 16384 bytes"),
    "a page": (b"<!doctype html>", "cannot be read"),
    "PEM": (GetKeyReply(key=b"-----BEGIN PUBLIC KEY-----\n").to_binary(), "32 raw bytes"),
    "a short key": (GetKeyReply(key=bytes(31)).to_binary(), "32 raw bytes, not 31"),
    "a weak key": (GetKeyReply(key=WEAK).to_binary(), "the key is weak"),
    "another's list": (reply(host=B), "the list of keys is that of 'b.example:2289'"),
    "an unsigned list": (reply(sign=lambda raw: b""), "not signed with its key"),
    "signed by another": (reply(sign=KEYS[1].sign), "not signed with its key"),
    "signed for something else": (reply(domain=b""), "not signed with its key"),
    "a former key's list": (reply(key=KEYS[1].public_key), "not signed with its key"),
    "no key in it": (reply(listed=[]), "1 to 4 keys, and the current one is its first"),
    "another key first": (reply(listed=[entry(1), entry(0)]), "the current one is its first"),
    "too many": (reply(listed=[entry(at) for at in range(MAX_KEYS + 1)]), "1 to 4 keys"),
    "twice": (reply(listed=[entry(), entry()]), "twice"),
    "a weak one behind": (
        reply(listed=[entry(), HostKey(kid=kid_of(WEAK), key=WEAK, valid_until_ms=NOW_MS + 9)]),
        "the key is weak",
    ),
    "a short one behind": (reply(listed=[entry(), entry(1, key=b"x")]), "32 raw bytes, not 1"),
    "another's kid": (reply(listed=[entry(), entry(1, kid=KEYS[0].kid)]), "not the kid of the key"),
    "out of time": (reply(listed=[entry(valid_until_ms=NOW_MS)]), "not valid any more"),
    "never in time": (reply(listed=[entry(valid_until_ms=-(2**63))]), "not valid any more"),
}


@pytest.mark.parametrize("what", BAD_REPLIES)
def test_an_answer_with_something_wrong_is_refused_with_the_reason(what: str) -> None:
    raw, why = BAD_REPLIES[what]
    with pytest.raises(BadKeyReply, match=why) as refused:
        read_reply(raw, A, NOW_MS)
    assert len(str(refused.value)) < 300


@given(st.binary(max_size=300) | st.integers(0, len(reply()) - 1).map(lambda at: _flipped(at)))
def test_whatever_bytes_come_back_are_a_list_of_the_host_or_are_refused(raw: bytes) -> None:
    try:
        read = read_reply(raw, A, NOW_MS)
    except BadKeyReply:
        return
    assert read.peer.host == A
    assert all(len(key.key) == 32 for key in read.peer.keys)


def _flipped(at: int) -> bytes:
    raw = bytearray(reply())
    raw[at] ^= 1
    return bytes(raw)


def test_no_host_makes_its_key_count_for_longer_than_a_week() -> None:
    for_ever = reply(listed=[entry(valid_until_ms=2**63 - 1)])
    read = read_reply(for_ever, A, NOW_MS).peer
    assert read.keys[0].valid_until_ms == NOW_MS + KEEP_MS
    assert read.usable(NOW_MS + KEEP_MS - 1)
    assert not read.usable(NOW_MS + KEEP_MS)


def test_a_key_that_was_published_ahead_does_not_outlive_the_list_that_it_was_in() -> None:
    pending = rotated(FIRST, NOW_MS, is_at_once=False)
    assert isinstance(pending, Rotation)
    read = read_reply(make_reply(A, SEED, pending, NOW_MS), A, NOW_MS).peer
    assert read.keys[1].valid_until_ms > NOW_MS + KEEP_MS
    assert not read.usable(NOW_MS + KEEP_MS)


def test_capabilities_are_words_and_not_too_many() -> None:
    named = ["strict", "a b", "", "x" * 33, "new\n", "later-v2.1", *map(str, range(100))]
    read = read_reply(reply(capabilities=named), A, NOW_MS).peer
    assert read.capabilities == ("strict", "later-v2.1", *map(str, range(10)))
    assert peer_keys(peer_row(read)) == read


def test_an_answer_of_a_later_version_is_understood() -> None:
    more = reply() + b"\xfa\x01\x03abc"
    assert read_reply(more, A, NOW_MS).peer.keys[0].key == KEYS[0].public_key


# -- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [(), ("a",), (A, b"[]", "strict", "now"), (0, 1, 2, None)])
def test_a_row_that_is_none_of_ours_is_an_error(row: tuple[str | int | bytes | None, ...]) -> None:
    with pytest.raises(ValueError, match="not a row of the table"):
        peer_keys(row)
    with pytest.raises(ValueError, match="not a row of the table"):
        rotation(row)


def test_the_longest_list_fits_into_its_row() -> None:
    """As the checks in the database have it."""
    keys = tuple(PeerKey(key.kid, key.public_key, 2**62, 2**62) for key in KEYS[:MAX_KEYS])
    _, blob, words, _ = peer_row(PeerKeys(A, keys, tuple(["x" * 32] * 16), NOW_MS))
    assert isinstance(blob, bytes)
    assert isinstance(words, str)
    assert len(blob) <= 4096
    assert len(words) <= 1024


def test_of_a_host_there_is_one_entry_however_often_it_was_asked() -> None:
    rows, rules = Rows(), HostKeyRules()
    first = rows.decide(rules, LearnKeys(peer(A, 0)), NOW_MS)
    assert (first.removes, len(first.entries), first.entries[0].stream) == ((), 1, STREAM)
    again = LearnKeys(peer(A, 1, 0, at_ms=NOW_MS + 9))
    assert again.id == first.entries[0].id != LearnKeys(peer(B, 0)).id
    stored = Found(7, STREAM, None, first.entries[0].kind, 0, b"")
    rows.entries[EntryKey(Lane.HOSTS, again.id)] = stored
    assert rules.replaces(again, stored)
    second = rows.decide(rules, again, NOW_MS + 9)
    assert (second.removes, len(second.entries)) == ((7,), 1)
    assert peer_keys(rows.rows[PEER_KEY.name, (A,)]) == again.peer


def test_what_another_process_learned_later_stays() -> None:
    rows, rules = Rows(), HostKeyRules()
    rows.decide(rules, LearnKeys(peer(A, 1, at_ms=NOW_MS + 9)), NOW_MS + 9)
    decision = rows.decide(rules, LearnKeys(peer(A, 0, at_ms=NOW_MS)), NOW_MS + 9)
    assert (decision.entries, decision.puts, decision.refuse) == ((), (), None)


def test_what_was_learned_while_the_clock_was_wrong_does_not_stand_in_the_way() -> None:
    rows, rules, ahead_ms = Rows(), HostKeyRules(), 86_400_000
    early = peer(A, 0, at_ms=NOW_MS + ahead_ms)
    assert early.usable(NOW_MS + ahead_ms)
    assert not early.usable(NOW_MS)
    rows.decide(rules, LearnKeys(early), NOW_MS + ahead_ms)
    rows.decide(rules, LearnKeys(peer(A, 1)), NOW_MS)
    assert peer_keys(rows.rows[PEER_KEY.name, (A,)]) == peer(A, 1)


def test_a_rotation_is_one_row_and_is_refused_while_one_is_under_way() -> None:
    rows, rules = Rows(), HostKeyRules()
    assert not rules.replaces(Rotate(b"1" * 16, False), Found(1, STREAM, None, 21, 0, b""))
    assert rows.decide(rules, Rotate(b"1" * 16, False), NOW_MS).refuse is None
    first = Rotation(1, NOW_MS + AHEAD_MS, NOW_MS + AHEAD_MS + KEEP_MS)
    assert rotation(rows.rows[HOST_KEY.name, (0,)]) == first
    refused = rows.decide(rules, Rotate(b"2" * 16, False), NOW_MS + 1)
    assert refused.refuse is not None
    assert refused.refuse.code == "rotation_under_way"
    rows.decide(rules, Rotate(b"3" * 16, True), NOW_MS + 2)
    assert rotation(rows.rows[HOST_KEY.name, (0,)]) == Rotation(
        1, NOW_MS + 2, NOW_MS + 2 + IN_FLIGHT_MS
    )


# -- our own -------------------------------------------------------------------------------------


def test_our_tokens_and_our_list_change_at_the_same_moment() -> None:
    clocks = [FixedClock((NOW_MS + off_ms) * 10**6) for off_ms in (0, AHEAD_MS - 1, AHEAD_MS)]
    decision = Rows().decide(HostKeyRules(), Rotate(b"1" * 16, False), NOW_MS)
    [new] = decision.entries
    entry = Entry(1, Lane.HOSTS, STREAM, None, new.id, new.kind, 0, b"", NOW_MS, new.body)
    for clock, number in zip(clocks, (0, 0, 1), strict=True):
        own = OwnKeys(identity_of("a", SEED), A, clock)
        own.applied(Committed(1, [entry], (), (), {}, {(Lane.HOSTS, STREAM): [entry]}))
        token = read_token(own.sign(B, "Sync", bytes(32), jti=b"j" * 16))
        read = read_reply(own.reply(), A, clock.at_ns // 10**6).peer
        assert isinstance(token, StrictToken)
        assert (token.iss, token.aud, token.kid) == (A, B, KEYS[number].kid)
        assert read.keys[0].kid == token.kid
        assert verify(token, read.keys[0].key)
        plain = read_token(own.sign(B, "Sync", bytes(32), jti=b"j" * 16, is_plain=True))
        assert verify(plain, own.current.public_key)
