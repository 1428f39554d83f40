"""What users and devices may be called."""

from __future__ import annotations

from postbox.clients.rules.devices import EVERY
from postbox.event import is_name


def user_refusal(name: str) -> str | None:
    """Why this cannot be a user's name; None: it can."""
    if is_name(name) and "@" not in name:
        return None
    return (
        f"{name[:80]!r} cannot be a user's name: 1 to 64 characters, without"
        ' "@", ":", space or control characters'
    )


def device_refusal(name: str) -> str | None:
    """Why this cannot be a device's name; None: it can."""
    if is_name(name) and name != EVERY:
        return None
    return (
        f"{name[:80]!r} cannot be a device's name: 1 to 64 characters, without"
        f' ":", space or control characters, and not {EVERY}'
    )
