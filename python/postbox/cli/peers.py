"""`postbox peers`."""

from __future__ import annotations

import re

from postbox.admin.command import Nothing
from postbox.admin.peers import PEERS, Peers, Seen
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_rows, print_text
from postbox.cli.spans import span
from postbox.mesh.peers.known import Caller, Contact
from postbox.world import SystemClock


def peers(*, common: Common | None = None) -> int:
    """The configured peers, each asked right now, and, of a node that serves, who asked it."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            found = await operator.call(PEERS, Nothing())
        (print_json if options.json else _print)(found)
        return 0

    return run(verb, as_json=options.json)


def _print(found: Peers) -> None:
    if found.peers:
        print_rows([_PEER_HEAD, *map(row, found.peers)])
    else:
        print("this node asks nobody: postbox serve --peer URL, or mesh.peers in config.toml")
    now_ns = SystemClock().now_ns()
    for peer in found.peers:
        if peer.error:
            print_text(trouble(peer, now_ns), f"  {peer.url}: ", "    ")
    if found.callers:
        print("\nWho asked this node")
        print_rows([("name", "requests", "events given"), *map(_caller, found.callers)])
    if found.waiting:
        print(f"\nWho waits to be let in: {found.waiting:,} (postbox trust list)")


_PEER_HEAD = ("url", "name", "is a", "answers", "round trip", "clock", "pulls", "new events")


def row(peer: Seen) -> tuple[str, ...]:
    """Of the table, under its head."""
    rtt = "-" if peer.rtt_ms is None else f"{peer.rtt_ms:.0f} ms"
    clock = "-" if peer.clock_off_ms is None else _signed_s(peer.clock_off_ms)
    kind = " ".join(filter(None, (peer.kind, peer.version))) or "-"
    answers = "yes" if peer.answers else "no"
    pulls = f"{peer.pulls} ({peer.contact})"
    return (peer.url, peer.name or "-", kind, answers, rtt, clock, pulls, f"{peer.imported:,}")


def _signed_s(off_ms: float) -> str:
    return f"{round(off_ms / 1e3, 1) + 0.0:+.1f} s"  # there is no -0.0


def trouble(peer: Seen, now_ns: int) -> str:
    """What is wrong with a peer that has an `error`, in a text that stands beside its URL."""
    why = re.sub(rf"(GET|POST) {re.escape(peer.url)}\S*: ", "", peer.error)
    for said, instead in ((f" at {peer.url}", ""), (f"{peer.url}/", "/"), (peer.url, "it")):
        why = why.replace(said, instead)
    if peer.contact not in (Contact.FAILED, Contact.WAITING) or not peer.failed_ns:
        return why
    again_s = (peer.next_ns - now_ns) / 1e9
    again = f"next try in {span(again_s)}" if again_s > 0 else "next try now"
    what = "failed" if peer.contact == Contact.FAILED else "asked"
    return f"{what} {span((now_ns - peer.failed_ns) / 1e9)} ago, {again}: {why}"


def _caller(caller: Caller) -> tuple[str, ...]:
    return (caller.name, f"{caller.requests:,}", f"{caller.events:,}")
