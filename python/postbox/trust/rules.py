"""Who may say which key a name has: pure rules over the rows of `tables`.

| source                        | new name     | same key  | other key                       |
|-------------------------------|--------------|-----------|---------------------------------|
| the operator, the node itself | admitted     | no change | replaced 1 4                    |
| proved at a configured URL    | admitted     | no change | replaced 4, if nobody vouched 5 |
| a hey-there in an import      | admitted     | no change | refused                         |
| ... in a known peer's answer  | admitted 2   | no change | refused                         |
| an introduction               | admitted 2 3 | no change | refused                         |
| an answer to `GET /ping`      | admitted 2   | no change | refused                         |
| a proof with the old key      | refused      | no change | replaced, if the proof verifies |
| a hey-there from elsewhere    | refused      | refused   | refused                         |

1: but the operator does not replace the node's own key, which is that of its key file.
2: while there are fewer names of that kind than `tables.LIMITS` says.
3: by the door's policy; else it waits (`waiting_rules`) until the operator admits it.
4: a key that was vouched for is kept, so that what it signed still verifies; one that only
   strangers brought (`tables.is_vouched`) is dropped, and what it signed counts no more.
5: for the one that is known, and if that URL spoke for no other name before; else it is an
   introduction like any other.

Who is first to bring a name brings any key he likes for it: a peer's answer tells of names that it
has made up, and an introduction proves a key, and not a right to the name. So these give way.

Ids come from the operator. Nobody can
check one, so the id in an introduction is only a claim, which is noted and counts for nothing until
the operator gives it (`KnownKey.voter_id`). A proof is checked here, against the key that is
current at that moment, and not before: only then can two proofs with one old key not both succeed.
Weak keys never get here: `KeyDraft` refuses them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State
from postbox.store.contract import Found, Lane, Table
from postbox.trust.claims import (
    check_claim,
    claim_refusal,
    claimable_id,
    holder_of,
    id_refusal,
    is_full,
    key_refusal,
    known_in,
    own_name,
    stranger,
    tally_put,
)
from postbox.trust.signatures import is_signature
from postbox.trust.tables import (
    KEY,
    KIND_KEY,
    LIMITS,
    PLACE,
    STREAM,
    TALLY,
    VOTER,
    WAITING,
    Group,
    KnownKey,
    Source,
    group_of,
    is_vouched,
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
    url: str = ""  # of the operator's, at which the key was proved

    def __post_init__(self) -> None:
        check_claim(self.name, self.key, self.voter_id)

    @property
    def size_bytes(self) -> int:
        return 1024  # an entry with a few old keys and a row; changes of keys are rare


OPERATOR = Payer("operator", "")
CONFIGURED = Payer("operator", "a configured peer")


def operator_draft(draft_id: bytes, name: str, key: bytes, voter_id: str | None) -> KeyDraft:
    """The operator's word. `draft_id`: 16 new bytes (`World.new_id`), not derived from the
    content, since the operator may well go back to a key that was said before."""
    return KeyDraft(draft_id, OPERATOR, Source.OPERATOR, name, key, voter_id)


def own_draft(draft_id: bytes, name: str, key: bytes, voter_id: str) -> KeyDraft:
    """The node's own key, submitted at each start: nothing changes when it is known already."""
    return KeyDraft(draft_id, OPERATOR, Source.OWN, name, key, voter_id)


def hey_there_draft(name: str, key: bytes, payer: Payer) -> KeyDraft:
    """A name and the key inside its self-signed hey-there, whose signature the caller has checked
    (`Batch.introductions`). `payer`: the operator whose import it came in, or the peer whose answer
    it came in, authenticated by the caller."""
    draft_id = _id(_HEY_THERE_DOMAIN, key, name.encode())
    source = Source.ANSWER if payer.kind == "peer" else Source.HEY_THERE
    return KeyDraft(draft_id, payer, source, name, key)


def introduction_draft(
    draft_id: bytes, name: str, key: bytes, voter_id: str | None, payer: Payer
) -> KeyDraft:
    """A name that introduced itself, or answered our introduction, where the door's policy lets it
    in at once. The caller has checked the hey-there (`hello.read_hello`). `draft_id`: 16 new
    bytes. An id made of the content would answer "stored already" to an introduction that is
    played again after the operator replaced the key; so the rows decide, each time."""
    return KeyDraft(draft_id, payer, Source.INTRODUCTION, name, key, voter_id)


