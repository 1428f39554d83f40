"""Who may say which key a name has: pure rules over the rows of `tables`.

| source                          | new name | same key  | other key                            |
|---------------------------------|----------|-----------|--------------------------------------|
| the operator, the node itself   | admitted | no change | replaced, the old one is kept (1)    |
| a hey-there in an import        | admitted | no change | refused                              |
| ... in a known peer's answer    | admitted | no change | refused                              |
| a proof with the old key        | refused  | no change | replaced, if the proof verifies      |
| a hey-there from anywhere else  | refused  | refused   | refused                              |

(1) but the operator does not replace the node's own key, which is that of its key file.

Old keys are kept so that what they signed still verifies. Ids come from the operator only. A proof
is checked here, against the key that is current at that moment, and not before: only then can two
proofs with one old key not both succeed. Weak keys never get here: `KeyDraft` refuses them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from postbox.core import is_weak_key
from postbox.event import is_name
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State
from postbox.store.contract import Found, Lane, Table
from postbox.trust.signatures import is_signature
from postbox.trust.tables import (
    KEY,
    KEY_BYTES,
    KIND_KEY,
    STREAM,
    VOTER,
    KnownKey,
    Source,
    known_key,
    row_of,
)

MAX_OLD_KEYS = 16
"""Kept of one name: beyond it a proof is refused, and the operator's change drops the oldest.
A name's owner could else make its row as long as it likes."""

_PROOF_DOMAIN = b"postbox: this key replaces that one\0"
_HEY_THERE_DOMAIN = b"postbox: key from a hey-there\0"
_PROOF_ID_DOMAIN = b"postbox: key from a proof\0"


class KeyDraft(msgspec.Struct, frozen=True):
    """`name` has this key. Raises ValueError, with a text for people, for what can never be one:
    a name or id that is none, a key of another length, a weak key."""

    id: bytes
    payer: Payer
    source: Source
    name: str
    key: bytes
    voter_id: str | None = None
    proof: bytes = b""  # a signature of `replacement_message` with the old key

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(
                f"{self.name!r} can not be a name: 1 to 64 characters,"
                ' without ":", space or control characters'
            )
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"a public key is {KEY_BYTES} bytes, not {len(self.key)}")
        if is_weak_key(self.key):
            raise ValueError("that public key is weak: anyone can make signatures that fit it")
        if self.voter_id is not None and not is_name(self.voter_id):
            raise ValueError(
                f"{self.voter_id!r} can not be an id: 1 to 64 characters,"
                ' without ":", space or control characters'
            )

    @property
    def size_bytes(self) -> int:
        return 1024  # an entry with a few old keys and a row; changes of keys are rare


def operator_draft(draft_id: bytes, name: str, key: bytes, voter_id: str | None) -> KeyDraft:
    """The operator's word. `draft_id`: 16 new bytes (`World.new_id`), not derived from the
    content, since the operator may well go back to a key that was said before."""
    return KeyDraft(draft_id, _OPERATOR, Source.OPERATOR, name, key, voter_id)


def own_draft(draft_id: bytes, name: str, key: bytes, voter_id: str) -> KeyDraft:
    """The node's own key, submitted at each start: nothing changes when it is known already."""
    return KeyDraft(draft_id, _OPERATOR, Source.OWN, name, key, voter_id)


def hey_there_draft(name: str, key: bytes, payer: Payer) -> KeyDraft:
    """A name and the key inside its self-signed hey-there, whose signature the caller has checked
    (`Batch.introductions`). `payer`: the operator whose import it came in, or the peer whose answer
    it came in, authenticated by the caller."""
    draft_id = _id(_HEY_THERE_DOMAIN, key, name.encode())
    source = Source.ANSWER if payer.kind == "peer" else Source.HEY_THERE
    return KeyDraft(draft_id, payer, source, name, key)


def proof_draft(name: str, old_key: bytes, new_key: bytes, proof: bytes, payer: Payer) -> KeyDraft:
    """`proof`: the old key's signature of `replacement_message`. The id comes from what is proved,
    so that a proof works once, also if it is played again when its old key is current again."""
    draft_id = _id(_PROOF_ID_DOMAIN, old_key, new_key, name.encode())
    return KeyDraft(draft_id, payer, Source.PROOF, name, new_key, proof=proof)


def replacement_message(name: str, old_key: bytes, new_key: bytes) -> bytes:
    """What the owner of `old_key` signs to hand its name over to `new_key`. It can not be mistaken
    for anything else that nodes sign: those are digests, or begin with a name, or `attestation:`,
    and no name holds the space in the first words."""
    return _PROOF_DOMAIN + old_key + new_key + name.encode()


