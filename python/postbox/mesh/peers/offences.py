"""What a failed exchange, or what became of a peer's events, says about that peer: pure.

Only what no honest peer can bring about counts. Where the network fails, a clock is off, or two
nodes know one name by two keys, nobody is to blame.

A peer signs what it answers, and not what it was asked. Somebody at a place that others told of can
ask it for something else, and hand on its answer: that its pages do not fit, or that it is of
another kind than the ping there said, proves something only where the peer itself, or the operator,
says that it is.
"""

from __future__ import annotations

from typing import NamedTuple

from postbox.errors import Fault
from postbox.mesh.calling.client import Lied
from postbox.mesh.calling.pull import EndlessPages
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers.standing_rules import Offence
from postbox.net.faults import TooLarge, TooSlow

MALFORMED = frozenset(
    {
        "not_json",
        "too_deep",
        "too_large",
        "duplicate_key",
        "miscased_key",
        "wrong_type",
        "missing",
        "bad_name",
        "bad_payload",
        "bad_id",
        "id_mismatch",
        "bad_base64",
        "weak_key",
    }
)
"""Verdicts that need neither a key nor a clock. A postbox stores no such event, so none can come
from one; a nara stores whatever it is given."""
UNPROVED = frozenset({"bad_signature", "key_differs", "wrong_emitter"})
"""Of events that may be good ones where another key is known for the name."""

FEW = 20
"""Malformed events that a postbox may have: of a version that takes what ours does not."""
MANY = 50
"""Useless events among which more than half of an exchange must be, before it counts as litter."""


class Charge(NamedTuple):
    offence: Offence
    why: str


def charge_of(fault: Fault, *, answered_before: bool, at_its_place: bool = True) -> Charge | None:
    """`at_its_place`: see `Known.is_at_its_place`. `answered_before`: the peer was met moments ago,
    where it proved before that it is itself, so that its silence is its own, and so is a body
    beyond all bounds. Neither is signed: who stands in its place can bring them about, so they
    demote at most."""
    match fault:
        case Lied():
            return Charge(Offence.LIED, str(fault))
        case EndlessPages():
            offence = Offence.FLOODED if at_its_place else Offence.ASTRAY
            return Charge(offence, str(fault))
        case TooSlow() | TooLarge() if answered_before:
            return Charge(Offence.STALLED, str(fault))
        case _:
            return None


def charge_in(report: Report, kind: str) -> Charge | None:
    """What the events of one exchange, or of one walk, say about who gave them. `kind`: "" if it is
    not known for certain."""
    malformed = sum(report.rejected[verdict] for verdict in MALFORMED)
    useless = malformed + sum(report.rejected[verdict] for verdict in UNPROVED)
    if kind == "postbox" and malformed >= FEW:
        return Charge(
            Offence.FORGED, f"{malformed:,} of {report.total:,} events that no postbox would store"
        )
    if useless >= MANY and useless > report.total / 2:
        return Charge(Offence.LITTERED, f"{useless:,} of {report.total:,} events were of no use")
    return None