def configured_draft(
    draft_id: bytes, name: str, key: bytes, voter_id: str | None, url: str
) -> KeyDraft:
    """The name and key of who is at `url`, which the operator gave. The caller has seen a proof
    that the key is held there: its owner's hey-there, made just now, or an answer signed with it.
    Without one only for a key that is known and vouched for already. `draft_id`: 16 new bytes, as
    for an introduction."""
    return KeyDraft(draft_id, CONFIGURED, Source.CONFIGURED, name, key, voter_id, url=url)


def ping_draft(draft_id: bytes, name: str, key: bytes, payer: Payer) -> KeyDraft:
    """The name and key in an answer to `GET /ping`, which the caller has asked for at an address
    that the operator configured, or inside `mesh.networks`. `draft_id`: 16 new bytes, as for an
    introduction."""
    return KeyDraft(draft_id, payer, Source.PING, name, key)


def proof_draft(name: str, old_key: bytes, new_key: bytes, proof: bytes, payer: Payer) -> KeyDraft:
    """`proof`: the old key's signature of `replacement_message`. The id comes from what is proved,
    so that a proof works once, also if it is played again when its old key is current again."""
    draft_id = _id(_PROOF_ID_DOMAIN, old_key, new_key, name.encode())
    return KeyDraft(draft_id, payer, Source.PROOF, name, new_key, proof=proof)


def replacement_message(name: str, old_key: bytes, new_key: bytes) -> bytes:
    """What the owner of `old_key` signs to hand its name over to `new_key`. It cannot be mistaken
    for anything else that nodes sign: those are digests, or begin with a name, or `attestation:`,
    and no name holds the space in the first words."""
    return _PROOF_DOMAIN + old_key + new_key + name.encode()


class KeyRules:
    """Changes of keys, each with an entry that carries the whole new row."""

    lane: Lane = Lane.NODE
    tables: tuple[Table, ...] = (KEY, VOTER, WAITING, TALLY, PLACE)

    def needs(self, draft: KeyDraft, state: State) -> Iterable[RowKey | EntryKey]:
        if draft.url:
            yield RowKey(PLACE, (draft.url,))
        yield RowKey(KEY, (draft.name,))
        yield RowKey(WAITING, (draft.name,))
        for group in Group:
            yield RowKey(TALLY, (str(group),))
        if draft.voter_id is not None:
            yield RowKey(VOTER, (draft.voter_id,))

    def decide(self, draft: KeyDraft, state: State, at_ms: int) -> Decision:
        known = known_in(state, draft.name)
        if draft.source is Source.CONFIGURED and _speaks_for_another(draft, state):
            draft = msgspec.structs.replace(draft, source=Source.INTRODUCTION, url="")
        refusal = _refusal(draft, known, state)
        if refusal is not None:
            return Decision(refuse=refusal)
        placed = (Put(PLACE, (draft.url, draft.name)),) if draft.url else ()
        changed = _changed(draft, known, state, at_ms)
        if changed is None:
            return Decision(puts=placed)
        waits = state[WAITING, (draft.name,)] is not None
        puts = (
            Put(KEY, row_of(changed)),
            *placed,
            *_voter_puts(draft, changed, state),
            *_tally_puts(known, changed, waits, state),
        )
        drops = (RowKey(WAITING, (draft.name,)),) if waits else ()
        return Decision(entries=(_entry(draft.id, changed),), puts=puts, drops=drops)

    def replaces(self, draft: KeyDraft, stored: Found) -> bool:
        return False


def _refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    match draft.source:
        case Source.OPERATOR | Source.OWN:
            return _operator_refusal(draft, known, state)
        case Source.HEY_THERE | Source.ANSWER:
            return _hey_there_refusal(draft, known) or _room_refusal(draft, known, state)
        case Source.INTRODUCTION | Source.PING | Source.ADMITTED:
            return _introduction_refusal(draft, known, state)
        case Source.CONFIGURED:
            return _configured_refusal(draft, known, state)
        case Source.PROOF:
            return _proof_refusal(draft, known)


def _operator_refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    if draft.payer.kind != "operator":
        return Reason("not_the_operator", "only the operator can add or replace a key like this")
    if draft.source is Source.OPERATOR and _would_replace_own(draft, known):
        return own_name(draft.name)
    return id_refusal(draft.name, draft.voter_id, state)


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
    return key_refusal(draft.name, draft.key, known)


