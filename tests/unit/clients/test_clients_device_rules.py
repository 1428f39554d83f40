"""Which devices a user has: registered once, revoked for good, forgotten if too many."""

from __future__ import annotations

from postbox.clients.ids import device_id, user_id
from postbox.clients.rules.devices import (
    EVERY,
    SKEW_MS,
    Act,
    DeviceDraft,
    DeviceRules,
    Register,
    Revoke,
    See,
)
from postbox.clients.tables import (
    ACCOUNT,
    DEVICE,
    DEVICE_PLACE,
    DEVICES_STREAM,
    QUEUE,
    REFUSED,
    Device,
    account_of,
    read_row,
)
from postbox.rules import Decision
from support.rows import Rows

RULES = DeviceRules()
ANN = user_id("ann")
ISSUED_MS = 10 * SKEW_MS


def at(rows: Rows, now_ms: int, user: str, name: str, act: Act) -> Decision:
    draft = DeviceDraft(now_ms.to_bytes(16, "big"), user, name, act)
    return rows.decide(RULES, draft, now_ms)


def register(
    rows: Rows, name: str, now_ms: int, forgotten: str = "", since_ms: int = 0
) -> Decision:
    return at(rows, now_ms, "ann", name, Register(ISSUED_MS, forgotten, since_ms))


def device(rows: Rows, name: str) -> Device | None:
    row = rows.rows.get((DEVICE.name, (ANN, name)))
    return None if row is None else read_row(Device, row)


def test_who_signs_in_for_the_first_time_has_an_account_and_a_device() -> None:
    rows = Rows()
    decision = register(rows, "phone", 5)
    assert device(rows, "phone") == Device(ANN, "phone", device_id(ANN, "phone"), 5, 5)
    account = account_of(rows.rows[ACCOUNT.name, (ANN,)])
    assert (account.name, account.display, account.at_ms) == ("ann", "ann", 5)
    [entry] = decision.entries
    assert (entry.stream, entry.numbered) == (DEVICES_STREAM, False)


def test_the_second_device_leaves_the_account_as_it_is() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    register(rows, "tablet", 9)
    assert account_of(rows.rows[ACCOUNT.name, (ANN,)]).at_ms == 5
    assert device(rows, "tablet") is not None


def test_a_device_is_registered_once() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    assert register(rows, "phone", 9) == Decision()


def test_another_users_device_of_the_same_name_is_another_one() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    at(rows, 6, "bob", "phone", Register(ISSUED_MS))
    at(rows, 7, "bob", "phone", Revoke())
    ours = device(rows, "phone")
    theirs = read_row(Device, rows.rows[DEVICE.name, (user_id("bob"), "phone")])
    assert ours is not None
    assert ours.revoked_ms == 0
    assert theirs.revoked_ms == 7
    assert ours.id != theirs.id


def test_a_revocation_stays_and_a_later_sign_in_does_not_undo_it() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    decision = at(rows, 7, "ann", "phone", Revoke())
    assert len(decision.entries) == 1
    register(rows, "phone", 8)
    at(rows, 9, "ann", "phone", See(9))
    at(rows, 6, "ann", "phone", Revoke())  # a clock that went back
    found = device(rows, "phone")
    assert found is not None
    assert (found.made_ms, found.seen_ms, found.revoked_ms) == (5, 9, 7)


def test_what_never_signed_in_can_be_revoked_and_makes_no_account() -> None:
    rows = Rows()
    at(rows, 7, "ann", "phone", Revoke())
    assert (ACCOUNT.name, (ANN,)) not in rows.rows
    refused = at(rows, 8, "ann", "phone", Register(6))
    assert refused.refuse is not None
    assert refused.puts == ()
    register(rows, "phone", 9)
    found = device(rows, "phone")
    assert found is not None
    assert (found.made_ms, found.revoked_ms) == (9, 7)
    assert (ACCOUNT.name, (ANN,)) in rows.rows


def test_when_a_device_was_seen_only_grows_and_is_no_entry() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    assert at(rows, 20, "ann", "phone", See(20)).entries == ()
    assert at(rows, 21, "ann", "phone", See(10)) == Decision()
    assert at(rows, 22, "ann", "nobody", See(22)) == Decision()
    found = device(rows, "phone")
    assert found is not None
    assert found.seen_ms == 20


def test_a_device_that_was_not_seen_makes_room_with_all_that_is_known_of_it() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    phone = device_id(ANN, "phone")
    for table in (DEVICE_PLACE, QUEUE, REFUSED):
        rows.rows[table.name, (phone,)] = (phone, 1)
    decision = register(rows, "tablet", 100, forgotten="phone", since_ms=50)
    assert device(rows, "phone") is None
    assert {table for table, _ in rows.rows} == {ACCOUNT.name, DEVICE.name}
    assert len(decision.entries) == 2, "other processes are told of both"


def test_what_was_seen_since_or_revoked_is_not_forgotten() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    register(rows, "laptop", 5)
    at(rows, 60, "ann", "phone", See(60))
    at(rows, 7, "ann", "laptop", Revoke())
    register(rows, "tablet", 100, forgotten="phone", since_ms=50)
    register(rows, "watch", 101, forgotten="laptop", since_ms=50)
    assert device(rows, "phone") is not None
    assert device(rows, "laptop") is not None


def test_who_was_shut_out_gets_no_new_device_by_a_token_from_before() -> None:
    rows = Rows()
    register(rows, "phone", 5)
    at(rows, ISSUED_MS, "ann", EVERY, Revoke())
    for issued_ms in (0, ISSUED_MS, ISSUED_MS + SKEW_MS - 1):
        decision = at(rows, ISSUED_MS + 1, "ann", "tablet", Register(issued_ms))
        assert decision.refuse is not None
    assert device(rows, "tablet") is None
    later = Register(ISSUED_MS + SKEW_MS)
    assert at(rows, ISSUED_MS + 2, "ann", "tablet", later).refuse is None
    at(rows, ISSUED_MS + 2, "bob", "tablet", Register(0))
    assert device(rows, "tablet") is not None
    assert (DEVICE.name, (user_id("bob"), "tablet")) in rows.rows
