"""`postbox links`."""

from __future__ import annotations

from datetime import UTC, datetime

from postbox.admin.command import Nothing
from postbox.admin.links import LINKS, LinkSeen, LinksSeen
from postbox.admin.words import ago, notes, until
from postbox.cli.asking import ask
from postbox.cli.options import Common
from postbox.cli.output import print_rows, print_text
from postbox.world import SystemClock


def links(*, common: Common | None = None) -> int:
    """The hosts that this one has to do with: what waits to be sent, how far each has acknowledged,
    when it is tried again and why it failed, and how it sees the link itself."""
    return ask(LINKS, Nothing(), _print, common)


def _print(found: LinksSeen) -> None:
    now = datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC)
    if found.idle:
        print_text(found.idle)
    if not found.links:
        print(
            "no host was posted to, and none has posted: postbox post HOST --type NAME --data FILE"
        )
        return
    print_rows([_HEAD, *(row(link, now) for link in found.links)])
    for link in found.links:
        for text in notes(link, now):
            print_text(text, f"  {link.host}: ", "    ")


_HEAD = ("host", "queued", "acknowledged", "received", "last contact", "next attempt", "dead")


def row(link: LinkSeen, now: datetime) -> tuple[str, ...]:
    """Of the table, under its head."""
    return (
        link.host,
        f"{link.queued:,}",
        f"{link.acknowledged:,}",
        f"{link.received:,}",
        "never" if link.last_contact is None else ago(now - link.last_contact),
        "-" if link.next_attempt is None else until(link.next_attempt - now),
        f"{link.dead:,}",
    )
