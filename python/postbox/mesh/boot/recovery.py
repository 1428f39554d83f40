"""Waking up: what a node that was away, or is new, asks its peers before it keeps up with them.

    wait for peers -> samples, pages (`attempt`) -> the checkpoint timeline (`timeline`)

Where peers are known it begins at once. While nobody answers, MQTT is asked instead, and it is
tried again. An attempt of which some peers failed is repeated with what is left to ask: who has
told all is asked for what is new only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

import trio

from postbox.logs import get
from postbox.mesh.boot.attempt import Attempt, Means
from postbox.mesh.boot.progress import Progress, Stage
from postbox.mesh.boot.recovery_rules import FIRST_WAITS_S, Goal, Plan, goal_of, waits_s
from postbox.mesh.boot.timeline import Timeline
from postbox.mesh.merging.intake import Report
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.roster import MAX_PEERS
from postbox.mesh.peers.standing_rules import Regard
from postbox.metrics import Metrics
from postbox.pauses import around
from postbox.world import fraction

ATTEMPTS = 6
"""With peers that answered in part. Then it is left to those who keep up: some ten minutes."""
HEAD_START_S = 120.0
"""As long as others wait for the first attempt, which asks the same peers for the same."""
LOOK_S = 5.0
"""Between two looks at the roster, in memory, while nobody is known."""
JITTER = 0.2
"""Of a pause, up or down: nodes that lost their power together wake up together."""


Fallback = Callable[[], Awaitable[None]]


async def no_fallback() -> None:
    """Of a node without MQTT."""


class Recovery:
    """`fallback`: asks by another way when no peer answers; called at each attempt."""

    def __init__(self, means: Means, metrics: Metrics, fallback: Fallback = no_fallback) -> None:
        self.goal: Goal = goal_of(means.index.capacity)
        self.progress = Progress(self.goal.target)
        self.had_turn = trio.Event()
        """The first attempt is over, or there is nobody to ask."""
        self._means = means
        self.fallback = fallback
        self._timeline = Timeline(means)
        self._log = get("postbox.mesh.boot")
        self._said = 0  # events held when the log had its last line
        metrics.watch("recovering", "1 until the recovery at the start is over.", self._is_at_work)
        metrics.watch(
            "recovered_events", "New ones that it brought.", lambda: self.progress.imported
        )
        metrics.watch(
            "recovery_peers_missed", "That did not tell it all.", lambda: self.progress.missed
        )
        metrics.watch(
            "recovery_timelines_cut",
            "Peers that have more checkpoints than were asked for.",
            lambda: self._timeline.cut,
        )

    def _is_at_work(self) -> bool:
        return bool(self.progress.began_ns) and not self.progress.ended_ns

    async def run(self) -> None:
        """Until it is done, or left to those who keep up."""
        self.progress = Progress(
            self.goal.target, Stage.LOOKING, began_ns=self._means.world.clock.now_ns()
        )
        whole: set[str] = set()
        for looks, wait_s in enumerate(waits_s()):
            peers = self._peers()
            plan = await self._attempt(peers) if peers else None
            if plan is not None:
                whole |= {one.name for one in peers if plan.is_whole(one.url)}
            self.had_turn.set()
            if (plan is not None and plan.is_done) or self.progress.attempts >= ATTEMPTS:
                break
            if plan is None or not plan.told:
                await self.fallback()
            if plan is None and looks < len(FIRST_WAITS_S):
                self._log.info("recovery: no peer is known yet", next_s=wait_s)
            self.progress.stage = Stage.LOOKING if plan is None else Stage.PAUSING
            drawn = fraction(self._means.world.random)
            with trio.move_on_after(around(wait_s, JITTER, drawn)):
                if plan is None:
                    await self._wait_company()
                else:
                    await trio.sleep_forever()
        await self._end(whole)

    def _peers(self) -> list[Known]:
        """The configured ones first, also those that were not met yet. One at each place: anybody
        may say to be where another one is, and a dead place costs one turn, not ten."""
        roster, count = self._means.roster, self.goal.peers
        named = [one.name for one in roster.configured if one.name]
        configured = [
            one
            for one in roster.configured
            if not one.name or roster.regard(one.name) is not Regard.BANNED
        ]
        others = roster.choose(MAX_PEERS, purpose="recovery", but=named)
        at: dict[str, Known] = {}
        for one in (*configured, *others):
            at.setdefault(one.url, one)
        return list(at.values())[:count]

    async def _wait_company(self) -> None:
        """Until there is somebody to ask, and nobody more than a moment ago: who is heard of on the
        bus, or introduces itself, hardly comes alone."""
        before, found = 0, 0
        while not found or found > before:
            await trio.sleep(LOOK_S)
            before, found = found, len(self._peers())

    async def _attempt(self, peers: Sequence[Known]) -> Plan:
        progress, held = self.progress, len(self._means.index)
        progress.stage, progress.peers = Stage.ASKING, len(peers)
        self._tell("recovery: asks peers", peers=len(peers))
        self._said = held
        attempt = Attempt(self._means, peers, self._took)
        await attempt.run()
        progress.told, progress.missed = attempt.plan.told, attempt.plan.missed
        progress.attempts += progress.told > 0
        self._tell(
            "recovery: peers were asked",
            told=progress.told,
            missed=progress.missed,
            away=len(peers) - progress.told - progress.missed,
        )
        return attempt.plan

    async def _end(self, whole: Collection[str]) -> None:
        is_done = not self.progress.missed
        self.progress.stage = Stage.CHECKPOINTS
        await self._timeline.fetch(whole, self._took)
        progress = self.progress
        progress.stage = Stage.DONE if is_done else Stage.LEFT
        progress.ended_ns = self._means.world.clock.now_ns()
        took_s = round((progress.ended_ns - progress.began_ns) / 1e9, 1)
        event = "recovery: done" if is_done else "recovery: the rest is left to the rounds"
        self._tell(event, imported=progress.imported, seconds=took_s)

    def _took(self, report: Report) -> None:
        self.progress.imported += report.imported
        self.progress.refused += report.rejected.total()
        held = len(self._means.index)
        if abs(held - self._said) >= self.goal.target // 10:
            self._said = held
            self._tell("recovery: goes on")

    def _tell(self, event: str, **more: object) -> None:
        self._log.info(event, held=len(self._means.index), target=self.goal.target, **more)
