"""`postbox status`."""

from __future__ import annotations

from postbox.cli.node import opened
from postbox.cli.options import Common, run
from postbox.cli.output import print_json, print_pairs
from postbox.core import service_names
from postbox.node import Node

SHOWN_AUTHORS = 8


def status(*, common: Common | None = None) -> int:
    """What this node holds. `digest`: two ledgers hold the same events with the same standing
    exactly when it is equal."""
    options = common or Common()

    async def verb() -> int:
        async with opened(options) as node:
            result = describe(node)
        (print_json if options.json else _print)(result)
        return 0

    return run(verb)


def describe(node: Node) -> dict[str, object]:
    index = node.ledger.index
    counts = index.counts()
    return {
        "name": node.identity.name,
        "url": None,  # a stopped node has none
        "events": len(index),
        "capacity": index.capacity,
        "digest": index.digest().hex(),
        "epoch": node.store_identity.epoch.hex(),
        "head": node.tail.head,
        "keys": len(node.directory),
        "services": {name: counts[name] for name in service_names},
        "standings": {name: counts[name] for name in ("attested", "unproven", "hearsay")},
        "authors": dict(index.authors()),
    }


def _print(result: dict[str, object]) -> None:
    shown = dict(result)
    for group in ("services", "standings", "authors"):
        counts = result[group]
        assert isinstance(counts, dict)
        first = list(counts.items())[:SHOWN_AUTHORS]
        more = f" and {len(counts) - len(first)} more" if len(counts) > len(first) else ""
        shown[group] = ", ".join(f"{name} {count:,}" for name, count in first) + more
    shown["url"] = "not serving"
    print_pairs(shown)