def _introduction_refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    is_admitted = draft.source is Source.ADMITTED
    if is_admitted and draft.payer.kind != "operator":
        return Reason("not_the_operator", "only the operator can admit a name that waits")
    if draft.payer.kind not in ("operator", "peer"):
        return stranger(draft.name)
    if draft.source is Source.PING and draft.voter_id is not None:
        return Reason("id_not_allowed", "an answer to /ping proves no id")
    refusal = claim_refusal(draft.name, draft.key, state) or _room_refusal(draft, known, state)
    if refusal is None and is_admitted:
        return id_refusal(draft.name, draft.voter_id, state)
    return refusal


def _speaks_for_another(draft: KeyDraft, state: State) -> bool:
    place = state[PLACE, (draft.url,)] if draft.url else None
    return not draft.url or (place is not None and place[1] != draft.name)


def _configured_refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    if draft.payer.kind != "operator":
        return Reason("not_the_operator", "only the operator says at which URL a key counts")
    if known is not None and not is_vouched(known.source):
        return None
    return claim_refusal(draft.name, draft.key, state)


def _room_refusal(draft: KeyDraft, known: KnownKey | None, state: State) -> Reason | None:
    group = group_of(draft.source)
    if group is None or known is not None or not is_full(group, state):
        return None
    return Reason(
        "too_many_names",
        f"{draft.name} is not admitted: {LIMITS[group]} names came like this already; to add it"
        " all the same: postbox trust add",
    )


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


def _changed(draft: KeyDraft, known: KnownKey | None, state: State, at_ms: int) -> KnownKey | None:
    """The row as it shall be, or None if it says so already."""
    if known is None:
        voter_id = claimable_id(draft.name, draft.voter_id, state)
        return KnownKey(draft.name, draft.key, voter_id, (), draft.source, at_ms)
    voter_id, source = _voter_id(draft, known, state), _source(draft, known)
    if known.key == draft.key:
        if (known.id, known.source) == (voter_id, source):
            return None
        return msgspec.structs.replace(known, id=voter_id, source=source, at_ms=at_ms)
    # a key that comes back is not old any more
    former = tuple(key for key in known.keys if key != draft.key)
    if draft.source is Source.PROOF or is_vouched(known.source):
        old, dropped = former[:MAX_OLD_KEYS], known.dropped
    else:
        old, dropped = (), known.dropped + len(former)
    return KnownKey(draft.name, draft.key, voter_id, old, source, at_ms, dropped)


def _voter_id(draft: KeyDraft, known: KnownKey, state: State) -> str | None:
    """A claim ends when the operator vouches for the name: with this id, another one, or none; and
    with the key that it came with."""
    if _vouches(draft):
        return draft.voter_id or known.voter_id
    is_new = known.key != draft.key or known.id is None
    if draft.source is Source.CONFIGURED and not is_vouched(known.source) and is_new:
        return claimable_id(draft.name, draft.voter_id, state)
    return known.id


def _vouches(draft: KeyDraft) -> bool:
    return draft.source in (Source.OPERATOR, Source.OWN, Source.ADMITTED)


def _source(draft: KeyDraft, known: KnownKey) -> Source:
    """A name that strangers brought stays counted as such until the operator vouches for it: by a
    new key of its own, proved with the old one, nobody makes room for more, nor gets an id."""
    is_given = is_vouched(known.source) and known.source is not Source.CONFIGURED
    if draft.source is Source.PROOF and not is_given:
        return known.source
    vouches_now = draft.source is Source.CONFIGURED and not is_vouched(known.source)
    if known.key != draft.key or vouches_now or (_vouches(draft) and not is_given):
        return draft.source
    return known.source


def _voter_puts(draft: KeyDraft, row: KnownKey, state: State) -> Iterator[Put]:
    if draft.voter_id is None or row.voter_id != draft.voter_id:
        return
    if holder_of(draft.voter_id, state) is None:
        yield Put(VOTER, (draft.voter_id, draft.name))


def _tally_puts(
    known: KnownKey | None, changed: KnownKey, waits: bool, state: State
) -> Iterator[Put]:
    before = None if known is None else group_of(known.source)
    after = group_of(changed.source)
    if before is not None and before is not after:
        yield tally_put(before, -1, state)
    if after is not None and before is not after:
        yield tally_put(after, 1, state)
    if waits:
        yield tally_put(Group.WAITING, -1, state)


def _entry(entry_id: bytes, row: KnownKey) -> NewEntry:
    return NewEntry(
        lane=Lane.NODE,
        stream=STREAM,
        id=entry_id,
        kind=KIND_KEY,
        author=b"",
        at_ms=row.at_ms,
        body=msgspec.json.encode(row),
    )


def _id(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()[:16]
