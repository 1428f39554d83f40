"""A configured peer as `postbox peers` has it: it is well."""

from __future__ import annotations

from postbox.admin.peers import Seen

URL = "http://127.0.0.1:9"
NOW_NS = 1_790_000_000 * 10**9
WELL = Seen(
    url=URL,
    name="bob",
    kind="postbox",
    version="1",
    memory_mode="short",
    answers=True,
    rtt_ms=1.0,
    clock_off_ms=0.0,
    known=True,
    error="",
    contact="reached",
    last_contact_ns=NOW_NS,
    pulls=1,
    imported=1,
    rejected=0,
    key_from="configured",
)
