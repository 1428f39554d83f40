"""`postbox devices`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postbox.admin.devices import (
    LIST_DEVICES,
    REVOKE_DEVICES,
    DeviceSeen,
    DevicesSeen,
    ListDevices,
    RevokeDevices,
)
from postbox.cli.asking import ask
from postbox.cli.main import FAILED
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import complain, print_json, print_rows, print_text
from postbox.clients.rules.devices import EVERY


def list_(*, user: str | None = None, common: Common | None = None) -> int:
    """The devices that users have signed in with, and those that were shut out.

    Parameters
    ----------
    user
        Of this user alone.
    """
    return ask(LIST_DEVICES, ListDevices(user), _print, common)


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
        else:
            for one in revoked.devices:
                print_text(f"{_who(user, one)} is shut out until it has a new token.")
        stranger = _stranger(user, device, revoked.devices)
        if stranger is None:
            return 0
        complain(stranger)
        return FAILED

    return run(verb, as_json=options.json)


def _who(user: str, device: DeviceSeen) -> str:
    return f"every device of {user}" if device.device == EVERY else f"{user}'s {device.device}"


def _stranger(user: str, device: str | None, revoked: Sequence[DeviceSeen]) -> str | None:
    """Whoever mistypes a name must not believe that it is done. What was shut out is so all the
    same: a token may have been made for it, and not be used yet."""
    if any(one.user is None for one in revoked):
        return f"nobody signed in here as {user}: if you mean another, see postbox devices"
    if device is not None and any(one.registered is None for one in revoked):
        there = f"see postbox devices --user {user}"
        return f"no device {device} of {user} is known here: if you mean another, {there}"
    return None


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
