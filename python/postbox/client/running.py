"""What of a client goes on by itself: it does what the machine says, and tells it what came of it.

The tasks live in the task group that `open_client` makes, and each may be cancelled at any moment:
what was committed stays, and what was not is asked for again. Nothing ends them but the client's
end: what fails is told to the machine, which tries again, and to who looks at the status.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, assert_never

import anyio
from anyio.abc import TaskGroup

from postbox.client.acknowledging import Acknowledging
from postbox.client.clock import now_ms
from postbox.client.core import actions, inputs
from postbox.client.core.inputs import Fault
from postbox.client.core.machine import Machine
from postbox.client.credentials import Credentials
from postbox.client.errors import AnotherOwner, SignInNeeded
from postbox.client.following import Stream
from postbox.client.listening import EVERYTHING
from postbox.client.news import News, Status
from postbox.client.offering import Queue
from postbox.client.reasons import Reasons
from postbox.client.shelf import Shelf
from postbox.client.transport.contract import Transport
from postbox.errors import Fault as Failure
from postbox.world import World

Task: TypeAlias = Callable[..., Coroutine[Any, Any, None]]

PRUNE_EVERY_S = 600.0
"""In which a busy bot says 60,000 events: 20 MB more than are kept."""
GIVEN_UP = Fault("UNREACHABLE", "given up for another try")


class Running:
    def __init__(
        self,
        world: World,
        shelf: Shelf,
        wire: Transport,
        credentials: Credentials,
        news: News,
        tasks: TaskGroup,
    ) -> None:
        self._world = world
        self._shelf = shelf
        self._credentials = credentials
        self._news = news
        self._tasks = tasks
        self._machine = Machine(self._fraction)
        self._owing = Acknowledging(credentials.owner.user, shelf, wire)
        self._stream = Stream(world.clock, shelf, wire, news, self._owing)
        self._queue = Queue(world, shelf, wire, news, self._owing)
        self._scopes: dict[str, anyio.CancelScope] = {}  # of what may be given up, by what it is
        self._refusal: actions.RefuseOldest | None = None
        self._next_s: float | None = None  # when the stream is opened again
        self._reasons = Reasons()

    async def start(self) -> None:
        """Raises the faults of the store."""
        begun = await self._shelf.read(
            lambda store: inputs.Started(
                store.place(), store.awaited(), store.queued(), len(store.holes())
            )
        )
        self._tasks.start_soon(self._news.nearby.watch)
        self._tasks.start_soon(self._owing.run)
        self._tasks.start_soon(self._prune)
        self.tell(begun)

    def tell(self, happened: inputs.Input) -> None:
        for action in self._machine.handle(happened):
            self._do(action)

    def _do(self, action: actions.Action) -> None:
        match action:
            case actions.OpenStream(token, uuid, is_inactive):
                self._begin("stream", self._follow, bool(token or uuid), is_inactive)
            case actions.CloseStream():
                self._give_up("stream")
            case actions.Offer(number, limit):
                self._begin("queue", self._offer, number, limit)
            case actions.AskNumber():
                self._begin("queue", self._offer, 0, 0)
            case actions.CancelOffer():
                self._give_up("queue")
            case actions.RefuseOldest():
                self._refusal = action  # by the offer that comes behind it
            case actions.FillHoles():
                self._begin("holes", self._fill_holes)
            case actions.WakeAt(timer, in_s):
                self._set_timer(timer, in_s)
            case actions.AskToken():
                self._begin("token", self._ask_token)
            case actions.Tell(status, why):
                self._news.is_now(
                    Status(status, why, self._reasons.text_of(why, status), self._next_s)
                )
            case _:
                assert_never(action)

    def _begin(
        self, what: str, task: Callable[..., Coroutine[Any, Any, None]], *about: object
    ) -> None:
        self._scopes[what] = scope = anyio.CancelScope()
        self._tasks.start_soon(task, scope, *about)

    def _give_up(self, what: str) -> None:
        if what in self._scopes:
            self._scopes[what].cancel()

    def _set_timer(self, timer: inputs.Timer, in_s: float | None) -> None:
        self._give_up(f"{timer} timer")
        if timer == "stream":
            self._next_s = None if in_s is None else self._world.clock.elapsed_s() + in_s
        if in_s is not None:
            self._begin(f"{timer} timer", self._wake, timer, in_s)

    def signed_in(self) -> None:
        """There is a new token."""
        self._reasons.hear_of_token("")
        self.tell(inputs.SignedIn())

    def given_up(self) -> None:
        """By who wrote and was cancelled: a thread may have written it, or be at it still."""
        if not self._news.listeners.are_over:
            self._tasks.start_soon(self._look_anew)

    async def older(self, conversation: str, before_seq: int, limit: int) -> bool:
        return await self._queue.older(conversation, before_seq, limit)

    # -- tasks: each tells what came of it, as the last thing that it does ------------------------

    async def _follow(self, scope: anyio.CancelScope, goes_on: bool, is_inactive: bool) -> None:
        fault = None
        with scope:
            fault = await self._stream.follow(
                goes_on, is_inactive, lambda: self.tell(inputs.StreamOpened()), self.tell
            )
        self._failed(fault)
        self.tell(inputs.StreamEnded(fault))

    async def _offer(self, scope: anyio.CancelScope, number: int, limit: int) -> None:
        heard: inputs.Answered | inputs.NotAnswered = inputs.NotAnswered(GIVEN_UP, limit)
        with scope:
            refusal, self._refusal = self._refusal, None
            heard = await self._queue.offer(number, limit, refusal)
        self._failed(heard.fault if isinstance(heard, inputs.NotAnswered) else None)
        self.tell(heard)

    async def _fill_holes(self, scope: anyio.CancelScope) -> None:
        self.tell(await self._queue.fill_holes())

    async def _wake(self, scope: anyio.CancelScope, timer: inputs.Timer, in_s: float) -> None:
        with scope:
            await anyio.sleep(in_s)
            self._next_s = None if timer == "stream" else self._next_s
            self.tell(inputs.Woke(timer))

    async def _prune(self) -> None:
        """A stream may last for weeks, and what is kept for a restore is not to grow as long."""
        while True:
            await anyio.sleep(PRUNE_EVERY_S)
            with suppress(Failure):
                await self._shelf.write(lambda store: store.prune(now_ms(self._world.clock)))

    async def _look_anew(self) -> None:
        await self._shelf.write(lambda store: None)  # its turn comes behind that thread's
        self.tell(inputs.Made(1))
        self._news.listeners.tell(EVERYTHING)

    async def _ask_token(self, scope: anyio.CancelScope) -> None:
        try:
            await self._credentials.renew()
        except (SignInNeeded, AnotherOwner, ValueError) as failed:
            self._reasons.hear_of_token(str(failed))
            self.tell(inputs.TokenNotHad(is_lasting=True))
        except Exception as failed:  # the app's own: it is asked again, later
            self._reasons.hear_of_token(f"no new token: {failed!r}")
            self.tell(inputs.TokenNotHad(is_lasting=False))
        else:
            self.signed_in()

    def _failed(self, fault: Fault | None) -> None:
        if fault is not None and fault is not GIVEN_UP:
            self._reasons.hear(fault.code, fault.text)

    def _fraction(self) -> float:
        drawn = self._world.random.bytes(_FRACTION_BYTES)
        return int.from_bytes(drawn, "big") / _FRACTIONS


_FRACTION_BYTES = 6
_FRACTIONS = float(2 ** (8 * _FRACTION_BYTES) - 1)
