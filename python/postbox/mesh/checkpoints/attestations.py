"""What nodes say of a node when a checkpoint is agreed on: a proposal by itself, votes by others,
in nara's bytes (identity_attestation.go, checkpoint_service.go).

Both are attestations: whoever signs claims that somebody had so many restarts, so much uptime and
that first start, at that second, going on from that checkpoint. What is signed is
`trust.authoring.attestation_of`, the same text that the finished checkpoint's votes are checked by.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple, replace

from postbox.errors import WireError
from postbox.event import is_name
from postbox.mesh.decoding import decoded
from postbox.trust.authoring import Checkpoint, Tally, attestation_of, go_json
from postbox.trust.keys import Identity
from postbox.trust.signatures import is_signature

VERSION = 2
"""What nara makes; it does not vote with older ones, and neither do we."""
ROUNDS = (1, 2)
MAX_BYTES = 8 * 2**10
"""Of a proposal or vote: names, ids and numbers have one together."""
MAX_WHOLE = 2**63 - 1

Whole: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
Word: TypeAlias = Annotated[str, Meta(max_length=200)]
KeyOf: TypeAlias = Callable[[str, str], bytes | None]
"""(id, name) -> the key of the node that has both; None for one that is not known by that id."""


class Proposal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By the node it is about."""

    version: int
    subject: str
    subject_id: Word
    observation: Tally
    attester: str
    attester_id: Word
    last_seen_checkpoint_id: Word = ""
    as_of_time: Whole  # Unix seconds
    signature: Word
    round: int


class Vote(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By another. `approved`: it signs what was proposed, else what it knows itself."""

    version: int
    subject: str
    subject_id: Word
    observation: Tally
    attester: str
    attester_id: Word
    last_seen_checkpoint_id: Word = ""
    as_of_time: Whole
    signature: Word
    proposal_ts: Whole
    round: int
    approved: bool


Attestation: TypeAlias = Proposal | Vote
_Said = TypeVar("_Said", Proposal, Vote)

_PROPOSAL = msgspec.json.Decoder(Proposal)
_VOTE = msgspec.json.Decoder(Vote)


def claim_of(said: Attestation) -> Checkpoint:
    """What it claims, as a checkpoint without votes."""
    return Checkpoint(
        version=said.version,
        subject=said.subject,
        subject_id=said.subject_id,
        previous_checkpoint_id=said.last_seen_checkpoint_id,
        observation=said.observation,
        as_of_time=said.as_of_time,
        round=said.round,
    )


def propose(me: Identity, tally: Tally, reference: str, as_of_s: int, nth: int) -> Proposal:
    """About ourselves. `reference`: the id of our last checkpoint, or ""."""
    claim = Checkpoint(
        version=VERSION,
        subject=me.name,
        subject_id=me.id,
        previous_checkpoint_id=reference,
        observation=tally,
        as_of_time=as_of_s,
        round=nth,
    )
    return Proposal(**_attested(me, claim))


def vote(me: Identity, proposal: Proposal, tally: Tally, reference: str, *, approved: bool) -> Vote:
    """Ours on that proposal. `tally`, `reference`: what we sign."""
    claim = replace(claim_of(proposal), observation=tally, previous_checkpoint_id=reference)
    return Vote(**_attested(me, claim), proposal_ts=proposal.as_of_time, approved=approved)


def _attested(me: Identity, claim: Checkpoint) -> dict[str, Any]:
    """The fields that both have."""
    signature = me.sign(attestation_of(claim, me.id))
    return {
        "version": claim.version,
        "subject": claim.subject,
        "subject_id": claim.subject_id,
        "observation": claim.observation,
        "attester": me.name,
        "attester_id": me.id,
        "last_seen_checkpoint_id": claim.previous_checkpoint_id,
        "as_of_time": claim.as_of_time,
        "signature": base64.b64encode(signature).decode("ascii"),
        "round": claim.round,
    }


def encode(said: Attestation) -> bytes:
    return go_json(said)


def decode_proposal(payload: bytes) -> Proposal:
    """Raises WireError for what is no proposal that a node may vote on, whoever signed it."""
    said = _decoded(_PROPOSAL, payload)
    if (said.attester, said.attester_id) != (said.subject, said.subject_id):
        raise WireError(f"{said.attester[:80]!r} proposes a checkpoint about another")
    return said


def decode_vote(payload: bytes) -> Vote:
    """Raises WireError for what is no vote."""
    said = _decoded(_VOTE, payload)
    if said.attester_id == said.subject_id or said.attester == said.subject:
        raise WireError(f"{said.attester[:80]!r} votes about itself")
    if said.as_of_time != said.proposal_ts:
        raise WireError("the vote is of another time than its proposal")
    return said


def _decoded(decoder: msgspec.json.Decoder[_Said], payload: bytes) -> _Said:
    if len(payload) > MAX_BYTES:
        raise WireError(f"it has {len(payload)} bytes, more than {MAX_BYTES}")
    said = decoded(decoder, payload, "it is none")
    if said.version != VERSION:
        raise WireError(f"it has version {said.version}, and {VERSION} is understood")
    if said.round not in ROUNDS:
        raise WireError(f"there is no round {said.round}")
    if not (is_name(said.subject) and is_name(said.attester)):
        raise WireError("its subject or attester cannot be a name")
    if not all(0 <= number <= MAX_WHOLE for number in astuple(said.observation)):
        raise WireError("its numbers are out of their range")
    return said


def is_signed(said: Attestation, key_of: KeyOf) -> bool:
    """Is its attester known by that id and that name, and is it its signature?"""
    key = key_of(said.attester_id, said.attester)
    if key is None:
        return False
    try:
        signature = base64.b64decode(said.signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return is_signature(key, attestation_of(claim_of(said), said.attester_id), signature)
