"""What a node that wakes up asks of whom, and when it has enough: a plan as values, without a clock
or a network. `recovery.py` does what it says.

Every peer is asked on its own. One whose pages were walked before is asked for what came since. Any
other gives a sample first, and by how much of that was new here it is asked for another one, or for
its pages, once these cost less than to get what is missing by samples. Samples are taken by turns,
so that no peer fills the memory alone; what a peer that fails or stalls leaves of its share, the
others give.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import chain, repeat
from typing import NamedTuple, TypeAlias, assert_never

from msgspec import Struct

from postbox.mesh.memory import mode_of

OVERLAP_NS = 3600 * 10**9
"""A walk begins so long before the newest event that the last one saw: events may arrive at a peer
later than they were made."""
LATE_S = 10.0
"""An answer that is not there by then is not waited for by other peers: its share goes to them. A
full page in a second is what a peer near by needs; nara gives up after 5."""
STILL_S = 60.0
"""Nothing came from anybody for as long: what is under way is given up."""
WALKS = 2
"""From the beginning, at once. Peers hold much the same, so that each walk makes the next one
cheap; two, so that one slow peer does not hold up the rest."""
CUT_BYTES = 12 * 2**20
"""A sample with fewer events than were asked for is all that the peer has, unless it had to cut its
answer: postbox does so at 16 MiB."""

LITTLE = 100
"""One event for as many that others have is next to nothing. Whoever is new has little, too, but
asks the same peers for it; so this is held against a peer mildly."""
USUAL_EVENTS = 80_000
"""That a peer is taken to have which does not tell: nara's usual capacity."""
MOST_EVENTS = 320_000
"""That a peer is believed to have: the largest memory mode. A walk is left after twice as many."""

TARGET = {"short": 5_000, "medium": 50_000, "hog": 80_000}
SHORT_PEERS, PEERS = 4, 10
SHORT_SAMPLE, SAMPLE = 1_000, 5_000
"""nara's (boot_recovery.go); so are the targets."""

FIRST_WAITS_S = (30.0, 30.0, 60.0)
LATER_WAIT_S = 300.0
"""nara looks for peers after 30, 30 and 60 s, and then no more. To look again costs nothing."""


class Goal(NamedTuple):
    """Of a node with so much memory."""

    target: int  # events
    capacity: int
    peers: int  # that are asked at once
    sample: int  # events in one


def goal_of(capacity: int) -> Goal:
    """nara's numbers by memory mode; of a number the target is at most that of `medium`."""
    mode = mode_of(capacity)
    target = TARGET.get(mode, min(capacity, TARGET["medium"]))
    if mode == "short":
        return Goal(target, capacity, SHORT_PEERS, SHORT_SAMPLE)
    return Goal(target, capacity, PEERS, min(SAMPLE, target))


ATTEMPT_S = 1800.0
"""For a memory of 80,000 events over 40 kB/s; then the rest is left to a next attempt."""


def waits_s() -> Iterator[float]:
    """Between two looks for peers, while there are none that answer."""
    return chain(FIRST_WAITS_S, repeat(LATER_WAIT_S))


class Sample(NamedTuple):
    size: int


class Walk(NamedTuple):
    """Through its pages, from after this time on. 0: from the beginning."""

    since_ns: int


class Rest(Enum):
    WAIT = auto()  # until something changes, or somebody is late
    LEAVE = auto()  # there is nothing to ask any more


Step: TypeAlias = Sample | Walk | Rest


class Brought(NamedTuple):
    """What came of one answer."""

    events: int
    new: int


class Stage(Enum):
    MEETING = auto()
    SAMPLING = auto()
    TO_WALK = auto()
    WALKING = auto()
    ENDED = auto()
    FAILED = auto()


class _Peer(Struct):
    stage: Stage = Stage.MEETING
    cursor_ns: int = 0
    was_met: bool = False
    is_walked: bool = False
    has: int = USUAL_EVENTS  # events, by its own word
    most: int = USUAL_EVENTS  # that it may have
    events: int = 0  # that it gave
    new: int = 0  # of these
    asked_s: float | None = None  # the answer is under way since then

    def is_late(self, now_s: float) -> bool:
        return self.asked_s is not None and now_s - self.asked_s > LATE_S

    @property
    def is_under_way(self) -> bool:
        return self.stage not in (Stage.ENDED, Stage.FAILED)


