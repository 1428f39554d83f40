"""Golden values of nara's own code, reproduced by the core."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from postbox.core import Batch, Keys, Ledger, verdict_names
from support import history

VECTORS: dict[str, Any] = json.loads((history.NARA / "vectors.json").read_bytes())
BODIES = [json.dumps(event).encode() for event in VECTORS["events"]]
IDS = [bytes.fromhex(event["id"]) for event in VECTORS["events"]]
OK = verdict_names.index("ok")


def known() -> Keys:
    keys = Keys()
    for one in VECTORS["identities"]:
        keys.put(one["name"], [base64.b64decode(one["public_key"])], one["id"])
    return keys


def verified(keys: Keys) -> Batch:
    batch = Batch.decode(BODIES, history.NOW_NS)
    batch.verify(keys)
    return batch


def names(codes: bytes) -> list[str]:
    return [verdict_names[code] for code in codes]


def test_every_golden_event_is_taken_with_its_own_id() -> None:
    accepted = verified(known()).accepted()
    assert [row[0] for row in accepted] == list(range(16))
    assert [row[1] for row in accepted] == IDS


def test_ids_are_the_hash_of_the_golden_content() -> None:
    for event, content in zip(VECTORS["events"], VECTORS["content_strings"], strict=True):
        text = f"{event['ts']}:{event['svc']}:{content}".encode()
        assert hashlib.sha256(text).hexdigest()[:32] == event["id"]
    for number, event in enumerate(VECTORS["events"]):
        moved = json.dumps(event | {"ts": event["ts"] + 1}).encode()
        verdicts = Batch.decode([moved], history.NOW_NS).verdicts
        assert names(verdicts) == ["id_mismatch"], number


def test_golden_signatures_are_attested_by_the_given_keys_and_unproven_without() -> None:
    is_signed = ["sig" in event for event in VECTORS["events"]]
    assert sum(is_signed) == 12
    for keys, expected in ((known(), 2), (Keys(), 1)):
        codes = [
            code for code, signed in zip(verified(keys).standings, is_signed, strict=True) if signed
        ]
        assert codes == [expected] * 12
    emitters = [event["emitter"] for event in VECTORS["events"] if "sig" in event]
    signers = [row[6] for row in verified(known()).accepted() if row[6]]
    assert signers == emitters


def test_a_golden_checkpoint_is_what_its_known_voters_make_it() -> None:
    ids = {one["id"] for one in VECTORS["identities"]}
    checkpoints = [
        (code, event["checkpoint"].get("voter_ids") or [])
        for code, event in zip(verified(known()).standings, VECTORS["events"], strict=True)
        if event["svc"] == "checkpoint"
    ]
    assert len(checkpoints) == 2
    for code, voters in checkpoints:
        distinct = len(ids & set(voters))
        assert code == (2 if distinct >= 2 else 1 if voters else 0)


def test_one_changed_bit_in_a_golden_signature_is_a_bad_signature() -> None:
    for event in VECTORS["events"]:
        if "sig" in event:
            sig = bytearray(base64.b64decode(event["sig"]))
            sig[0] ^= 1
            forged = json.dumps(event | {"sig": base64.b64encode(sig).decode()}).encode()
            batch = Batch.decode([forged], history.NOW_NS)
            batch.verify(known())
            assert names(batch.verdicts) == ["bad_signature"]


def test_the_golden_answer_has_the_golden_digest_and_signature() -> None:
    answer = VECTORS["sync_response"]
    batch = Batch.decode(BODIES, history.NOW_NS)
    digest = batch.claimed_digest(answer["from"], answer["ts"])
    assert digest is not None
    assert digest.hex() == answer["digest"]
    alice = base64.b64decode(VECTORS["identities"][0]["public_key"])
    VerifyKey(alice).verify(digest, base64.b64decode(answer["sig"]))
    shorter = Batch.decode(BODIES[:-1], history.NOW_NS).claimed_digest(answer["from"], answer["ts"])
    assert shorter is not None
    with pytest.raises(BadSignatureError):
        VerifyKey(alice).verify(shorter, base64.b64decode(answer["sig"]))


def test_a_selection_of_the_golden_events_has_the_golden_digest() -> None:
    ledger = Ledger(100, b"k" * 16)
    batch = verified(known())
    ledger.apply([], [(pos, row[7], row[4]) for pos, row in enumerate(batch.accepted())])
    answer = VECTORS["sync_response"]
    page = ledger.page(None, None, [], [])
    # The golden events are in order of time; pings beyond five a target are not kept.
    assert page.ids() == [event_id for event_id in IDS if event_id in ledger]
    text = f"{answer['from']}:{answer['ts']}:" + "".join(i.hex() for i in page.ids())
    expected = hashlib.sha256(text.encode()).digest()
    assert page.digest(answer["from"], answer["ts"]) == expected
    assert page.bodies() == [
        body for body, event_id in zip(BODIES, IDS, strict=True) if event_id in ledger
    ]


def test_an_empty_answer_is_nara_s_to_the_byte() -> None:
    golden: str = VECTORS["empty_response_json"]
    parsed = json.loads(golden)
    empty = Ledger(1, b"k" * 16).page(None, None, [], [])
    encoded = empty.encode(parsed["from"], parsed["ts"], parsed["sig"])
    assert encoded == golden.encode() + b"\n"
    key = base64.b64decode(VECTORS["identities"][0]["public_key"])
    digest = empty.digest(parsed["from"], parsed["ts"])
    VerifyKey(key).verify(digest, base64.b64decode(parsed["sig"]))