class KeyRules:
    """Changes of keys, each with an entry that carries the whole new row."""

    lane: Lane = Lane.NODE
    tables: tuple[Table, ...] = (KEY, VOTER)

    def needs(self, draft: KeyDraft, state: State) -> Iterable[RowKey | EntryKey]:
        yield RowKey(KEY, (draft.name,))
        if draft.voter_id is not None:
            yield RowKey(VOTER, (draft.voter_id,))

    def decide(self, draft: KeyDraft, state: State, at_ms: int) -> Decision:
        row = state[KEY, (draft.name,)]
        known = None if row is None else known_key(row)
        refusal = _refusal(draft, known, state)
        if refusal is not None:
            return Decision(refuse=refusal)
        changed = _changed(draft, known, at_ms)
        return Decision() if changed is None else _change(draft.id, changed)

    def replaces(self, draft: KeyDraft, stored: Found) -> bool:
        return False


_OPERATOR = Payer("operator", "")


def _refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    match draft.source:
        case Source.OPERATOR | Source.OWN:
            return _operator_refusal(draft, known, state)
        case Source.HEY_THERE | Source.ANSWER:
            return _hey_there_refusal(draft, known)
        case Source.PROOF:
            return _proof_refusal(draft, known)


def _operator_refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    if draft.payer.kind != "operator":
        return Reason("not_the_operator", "only the operator can add or replace a key like this")
    if draft.source is Source.OPERATOR and _would_replace_own(draft, known):
        return Reason(
            "own_name",
            f"{draft.name} is this node itself, and its key is the one in its key file: if another"
            " node has this name too, one of the two must be made anew under another name",
        )
    if draft.voter_id is None:
        return None
    voter = state[VOTER, (draft.voter_id,)]
    if voter is not None and voter[1] != draft.name:
        return Reason(
            "id_taken",
            f"the id {draft.voter_id} belongs to {voter[1]!s}, and an id never names two",
        )
    return None


def _would_replace_own(draft: KeyDraft, known: KnownKey | None) -> bool:
    """A node that believed another key of its own name would refuse what it signs itself."""
    return known is not None and known.source is Source.OWN and known.key != draft.key


def _hey_there_refusal(draft: KeyDraft, known: KnownKey | None) -> Reason | None:
    if draft.payer.kind not in ("operator", "peer"):
        return Reason(
            "not_admitted",
            f"{draft.name} is not admitted: a hey-there counts in an import or a peer's answer",
        )
    if draft.voter_id is not None:
        return Reason("id_not_allowed", "no key in a hey-there proves the id beside it")
    if known is not None and known.key != draft.key:
        return Reason(
            "other_key_known",
            f"{draft.name} has another key already; to replace it: postbox trust add",
        )
    return None


def _proof_refusal(draft: KeyDraft, known: KnownKey | None) -> Reason | None:
    if draft.voter_id is not None:
        return Reason("id_not_allowed", "a proof is about a key, not about an id")
    if known is None:
        return Reason("unknown_name", f"{draft.name} has no key yet that this could replace")
    if known.key == draft.key:
        return None
    if draft.key in known.old:
        return Reason("retired_key", f"{draft.name} had that key before and gave it up")
    if len(known.old) >= MAX_OLD_KEYS:
        return Reason(
            "too_many_keys",
            f"{draft.name} has changed its key {MAX_OLD_KEYS} times; now only the operator can",
        )
    message = replacement_message(draft.name, known.key, draft.key)
    if not is_signature(known.key, message, draft.proof):
        return Reason("bad_proof", f"the proof is not signed with the current key of {draft.name}")
    return None


def _changed(draft: KeyDraft, known: KnownKey | None, at_ms: int) -> KnownKey | None:
    """The row as it shall be, or None if it says so already."""
    if known is None:
        return KnownKey(draft.name, draft.key, draft.voter_id, (), draft.source, at_ms)
    voter_id = known.id if draft.voter_id is None else draft.voter_id
    if known.key == draft.key:
        if known.id == voter_id:
            return None
        return msgspec.structs.replace(known, id=voter_id, at_ms=at_ms)
    # a key that comes back is not old any more
    old = tuple(key for key in known.keys if key != draft.key)[:MAX_OLD_KEYS]
    return KnownKey(draft.name, draft.key, voter_id, old, draft.source, at_ms)


def _change(draft_id: bytes, changed: KnownKey) -> Decision:
    entry = NewEntry(
        lane=Lane.NODE,
        stream=STREAM,
        id=draft_id,
        kind=KIND_KEY,
        author=b"",
        at_ms=changed.at_ms,
        body=msgspec.json.encode(changed),
    )
    puts = [Put(KEY, row_of(changed))]
    if changed.id is not None:
        puts.append(Put(VOTER, (changed.id, changed.name)))
    return Decision(entries=(entry,), puts=tuple(puts))


def _id(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()[:16]
