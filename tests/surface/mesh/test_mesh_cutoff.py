"""`mesh.cutoff`: checkpoints that the operator, or nara, holds to be wrong are not taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postbox.config.kinds import Cutoff
from postbox.trust.authoring import Checkpoint, Tally, make_event, with_voters
from support.mesh import ANN, BOB, CAT, NOW_NS, PEER, node_at, take

R2D2 = 1_768_774_453


def about(subject: str, as_of_s: int) -> bytes:
    plain = Checkpoint(
        version=2,
        subject=subject,
        subject_id=f"the-id-of-{subject}",
        observation=Tally(restarts=3, total_uptime=86_400, start_time=1_700_000_000),
        as_of_time=as_of_s,
        round=1,
    )
    return make_event(with_voters(plain, (ANN, BOB, CAT)), NOW_NS, None).body


@pytest.mark.parametrize(
    ("cutoff", "taken"),
    [
        (None, {("r2d2", R2D2 + 1), ("ann", 5), ("ann", 6)}),
        ((), {("r2d2", R2D2), ("r2d2", R2D2 + 1), ("ann", 5), ("ann", 6)}),
        ((Cutoff("ann", 5),), {("r2d2", R2D2), ("r2d2", R2D2 + 1), ("ann", 6)}),
        ((Cutoff("ann", 6), Cutoff("r2d2", R2D2 + 1)), set()),
    ],
)
async def test_a_rule_drops_checkpoints_about_its_name_up_to_its_second(
    tmp_path: Path, cutoff: tuple[Cutoff, ...] | None, taken: set[tuple[str, int]]
) -> None:
    all_of_them = {("r2d2", R2D2), ("r2d2", R2D2 + 1), ("ann", 5), ("ann", 6)}
    rules: dict[str, Any] = {} if cutoff is None else {"cutoff": cutoff}
    async with node_at(tmp_path, **rules) as node:
        report = await take(node, [about(*one) for one in sorted(all_of_them)], PEER)
        assert report.imported == len(taken)
        assert report.rejected == ({"cutoff": 4 - len(taken)} if len(taken) < 4 else {})


async def test_what_is_stored_stays_when_a_rule_comes(tmp_path: Path) -> None:
    async with node_at(tmp_path, cutoff=()) as node:
        await take(node, [about("r2d2", R2D2)])
    async with node_at(tmp_path) as node:
        assert node.ledger.index.counts()["checkpoint"] == 1
        report = await take(node, [about("r2d2", R2D2)])
        assert report.rejected == {"cutoff": 1}
