"""The real history of `tests/data/nara`, read and verified once for all tests that ask.

Nothing here may be changed by a test: what is handed out is shared.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from postbox.core import Batch, Keys, Ledger

NARA = Path(__file__).parents[1] / "data" / "nara"

NOW_NS = 1_795_300_000_000_000_000
"""A day after the newest event."""

CRITICAL = 3_664
"""Checkpoints, hey-theres, chaus, restarts and first sightings in it."""


class Fact(NamedTuple):
    """What a filter or a sample looks at, as Python's own JSON reader sees it."""

    ts: int
    id: bytes
    service: str
    subjects: frozenset[str]
    is_critical: bool


@cache
def lines() -> tuple[bytes, ...]:
    with gzip.open(NARA / "history.jsonl.gz") as file:
        return tuple(file.read().splitlines())


@cache
def naras() -> tuple[tuple[str, bytes, str], ...]:
    """(name, key, id) of each emitter."""
    rows = json.loads((NARA / "naras.json").read_bytes())
    return tuple((r["Name"], base64.b64decode(r["PublicKey"]), r["ID"]) for r in rows)


def keys() -> Keys:
    """A new one, that knows all of them."""
    known = Keys()
    for name, key, id_text in naras():
        known.put(name, [key], id_text)
    return known


@cache
def standings() -> bytes:
    batch = Batch.decode(lines(), NOW_NS)
    batch.verify(keys())
    return batch.standings


def new_ledger(capacity: int) -> tuple[Ledger, list[int]]:
    """One that holds all of it, at positions from 1 on, and what it had to forget for that."""
    ledger = Ledger(capacity, b"k" * 16)
    ledger.learn([name for name, _, _ in naras()])
    added = [
        (pos, body, code)
        for pos, (body, code) in enumerate(zip(lines(), standings(), strict=True), 1)
    ]
    return ledger, ledger.apply([], added)


@cache
def shared_ledger() -> Ledger:
    """Of exactly the capacity that it needs. Not to be changed."""
    ledger, _ = new_ledger(80_000)
    return ledger


@cache
def facts() -> tuple[Fact, ...]:
    """One an event, in order of (time, id)."""
    return tuple(sorted(map(_fact, lines())))


def _fact(line: bytes) -> Fact:
    event: dict[str, Any] = json.loads(line)
    service = event["svc"]
    payload = event[service.replace("-", "_")]
    names = [payload.get(key) for key in ("actor", "target", "observer", "subject", "From")]
    lasts = service in ("checkpoint", "hey-there", "chau") or (
        service == "observation" and payload["type"] in ("restart", "first-seen")
    )
    subjects = frozenset(name for name in names if name)
    return Fact(event["ts"], bytes.fromhex(event["id"]), service, subjects, lasts)


def critical_ids() -> frozenset[bytes]:
    return frozenset(fact.id for fact in facts() if fact.is_critical)


def seeds(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield number.to_bytes(16, "big")
