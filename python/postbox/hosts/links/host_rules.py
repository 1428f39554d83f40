"""What is known of hosts apart from their links: pure rules for the operator's word, contact, and
which of this node's users have dealt with which host."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from postbox.hosts.tables import (
    CONSENT,
    CONTACT,
    HOST,
    HOSTS_STREAM,
    KIND_CONTACT,
    KIND_SET_HOST,
    MAX_HOST_BYTES,
)
from postbox.rules import Decision, NewEntry, Payer, Put, RowKey, State
from postbox.store.contract import Lane

Admit: TypeAlias = Literal["", "allow", "block"]
Tokens: TypeAlias = Literal["", "strict", "plain"]

MAX_VIEW_BYTES = 4_096
MAX_USER_CHARS = 400

_ROW_BYTES = 512


class SetHost(Struct, frozen=True):
    """The operator's word on a host, or on all that a pattern names. None: as it was; empty: it is
    taken back."""

    id: bytes
    host: str
    admit: Admit | None = None
    tokens: Tokens | None = None

    @property
    def payer(self) -> Payer:
        return Payer("operator", "")

    @property
    def size_bytes(self) -> int:
        return _ROW_BYTES


class Contact(Struct, frozen=True):
    """The host was in touch at `at_ms`, proved by its key. `view`: a View of the link as it sees
    it; None if it did not say."""

    id: bytes
    host: str
    at_ms: int
    view: bytes | None = None

    def __post_init__(self) -> None:
        check_host(self.host)

    @property
    def payer(self) -> Payer:
        return Payer("host", self.host)

    @property
    def size_bytes(self) -> int:
        return _ROW_BYTES


class Deal(Struct, frozen=True):
    """A user of this node deals with a host: joins, invites or posts there. `is_over`: it is not to
    hear from there any more."""

    id: bytes
    payer: Payer
    user: str
    host: str
    is_over: bool = False

    def __post_init__(self) -> None:
        check_host(self.host)
        if not 0 < len(self.user) <= MAX_USER_CHARS or "\0" in self.user:
            raise ValueError(f"a user's name has 1 to {MAX_USER_CHARS} characters, and no NUL")

    @property
    def size_bytes(self) -> int:
        return _ROW_BYTES


def check_host(host: str) -> None:
    """Raises ValueError for what cannot name a link."""
    if not 0 < len(host.encode()) <= MAX_HOST_BYTES:
        raise ValueError(f"a host's name has 1 to {MAX_HOST_BYTES} bytes: {host[:300]!r}")


HostDraft: TypeAlias = SetHost | Contact | Deal


def row_of(draft: HostDraft) -> RowKey:
    """What each of them looks at."""
    match draft:
        case SetHost():
            return RowKey(HOST, (draft.host,))
        case Contact():
            return RowKey(CONTACT, (draft.host,))
        case Deal():
            return RowKey(CONSENT, (draft.user, draft.host))


def decide_host(draft: HostDraft, state: State, at_ms: int) -> Decision:
    match draft:
        case SetHost():
            return _set(draft, state, at_ms)
        case Contact():
            return _contact(draft, state, at_ms)
        case Deal():
            return _deal(draft, state, at_ms)


def new_contact(entry_id: bytes, host: str, at_ms: int) -> NewEntry:
    """By which followers learn of a host."""
    return _told(entry_id, KIND_CONTACT, {"host": host}, at_ms)


def _told(entry_id: bytes, kind: int, row: dict[str, str], at_ms: int) -> NewEntry:
    body = msgspec.json.encode(row)
    return NewEntry(Lane.HOSTS, HOSTS_STREAM, entry_id, kind, b"", at_ms, body)


def _set(draft: SetHost, state: State, at_ms: int) -> Decision:
    key = row_of(draft)
    none = (draft.host, "", "")
    match state[key] or none:
        case (_, str(admit), str(tokens)) as was:
            admit = admit if draft.admit is None else draft.admit
            tokens = tokens if draft.tokens is None else draft.tokens
        case other:
            raise ValueError(f"not a row of the table {HOST.name}: {other!r}")
    row = (draft.host, admit, tokens)
    if row == was:
        return Decision()
    told = {"host": draft.host, "admit": admit, "tokens": tokens}
    return Decision(
        entries=(_told(draft.id, KIND_SET_HOST, told, at_ms),),
        puts=() if row == none else (Put(HOST, row),),
        drops=(key,) if row == none else (),
    )


def _contact(draft: Contact, state: State, at_ms: int) -> Decision:
    view = draft.view if draft.view is None or len(draft.view) <= MAX_VIEW_BYTES else b""
    match state[row_of(draft)]:
        case (_, int(first_ms), int(last_ms), bytes(known)):
            if draft.at_ms <= last_ms:
                return Decision()  # heard of it later already
            row = (draft.host, first_ms, draft.at_ms, known if view is None else view)
            return Decision(puts=(Put(CONTACT, row),))
        case _:
            row = (draft.host, draft.at_ms, draft.at_ms, view or b"")
            told = new_contact(draft.id, draft.host, at_ms)
            return Decision(entries=(told,), puts=(Put(CONTACT, row),))


def _deal(draft: Deal, state: State, at_ms: int) -> Decision:
    key = row_of(draft)
    is_there = state[key] is not None
    if draft.is_over:
        return Decision(drops=(key,) if is_there else ())
    if is_there:
        return Decision()
    return Decision(puts=(Put(CONSENT, (draft.user, draft.host, at_ms)),))
