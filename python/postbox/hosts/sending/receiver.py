"""Asks other hosts what they have for this one: each that there ever was contact with, when the
node starts; one that shows signs of life, a minute after it failed to answer or an hour after it
answered (docs/decisions/0029-a-sign-of-life-is-worth-one-attempt.md says why); and with
`hosts.follow` all the time, on a stream that stays open.

A link needs none of this as long as its sender reaches us. It is for a host that was down, or that
cannot be called at all. What arrives goes the way of what is posted (`hosts/sending/intake.py`),
and is acknowledged at the end of a stream, and on one that stays open after each commit.

Runs where the lease is: a task a host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import assert_never

import trio

from postbox.errors import DraftFault, Full, Unavailable
from postbox.hosts import wire
from postbox.hosts.keys.keys import HostSettings
from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.links import Links
from postbox.hosts.links.place import NOWHERE
from postbox.hosts.links.room import NoRoom
from postbox.hosts.sending.backoff import (
    Bury,
    Failure,
    SendSingly,
    SignAgain,
    Tried,
    Wait,
    fraction_of,
    next_step,
)
from postbox.hosts.sending.client import HostClient, HostFault
from postbox.hosts.sending.course import Refused
from postbox.hosts.sending.intake import Intake, NeverTaken, Taken
from postbox.hosts.sending.waking import Waker
from postbox.logs import get, limited
from postbox.rpc.faults import Code
from postbox.world import World

ASKED_AT_ONCE = 10
"""A node that starts has better things to do than to take in from a thousand hosts."""
PLACE_S = 20.0
"""Whoever takes longer to give what it has does not hold up those behind it."""
AFTER_FAILURE_S = 60.0
"""At least, from one asking to the next, if the host shows signs of life meanwhile."""
AFTER_SUCCESS_S = 3600.0
"""The same. What it has since then it sends, and our own signs of life tell it when."""
POLL_S = 60.0
"""With `hosts.follow`, of a host that knows no streams which stay open."""
NEW_ONES_S = 5.0
"""With `hosts.follow`, until a host that there was no contact with before is followed, too."""
STORE_RETRY_S = 5.0


class Receiver:
    def __init__(
        self,
        world: World,
        links: Links,
        intake: Intake,
        contacts: Callable[[], Sequence[str]],
        settings: Callable[[str], HostSettings],
        client_of: Callable[[str], HostClient],
        waker: Waker,
        *,
        is_following: bool,
    ) -> None:
        self._world = world
        self._links = links
        self._intake = intake
        self._contacts = contacts
        self._settings = settings
        self._client_of = client_of
        self._waker = waker
        self._is_following = is_following
        self._places = trio.CapacityLimiter(ASKED_AT_ONCE)
        self._askers: dict[str, _Asker] = {}
        waker.listen(self._heard_from)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._ask_new_ones(nursery)
                while self._is_following:
                    await trio.sleep(NEW_ONES_S)
                    self._ask_new_ones(nursery)
                await trio.sleep_forever()
        finally:
            self._askers.clear()

    def _ask_new_ones(self, nursery: trio.Nursery) -> None:
        for host in self._contacts():
            if host not in self._askers:
                self._ask(host, nursery)

    def _heard_from(self, host: str) -> None:
        """What it could not send while we were away it may have. Not so a host that there was no
        contact with when the node started."""
        asker = self._askers.get(host)
        if asker is not None:
            asker.wake()

    def _ask(self, host: str, nursery: trio.Nursery) -> None:
        asker = self._askers[host] = _Asker(
            self._world,
            self._links,
            self._intake,
            self._settings,
            self._client_of(host),
            self._waker,
            self._places,
            self._is_following,
        )
        nursery.start_soon(asker.run)


@dataclass
class _Asker:
    """Of one host."""

    world: World
    links: Links
    intake: Intake
    settings: Callable[[str], HostSettings]
    client: HostClient
    waker: Waker
    places: trio.CapacityLimiter
    is_following: bool
    _woken: trio.Event = field(default_factory=trio.Event)
    _asked_s: float = -math.inf
    _failures: int = 0  # in a row
    _is_signed_again: bool = False

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._asked_s = trio.current_time()
            pause_s = await self._round()
            await self._rest(pause_s)

    async def _rest(self, pause_s: float) -> None:
        """Until the pause is over, or the host shows that it is there, and it was not asked just
        now."""
        least_s = AFTER_FAILURE_S if self._failures else AFTER_SUCCESS_S
        with trio.move_on_after(pause_s):
            self._woken = trio.Event()
            await self._woken.wait()
            await trio.sleep_until(self._asked_s + least_s)

    async def _round(self) -> float:
        """Asks. The seconds until the next time."""
        try:
            await self._ask()
        except HostFault as fault:
            return self._failed(fault.failure)
        except (Unavailable, Full):  # the store says so itself
            return STORE_RETRY_S
        except NoRoom as error:
            return self._failed(Failure(None, str(error), error.wait_s))
        except (DraftFault, NeverTaken) as error:  # what it sent is nobody else's trouble
            return self._failed(Failure(None, f"what it sends cannot be stored: {error}"))
        self._answered()
        return POLL_S if self.is_following else math.inf

    def _answered(self) -> None:
        self._failures, self._is_signed_again = 0, False
        self.waker.hurry(self.client.host)

    def _failed(self, failure: Failure) -> float:
        tried = Tried(self._failures, events=0, is_signed_again=self._is_signed_again)
        step = next_step(failure, tried, fraction_of(self.world.random.bytes(4)))
        match step:
            case SignAgain():
                self._is_signed_again = True
                return 0.0
            case Wait(delay_s):
                self._failures += 1
                self._is_signed_again = False
                log = limited(get("postbox.hosts.receiver"), self.client.host)
                log.info("cannot ask", host=self.client.host, why=failure.text)
                return delay_s
            case SendSingly() | Bury():
                raise AssertionError("nothing was sent")
            case _ as never:
                assert_never(never)

    async def _ask(self) -> None:
        """Until it has nothing more for us, or the stream that is followed breaks."""
        self._require_let_in()
        can = await self.client.capabilities()
        is_followed = self.is_following and wire.FOLLOW in can
        refused: Refused | None = None
        while True:
            taken = await self._stream(refused, is_followed=is_followed, has_ack=wire.ACK in can)
            before, refused = refused, _refused(taken)
            if refused is None:
                return
            if refused == before:
                raise self._fault(f"it sends number {refused.seq} again, which is not taken")

    async def _stream(
        self, refused: Refused | None, *, is_followed: bool, has_ack: bool
    ) -> Taken | None:
        """One, to its end, or to what is not taken, which the next one says. What became of its
        last events; None if it had none with a number."""
        place = await self.links.place_of(self.client.host)
        known = None if place == NOWHERE else place
        async with (
            _Turn(self.places) as turn,
            self.client.sync(known, refused, follow=is_followed) as arriving,
        ):
            if is_followed:  # it is to last
                turn.give_back()
            taken = None
            while events := await arriving.batch():
                taken = await self._take(events)
                if taken is not None and taken.refusal is not None:
                    return taken
                if is_followed and taken is not None:
                    await self.client.ack(taken.place)
                    self._answered()
                elif _is_overtaken(taken, events):
                    break
                if trio.current_time() > turn.begun_s + PLACE_S:
                    turn.give_back()
        if is_followed:
            raise self._fault("it has ended the stream, which was to stay open")
        if has_ack and taken is not None:
            await self.client.ack(taken.place)
        return taken

    def _require_let_in(self) -> None:
        """The operator may have changed his mind since it was asked."""
        refusal = self.settings(self.client.host).refusal
        if refusal is not None:
            raise HostFault(self.client.host, Failure(Code.PERMISSION_DENIED, refusal))

    async def _take(self, events: Sequence[Arrived]) -> Taken | None:
        self._require_let_in()
        if all(event.seq for event in events):
            taken = await self.intake.take(self.client.host, events)
            if taken.is_gap:
                raise self._fault(f"it leaves out what follows number {taken.place.seq}")
            return taken
        for event in events:  # each time that it is asked they come anew
            await self.intake.take_plain(self.client.host, event, self.world.new_id())
        return None

    def _fault(self, text: str) -> HostFault:
        return HostFault(self.client.host, Failure(None, text))


class _Turn:
    """A place among those who ask, which is given back before the end by who takes long."""

    def __init__(self, places: trio.CapacityLimiter) -> None:
        self._places = places
        self._is_mine = False
        self.begun_s = math.inf

    async def __aenter__(self) -> _Turn:
        await self._places.acquire_on_behalf_of(self)
        self._is_mine, self.begun_s = True, trio.current_time()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        if self._is_mine:
            self._is_mine = False
            self._places.release_on_behalf_of(self)


def _is_overtaken(taken: Taken | None, events: Sequence[Arrived]) -> bool:
    """The host has begun to send by itself, which is faster: what is still to come on its stream
    would arrive for the second time."""
    return taken is not None and taken.place.seq > (events[-1].upto or events[-1].seq)


def _refused(taken: Taken | None) -> Refused | None:
    if taken is None or taken.refusal is None:
        return None
    return Refused(taken.refusal.place.seq, taken.refusal.code, taken.refusal.text)
