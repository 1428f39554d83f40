"""What an event of the mesh means to the log: hardly anything, since it was verified before.

An event is stored once under its id. An attested copy takes the place of one that is not, and of
two attested copies of a checkpoint the better one stays, as the ledger says (`Batch.sift`). What
the ledger forgets leaves the log by a draft, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from postbox.event import Service, Standing
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Reason, RowKey, State
from postbox.store.contract import Found, Lane, Table
from postbox.trust.tables import KEY

STREAM = b"mesh"
VERIFY_AGAIN = "verify_again"
"""The signer's key became known after the event was verified: its standing is out of date."""
MEET_AGAIN = "meet_again"
"""Another copy of a checkpoint was stored after this one was found the better: of which nobody said
yet how they compare."""


class MeshDraft(Struct, frozen=True, gc=False):
    """A verified event. `signer`: whose key decided its standing; "" for none. `over`: the position
    of the copy that it was found better than; None for what was new."""

    id: bytes
    payer: Payer
    service: Service
    standing: Standing
    author: str
    signer: str
    at_ms: int
    body: bytes
    over: int | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.body)


class Forget(Struct, frozen=True, gc=False):
    """These positions leave the log: evicted, or found not to verify."""

    id: bytes
    payer: Payer
    positions: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return 8 * len(self.positions)


class MeshRules:
    """Knows one thing beyond ids: whether the signer's key is known now."""

    lane: Lane = Lane.MESH
    tables: tuple[Table, ...] = ()

    def needs(self, draft: MeshDraft | Forget, state: State) -> Iterable[RowKey | EntryKey]:
        if isinstance(draft, MeshDraft) and draft.signer:
            return (RowKey(KEY, (draft.signer,)),)
        return ()

    def decide(self, draft: MeshDraft | Forget, state: State, at_ms: int) -> Decision:
        if isinstance(draft, Forget):
            return Decision(removes=draft.positions)
        is_waiting = draft.standing is Standing.UNPROVEN and bool(draft.signer)
        if is_waiting and state[KEY, (draft.signer,)] is not None:
            return _AGAIN
        stored = state.entry(Lane.MESH, draft.id)
        if stored is not None and stored.flags == Standing.ATTESTED and stored.pos != draft.over:
            return _MET
        return Decision(entries=(_entry(draft),), removes=() if stored is None else (stored.pos,))

    def replaces(self, draft: MeshDraft | Forget, stored: Found) -> bool:
        if not isinstance(draft, MeshDraft) or draft.standing is not Standing.ATTESTED:
            return False
        return stored.flags != Standing.ATTESTED or draft.service is Service.CHECKPOINT


_AGAIN = Decision(
    refuse=Reason(VERIFY_AGAIN, "the signer's key became known meanwhile: verify it again")
)
_MET = Decision(
    refuse=Reason(MEET_AGAIN, "another copy of it came meanwhile: see again which is better")
)


def _entry(draft: MeshDraft) -> NewEntry:
    return NewEntry(
        lane=Lane.MESH,
        stream=STREAM,
        id=draft.id,
        kind=draft.service,
        author=draft.author.encode(),
        at_ms=draft.at_ms,
        body=draft.body,
        flags=draft.standing,
    )
