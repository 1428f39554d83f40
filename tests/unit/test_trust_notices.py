"""What the log says of names."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from postbox.config import LogConfig
from postbox.logs import configure
from postbox.store.contract import Entry, Lane
from postbox.trust.notices import FEW, Notices
from postbox.trust.tables import (
    KIND_KEY,
    KIND_REFUSED,
    KIND_WAITS,
    STREAM,
    KnownKey,
    Source,
    WaitingName,
)
from support.serving import FixedClock

KEY = bytes(31) + b"k"


@dataclass
class Commit:
    entries: list[Entry]


def entry(kind: int, body: bytes | None, lane: Lane = Lane.NODE, stream: bytes = STREAM) -> Entry:
    return Entry(1, lane, stream, None, bytes(16), kind, 0, b"", 0, body)


def known(name: str, source: Source) -> Entry:
    return entry(KIND_KEY, msgspec.json.encode(KnownKey(name, KEY, None, (), source, 0)))


def told_of(*entries: Entry) -> list[dict[str, Any]]:
    stream = io.StringIO()
    journal = configure(LogConfig(format="json"), FixedClock(), stream)
    Notices().applied(Commit(list(entries)))
    journal.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_who_is_let_in_who_waits_and_who_is_refused_is_told() -> None:
    waiting = WaitingName("bob", KEY, None, "100.64.0.7", 0)
    lines = told_of(
        known("ann", Source.INTRODUCTION),
        entry(KIND_WAITS, msgspec.json.encode(waiting)),
        entry(KIND_REFUSED, b"bob"),
    )
    key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGs="
    seen = [
        {name: line[name] for name in line if name not in ("ts", "level", "logger")}
        for line in lines
    ]
    assert seen == [
        {"event": "a name is known", "name": "ann", "source": "introduction", "public_key": key},
        {
            "event": "a name waits to be let in",
            "name": "bob",
            "address": "100.64.0.7",
            "public_key": key,
        },
        {"event": "a name that waited is refused", "name": "bob"},
    ]
    assert {(line["level"], line["logger"]) for line in lines} == {("info", "postbox.trust")}


def test_the_nodes_own_key_and_what_concerns_no_name_are_not_told() -> None:
    assert (
        told_of(
            known("me", Source.OWN),
            entry(KIND_KEY, None),
            entry(KIND_KEY, b"{}", lane=Lane.MESH),
            entry(KIND_KEY, b"{}", stream=b"other"),
        )
        == []
    )


def test_a_list_of_thousands_is_one_line_and_a_few_names_are_one_each() -> None:
    many = [known(f"n{number}", Source.OPERATOR) for number in range(5_000)]
    few = [known(f"m{number}", Source.ANSWER) for number in range(FEW)]
    first, *rest = told_of(*many, *few)
    assert (first["event"], first["source"], first["count"]) == (
        "names are known",
        "operator",
        5_000,
    )
    assert [line["name"] for line in rest] == [f"m{number}" for number in range(FEW)]
