"""`postbox peers`."""

from __future__ import annotations

from postbox.admin.command import Nothing
from postbox.admin.peers import PEERS, Peers, Seen
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_rows
from postbox.mesh.peers import Caller


def peers(*, common: Common | None = None) -> int:
    """The configured peers, each asked right now, and, of a node that serves, who asked it."""
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            found = await operator.call(PEERS, Nothing())
        (print_json if options.json else _print)(found)
        return 0

    return run(verb)


def _print(found: Peers) -> None:
    if found.peers:
        print_rows([_PEER_HEAD, *map(_peer, found.peers)])
    else:
        print("this node asks nobody: postbox serve --peer URL, or mesh.peers in config.toml")
    for peer in found.peers:
        if peer.error:
            print(f"  {peer.url}: {peer.error}")
    if found.callers:
        print("\nWho asked this node")
        print_rows([("name", "requests", "events given"), *map(_caller, found.callers)])
    if found.waiting:
        print(f"\nWho waits to be let in: {found.waiting:,} (postbox trust list)")


_PEER_HEAD = ("url", "name", "is a", "answers", "round trip", "clock", "pulls", "new events")


def _peer(peer: Seen) -> tuple[str, ...]:
    rtt = "-" if peer.rtt_ms is None else f"{peer.rtt_ms:.0f} ms"
    clock = "-" if peer.clock_off_ms is None else f"{peer.clock_off_ms / 1e3:+.1f} s"
    kind = " ".join(filter(None, (peer.kind, peer.version))) or "-"
    answers = "yes" if peer.answers else "no"
    pulls = f"{peer.pulls} ({peer.contact})"
    return (peer.url, peer.name or "-", kind, answers, rtt, clock, pulls, f"{peer.imported:,}")


def _caller(caller: Caller) -> tuple[str, ...]:
    return (caller.name, f"{caller.requests:,}", f"{caller.events:,}")
