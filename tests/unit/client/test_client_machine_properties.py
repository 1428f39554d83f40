"""Whatever happens, and in whatever order: what the machine of a client never does, and that it
comes to an end once the network does what it should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from postbox.client.core import actions, inputs
from postbox.client.core.changes import Place
from postbox.client.core.inputs import Fault
from postbox.client.core.machine import LOST_AT_MOST, Machine
from support.simulate import SeededRandom

T = TypeVar("T")

STEPS = 600
CODES = (
    *("NO_SESSION", "TOKEN_EXPIRED", "DEVICE_REVOKED", "RATE_LIMITED", "SNAPSHOT_BUSY"),
    *("INVALID", "INVALID", "TOO_LARGE", "DISPLACED", "STOPPING", "UNAVAILABLE", "INTERNAL"),
    *("UNREACHABLE", "UNREACHABLE", "STORE", "LOST", "WHAT_IS_NEWER"),
)
GO_AWAY = ("DISPLACED", "RESTARTING", "DEVICE_REVOKED", "TOKEN_EXPIRED", "NEWER")
FINAL = ("stopped", "needs sign-in", "displaced")


class Driving:
    """Does what the machine says, and checks that it may be said now. Its queue has rows by number,
    in the order of making."""

    def __init__(self, random: SeededRandom) -> None:
        self.random = random
        self.machine = Machine(random.fraction)
        self.made = 0
        self.queued: list[int] = []
        self.ended: set[int] = set()  # stored or refused
        self.refused: list[int] = []
        self.stream = ""
        self.has_frame = self.in_snapshot = False
        self.batch: list[int] | None = None
        self.is_given_up = False
        self.timers: set[inputs.Timer] = set()
        self.asks_token = self.fills = False
        self.told: actions.Tell | None = None
        self.tell(inputs.Started())

    def one_of(self, several: Sequence[T]) -> T:
        return several[int(self.random.fraction() * len(several))]

    def tell(self, happened: inputs.Input) -> None:
        self.refused = []
        for action in self.machine.handle(happened):
            self.do(action)
        assert not self.refused, "an offer stands behind what is refused"
        self.check()

    def do(self, action: actions.Action) -> None:
        match action:
            case actions.OpenStream():
                assert not self.stream
                assert self.batch is None, "what was offered before may still be stored"
                self.stream, self.has_frame, self.in_snapshot = "opening", False, False
            case actions.CloseStream():
                assert self.stream in ("opening", "open")
                self.stream = "closing"
            case actions.Offer(_, limit):
                self.begin_offer(limit)
            case actions.AskNumber():
                self.begin_offer(0)
            case actions.CancelOffer():
                assert self.batch is not None
                assert not self.is_given_up
                self.is_given_up = True
            case actions.RefuseOldest(code):
                assert code in ("INVALID", "TOO_LARGE"), "nobody said that it is wrong"
                self.refused = self.queued[:1]
            case actions.WakeAt(timer, in_s):
                self.set_timer(timer, in_s)
            case actions.AskToken():
                assert not self.asks_token
                self.asks_token = True
            case actions.FillHoles():
                assert not self.fills
                self.fills = True
            case actions.Tell():
                assert action != self.told
                self.told = action

    def set_timer(self, timer: inputs.Timer, in_s: float | None) -> None:
        if in_s is None:
            assert timer in self.timers
            self.timers.remove(timer)
        else:
            assert timer not in self.timers
            assert 0.5 <= in_s <= 3_600
            self.timers.add(timer)

    def begin_offer(self, limit: int) -> None:
        assert self.batch is None, "two at once"
        assert self.stream == "open"
        assert self.has_frame, "the queue before the stream"
        assert not self.in_snapshot
        assert limit <= 100
        self.settle(self.refused)
        self.refused = []
        self.batch, self.is_given_up = self.queued[:limit], False

    def settle(self, rows: list[int]) -> None:
        self.ended.update(rows)
        self.queued = [row for row in self.queued if row not in rows]

    # -- what may happen --------------------------------------------------------------------------

    def step(self) -> None:
        may: dict[Callable[[], None], object] = {
            self.open: self.stream == "opening",
            self.hear: self.stream in ("open", "closing"),
            self.hear_more: self.stream == "open",
            self.sent_away: self.stream == "open" and self.random.fraction() < 0.2,
            self.end_stream: self.stream == "closing" or self.random.fraction() < 0.2,
            self.answer: self.batch is not None,
            self.fail_offer: self.batch is not None,
            self.wake: self.timers,
            self.answer_token: self.asks_token,
            self.fill: self.fills,
            self.make: self.random.fraction() < 0.3,
            self.wish: self.random.fraction() < 0.2,
        }
        self.one_of([each for each, can in may.items() if can] or [self.make])()

    def make(self) -> None:
        count = self.one_of([1, 2, 150])
        self.queued += range(self.made, self.made + count)
        self.made += count
        self.tell(inputs.Made(count))

    def open(self) -> None:
        self.stream = "open"
        self.tell(inputs.StreamOpened())

    def hear(self) -> None:
        """Perhaps of some of its own, behind a lost answer."""
        self.settle((self.batch or [])[: self.one_of([0, 0, 3])])
        self.heard(inputs.Heard(Place("token", "uuid", "epoch"), len(self.queued), holes=1))

    def hear_more(self) -> None:
        if self.in_snapshot:
            self.heard(inputs.Heard(Place("token"), snapshot="ended"))
        elif not self.has_frame and self.random.fraction() < 0.3:
            self.heard(inputs.Heard(Place("token"), snapshot="begun"))
        else:
            self.heard(inputs.Heard(Place("token"), is_caught_up=True))

    def heard(self, heard: inputs.Heard) -> None:
        if self.stream == "open":
            self.has_frame = True
            self.in_snapshot = heard.snapshot == "begun" or (
                self.in_snapshot and heard.snapshot != "ended"
            )
        self.tell(heard)

    def sent_away(self) -> None:
        code, after_ms = self.one_of(GO_AWAY), self.one_of([0, 7_000, 10**9])
        self.heard(inputs.Heard(Place("token"), go_away=code, reconnect_after_ms=after_ms))
        assert self.stream == "closing"

    def end_stream(self) -> None:
        if self.stream:
            self.stream = ""
            self.tell(inputs.StreamEnded(self.one_of([None, self.fault()])))

    def fault(self) -> Fault:
        return Fault(self.one_of(CODES), retry_s=self.one_of([None, None, 0.0, 3.0, 1e9]))

    def answer(self) -> None:
        assert self.batch is not None
        self.settle(self.batch)
        self.batch = None
        self.tell(inputs.Answered(len(self.queued), self.one_of([0, 1, 9])))

    def fail_offer(self) -> None:
        assert self.batch is not None
        offered, self.batch = len(self.batch), None
        hole = Fault("QUEUE_HOLE", next_number=self.one_of([0, 4, 5]))
        self.tell(inputs.NotAnswered(self.one_of([hole, self.fault(), self.fault()]), offered))

    def wake(self) -> None:
        timer = self.one_of(sorted(self.timers))
        self.timers.remove(timer)
        self.tell(inputs.Woke(timer))

    def answer_token(self) -> None:
        self.asks_token = False
        not_had = inputs.TokenNotHad(is_lasting=self.random.fraction() < 0.5)
        answers: list[inputs.Input] = [inputs.SignedIn(), not_had]
        self.tell(self.one_of(answers))

    def fill(self) -> None:
        self.fills = False
        self.tell(inputs.HolesFilled(self.one_of([0, 2])))

    def wish(self) -> None:
        wishes: list[inputs.Input] = [inputs.NetworkUp(), *map(inputs.Activity, (True, False))]
        if not self.asks_token:
            wishes.append(inputs.SignedIn())
        self.tell(self.one_of(wishes))

    # -- what is always so ------------------------------------------------------------------------

    def check(self) -> None:
        assert self.told is not None
        is_going_on = self.stream or "stream" in self.timers or self.asks_token
        is_known = self.told.status in FINAL
        assert is_going_on or self.batch is not None or is_known, "it just waits"
        if self.stream == "open" and self.has_frame and not self.in_snapshot and self.queued:
            assert self.batch is not None or "queue" in self.timers, "the queue just waits"
        assert len(self.queued) + len(self.ended) == self.made, "rows are lost"

    # -- and when all goes well -------------------------------------------------------------------

    def recover(self) -> None:
        self.tell(inputs.SignedIn())
        for _ in range(60 + self.made):
            if self.told == actions.Tell("live", "") and not self.queued and self.batch is None:
                return
            self.step_well()
        raise AssertionError(f"{self.told}, and {len(self.queued)} are left")

    def step_well(self) -> None:
        if self.asks_token:
            self.asks_token = False
            self.tell(inputs.SignedIn())
        elif self.batch is not None:
            self.answer()
        elif self.stream == "closing":
            self.stream = ""
            self.tell(inputs.StreamEnded())
        elif self.stream == "opening":
            self.open()
        elif self.timers:
            self.wake()
        else:
            self.hear_more()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_a_client_is_on_its_way_and_loses_nothing(seed: int) -> None:
    driving = Driving(SeededRandom(seed))
    for _ in range(STEPS):
        driving.step()
    driving.recover()


def test_a_device_that_cannot_go_on_from_its_place_names_none() -> None:
    machine = Machine(lambda: 0.5)
    asked = [machine.handle(inputs.Started(Place("token", "uuid", "epoch")))[0]]
    for _ in range(LOST_AT_MOST):
        machine.handle(inputs.StreamEnded(Fault("LOST")))
        asked.append(machine.handle(inputs.Woke("stream"))[0])
    assert asked[:-1] == [actions.OpenStream("token", "uuid", False)] * LOST_AT_MOST
    assert asked[-1] == actions.OpenStream("", "", False)
