"""What other hosts have sent, page by page."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Tell
from postbox.admin.host_names import known
from postbox.admin.links import links_of
from postbox.hosts.links.reports import InboxPage


class ReadInbox(Struct, frozen=True, forbid_unknown_fields=True):
    """From `host`, or from all; beyond its number `after_seq`, and beyond `after`, a position of
    the log. At most `limit`."""

    host: str | None
    after_seq: int
    after: int
    limit: int


async def _inbox(desk: Desk, request: ReadInbox, tell: Tell) -> InboxPage:
    host = None if request.host is None else known(request.host)
    return await links_of(desk).inbox_page(host, request.after_seq, request.after, request.limit)


INBOX = Command("inbox", ReadInbox, InboxPage, _inbox)
