"""What an emitter signed in another's name: kept, proof of nothing, and in nobody's way."""

from __future__ import annotations

from postbox.core import Batch, Keys, Ledger, verdict_names
from postbox.event import Standing
from postbox.mesh.drafts import drafts_of
from postbox.mesh.rules import VERIFY_AGAIN, MeshRules
from postbox.rules import Payer
from postbox.trust.authoring import Social, make_event
from postbox.trust.keys import Identity, identity_of
from postbox.trust.rules import KeyRules, operator_draft
from support.rows import Rows

NOW_NS = 1_795_300_000_000_000_000
PEER = Payer("peer", "bob")
ANN, EVE = identity_of("ann", b"a" * 32), identity_of("eve", b"e" * 32)
TEASE = Social(type="tease", actor="ann", target="bob", reason="random")


def knowing(*known: Identity) -> Keys:
    keys = Keys()
    for one in known:
        keys.put(one.name, [one.public_key], None)
    return keys


def batch_of(signer: Identity, keys: Keys) -> Batch:
    batch = Batch.decode([make_event(TEASE, NOW_NS, signer).body], NOW_NS)
    batch.verify(keys)
    return batch


def test_both_copies_have_one_id_and_only_the_actors_own_is_attested() -> None:
    keys = knowing(ANN, EVE)
    ((_, own_id, *_),) = batch_of(ANN, keys).accepted()
    ((_, foreign_id, *_),) = batch_of(EVE, keys).accepted()
    assert own_id == foreign_id
    assert list(batch_of(ANN, keys).standings) == [Standing.ATTESTED]
    assert list(batch_of(EVE, keys).standings) == [Standing.UNPROVEN]


def test_the_rules_store_it_at_once_though_its_signer_is_known() -> None:
    """Else it would be verified again and again: nothing can change its standing."""
    rows = Rows()
    rows.decide(KeyRules(), operator_draft(b"k" * 16, "eve", EVE.public_key, None), 0)
    (checked,) = drafts_of(batch_of(EVE, knowing(EVE)), PEER)
    assert [entry.flags for entry in rows.decide(MeshRules(), checked, 0).entries] == [
        Standing.UNPROVEN
    ]
    (unchecked,) = drafts_of(batch_of(EVE, knowing()), PEER)
    refused = rows.decide(MeshRules(), unchecked, 0).refuse
    assert refused is not None
    assert refused.code == VERIFY_AGAIN


def test_a_ledger_takes_the_true_copy_after_it_and_not_it_after_the_true_copy() -> None:
    for first, second, verdict in [(EVE, ANN, "ok"), (ANN, EVE, "known")]:
        ledger = Ledger(10, b"k" * 16)
        ((*_, standing, _, _, body, _),) = batch_of(first, knowing(ANN, EVE)).accepted()
        ledger.apply([], [(1, body, standing)])
        batch = batch_of(second, knowing(ANN, EVE))
        batch.sift(ledger)
        assert [verdict_names[code] for code in batch.verdicts] == [verdict]


def test_it_is_checked_again_when_its_signer_gets_a_key() -> None:
    ledger = Ledger(10, b"k" * 16)
    ((*_, standing, _, _, body, _),) = batch_of(EVE, knowing()).accepted()
    ledger.apply([], [(1, body, standing)])
    assert ledger.unproven(["eve"], []) == ledger.all_unproven() == [(1, body)]
    assert ledger.unproven(["ann"], []) == []
