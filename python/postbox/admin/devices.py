"""Which devices users have, letting them in, and shutting them out."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from postbox.admin.command import Command, Desk, Tell
from postbox.admin.links import time_of
from postbox.clients.identity import tokens
from postbox.clients.identity.devices import devices_of, is_let_in
from postbox.clients.identity.names import device_refusal, user_refusal
from postbox.clients.ids import text_of, user_id
from postbox.clients.rules.devices import EVERY, DeviceDraft, DeviceRules, Revoke
from postbox.clients.tables import ACCOUNT, ALL_DEVICES, Device, read_row
from postbox.errors import Fault
from postbox.store.contract import Reader
from postbox.trust.keys import SEED_BYTES


class BadDevice(Fault):
    """What was written names no user or no device that can be meant."""


class MintToken(Struct, frozen=True, forbid_unknown_fields=True):
    """`days`: None, as the configuration says."""

    user: str
    device: str
    days: int | None = None


class Minted(Struct, frozen=True):
    """The fields of `token mint --json`."""

    token: str
    user: str
    device: str
    expires: datetime


class ListDevices(Struct, frozen=True, forbid_unknown_fields=True):
    """`user`: of this one alone."""

    user: str | None = None


class RevokeDevices(Struct, frozen=True, forbid_unknown_fields=True):
    """`device`: None, all that the user has, and those that it may have by what was issued."""

    user: str
    device: str | None = None


class DeviceSeen(Struct, frozen=True):
    """`user`: None if nobody of that name ever signed in, so that it is not known here; `device`:
    "*" for all that the user may have; `registered`: None if it never signed in; `is_let_in`: it is
    not revoked, or signed in again since."""

    user: str | None
    device: str
    uuid: str
    is_let_in: bool
    registered: datetime | None
    last_seen: datetime | None
    revoked: datetime | None


class DevicesSeen(Struct, frozen=True):
    """The fields of `devices list --json`, and of `devices revoke --json`."""

    devices: list[DeviceSeen]


async def _mint(desk: Desk, request: MintToken, tell: Tell) -> Minted:
    user, device = _user(request.user), _device(request.device)
    node = desk.node
    revoked_ms = max(
        (one.revoked_ms for one in await _devices(desk, user) if one.name in (device, EVERY)),
        default=0,
    )
    now_ms = node.world.clock.now_ns() // 1_000_000
    days = request.days or node.config.clients.token_days
    expires_ms = now_ms + days * tokens.DAY_MS
    text = tokens.mint(
        tokens.token_key(node.identity.soul[:SEED_BYTES]),
        iss=node.identity.name,
        user=user,
        device=device,
        iat_ms=tokens.first_iat_ms(now_ms, revoked_ms),
        exp_ms=expires_ms,
        jti=node.world.random.bytes(16),
    )
    expires = time_of(expires_ms)
    assert expires is not None
    return Minted(text, user, device, expires)


async def _list(desk: Desk, request: ListDevices, tell: Tell) -> DevicesSeen:
    user = None if request.user is None else _user(request.user)
    if user is None:
        return DevicesSeen(await desk.node.store.read(_all))
    return await _of(desk, user)


async def _revoke(desk: Desk, request: RevokeDevices, tell: Tell) -> DevicesSeen:
    """The revoked ones. Durable on return, and known to this process."""
    user = _user(request.user)
    if request.device is not None:
        names = [_device(request.device)]
    else:
        await _revoke_each(desk, user, [EVERY])  # first: from here on no device is added
        names = [device.name for device in await _devices(desk, user)]
    await _revoke_each(desk, user, [name for name in names if name != EVERY])
    found = await _of(desk, user)
    return DevicesSeen([one for one in found.devices if one.device in names])


async def _revoke_each(desk: Desk, user: str, names: list[str]) -> None:
    drafts = [DeviceDraft(desk.node.world.new_id(), user, name, Revoke()) for name in names]
    await desk.node.admission.submit(DeviceRules(), drafts)


async def _devices(desk: Desk, user: str) -> list[Device]:
    return await desk.node.store.read(lambda reader: devices_of(reader, user_id(user)))


async def _of(desk: Desk, user: str) -> DevicesSeen:
    """What one user has."""
    key = (user_id(user),)
    accounts = await desk.node.store.read(lambda reader: reader.rows(ACCOUNT, [key]))
    known = None if accounts[key] is None else user
    return DevicesSeen([_seen(known, device) for device in await _devices(desk, user)])


def _all(reader: Reader) -> list[DeviceSeen]:
    """Those last whose user never signed in; the engines do not agree about where null is."""
    seen = [
        _seen(None if user is None else str(user), read_row(Device, tuple(row)))
        for user, *row in reader.query(ALL_DEVICES)
    ]
    return sorted(seen, key=lambda one: (one.user is None, one.user or "", one.device, one.uuid))


def _seen(user: str | None, device: Device) -> DeviceSeen:
    return DeviceSeen(
        user=user,
        device=device.name,
        uuid=text_of(device.id),
        is_let_in=is_let_in(device),
        registered=time_of(device.made_ms),
        last_seen=time_of(device.seen_ms),
        revoked=time_of(device.revoked_ms),
    )


def _user(name: str) -> str:
    refusal = user_refusal(name)
    if refusal is not None:
        raise BadDevice(refusal)
    return name


def _device(name: str) -> str:
    refusal = device_refusal(name)
    if refusal is not None:
        raise BadDevice(refusal)
    return name


MINT_TOKEN = Command("mint-token", MintToken, Minted, _mint)
LIST_DEVICES = Command("devices", ListDevices, DevicesSeen, _list)
REVOKE_DEVICES = Command("revoke-devices", RevokeDevices, DevicesSeen, _revoke)
