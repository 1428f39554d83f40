"""`postbox peers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from postbox.admin.command import Nothing
from postbox.admin.peers import (
    PEERS,
    SENTENCE,
    Other,
    Peers,
    Seen,
    Spoken,
    Verdict,
    distrusted,
)
from postbox.admin.words import distrust, reason, span, trouble
from postbox.cli.asking import ask
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import complain, print_json, print_rows, print_text, printable
from postbox.mesh.peers.known import Caller
from postbox.world import SystemClock


def list_(*, common: Common | None = None) -> int:
    """The configured peers, each asked right now, the others that this node knows of, and, of a
    node that serves, who asked it."""
    return ask(PEERS, Nothing(), lambda found: print_peers(found, SystemClock().now_ns()), common)


def ban(
    name: str,
    /,
    *,
    why: Annotated[str, Parameter(metavar="TEXT")] = "",
    common: Common | None = None,
) -> int:
    """Neither ask nor answer NAME, until it is forgiven. What came from it stays.

    Parameters
    ----------
    name
        Of a peer, as `postbox peers` has it, or of a node that is to become none.
    why
        For whoever reads `postbox peers` later.
    """
    return _sentence(Verdict(name, "ban", why), common)


def forgive(name: str, /, *, common: Common | None = None) -> int:
    """Hold nothing against NAME any more, whoever did: it is asked and answered again at once.

    Parameters
    ----------
    name
        Of a peer that is demoted or banned.
    """
    return _sentence(Verdict(name, "forgive"), common)


def _sentence(verdict: Verdict, common: Common | None) -> int:
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            spoken = await operator.call(SENTENCE, verdict)
        if spoken.refused:
            complain(spoken.refused)
        elif not options.json:
            print_text(_told(verdict, spoken))
        if options.json:
            print_json(spoken)
        return int(bool(spoken.refused))

    return run(verb, as_json=options.json)


def _told(verdict: Verdict, spoken: Spoken) -> str:
    name, before = verdict.name, spoken.before
    if verdict.verdict == "forgive":
        is_new = before != "good"
        return f"{name} was {before}, and is not" if is_new else f"{name} is thought well of"
    unknown = "" if spoken.known else ". This node knows no such name"
    return f"{name} is banned, until postbox peers forgive {name}{unknown}"


def print_peers(found: Peers, now_ns: int) -> None:
    if found.peers:
        print_rows([_PEER_HEAD, *map(row, found.peers)], cut=(0,), least=_PEER_LEAST)
    else:
        print("no peer is configured: postbox serve --peer URL, or mesh.peers in config.toml")
    for peer in found.peers:
        if peer.error:
            print_text(trouble(peer, now_ns), f"  {peer.url}: ", "    ")
    _print_others(found.others, now_ns)
    for name, trust in distrusted(found):
        ends = f"(postbox peers forgive {name} ends it)"
        print_text(f"{distrust(name, trust, now_ns)} {ends}", "  ", "    ")
    if found.callers:
        print("\nWho asked this node")
        print_rows([("name", "requests", "events given"), *map(_caller, found.callers)])
    if found.waiting:
        print(f"\nWho waits to be let in: {found.waiting:,} (postbox trust list)")


def _print_others(others: Sequence[Other], now_ns: int) -> None:
    placed = [one for one in others if one.url]
    if placed:
        print("\nWho else is in the mesh")
        rows = [_OTHER_HEAD, *[_other(one, now_ns) for one in placed]]
        print_rows(rows, cut=(1,), least=_OTHER_LEAST)
    for one in placed:
        if one.error:
            print_text(printable(reason(one.error, one.url)), f"  {one.name}: ", "    ")
    if len(placed) < len(others):
        lost = f"{len(others) - len(placed):,}"
        print(f"\nKnown by name, and not where they are: {lost} (postbox peers --json)")


_PEER_HEAD = (
    "url",
    "name",
    "is a",
    "answers",
    "round trip",
    "clock",
    "memory",
    "trust",
    "key from",
    "pulls",
    "new events",
)
_PEER_LEAST = tuple(
    _PEER_HEAD.index(head) for head in ("url", "name", "answers", "round trip", "pulls")
)
"""For whom a screen of 80 columns has room."""
_OTHER_HEAD = (
    "name",
    "url",
    "is a",
    "state",
    "round trip",
    "memory",
    "last contact",
    "trust",
    "key from",
)
_OTHER_LEAST = tuple(
    _OTHER_HEAD.index(head) for head in ("name", "url", "state", "last contact", "trust")
)


def row(peer: Seen) -> tuple[str, ...]:
    """Of the table, under its head."""
    rtt = "-" if peer.rtt_ms is None else f"{peer.rtt_ms:.0f} ms"
    clock = "-" if peer.clock_off_ms is None else _signed_s(peer.clock_off_ms)
    kind = " ".join(filter(None, (peer.kind, peer.version))) or "-"
    answers = "yes" if peer.answers else "no"
    pulls = f"{peer.pulls} ({peer.contact})"
    memory, trust = peer.memory_mode or "-", peer.trust.regard
    return (
        peer.url,
        peer.name or "-",
        kind,
        answers,
        rtt,
        clock,
        memory,
        trust,
        peer.key_from or "-",
        pulls,
        f"{peer.imported:,}",
    )


def _other(one: Other, now_ns: int) -> tuple[str, ...]:
    rtt = "-" if one.rtt_ms is None else f"{one.rtt_ms:.0f} ms"
    ago_s = (now_ns - one.last_contact_ns) / 1e9
    contact = f"{span(ago_s)} ago" if one.last_contact_ns else "-"
    kind = " ".join(filter(None, (one.kind, one.version))) or "-"
    memory, key_from = one.memory_mode or "-", one.key_from or "unknown"
    trust = one.trust.regard
    return (one.name, one.url or "-", kind, one.state, rtt, memory, contact, trust, key_from)


def _signed_s(off_ms: float) -> str:
    return f"{round(off_ms / 1e3, 1) + 0.0:+.1f} s"  # there is no -0.0


def _caller(caller: Caller) -> tuple[str, ...]:
    return (caller.name, f"{caller.requests:,}", f"{caller.events:,}")
