"""The checkpoints of one node that are proved, and whether each goes on from the one before.

nara keeps all of them and takes the one of the latest second; it never asks whether they form a
chain. We note it, and refuse nothing for it: a mesh that was parted may have two of one day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from postbox.core import Batch, Keys, Ledger
from postbox.event import Service, Standing

MAX_LOOKED_AT = 5_000
"""Of one node: of thirteen years."""
_ATTESTED = Standing.ATTESTED.value
_FAR_FUTURE_NS = 2**62  # stored events had their time checked when they came in


class Link(NamedTuple):
    """One checkpoint. `previous`: the id that it says it goes on from, "" for none."""

    id: str
    as_of_s: int
    previous: str


class Chain(NamedTuple):
    """Proved checkpoints about one node, oldest first."""

    links: tuple[Link, ...]

    @property
    def latest(self) -> Link | None:
        """Whose id the next one refers to. Of one second, the greatest id: on that all agree."""
        return self.links[-1] if self.links else None

    @property
    def breaks(self) -> int:
        """How many do not go on from the one before, of which the first may be a beginning or the
        oldest that is still here."""
        pairs = zip(self.links, self.links[1:], strict=False)
        return sum(later.previous != earlier.id for earlier, later in pairs)


class _Payload(Struct):
    as_of_time: int
    previous_checkpoint_id: str | None = None


class _Body(Struct):
    id: str
    checkpoint: _Payload


_DECODER = msgspec.json.Decoder(_Body)


def chain_of(ledger: Ledger, keys: Keys, subject: str) -> Chain:
    """By the ledger and the keys of now; runs in a thread. What is not proved is left out: whoever
    could have us refer to a checkpoint of its own would keep us from ever agreeing with others."""
    found = ledger.page(None, MAX_LOOKED_AT, (Service.CHECKPOINT.wire_name,), (subject,))
    return Chain(tuple(sorted(_links(found.bodies(), keys), key=lambda link: (link[1], link[0]))))


def _links(bodies: Sequence[bytes], keys: Keys) -> list[Link]:
    batch = Batch.decode(bodies, _FAR_FUTURE_NS)
    batch.verify(keys)
    proved = (
        body for *_, standing, _, _, body in batch.accepted() if standing == Standing.ATTESTED
    )
    read = (_DECODER.decode(body) for body in proved)
    return [
        Link(one.id, one.checkpoint.as_of_time, one.checkpoint.previous_checkpoint_id or "")
        for one in read
    ]
