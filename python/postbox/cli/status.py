"""`postbox status`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from msgspec.structs import asdict

from postbox.admin.command import Nothing
from postbox.admin.status import STATUS, HostsStatus, MqttStatus, Status
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_pairs
from postbox.log.epoch import Renewal
from postbox.mesh.boot.progress import Progress
from postbox.store.contract import Size

SHOWN_AUTHORS = 8


def status(*, common: Common | None = None) -> int:
    """What this node holds. `digest`: two ledgers hold the same events with the same standing
    exactly when it is equal."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            result = await operator.call(STATUS, Nothing())
        (print_json if options.json else _print)(result)
        return 0

    return run(verb, as_json=options.json)


def _print(result: Status) -> None:
    shown = asdict(result)
    for group in ("services", "standings", "authors"):
        counts = shown[group]
        first = list(counts.items())[:SHOWN_AUTHORS]
        more = f" and {len(counts) - len(first)} more" if len(counts) > len(first) else ""
        shown[group] = ", ".join(f"{name} {count:,}" for name, count in first) + more
    shown["url"] = result.url or "not serving"
    if shown.pop("uptime_s") is not None:
        shown["url"] += f" (for {result.uptime_s} s)"
    if shown.pop("leases") is not None:
        shown["leases"] = leases(result)
    if shown.pop("disk") is not None and result.disk is not None:
        shown["disk"] = _disk(result.disk)
    if shown.pop("renewed") is not None and result.renewed is not None:
        shown["epoch"] += f" ({renewal(result.renewed)})"
    if shown.pop("hosts") is not None and result.hosts is not None:
        shown["hosts"] = _hosts(result.hosts)
    if shown.pop("recovery") is not None and result.recovery is not None:
        shown["recovery"] = recovery(result.recovery)
    if shown.pop("mqtt") is not None and result.mqtt is not None:
        shown["mqtt"] = _mqtt(result.mqtt)
    print_pairs(shown)


def recovery(progress: Progress) -> str:
    """What a serving node asked its peers for when it started."""
    said = str(progress.stage)
    if progress.peers:
        missed = f", {progress.missed:,} not to the end" if progress.missed else ""
        said += (
            f": {progress.imported:,} new events; {progress.told:,} of {progress.peers:,} peers"
            f" told all{missed}"
        )
    if progress.ended_ns:
        said += f", in {(progress.ended_ns - progress.began_ns) / 1e9:,.1f} s"
    return said


def _mqtt(mqtt: MqttStatus) -> str:
    if mqtt.up:
        return f"connected to {mqtt.broker}"
    return f"not connected: {mqtt.error or mqtt.broker}"


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


def renewal(renewed: Renewal) -> str:
    """When the log got its epoch, and why."""
    at = datetime.fromtimestamp(renewed.at_ms / 1e3, UTC)
    match renewed.why:
        case "restored":
            why = "restored from a backup"
        case "went back":
            why = f"the log went back; {renewed.known:,} was known, {renewed.head:,} was there"
        case _ as never:
            assert_never(never)
    return f"new since {at:%F %T} UTC: {why}"


def leases(result: Status) -> str:
    """Of a node that may have several processes."""
    return ", ".join(result.leases or ()) or "none: another process has them, or will soon"


def _disk(size: Size) -> str:
    """Of the log: what it takes, and what there is."""
    free = "" if size.free_bytes is None else f", {_mib(size.free_bytes)} of it to be used again"
    room = "" if size.room_bytes is None else f"; the disk has {_mib(size.room_bytes)} left"
    return f"{_mib(size.used_bytes)}{free}{room}"


def _mib(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"
