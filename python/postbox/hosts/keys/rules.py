"""Which keys other hosts have, and which of ours is used: rows, and the rules that change them.

Each change is an entry that carries the whole row, so that every process of a node follows it. Of
another host there is one such entry at a time: the next one replaces it, so that asking for keys
again every few days does not fill the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeAlias, assert_never

import msgspec
from msgspec import Struct

from postbox.hosts.tables import (
    CONTACT,
    HOST,
    HOST_KEY,
    HOSTS_STREAM,
    KIND_FORGOTTEN,
    PEER_KEY,
    in_reader,
    out_reader,
)
from postbox.log.outbox_tables import OUTBOX
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State
from postbox.store.contract import Found, Lane, Query, Row, Table
from postbox.trust.host_keys import FIRST, KEEP_MS, Rotation, rotated
from postbox.trust.tokens import LEEWAY_S

STREAM = b"keys"
"""The stream, in the hosts' lane, of every change of a key."""

KIND_PEER_KEY = 20
"""The kind of entry that carries a whole `PeerKeys`."""

KIND_HOST_KEY = 21
"""The kind of entry that carries a whole `Rotation`."""

ALL_PEER_KEYS = Query(
    "all_peer_keys", "select host, keys, capabilities, fetched_at_ms from peer_key order by host"
)

OWN_ROTATION = Query("own_rotation", 'select "only", number, from_ms, old_until_ms from host_key')


class PeerKey(Struct, frozen=True):
    """A key that another host has published."""

    kid: str
    key: bytes  # 32
    not_before_ms: int
    valid_until_ms: int


class PeerKeys(Struct, frozen=True):
    """What a host answered when it was asked for its key: a row of `peer_key`, and as JSON the body
    of the entry that made it."""

    host: str
    keys: tuple[PeerKey, ...]  # the current one first
    capabilities: tuple[str, ...]  # none: it knows only the specification
    fetched_at_ms: int

    def usable(self, now_ms: int) -> list[PeerKey]:
        """The keys that tokens may be signed with now. None at all once the answer is too old: the
        host could not be asked since. Nor if it is of a time to come: our clock was wrong."""
        begun_ms = now_ms + LEEWAY_S * 1000
        if self.fetched_at_ms > begun_ms or now_ms >= self.fetched_at_ms + KEEP_MS:
            return []
        return [
            key
            for key in self.keys
            if key.not_before_ms <= begun_ms and now_ms < key.valid_until_ms
        ]

    def is_fresh(self, now_ms: int) -> bool:
        """Not to be asked for again yet."""
        return bool(self.usable(now_ms)) and now_ms < self.fetched_at_ms + KEEP_MS // 2

    def says_the_same(self, other: PeerKeys | None) -> bool:
        """But for times, which move on with every answer."""
        return other is not None and (self.capabilities, [key.key for key in self.keys]) == (
            other.capabilities,
            [key.key for key in other.keys],
        )


def _learnt_id(host: str) -> bytes:
    return hashlib.sha256(b"postbox: keys of a host\0" + host.encode()).digest()[:16]


class LearnKeys(Struct, frozen=True):
    """A host has published these keys, and what it says of itself is believed."""

    peer: PeerKeys

    @property
    def id(self) -> bytes:
        """One a host: the entry that says so replaces the one before."""
        return _learnt_id(self.peer.host)

    @property
    def payer(self) -> Payer:
        return Payer("host", self.peer.host)

    @property
    def size_bytes(self) -> int:
        return 2048


class Rotate(Struct, frozen=True):
    """The operator's `postbox keys rotate`. `id`: 16 new bytes."""

    id: bytes
    is_at_once: bool

    @property
    def payer(self) -> Payer:
        return Payer("operator", "")

    @property
    def size_bytes(self) -> int:
        return 256


class ForgetStrangers(Struct, frozen=True):
    """Of these hosts nothing is known any more, unless the operator named them or something was
    posted to them, or by them, meanwhile. `contacts`: the entries by which followers learnt of
    them."""

    hosts: tuple[str, ...]
    contacts: tuple[int, ...]

    @property
    def id(self) -> bytes:
        """One for all: the entry that says so replaces the one before."""
        return hashlib.sha256(b"postbox: strangers that are forgotten\0").digest()[:16]

    @property
    def payer(self) -> Payer:
        return Payer("operator", "strangers")

    @property
    def size_bytes(self) -> int:
        return 256 * len(self.hosts)


KeyDraft: TypeAlias = LearnKeys | Rotate | ForgetStrangers


