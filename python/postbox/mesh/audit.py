"""Checks every stored event again, as if it had just come: its form, its id, its signature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from postbox.core import Batch, Keys, verdict_names
from postbox.event import Service, Standing
from postbox.log.tail import Tail
from postbox.store.contract import Entry, Lane
from postbox.world import Pool, World

PAGE_EVENTS = 5_000
PAGE_BYTES = 8 * 2**20
_NOT_JUDGED = 255  # what the core says where an event is refused
_FAR_FUTURE_NS = 2**62  # times were checked against the clock when they came


@dataclass
class Audit:
    """`standings`: of the good ones. `wrong`: position in the log and what is wrong there."""

    checked: int = 0
    standings: Counter[Standing] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)


async def audit(
    world: World, tail: Tail, keys: Keys, progress: Callable[[Audit, float], None]
) -> Audit:
    """The whole mesh lane, with the keys known now. `progress` is also told the share of the log
    that was read (0 to 1)."""
    result = Audit()
    after = 0
    while True:
        page = await tail.page(Lane.MESH, None, after, PAGE_EVENTS, PAGE_BYTES)
        entries = [entry for entry in page.entries if entry.body is not None]
        await world.threads.run(Pool.VERIFIER, lambda: _check(entries, keys, result))  # noqa: B023
        progress(result, page.next / max(tail.head, 1))
        after = page.next
        if not page.more:
            return result


def _check(entries: Sequence[Entry], keys: Keys, result: Audit) -> None:
    batch = Batch.decode([entry.body or b"" for entry in entries], _FAR_FUTURE_NS)
    batch.verify(keys)
    ids = {index: event_id for index, event_id, *_ in batch.accepted()}
    judged = zip(entries, batch.verdicts, batch.standings, strict=True)
    for index, (entry, verdict, standing) in enumerate(judged):
        result.checked += 1
        problem = _problem(entry, ids.get(index), verdict, standing)
        if problem is None:
            result.standings[Standing(standing)] += 1
        else:
            result.wrong.append((entry.pos, problem))


def _problem(entry: Entry, event_id: bytes | None, verdict: int, standing: int) -> str | None:
    if verdict or standing == _NOT_JUDGED:
        return verdict_names[verdict]
    if event_id != entry.id:
        return "stored under another id than its own"
    if entry.kind == Service.CHECKPOINT and standing == Standing.UNPROVEN:
        return None  # an id that has moved to another name takes its votes with it
    if standing != entry.flags:
        noted, found = Standing(entry.flags).name.lower(), Standing(standing).name.lower()
        return f"noted as {noted}, and is {found}"
    return None
