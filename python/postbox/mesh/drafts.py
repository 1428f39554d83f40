"""Verified events as drafts."""

from __future__ import annotations

from postbox.core import Batch
from postbox.event import Service, Standing
from postbox.mesh.rules import MeshDraft
from postbox.rules import Payer

_SERVICES = tuple(Service)
_STANDINGS = tuple(Standing)


def drafts_of(batch: Batch, payer: Payer) -> list[MeshDraft]:
    """One for each event of a verified batch that is good, in order."""
    return [
        MeshDraft(
            id=event_id,
            payer=payer,
            service=_SERVICES[service],
            standing=_STANDINGS[standing],
            author=author,
            signer=signer,
            at_ms=ts // 1_000_000,
            body=body,
            over=over,
        )
        for _, event_id, ts, service, standing, author, signer, body, over in batch.accepted()
    ]
