"""What is claimed (a name, its key, its id) against what the rows say: the pure checks that the
rules about keys and those about waiting names share."""

from __future__ import annotations

from postbox.core import is_weak_key
from postbox.event import is_name
from postbox.rules import Put, Reason, State
from postbox.trust.keys import public_key_text
from postbox.trust.tables import (
    KEY,
    KEY_BYTES,
    LIMITS,
    TALLY,
    VOTER,
    Group,
    KnownKey,
    Source,
    count_of,
    known_key,
)


def check_claim(name: str, key: bytes, voter_id: str | None) -> None:
    """Raises ValueError, with a text for people, if one of these can never be what it stands
    for."""
    if not is_name(name):
        raise ValueError(
            f"{name!r} cannot be a name: 1 to 64 characters,"
            ' without ":", space or control characters'
        )
    if len(key) != KEY_BYTES:
        raise ValueError(f"a public key is {KEY_BYTES} bytes, not {len(key)}")
    if is_weak_key(key):
        raise ValueError("that public key is weak: anyone can make signatures that fit it")
    if voter_id is not None and not is_name(voter_id):
        raise ValueError(
            f"{voter_id!r} cannot be an id: 1 to 64 characters,"
            ' without ":", space or control characters'
        )


def known_in(state: State, name: str) -> KnownKey | None:
    row = state[KEY, (name,)]
    return None if row is None else known_key(row)


def holder_of(voter_id: str, state: State) -> str | None:
    """The name that the operator gave this id to."""
    row = state[VOTER, (voter_id,)]
    return None if row is None else str(row[1])


def tally_put(group: Group, change: int, state: State) -> Put:
    """The count of that group, as it shall be."""
    count = count_of(state[TALLY, (str(group),)])
    return Put(TALLY, (str(group), count + change))


def is_full(group: Group, state: State) -> bool:
    return count_of(state[TALLY, (str(group),)]) >= LIMITS[group]


def own_name(name: str) -> Reason:
    return Reason(
        "own_name",
        f"{name} is this node itself, and its key is the one in its key file: if another"
        " node has this name too, one of the two must be made anew under another name",
    )


def id_refusal(name: str, voter_id: str | None, state: State) -> Reason | None:
    holder = None if voter_id is None else holder_of(voter_id, state)
    if holder is None or holder == name:
        return None
    return Reason(
        "id_taken",
        f"the id {voter_id} belongs to {holder!r}, and an id never names two; to add {name}"
        " without it, give its key: postbox trust add NAME KEY",
    )


def claimable_id(name: str, voter_id: str | None, state: State) -> str | None:
    """What is left of an id in an introduction: nothing, if it is another name's already. That
    must not keep the name out, whichever of the two is the true one."""
    return voter_id if id_refusal(name, voter_id, state) is None else None


def key_refusal(name: str, key: bytes, known: KnownKey | None) -> Reason | None:
    if known is None or known.key == key:
        return None
    return Reason(
        "other_key_known",
        f"{name} has another key already; only if its operator confirms this one:"
        f" postbox trust add {name} {public_key_text(key)}",
    )


def stranger(name: str) -> Reason:
    return Reason("not_admitted", f"{name} is not admitted: only mesh nodes introduce themselves")


def claim_refusal(name: str, key: bytes, state: State) -> Reason | None:
    """What speaks against a name that introduces itself, whether it is let in or has to wait."""
    known = known_in(state, name)
    if known is not None and known.source is Source.OWN and known.key != key:
        return own_name(name)
    return key_refusal(name, key, known)
