"""What the mesh's rules decide: a dict, a draft, a decision."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from postbox.event import Service, Standing
from postbox.mesh.rules import MEET_AGAIN, STREAM, VERIFY_AGAIN, Forget, MeshDraft, MeshRules
from postbox.rules import Decision, EntryKey, Payer
from postbox.store.contract import Found, Lane
from postbox.trust.keys import identity_of
from postbox.trust.rules import KeyRules, operator_draft
from support.model import Model
from support.rows import Rows

RULES = MeshRules()
PEER = Payer("peer", "bob")
ANN = identity_of("ann", b"a" * 32)
ATTESTED, UNPROVEN, HEARSAY = Standing.ATTESTED, Standing.UNPROVEN, Standing.HEARSAY


def event(standing: Standing, signer: str = "ann", number: int = 1) -> MeshDraft:
    return MeshDraft(
        id=bytes([number]) * 16,
        payer=PEER,
        service=Service.SOCIAL,
        standing=standing,
        author="ann",
        signer=signer,
        at_ms=7,
        body=b"{}",
    )


def found(standing: Standing, pos: int = 5) -> Found:
    return Found(pos, STREAM, None, Service.SOCIAL, standing, b"ann")


def rows(*stored: Found, knows_ann: bool = False) -> Rows:
    """With the entry that `event` would be a copy of, and Ann's key."""
    all_rows = Rows()
    for one in stored:
        all_rows.entries[EntryKey(Lane.MESH, b"\1" * 16)] = one
    if knows_ann:
        all_rows.decide(KeyRules(), operator_draft(b"k" * 16, "ann", ANN.public_key, None), 0)
    return all_rows


def test_an_event_becomes_one_entry_with_its_own_bytes_and_standing() -> None:
    decision = rows(knows_ann=True).decide(RULES, event(ATTESTED), at_ms=99)
    (entry,) = decision.entries
    assert (entry.lane, entry.stream, entry.id) == (Lane.MESH, STREAM, b"\1" * 16)
    assert (entry.kind, entry.flags, entry.author) == (Service.SOCIAL, ATTESTED, b"ann")
    assert (entry.body, entry.at_ms, entry.numbered) == (b"{}", 7, False)
    assert decision == Decision(entries=(entry,))


@pytest.mark.parametrize("stored", [UNPROVEN, HEARSAY])
def test_an_attested_copy_takes_the_place_of_one_that_is_not(stored: Standing) -> None:
    assert RULES.replaces(event(ATTESTED), found(stored))
    decision = rows(found(stored, pos=5), knows_ann=True).decide(RULES, event(ATTESTED), 0)
    assert (decision.removes, len(decision.entries)) == ((5,), 1)


@pytest.mark.parametrize(
    ("new", "stored"),
    [(new, old) for new in Standing for old in Standing if new is not ATTESTED or old is ATTESTED],
)
def test_nothing_else_replaces_anything(new: Standing, stored: Standing) -> None:
    assert not RULES.replaces(event(new), found(stored))


def copy_of_a_checkpoint(over: int | None) -> MeshDraft:
    return replace(event(ATTESTED, signer=""), service=Service.CHECKPOINT, over=over)


def test_of_two_copies_of_a_checkpoint_that_which_was_found_better_takes_the_others_place() -> None:
    draft = copy_of_a_checkpoint(over=5)
    assert RULES.replaces(draft, found(ATTESTED, pos=5))
    decision = rows(found(ATTESTED, pos=5)).decide(RULES, draft, 0)
    assert (decision.removes, len(decision.entries)) == ((5,), 1)


@pytest.mark.parametrize("over", [None, 4])
def test_a_copy_that_it_was_not_compared_with_is_to_be_met_first(over: int | None) -> None:
    decision = rows(found(ATTESTED, pos=5)).decide(RULES, copy_of_a_checkpoint(over), 0)
    assert decision.refuse is not None
    assert decision.refuse.code == MEET_AGAIN
    assert not decision.entries
    assert not decision.removes


def test_an_unproven_event_whose_signer_became_known_is_to_be_verified_again() -> None:
    decision = rows(knows_ann=True).decide(RULES, event(UNPROVEN), 0)
    assert decision.refuse is not None
    assert decision.refuse.code == VERIFY_AGAIN
    assert decision.entries == ()


def test_an_unproven_event_of_a_stranger_is_stored() -> None:
    decision = rows(knows_ann=True).decide(RULES, event(UNPROVEN, signer="bob"), 0)
    assert [entry.flags for entry in decision.entries] == [UNPROVEN]


def test_an_unproven_checkpoint_is_stored_since_no_one_key_decides_over_it() -> None:
    assert rows(knows_ann=True).decide(RULES, event(UNPROVEN, signer=""), 0).refuse is None


def test_what_was_proved_does_not_ask_who_is_known_now() -> None:
    """Its key was known when it was verified, and keys are never forgotten."""
    assert rows().decide(RULES, event(ATTESTED), 0).refuse is None


def test_what_is_forgotten_leaves_by_its_positions_and_leaves_no_entry() -> None:
    forget = Forget(b"f" * 16, PEER, (3, 4, 9))
    assert rows().decide(RULES, forget, 0) == Decision(removes=(3, 4, 9))
    assert not RULES.replaces(forget, found(HEARSAY))


def test_a_history_of_copies_comes_to_one_entry_of_the_best_standing() -> None:
    """Hearsay, signed, signed again, hearsay again: against the model of the log."""
    model = Model()
    outcomes = [
        type(model.submit(RULES, event(standing, signer=""))).__name__
        for standing in (HEARSAY, UNPROVEN, ATTESTED, ATTESTED, HEARSAY)
    ]
    assert outcomes == ["Accepted", "Duplicate", "Accepted", "Duplicate", "Duplicate"]
    assert [(entry.pos, entry.flags) for entry in model.entries.values()] == [(2, ATTESTED)]
