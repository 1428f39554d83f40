"""The checkpoints of one node that count, and whether each goes on from the one before.

nara takes the one of the latest second, however few voters it has, and never asks whether they form
a chain. Here those of five known voters count, as many as must agree on one; of a node of which
there is none, those of two, by which an event is attested. Whose votes are counted is asked now,
and not when it came: a voter whose id the operator gave away counts no more, nor do votes on an id
that is not the one by which that node is known. A break is noted and nothing refused for it: a mesh
that was parted may have made two of one day, and a node that forgot the older ones has a chain
whose beginning is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from postbox.core import Ledger
from postbox.event import Service, Standing
from postbox.mesh.checkpoints.consensus import VOTERS
from postbox.mesh.reading import Checkpoint, Unread, read_event

FEWEST = 2
"""Known voters, by which a checkpoint is attested when it comes."""
MOST = 5_000
"""Of one node, the newest: of thirteen years."""
_ANY_TIME_NS = 2**62


class Link(NamedTuple):
    """One checkpoint. `votes`: how many different known voters prove it."""

    id: str
    said: Checkpoint
    votes: int

    @property
    def as_of_s(self) -> int:
        return self.said.as_of_time

    @property
    def previous(self) -> str:
        """The id that it says it goes on from, "" for none."""
        return self.said.previous_checkpoint_id


class Chain(NamedTuple):
    """Checkpoints about one node that count, oldest first."""

    links: tuple[Link, ...] = ()

    @property
    def latest(self) -> Link | None:
        """Which the next one goes on from. Of one second the greatest id: on that all agree."""
        return self.links[-1] if self.links else None

    @property
    def reference(self) -> str:
        """How votes name it: its id, "" for none."""
        return self.links[-1].id if self.links else ""

    def reference_beside(self, other: str) -> str:
        """How to name it to somebody who names `other`: the same, if that is of the same second."""
        latest = self.latest
        same = [link.id for link in self.links if latest and link.as_of_s == latest.as_of_s]
        return other if other in same else self.reference

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
    links = _links(zip(found.bodies(), found.votes(), strict=True))
    return chain_from(link for link in links if link.as_of_s <= upto_s)


def chain_from(links: Iterable[Link]) -> Chain:
    """Of proved ones about one node: those that count."""
    proved = sorted(
        (link for link in links if link.votes >= FEWEST), key=lambda link: (link.as_of_s, link.id)
    )
    by_enough = [link for link in proved if link.votes >= VOTERS]
    return Chain(tuple(by_enough or proved))


def _links(found: Iterable[tuple[bytes, int]]) -> Iterator[Link]:
    for body, votes in found:
        try:
            event = read_event(body)
        except Unread:  # `verify` finds and names it
            continue
        if isinstance(event.payload, Checkpoint):
            yield Link(event.id, event.payload, votes)
