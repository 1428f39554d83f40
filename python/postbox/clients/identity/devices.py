"""The devices that call, in memory, kept up from the log: registered at their first call, let in
until they are revoked.

Promises: once a revocation is committed, the process that committed it knows before its answer, and
every other one as soon as it is told of the commit; whoever `listen`s is told of it then. What is
kept here is bounded: a device that is not here is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from postbox.clients.events.kinds import Kind
from postbox.clients.ids import device_id, user_id
from postbox.clients.rules.devices import (
    Act,
    DeviceDraft,
    DeviceRules,
    Register,
    See,
)
from postbox.clients.tables import DEVICE, DEVICES_OF, DEVICES_STREAM, Device, read_row
from postbox.errors import WireError
from postbox.log.admission import Admission
from postbox.log.committed import Committed
from postbox.rules import Rejected
from postbox.store.contract import Lane, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

MAX_CACHED = 20_000
"""About 500 bytes each. One more is a look-up by key."""

SEEN_EVERY_MS = 3_600_000
"""A device that is always here is written down once an hour."""

FORGET_MS = 90 * 86_400_000
"""A device that was not seen for a quarter of a year makes room for a new one, where there are too
many; if it comes again all the same, it is a new one itself."""

Listener: TypeAlias = Callable[[bytes], None]


class ShutOut(WireError):
    """The user was revoked after the token was made."""


class TooManyDevices(WireError):
    """The user has as many as may be, and all of them are in use."""


class Devices:
    def __init__(
        self, world: World, store: StoreRunner, admission: Admission, *, max_devices: int
    ) -> None:
        """`max_devices`: of a user, that are let in. Two that sign in at the same moment may be one
        more."""
        self._world = world
        self._store = store
        self._admission = admission
        self._max_devices = max_devices
        self._cached: dict[tuple[str, str], Device] = {}  # by user and device; oldest first
        self._names: dict[bytes, tuple[str, str]] = {}  # of those, by the device's id
        self._changes = 0
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Called with the id of each device that is revoked, by whichever process; must not raise,
        nor wait."""
        self._listeners.append(listener)

    def applied(self, committed: Committed) -> None:
        """The follower's call, in position order."""
        for entry in committed.streams.get((Lane.CLIENTS, DEVICES_STREAM), ()):
            if entry.kind == Kind.DEVICE and entry.body is not None:
                self._change(msgspec.json.decode(entry.body, type=Device), entry.at_ms)

    def known(self, user: str, name: str) -> Device | None:
        """If it is at hand."""
        return self._cached.get((user, name))

    def is_noted(self, user: str, name: str) -> bool:
        """Is it at hand, registered, and noted to have been seen?"""
        device = self._cached.get((user, name))
        return device is not None and _is_noted(device, self._now_ms())

    async def of(self, user: str, name: str) -> Device:
        """As it is registered; `made_ms` is 0 if it is not."""
        device = self._cached.get((user, name))
        return await self._read(user, name) if device is None else device

    async def sign_in(self, user: str, name: str, issued_ms: int) -> None:
        """A token of the device that was made then is good: the device is registered on return, and
        noted to have been seen. Raises ShutOut and TooManyDevices."""
        device = await self.of(user, name)
        now_ms = self._now_ms()
        if not device.made_ms:
            await self._submit(user, name, await self._registration(user, issued_ms))
            await self._read(user, name)
        elif not _is_noted(device, now_ms):
            self._keep(user, msgspec.structs.replace(device, seen_ms=now_ms))  # once is enough
            await self._submit(user, name, See(now_ms))

    async def _registration(self, user: str, issued_ms: int) -> Register:
        """With whom it takes the place of, if its user has too many. Raises TooManyDevices."""
        let_in = [device for device in await self._all_of(user) if is_let_in(device)]
        if len(let_in) < self._max_devices:
            return Register(issued_ms)
        unused = min(let_in, key=lambda device: device.seen_ms)
        unseen_since_ms = self._now_ms() - FORGET_MS
        if unused.revoked_ms or unused.seen_ms >= unseen_since_ms:
            raise TooManyDevices(
                f"{user} has {len(let_in)} devices, and that is the most: the operator takes one"
                f" away by postbox devices revoke {user} DEVICE, or sets clients.max_devices"
            )
        return Register(issued_ms, unused.name, unseen_since_ms)

    async def _all_of(self, user: str) -> list[Device]:
        return await self._store.read(lambda reader: devices_of(reader, user_id(user)))

    async def _read(self, user: str, name: str) -> Device:
        key = (user_id(user), name)
        while True:
            before = self._changes
            rows = await self._store.read(lambda reader: reader.rows(DEVICE, [key]))
            if self._changes == before:  # else it may be older than what we were told since
                break
        row = rows[key]
        device = Device(key[0], name, device_id(*key), 0, 0) if row is None else None
        return self._keep(user, device or read_row(Device, row or ()))

    def _keep(self, user: str, device: Device) -> Device:
        name = (user, device.name)
        self._cached.pop(name, None)
        self._cached[name] = device
        self._names[device.id] = name
        if len(self._cached) > MAX_CACHED:
            oldest = self._cached.pop(next(iter(self._cached)))
            del self._names[oldest.id]
        return device

    def _change(self, device: Device, at_ms: int) -> None:
        self._changes += 1
        name = self._names.get(device.id)
        if name is not None:
            self._keep(name[0], device)
        if device.revoked_ms >= at_ms:
            for listener in self._listeners:
                listener(device.id)

    async def _submit(self, user: str, name: str, act: Act) -> None:
        """Raises ShutOut."""
        draft = DeviceDraft(self._world.new_id(), user, name, act)
        [outcome] = await self._admission.submit(DeviceRules(), [draft])
        if isinstance(outcome, Rejected):
            raise ShutOut(outcome.reason.text)

    def _now_ms(self) -> int:
        return self._world.clock.now_ns() // 1_000_000


def devices_of(reader: Reader, user: bytes) -> list[Device]:
    """By name."""
    return [read_row(Device, row) for row in reader.query(DEVICES_OF, user=user)]


def _is_noted(device: Device, now_ms: int) -> bool:
    return is_let_in(device) and now_ms < device.seen_ms + SEEN_EVERY_MS


def is_let_in(device: Device) -> bool:
    """Has it signed in, and not been revoked since?"""
    return device.made_ms > 0 and (not device.revoked_ms or device.seen_ms > device.revoked_ms)
