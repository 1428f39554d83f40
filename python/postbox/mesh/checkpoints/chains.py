"""The checkpoints of one node that are proved, and whether each goes on from the one before.

nara takes the one of the latest second and never asks whether they form a chain. We note it and
refuse nothing for it: a mesh that was parted may have made two of one day, and a node that forgot
the older ones has a chain whose beginning is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from postbox.core import Ledger
from postbox.event import Service, Standing
from postbox.mesh.reading import Checkpoint, Event, Unread, read_event

MOST = 5_000
"""Of one node, the newest: of thirteen years."""
_ANY_TIME_NS = 2**62


class Link(NamedTuple):
    """One checkpoint. `previous`: the id that it says it goes on from, "" for none."""

    id: str
    as_of_s: int
    previous: str


class Chain(NamedTuple):
    """Proved checkpoints about one node, oldest first."""

    links: tuple[Link, ...] = ()

    @property
    def latest(self) -> Link | None:
        """Which the next one goes on from. Of one second the greatest id: on that all agree."""
        return self.links[-1] if self.links else None

    @property
    def reference(self) -> str:
        """How votes name it: its id, "" for none."""
        return self.links[-1].id if self.links else ""

    @property
    def breaks(self) -> int:
        """How many do not go on from the one before. The first may: it is a beginning, or the
        oldest that is still here."""
        pairs = zip(self.links, self.links[1:], strict=False)
        return sum(later.previous != earlier.id for earlier, later in pairs)


def chain_of(ledger: Ledger, subject: str, upto_s: int) -> Chain:
    """By what the ledger holds. What is not proved is left out: whoever could have us refer to a
    checkpoint of its own making would keep us from ever agreeing with others. So is what claims to
    be of a later second than `upto_s`: it would be the latest for as long as it says."""
    found = ledger.words(
        subject,
        "any",
        (Service.CHECKPOINT.wire_name,),
        least=Standing.ATTESTED,
        upto_ns=_ANY_TIME_NS,
        most=MOST,
    )
    return chain_from(_events(found.bodies()), upto_s)


def chain_from(events: Iterable[Event], upto_s: int) -> Chain:
    links = [
        Link(one.id, one.payload.as_of_time, one.payload.previous_checkpoint_id)
        for one in events
        if isinstance(one.payload, Checkpoint) and one.payload.as_of_time <= upto_s
    ]
    return Chain(tuple(sorted(links, key=lambda link: (link.as_of_s, link.id))))


def _events(bodies: Iterable[bytes]) -> Iterable[Event]:
    for body in bodies:
        try:
            yield read_event(body)
        except Unread:  # `verify` finds and names it
            continue
