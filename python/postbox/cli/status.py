"""`postbox status`."""

from __future__ import annotations

from msgspec.structs import asdict

from postbox.admin.command import Nothing
from postbox.admin.status import STATUS, HostsStatus, Status
from postbox.admin.words import disk, leases, mqtt, recovery, renewal, span
from postbox.cli.asking import ask
from postbox.cli.options import Common
from postbox.cli.output import print_pairs

SHOWN_AUTHORS = 8


def status(*, common: Common | None = None) -> int:
    """What this node holds. `digest`: two ledgers hold the same events with the same standing
    exactly when it is equal."""
    return ask(STATUS, Nothing(), _print, common)


def _print(result: Status) -> None:
    shown = asdict(result)
    for group in ("services", "standings", "authors"):
        counts = shown[group]
        first = list(counts.items())[:SHOWN_AUTHORS]
        more = f" and {len(counts) - len(first)} more" if len(counts) > len(first) else ""
        shown[group] = ", ".join(f"{name} {count:,}" for name, count in first) + more
    for count in ("events", "capacity", "head", "keys"):
        shown[count] = f"{shown[count]:,}"
    shown["url"] = result.url or "not serving"
    if shown.pop("uptime_s") is not None and result.uptime_s is not None:
        shown["url"] += f" (for {span(result.uptime_s)})"
    if shown.pop("leases") is not None:
        shown["leases"] = leases(result)
    if shown.pop("disk") is not None and result.disk is not None:
        shown["disk"] = disk(result.disk)
    if shown.pop("renewed") is not None and result.renewed is not None:
        shown["epoch"] += f" ({renewal(result.renewed)})"
    if shown.pop("hosts") is not None and result.hosts is not None:
        shown["hosts"] = _hosts(result.hosts)
    if shown.pop("recovery") is not None and result.recovery is not None:
        shown["recovery"] = recovery(result.recovery)
    if shown.pop("mqtt") is not None and result.mqtt is not None:
        shown["mqtt"] = mqtt(result.mqtt)
    print_pairs(shown)


def _hosts(hosts: HostsStatus) -> str:
    if not hosts.links and hosts.name is None:
        return "none: this host has no name (serve --host DOMAIN:PORT)"
    parts = [f"{hosts.links:,} known", f"{hosts.queued:,} queued"]
    for count, what in (
        (hosts.failing, "failing"),
        (hosts.unhandled, "not handled"),
        (hosts.dead, "given up"),
    ):
        parts += [f"{count:,} {what}"] if count else []
    return f"{', '.join(parts)}; this one is {hosts.name or 'not named'}"