class HostKeyRules:
    lane: Lane = Lane.HOSTS
    tables: tuple[Table, ...] = (PEER_KEY, HOST_KEY, CONTACT, HOST, OUTBOX)

    def needs(self, draft: KeyDraft, state: State) -> Iterable[RowKey | EntryKey]:
        match draft:
            case LearnKeys():
                yield RowKey(PEER_KEY, (draft.peer.host,))
            case Rotate():
                yield RowKey(HOST_KEY, (0,))
            case ForgetStrangers():
                for host in draft.hosts:
                    yield from _ties(host)
                    yield EntryKey(Lane.HOSTS, _learnt_id(host))
            case _ as never:
                assert_never(never)

    def decide(self, draft: KeyDraft, state: State, at_ms: int) -> Decision:
        match draft:
            case LearnKeys():
                return _learned(draft, state, at_ms)
            case Rotate():
                return _rotated(draft, state, at_ms)
            case ForgetStrangers():
                return _forgotten(draft, state, at_ms)
            case _ as never:
                assert_never(never)

    def replaces(self, draft: KeyDraft, stored: Found) -> bool:
        return isinstance(draft, LearnKeys | ForgetStrangers)


def _learned(draft: LearnKeys, state: State, at_ms: int) -> Decision:
    row = state[PEER_KEY, (draft.peer.host,)]
    if row is not None:
        known = peer_keys(row)
        if known.fetched_at_ms >= draft.peer.fetched_at_ms and known.usable(at_ms):
            return Decision()  # another process has asked since
    stored = state.entry(Lane.HOSTS, draft.id)
    return Decision(
        entries=(_entry(draft.id, KIND_PEER_KEY, at_ms, draft.peer),),
        puts=(Put(PEER_KEY, peer_row(draft.peer)),),
        removes=() if stored is None else (stored.pos,),
    )


def _rotated(draft: Rotate, state: State, at_ms: int) -> Decision:
    match rotated(rotation(state[HOST_KEY, (0,)]), at_ms, is_at_once=draft.is_at_once):
        case Reason() as reason:
            return Decision(refuse=reason)
        case Rotation() as changed:
            return Decision(
                entries=(_entry(draft.id, KIND_HOST_KEY, at_ms, changed),),
                puts=(Put(HOST_KEY, (0, *changed)),),
            )
        case _ as never:
            assert_never(never)


def _ties(host: str) -> tuple[RowKey, ...]:
    """The rows of which one is there if the host is more than a stranger."""
    readers = (out_reader(host), in_reader(host))
    return (RowKey(HOST, (host,)), *[RowKey(OUTBOX, (reader,)) for reader in readers])


def _forgotten(draft: ForgetStrangers, state: State, at_ms: int) -> Decision:
    hosts = [host for host in draft.hosts if not any(state[tie] for tie in _ties(host))]
    if not hosts:
        return Decision()
    names = [draft.id, *[_learnt_id(host) for host in hosts]]
    stored = [state.entry(Lane.HOSTS, name) for name in names]
    told = NewEntry(
        Lane.HOSTS, HOSTS_STREAM, draft.id, KIND_FORGOTTEN, b"", at_ms, msgspec.json.encode(hosts)
    )
    return Decision(
        entries=(told,),
        drops=tuple([RowKey(table, (host,)) for host in hosts for table in (PEER_KEY, CONTACT)]),
        removes=(*[found.pos for found in stored if found is not None], *draft.contacts),
    )


def _entry(entry_id: bytes, kind: int, at_ms: int, row: PeerKeys | Rotation) -> NewEntry:
    return NewEntry(
        lane=Lane.HOSTS,
        stream=STREAM,
        id=entry_id,
        kind=kind,
        author=b"",
        at_ms=at_ms,
        body=msgspec.json.encode(row),
    )


def peer_row(peer: PeerKeys) -> Row:
    keys = msgspec.json.encode(peer.keys)
    return (peer.host, keys, " ".join(peer.capabilities), peer.fetched_at_ms)


def peer_keys(row: Row) -> PeerKeys:
    """Raises ValueError for a row that is none of ours."""
    match row:
        case (str(host), bytes(keys), str(capabilities), int(fetched_at_ms)):
            decoded = msgspec.json.decode(keys, type=tuple[PeerKey, ...])
            return PeerKeys(host, decoded, tuple(capabilities.split()), fetched_at_ms)
        case _:
            raise ValueError(f"not a row of the table {PEER_KEY.name}: {row!r}")


def rotation(row: Row | None) -> Rotation:
    """No row: the key was never changed. Raises ValueError for a row that is none of ours."""
    match row:
        case None:
            return FIRST
        case (0, int(number), int(from_ms), int(old_until_ms)):
            return Rotation(number, from_ms, old_until_ms)
        case _:
            raise ValueError(f"not a row of the table {HOST_KEY.name}: {row!r}")
