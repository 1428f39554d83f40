"""What an operator's commands found, in words: whoever shows it, a terminal or a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from postbox.admin.links import LinkSeen, Theirs
    from postbox.admin.peers import Seen, Trust
    from postbox.admin.status import MqttStatus, Status
    from postbox.log.epoch import Renewal
    from postbox.mesh.boot.progress import Progress
    from postbox.store.contract import Size


def span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, seconds):.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def ago(passed: timedelta) -> str:
    return f"{span(passed.total_seconds())} ago"


def until(left: timedelta) -> str:
    return f"in {span(left.total_seconds())}" if left > timedelta() else "now"


def printable(text: str) -> str:
    """What a stranger wrote, less what would move a terminal's cursor or turn its text around."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def events(count: int) -> str:
    return f"{count:,} event" if count == 1 else f"{count:,} events"


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


def mqtt(mqtt: MqttStatus) -> str:
    if mqtt.up:
        return f"connected to {mqtt.broker}"
    return f"not connected: {mqtt.error or mqtt.broker}"


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


def disk(size: Size) -> str:
    """Of the log: what it takes, and what there is."""
    unused = _mib(size.free_bytes or 0)
    free = "" if unused == _mib(0) else f", {unused} of it to be used again"
    room = "" if size.room_bytes is None else f"; the disk has {_mib(size.room_bytes)} left"
    return f"{_mib(size.used_bytes)}{free}{room}"


def _mib(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"


def distrust(name: str, trust: Trust, now_ns: int) -> str:
    """Why a peer is not thought well of, and for how long."""
    ends = f", for {span((trust.ends_ns - now_ns) / 1e9)} more" if trust.ends_ns else ""
    return f"{printable(name)} is {trust.regard}{ends}: {printable(trust.why)}"


def trouble(peer: Seen, now_ns: int) -> str:
    """What is wrong with a peer that has an `error`, in a text that stands beside its URL."""
    why = reason(peer.error, peer.url)
    if peer.contact not in ("failed", "waiting") or not peer.failed_ns:
        return why
    again_s = (peer.next_ns - now_ns) / 1e9
    again = f"next try in {span(again_s)}" if again_s > 0 else "next try now"
    what = "failed" if peer.contact == "failed" else "asked"
    return f"{what} {span((now_ns - peer.failed_ns) / 1e9)} ago, {again}: {why}"


_ASKED = re.compile(r"(?:GET|POST) (\S+): ")
_ERRNO = re.compile(r"\[Errno -?\d+\] ")


def reason(error: str, url: str) -> str:
    """Of what went wrong with a peer, beside whose URL or name it stands: the URL is not said
    again, nor the number that the system has for it."""
    why = _ASKED.sub(lambda said: "" if said[1].startswith(url) else said[0], error)
    why = _ERRNO.sub("", why)
    for said, instead in ((f" at {url}", ""), (f"{url}/", "/"), (url, "it")):
        why = why.replace(said, instead)
    return why


def failure(link: LinkSeen) -> str:
    """Why the last attempt to send to a host failed."""
    tries = "attempt" if link.attempts == 1 else "attempts"
    why = reason(link.error, f"https://{link.host}")
    return f"failed ({link.attempts:,} {tries}): {printable(why)}"


def notes(link: LinkSeen, now: datetime) -> Iterator[str]:
    """What is worth more words than a cell has."""
    if link.error:
        yield failure(link)
    if link.dead:
        yield f"{events(link.dead)} given up: postbox dead shows them"
    if link.unhandled:
        yield f"{events(link.unhandled)} from there not handled yet"
    if link.theirs is not None:
        yield from _their_notes(link, link.theirs, now)


def _their_notes(link: LinkSeen, theirs: Theirs, now: datetime) -> Iterator[str]:
    """Of what it told us about itself, what we could not know. When all that it had has come, it is
    of no interest any more why it did not at first."""
    if not theirs.queued:
        return
    when = ago(now - theirs.at)
    yield f"has {events(theirs.queued)} for us ({when})"
    if theirs.error:
        yield f"cannot send to us ({when}): {printable(theirs.error)}"
