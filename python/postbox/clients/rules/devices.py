"""Which devices a user has, and which of them are let in: pure rules.

A device is registered when it signs in for the first time, and its user with it. What was revoked
stays revoked: a token that was made before is of no use for ever, and one that was made later lets
the device in again. A user can be revoked, too, as the device called EVERY: no device is registered
by a token from before then, whatever it is called. Registration and revocation are entries that
carry the row, so that every process of the node is told; when a device was seen is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from postbox.clients import ids
from postbox.clients.events.kinds import Kind
from postbox.clients.tables import (
    ACCOUNT,
    DEVICE,
    DEVICE_PLACE,
    DEVICES_STREAM,
    QUEUE,
    REFUSED,
    Account,
    Device,
    account_row,
    read_row,
    row_of,
)
from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Found, Lane, Table

EVERY = "*"
"""No device's name: its row says since when tokens of the user let new devices in."""

SKEW_MS = 60_000
"""Between the clock that a token was made by and ours: `iat` and `nbf` may lie so far ahead. Not
given on `exp`: whoever made the token said until when."""

SHUT_OUT = "DEVICE_REVOKED"

_ROW_BYTES = 512


def is_revoked(issued_ms: int, revoked_ms: int) -> bool:
    """Was the token made before the revocation? `revoked_ms`: 0 for never. By a clock that goes
    ahead of ours it may seem to be younger than it is."""
    return revoked_ms > 0 and issued_ms < revoked_ms + SKEW_MS


class Register(Struct, frozen=True):
    """It signs in for the first time, with a token that was made at `issued_ms`. `forgotten`:
    another device of this user that its row makes room for, if that was not seen since
    `unseen_since_ms`."""

    issued_ms: int
    forgotten: str = ""
    unseen_since_ms: int = 0


class See(Struct, frozen=True):
    """It is registered, and was here at `at_ms`."""

    at_ms: int


class Revoke(Struct, frozen=True):
    """The operator's: what was issued to it until now is of no use any more."""


class Store(Struct, frozen=True):
    """It has stored everything up to a position of the log."""

    place: int


Act: TypeAlias = Register | See | Revoke | Store


class DeviceDraft(Struct, frozen=True):
    """`id`: 16 new bytes."""

    id: bytes
    user: str
    device: str
    act: Act

    @property
    def user_id(self) -> bytes:
        return ids.user_id(self.user)

    @property
    def payer(self) -> Payer:
        """A device whose queue is long does not put off its own end by that."""
        if isinstance(self.act, Revoke):
            return Payer("operator", "")
        return Payer("device", ids.device_id(self.user_id, self.device).hex())

    @property
    def size_bytes(self) -> int:
        return _ROW_BYTES


class DeviceRules:
    lane: Lane = Lane.CLIENTS
    tables: tuple[Table, ...] = (ACCOUNT, DEVICE, DEVICE_PLACE, QUEUE, REFUSED)

    def needs(self, draft: DeviceDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        user = draft.user_id
        yield RowKey(DEVICE, (user, draft.device))
        match draft.act:
            case Register(_, forgotten):
                yield RowKey(ACCOUNT, (user,))
                yield RowKey(DEVICE, (user, EVERY))
                if forgotten:
                    yield RowKey(DEVICE, (user, forgotten))
            case Store():
                yield RowKey(DEVICE_PLACE, (ids.device_id(user, draft.device),))
            case See() | Revoke():
                pass
            case _ as never:
                assert_never(never)

    def decide(self, draft: DeviceDraft, state: State, at_ms: int) -> Decision:
        device = _device(draft.user_id, draft.device, state)
        match draft.act:
            case Register() as act:
                return _registered(draft, act, device, state, at_ms)
            case See(seen_ms):
                return _seen(device, seen_ms)
            case Revoke():
                return _revoked(draft, device, at_ms)
            case Store(place):
                return _stored(device, place, state)
            case _ as never:
                assert_never(never)

    def replaces(self, draft: DeviceDraft, stored: Found) -> bool:
        return False


def _registered(
    draft: DeviceDraft, act: Register, known: Device, state: State, at_ms: int
) -> Decision:
    user = draft.user_id
    if known.made_ms:
        return Decision()  # by another request, a moment ago
    revoked_ms = max(known.revoked_ms, _device(user, EVERY, state).revoked_ms)
    if is_revoked(act.issued_ms, revoked_ms):
        return Decision(refuse=Reason(SHUT_OUT, f"{draft.user} was shut out since"))
    device = replace(known, made_ms=at_ms, seen_ms=at_ms)
    puts = [Put(DEVICE, row_of(device))]
    if state[ACCOUNT, (user,)] is None:
        account = Account(user, draft.user, at_ms, display=draft.user)
        puts.append(Put(ACCOUNT, account_row(account)))
    entry = _entry(draft.id, at_ms, device)
    forgotten = _forgotten(user, act, state)
    if forgotten is None:
        return Decision(entries=(entry,), puts=tuple(puts))
    gone = _entry(ids.derived_id("forgotten device", draft.id), at_ms, forgotten)
    return Decision(entries=(gone, entry), puts=tuple(puts), drops=_all_of(forgotten))


def _forgotten(user: bytes, act: Register, state: State) -> Device | None:
    """As one that never signed in. What was revoked is not forgotten: it is to stay so."""
    row = state[DEVICE, (user, act.forgotten)] if act.forgotten else None
    device = None if row is None else read_row(Device, row)
    if device is None or device.revoked_ms or device.seen_ms >= act.unseen_since_ms:
        return None
    return replace(device, made_ms=0, seen_ms=0)


def _all_of(device: Device) -> tuple[RowKey, ...]:
    """What is known of it."""
    keys = [RowKey(table, (device.id,)) for table in (DEVICE_PLACE, QUEUE, REFUSED)]
    return (RowKey(DEVICE, (device.user, device.name)), *keys)


def _seen(device: Device, seen_ms: int) -> Decision:
    if not device.made_ms or device.seen_ms >= seen_ms:
        return Decision()
    return Decision(puts=(Put(DEVICE, row_of(replace(device, seen_ms=seen_ms))),))


def _revoked(draft: DeviceDraft, device: Device, at_ms: int) -> Decision:
    revoked = replace(device, revoked_ms=max(at_ms, device.revoked_ms))
    return Decision(
        entries=(_entry(draft.id, at_ms, revoked),), puts=(Put(DEVICE, row_of(revoked)),)
    )


def _stored(device: Device, place: int, state: State) -> Decision:
    """It never has less than it had."""
    row = state[DEVICE_PLACE, (device.id,)]
    if not device.made_ms or (row is not None and int(row[1] or 0) >= place):
        return Decision()
    return Decision(puts=(Put(DEVICE_PLACE, (device.id, place)),))


def _device(user: bytes, name: str, state: State) -> Device:
    """As its row says, or one that never signed in."""
    row = state[DEVICE, (user, name)]
    if row is not None:
        return read_row(Device, row)
    return Device(user, name, ids.device_id(user, name), 0, 0)


def _entry(entry_id: bytes, at_ms: int, device: Device) -> NewEntry:
    return NewEntry(
        lane=Lane.CLIENTS,
        stream=DEVICES_STREAM,
        id=entry_id,
        kind=Kind.DEVICE,
        author=device.user + device.id + ids.NIL,
        at_ms=at_ms,
        body=msgspec.json.encode(device),
    )
