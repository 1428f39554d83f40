"""How the log keeps what is known of peers, and our place among them: pure rules over the rows
of `mesh.tables`.

What is held against a peer is judged here, from the row as it is in the transaction: two processes
of a node may accuse a peer at once, and the operator may forgive it meanwhile. Each change has an
entry with the whole record, so that all processes see it (`records.Records`), and the entry takes
the place of the one before: a hostile peer makes no log grow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import ClassVar, Literal, TypeAlias, assert_never

import msgspec
from msgspec import Struct

from postbox.event import is_name
from postbox.mesh.coordinates.vivaldi import Coordinate
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.standing_rules import CLEAN, MAX_WHY, Offence, Record, accused
from postbox.mesh.tables import (
    KIND_RECORD,
    PEER,
    PEER_RECORD,
    PEERS_STREAM,
    PLACE,
    peer_of,
    peer_row,
    place_row,
    record_of,
    record_row,
)
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, RowKey, State
from postbox.store.contract import Found, Lane, Table

MAX_ROWS = 200
"""In one draft, so that it is a small part of a batch."""
_ROW_BYTES = 512
_OURSELVES = Payer("operator", "the roster")
_OPERATOR = Payer("operator", "")


class Told(Struct, frozen=True):
    """The body of an entry: what is held against `name` from then on."""

    name: str
    record: Record


class Remember(Struct, frozen=True):
    """How it stands with these peers, at most `MAX_ROWS`. `id`: 16 new bytes."""

    payer: ClassVar[Payer] = _OURSELVES
    id: bytes
    peers: tuple[Known, ...]

    @property
    def size_bytes(self) -> int:
        return _ROW_BYTES * len(self.peers)


class ForgetPeers(Struct, frozen=True):
    """These are not remembered any more, but what is held against them is. `id`: 16 new bytes."""

    payer: ClassVar[Payer] = _OURSELVES
    id: bytes
    names: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return _ROW_BYTES * len(self.names)


class Stay(Struct, frozen=True):
    """Where this node, `name`, is by now. `id`: 16 new bytes."""

    payer: ClassVar[Payer] = _OURSELVES
    size_bytes: ClassVar[int] = _ROW_BYTES
    id: bytes
    name: str
    place: Coordinate


class Accuse(Struct, frozen=True):
    """This node has seen it do that, at the time `at_ns`."""

    payer: ClassVar[Payer] = _OURSELVES
    size_bytes: ClassVar[int] = _ROW_BYTES
    name: str
    offence: Offence
    why: str
    at_ns: int

    @property
    def id(self) -> bytes:
        return record_id(self.name)


class Sentence(Struct, frozen=True):
    """The operator's word. Raises ValueError, with a text for people, for a name that is none."""

    payer: ClassVar[Payer] = _OPERATOR
    size_bytes: ClassVar[int] = _ROW_BYTES
    name: str
    verdict: Literal["ban", "forgive"]
    why: str
    at_ns: int

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(f"{self.name[:80]!r} cannot be a name")
        if len(self.why) > MAX_WHY:
            raise ValueError(f"a reason has at most {MAX_WHY} characters")

    @property
    def id(self) -> bytes:
        return record_id(self.name)


PeerDraft: TypeAlias = Remember | ForgetPeers | Stay | Accuse | Sentence


def record_id(name: str) -> bytes:
    """Of the entry about `name`: one that comes later takes its place."""
    return hashlib.sha256(b"postbox: record of a peer\0" + name.encode()).digest()[:16]


class PeerRules:
    lane: Lane = Lane.NODE
    tables: tuple[Table, ...] = (PEER, PEER_RECORD, PLACE)

    def needs(self, draft: PeerDraft, state: State) -> Iterable[RowKey | EntryKey]:
        match draft:
            case Remember():
                return [RowKey(PEER, (peer.name,)) for peer in draft.peers]
            case ForgetPeers() | Stay():
                return ()
            case Accuse() | Sentence():
                return (RowKey(PEER_RECORD, (draft.name,)),)
            case _:
                assert_never(draft)

    def decide(self, draft: PeerDraft, state: State, at_ms: int) -> Decision:
        match draft:
            case Remember():
                rows = [peer_row(_merged(peer, state)) for peer in draft.peers]
                return Decision(puts=tuple([Put(PEER, row) for row in rows]))
            case ForgetPeers():
                return Decision(drops=tuple([RowKey(PEER, (name,)) for name in draft.names]))
            case Stay():
                return Decision(puts=(Put(PLACE, place_row(draft.name, draft.place)),))
            case Accuse():
                before = _record_in(state, draft.name)
                if before.at_ns == draft.at_ns and before.why.endswith(draft.why[:80]):
                    return Decision()  # once more, after a commit that seemed to fail
                changed = accused(before, draft.offence, draft.why, draft.at_ns)
                return _changed(draft, changed, state, at_ms)
            case Sentence():
                return _sentenced(draft, state, at_ms)
            case _:
                assert_never(draft)

    def replaces(self, draft: PeerDraft, stored: Found) -> bool:
        return isinstance(draft, Accuse | Sentence)


def _merged(peer: Known, state: State) -> Known:
    """Over the row of another process: what is newer of each. An origin only gets better."""
    row = state[PEER, (peer.name,)]
    if row is None:
        return peer
    known = peer_of(row)
    order = list(Origin)
    return msgspec.structs.replace(
        peer,
        url=peer.url or known.url,
        origin=min(peer.origin, known.origin, key=order.index),
        kind=peer.kind or known.kind,
        last_contact_ns=max(peer.last_contact_ns, known.last_contact_ns),
        cursor_ns=max(peer.cursor_ns, known.cursor_ns),
        told_ns=max(peer.told_ns, known.told_ns),
    )


def _record_in(state: State, name: str) -> Record:
    row = state[PEER_RECORD, (name,)]
    return CLEAN if row is None else record_of(row)


def _sentenced(draft: Sentence, state: State, at_ms: int) -> Decision:
    before = _record_in(state, draft.name)
    match draft.verdict:
        case "forgive" if before == CLEAN:
            return Decision()
        case "forgive":
            return _changed(draft, CLEAN, state, at_ms)
        case "ban":
            why = draft.why or "banned by the operator"
            banned = msgspec.structs.replace(before, why=why, by_operator=True)
            return _changed(draft, banned, state, at_ms)


def _changed(draft: Accuse | Sentence, record: Record, state: State, at_ms: int) -> Decision:
    stored = state.entry(Lane.NODE, draft.id)
    body = msgspec.json.encode(Told(draft.name, record))
    entry = NewEntry(Lane.NODE, PEERS_STREAM, draft.id, KIND_RECORD, b"", at_ms, body)
    key = RowKey(PEER_RECORD, (draft.name,))
    is_clean = record == CLEAN
    return Decision(
        entries=(entry,),
        puts=() if is_clean else (Put(PEER_RECORD, record_row(draft.name, record)),),
        drops=(key,) if is_clean else (),
        removes=() if stored is None else (stored.pos,),
    )
