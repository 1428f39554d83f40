"""Results on stdout: a JSON document in one line, or aligned text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


def print_json(result: object) -> None:
    print(msgspec.json.encode(result).decode(), flush=True)


def print_pairs(pairs: Mapping[str, object]) -> None:
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print(f"{name:<{width}}  {value}")


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())


def events(count: int) -> str:
    return f"{count:,} event" if count == 1 else f"{count:,} events"
