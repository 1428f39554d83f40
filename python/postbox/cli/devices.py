"""`postbox devices`."""

from __future__ import annotations

from datetime import datetime

from postbox.admin.devices import (
    LIST_DEVICES,
    REVOKE_DEVICES,
    DeviceSeen,
    DevicesSeen,
    ListDevices,
    RevokeDevices,
)
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_rows, print_text
from postbox.clients.rules.devices import EVERY


def list_(*, user: str | None = None, common: Common | None = None) -> int:
    """The devices that users have signed in with, and those that were shut out.

    Parameters
    ----------
    user
        Of this user alone.
    """
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            found = await operator.call(LIST_DEVICES, ListDevices(user))
        (print_json if options.json else _print)(found)
        return 0

    return run(verb, as_json=options.json)


def revoke(user: str, device: str | None = None, /, *, common: Common | None = None) -> int:
    """Shut out a device: what was issued to it until now is of no use any more, and its streams end
    at once. With a token that is made later it is let in again.

    Parameters
    ----------
    user
        Whose it is.
    device
        As postbox devices list has it; without one all that the user has, and whatever it may sign
        in with by a token that was made until now.
    """
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            revoked = await operator.call(REVOKE_DEVICES, RevokeDevices(user, device))
        if options.json:
            print_json(revoked)
            return 0
        for one in revoked.devices:
            name = f"{user}'s {one.device}" if one.device != EVERY else f"every device of {user}"
            note = "" if one.registered or one.device == EVERY else " It never signed in."
            print_text(f"{name} is shut out until it has a new token.{note}")
        return 0

    return run(verb, as_json=options.json)


def _print(found: DevicesSeen) -> None:
    if not found.devices:
        print_text(
            "no device has signed in. To let one in: postbox token mint --user NAME --device NAME"
        )
        return
    print_rows([_HEAD, *map(_row, found.devices)])


_HEAD = ("user", "device", "registered", "last seen", "revoked")


def _row(device: DeviceSeen) -> tuple[str, ...]:
    revoked = _time(device.revoked)
    if device.revoked and device.is_let_in:
        revoked += ", in again"
    return (device.user or "-", device.device, _time(device.registered), _time(device.last_seen),
            revoked)  # fmt: skip


def _time(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%F %T} UTC"