class Plan:
    """Of one attempt. Peers are told apart by any text; times are of a clock that only goes on."""

    def __init__(self, goal: Goal, held: int, peers: Sequence[str], now_s: float) -> None:
        """`held`: events here by now."""
        self.goal = goal
        self._held = held
        self._began_s = self._last_s = now_s
        self._peers = {peer: _Peer(asked_s=now_s) for peer in peers}

    # -- what to do -----------------------------------------------------------------------------

    def next(self, peer: str, now_s: float) -> Step:
        """For whoever is free to ask this peer; what it says is taken as begun."""
        step = self._next(self._peers[peer], now_s)
        if not isinstance(step, Rest):
            self._peers[peer].asked_s = now_s
        return step

    def _next(self, peer: _Peer, now_s: float) -> Step:
        match peer.stage:
            case Stage.SAMPLING if not peer.events:
                return Sample(self.goal.sample)
            case Stage.SAMPLING if self._held >= self.goal.target:
                peer.stage = Stage.ENDED
                return Rest.LEAVE
            case Stage.SAMPLING:
                is_its_turn = peer.new < self._share(now_s)
                return Sample(self.goal.sample) if is_its_turn else Rest.WAIT
            case Stage.TO_WALK if not peer.cursor_ns and self._walks(now_s) >= WALKS:
                return Rest.WAIT
            case Stage.TO_WALK:
                peer.stage = Stage.WALKING
                return Walk(max(0, peer.cursor_ns - OVERLAP_NS))
            case Stage.MEETING | Stage.WALKING | Stage.ENDED | Stage.FAILED:
                return Rest.LEAVE
            case never:
                assert_never(never)

    def _share(self, now_s: float) -> int:
        """What each of those that go on giving samples is to bring, all in all."""
        giving = [
            peer
            for peer in self._peers.values()
            if peer.stage is Stage.SAMPLING and not peer.is_late(now_s)
        ]
        missing = self.goal.target - self._held + sum(peer.new for peer in giving)
        return math.ceil(missing / max(1, len(giving)))

    def _walks(self, now_s: float) -> int:
        return sum(
            peer.stage is Stage.WALKING and not peer.cursor_ns and not peer.is_late(now_s)
            for peer in self._peers.values()
        )

    def is_over(self, now_s: float) -> bool:
        """Nothing is under way, nothing comes, or it takes too long."""
        is_idle = not any(peer.is_under_way for peer in self._peers.values())
        return is_idle or now_s - self._last_s > STILL_S or now_s - self._began_s > ATTEMPT_S

    # -- what came of it ------------------------------------------------------------------------

    def met(self, peer: str, cursor_ns: int, events: int | None) -> None:
        """`cursor_ns`: up to when its pages were walked, 0 for never. `events`: as many it has, by
        its own word; None where it does not tell."""
        one = self._peers[peer]
        one.was_met = True
        one.stage = Stage.TO_WALK if cursor_ns else Stage.SAMPLING
        one.cursor_ns, one.asked_s = cursor_ns, None
        one.most = MOST_EVENTS if events is None else min(events, MOST_EVENTS)
        one.has = USUAL_EVENTS if events is None else one.most

    def sampled(
        self, peer: str, brought: Brought, held: int, now_s: float, *, is_all: bool
    ) -> None:
        """`held`: events here by now. `is_all`: the peer has no more than it gave."""
        one = self._answered(peer, brought, held, now_s)
        if is_all:
            one.stage, one.is_walked = Stage.ENDED, True
        elif (self.goal.target - held) * brought.events > one.has * brought.new:
            one.stage = Stage.TO_WALK  # what is missing costs more by such samples than all pages

    def paged(self, peer: str, brought: Brought, held: int, now_s: float) -> bool:
        """A page of its walk came. False: it brought more than there can be, and is left."""
        one = self._answered(peer, brought, held, now_s)
        one.asked_s = now_s
        return one.events <= 2 * max(self.goal.capacity, one.most)

    def walked(self, peer: str) -> None:
        """To the end of its pages."""
        one = self._peers[peer]
        one.stage, one.asked_s, one.is_walked = Stage.ENDED, None, True

    def failed(self, peer: str) -> None:
        self._peers[peer].stage, self._peers[peer].asked_s = Stage.FAILED, None

    def _answered(self, peer: str, brought: Brought, held: int, now_s: float) -> _Peer:
        one = self._peers[peer]
        one.events += brought.events
        one.new += brought.new
        one.asked_s = None
        self._held, self._last_s = held, now_s
        return one

    # -- how it stands --------------------------------------------------------------------------

    def has_told(self, peer: str) -> bool:
        """All that it was to tell."""
        return self._peers[peer].stage is Stage.ENDED

    def withheld(self) -> list[str]:
        """Peers that gave next to nothing where three at least gave all they have, and much."""
        gave = {
            name: peer.events
            for name, peer in self._peers.items()
            if peer.is_walked and not peer.cursor_ns
        }
        usual = sorted(gave.values())[len(gave) // 2] if len(gave) > 3 else 0
        return [name for name, events in gave.items() if events * LITTLE < usual]

    def has_ended(self, peer: str) -> bool:
        return not self._peers[peer].is_under_way

    def was_met(self, peer: str) -> bool:
        """Whether it is there at all."""
        return self._peers[peer].was_met

    def is_whole(self, peer: str) -> bool:
        """Whether it gave all that it has, or all since it did so before."""
        return self._peers[peer].is_walked

    @property
    def told(self) -> int:
        """Peers that told all they were to tell."""
        return sum(peer.stage is Stage.ENDED for peer in self._peers.values())

    @property
    def missed(self) -> int:
        """Peers that are there, and did not. Whoever cannot be reached at all may be gone for ever:
        old events name many such."""
        return sum(peer.was_met and peer.stage is not Stage.ENDED for peer in self._peers.values())

    @property
    def is_done(self) -> bool:
        """All there is, or enough, and from somebody at least."""
        return self.told > 0 and (not self.missed or self._held >= self.goal.target)
