"""What a failure, or what became of events, says about the peer they came from: tables."""

from __future__ import annotations

from collections import Counter

import pytest

from postbox.core import verdict_names
from postbox.errors import Fault, Full
from postbox.mesh.calling.client import Busy, Lied, PeerFault, Stranger
from postbox.mesh.calling.introductions import MeetingFault
from postbox.mesh.calling.pull import EndlessPages
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers.offences import MALFORMED, UNPROVED, charge_in, charge_of
from postbox.mesh.peers.standing_rules import MILD, Offence
from postbox.net.faults import BadAnswer, TooLarge, TooSlow, Unreachable


@pytest.mark.parametrize(
    ("fault", "offence"),
    [
        (Lied("x"), Offence.LIED),
        (EndlessPages("x"), Offence.FLOODED),
        (TooLarge("x"), Offence.STALLED),
        (TooSlow("x"), Offence.STALLED),
        (Unreachable("x"), None),
        (BadAnswer("x"), None),
        (PeerFault("x"), None),
        (Stranger("x"), None),
        (Busy("x", 1.0), None),
        (MeetingFault("x"), None),
        (Full("x"), None),
    ],
)
def test_only_what_no_honest_peer_brings_about_is_held_against_it(
    fault: Fault, offence: Offence | None
) -> None:
    charge = charge_of(fault, answered_before=True)
    assert (charge and charge.offence) == offence


@pytest.mark.parametrize(
    ("fault", "offence"),
    [
        (Lied("x"), Offence.LIED),
        (EndlessPages("x"), Offence.ASTRAY),
        (TooLarge("x"), Offence.STALLED),
    ],
)
def test_what_a_relay_can_bring_about_bans_nobody(fault: Fault, offence: Offence) -> None:
    """The answer is signed, the question is not; a lie is one whatever was asked."""
    charge = charge_of(fault, answered_before=True, at_its_place=False)
    assert charge is not None
    assert charge.offence is offence
    assert (offence in MILD) == (offence is not Offence.LIED)


@pytest.mark.parametrize("fault", [TooSlow("x"), TooLarge("x")])
def test_what_is_not_signed_is_held_against_a_peer_only_if_it_answered_just_before(
    fault: Fault,
) -> None:
    """Else it may be cut off, as half of the mesh may be, or another may be in its place."""
    assert charge_of(fault, answered_before=False) is None


@pytest.mark.parametrize(
    ("kind", "good", "rejected", "offence"),
    [
        ("postbox", 0, {}, None),
        ("postbox", 5_000, {"id_mismatch": 19}, None),
        ("postbox", 5_000, {"id_mismatch": 20}, Offence.FORGED),
        ("postbox", 5_000, {"missing": 10, "wrong_type": 10}, Offence.FORGED),
        ("nara", 5_000, {"id_mismatch": 4_000}, None),
        ("nara", 100, {"id_mismatch": 4_000}, Offence.LITTERED),
        ("", 0, {"id_mismatch": 50}, Offence.LITTERED),
        ("", 0, {"id_mismatch": 49}, None),
        ("postbox", 100, {"bad_signature": 100}, None),
        ("postbox", 100, {"bad_signature": 101}, Offence.LITTERED),
        ("postbox", 100, {"key_differs": 60, "wrong_emitter": 60}, Offence.LITTERED),
        ("postbox", 0, {"future": 5_000, "bad_time": 5_000}, None),
        ("postbox", 0, {"unknown_service": 5_000, "cutoff": 5_000}, None),
    ],
)
def test_events_tell_by_what_is_wrong_with_them_and_by_their_share(
    kind: str, good: int, rejected: dict[str, int], offence: Offence | None
) -> None:
    charge = charge_in(Report(imported=good, rejected=Counter(rejected)), kind)
    assert (charge and charge.offence) == offence


def test_every_verdict_that_counts_is_one() -> None:
    assert set(verdict_names) >= MALFORMED | UNPROVED
