"""A mesh of postboxes alone remembers its members, by what they tell of each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from postbox.mesh.checkpoints import council
from postbox.mesh.checkpoints.consensus import VOTERS
from postbox.mesh.checkpoints.council import CHECK_JITTER, FINAL
from postbox.mesh.observing.observing_rules import VOICES
from support.hall import Hall, hall
from support.town import House, Town, in_town

DAY_S, CHECK_EVERY_S = 2_000, 200
AWAY_S = 600
RESTARTED = 3


@pytest.fixture
def short_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of hours is a long time to simulate."""
    monkeypatch.setattr(council, "INTERVAL_S", DAY_S)
    monkeypatch.setattr(council, "CHECK_EVERY_S", CHECK_EVERY_S)


def told(house: House, subject: str) -> list[dict[str, Any]]:
    """Observations about it that the house holds, oldest first."""
    found = house.node.ledger.index.recent(1_000, ["observation"], [subject])
    events = [json.loads(body) for body in found.bodies()]
    assert all(event["emitter"] == event["observation"]["observer"] for event in events)
    seen = [event["observation"] for event in reversed(events)]
    return [one for one in seen if one["subject"] == subject]


@pytest.mark.usefixtures("short_days")
def test_of_a_node_that_began_anew_a_checkpoint_says_so_a_day_later(tmp_path: Path) -> None:
    @in_town
    async def test(town: Town) -> None:
        async with hall(town, whole=True, past=False, trip_s=0.005) as here:
            subject = here.houses[RESTARTED].node.identity.name
            began_s = here.now_s()
            await here.restart(RESTARTED, AWAY_S)
            again_s = here.now_s()
            await trio.sleep(DAY_S + CHECK_EVERY_S * (1 + CHECK_JITTER) + 120)
            final = next(
                one for one in map(of_final, here.said(FINAL)) if one["subject"] == subject
            )
            assert len(set(final["voter_ids"])) >= VOTERS
            assert final["observation"]["restarts"] == 1
            assert final["observation"]["start_time"] < began_s
            assert_it_was_away(here, final)
            assert all(here.checkpoints(house, subject) for house in here.houses)
            restarts = [one for one in told(here.first, subject) if one["type"] == "restart"]
            assert {one["restart_num"] for one in restarts} == {1}
            assert {one["start_time"] for one in restarts} == {restarts[0]["start_time"]}
            assert restarts[0]["start_time"] == pytest.approx(again_s, abs=30)
            assert 2 <= len(restarts) <= 2 * VOICES

    test(tmp_path=tmp_path)


def of_final(event: dict[str, Any]) -> dict[str, Any]:
    checkpoint: dict[str, Any] = event["checkpoint"]
    return checkpoint


def assert_it_was_away(here: Hall, final: dict[str, Any]) -> None:
    """It was not up for as long as it is known, as far as that was seen from minute to minute."""
    seen = final["observation"]
    known_s = final["as_of_time"] - seen["start_time"]
    assert known_s - seen["total_uptime"] == pytest.approx(AWAY_S, abs=300)
