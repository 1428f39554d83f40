"""Events of the mesh as they lie in the log: the newest first, some of them, or one whole.

The log is read backwards in stretches; a question that finds little is answered with what it found
and where to go on, so that none of them costs more than a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from postbox.admin.command import Desk
from postbox.admin.words import printable
from postbox.core import Batch, Keys, verdict_names
from postbox.event import Service, Standing
from postbox.store.contract import Entry, Lane
from postbox.world import Pool

STRETCH = 1_000
"""Positions at once: half a megabyte of events."""
MAX_STRETCHES = 20
"""For one question: some 50 ms of a reader."""
MAX_SUMMARY = 160
_EVER_NS = 2**62  # times were checked against the clock when events came
_OF_EVERY_EVENT = frozenset({"id", "ts", "svc", "emitter", "sig"})
_UNREADABLE = frozenset({"PublicKey", "Signature", "signatures", "signature", "public_key"})


class Asked(Struct, frozen=True):
    """`before`: a position, 0 for the newest; `service`: its name on the wire; `text`: any of it,
    in whatever case. Empty ones ask for nothing."""

    before: int = 0
    service: str = ""
    author: str = ""
    text: str = ""
    limit: int = 25


class Brief(Struct, frozen=True):
    """An event in a line. `at_ms`: when it says that it happened."""

    pos: int
    id: str
    service: str
    standing: str
    author: str
    at_ms: int
    summary: str


class Recent(Struct, frozen=True):
    """`looked`: at so many events. `before`: where to go on; 0 if there are no more."""

    events: list[Brief]
    looked: int
    before: int


class Judged(Struct, frozen=True):
    """One event, its signature checked now. `signer`: whose key decides, "" if none does;
    `verdict`: "ok", or what is wrong with it; `raw`: its bytes as they came."""

    brief: Brief
    signer: str
    verdict: str
    raw: bytes


async def recent(desk: Desk, asked: Asked) -> Recent:
    tail = desk.node.tail
    before = min(asked.before or tail.head + 1, tail.head + 1)
    found: list[Brief] = []
    looked = 0
    for _ in range(MAX_STRETCHES):
        if before <= 1 or len(found) >= asked.limit:
            break
        entries = await _stretch(desk, before)
        before = max(1, before - STRETCH)
        for entry in reversed(entries):
            looked += 1
            if _is_asked_for(entry, asked):
                found.append(_brief(entry))
                if len(found) == asked.limit:
                    before = entry.pos
                    break
    return Recent(found, looked, 0 if before <= 1 else before)


async def _stretch(desk: Desk, before: int) -> list[Entry]:
    """The events of a stretch that ends before a position, in the order of the log."""
    after = max(0, before - 1 - STRETCH)
    entries: list[Entry] = []
    while after < before - 1:
        page = await desk.node.tail.page(Lane.MESH, None, after, STRETCH)
        entries += [one for one in page.entries if one.pos < before and one.body is not None]
        if not page.more:
            break
        after = page.next
    return entries


async def judged(desk: Desk, event_id: str) -> Judged | None:
    """None: no such event is stored here."""
    try:
        name = (Lane.MESH, bytes.fromhex(event_id))
    except ValueError:
        return None
    node = desk.node
    found = await node.store.read(lambda reader: reader.find([name]))
    if name not in found:
        return None
    page = await node.tail.page(Lane.MESH, None, found[name].pos - 1, 1)
    entry = page.entries[0] if page.entries else None
    if entry is None or entry.id != name[1] or entry.body is None:
        return None
    raw = entry.body
    verdict, signer = await node.world.threads.run(
        Pool.VERIFIER, lambda: _judge(raw, node.directory.keys)
    )
    return Judged(_brief(entry), signer, verdict, raw)


def _judge(raw: bytes, keys: Keys) -> tuple[str, str]:
    batch = Batch.decode([raw], _EVER_NS)
    batch.verify(keys)
    accepted = batch.accepted()
    return verdict_names[batch.verdicts[0]], accepted[0][6] if accepted else ""


def _is_asked_for(entry: Entry, asked: Asked) -> bool:
    if asked.service and Service(entry.kind).wire_name != asked.service:
        return False
    if asked.author and entry.author.decode() != asked.author:
        return False
    return not asked.text or asked.text.casefold() in (entry.body or b"").decode().casefold()


def _brief(entry: Entry) -> Brief:
    return Brief(
        entry.pos,
        entry.id.hex(),
        Service(entry.kind).wire_name,
        Standing(entry.flags).name.lower(),
        entry.author.decode(),
        entry.at_ms,
        summary(entry.body or b""),
    )


def summary(raw: bytes) -> str:
    """What the event says, in a line: names and values, without keys and signatures."""
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return ""
    rest = {key: value for key, value in event.items() if key not in _OF_EVERY_EVENT}
    text = printable(", ".join(_said(rest)))
    return text if len(text) <= MAX_SUMMARY else f"{text[: MAX_SUMMARY - 1]}…"


def _said(value: dict[str, Any]) -> Iterator[str]:
    for key, each in value.items():
        if key in _UNREADABLE or each in ("", None):
            continue
        if isinstance(each, dict):
            yield from _said(each)
        elif isinstance(each, list):
            yield f"{key}: {len(each)}"
        else:
            yield f"{key} {each:g}" if isinstance(each, float) else f"{key} {each}"
