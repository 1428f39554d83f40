"""Sends what was posted: each link in its own order, and none in another's way.

A host for which something is due has a task of its own, until nothing is: with a thousand hosts of
which half are down the other half notices nothing. What is due, and when it is tried again, is in
the log (`log/outbox.py`), so it outlives the process. Within a link batches are sent in order from
the number on that the receiver has not confirmed (`hosts/sending/course.py`), one while the one
before is worked on (`hosts/sending/flight.py`); what to do about a failure is decided in one place
(`hosts/sending/backoff.py`).

Runs where the lease is. Two senders at once do no harm: the receiver knows every number again.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, assert_never

import trio

from postbox.errors import Full, Unavailable
from postbox.hosts.links.due import Direction
from postbox.hosts.links.links import Links
from postbox.hosts.links.numbered import Numbered
from postbox.hosts.links.place import Place, UnknownPlace
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
from postbox.hosts.sending.client import HostClient, HostFault, failure_of
from postbox.hosts.sending.course import Course, Reply, Stuck
from postbox.hosts.sending.flight import Flight, Post
from postbox.hosts.tables import out_reader, out_stream
from postbox.log.committed import Committed
from postbox.log.outbox import Due, Outbox, UnknownReader
from postbox.log.retries import Retries
from postbox.logs import Log, get, limited
from postbox.world import World

SENDERS = "hosts"
"""The lease of the process that sends, and asks other hosts, of those that a node has."""
SENDING = 256
"""Hosts that are sent to at once: each has a connection and a batch in memory."""
PROBING = 32
"""Of those that failed or were slow the last time. They cannot use up the others' places."""
SLOW_S = 2.0
"""An answer that takes longer comes from a host that has trouble."""
LINGER_S = 10.0
"""The task of a host waits this long for more."""
CONFIRM_S = 0.2
"""While there is more to send, it is noted this often how far the host has come: a commit. After a
crash it is sent again what came in between, and passes it over."""

T = TypeVar("T")

_DIRECTION = Direction(out_stream, out_reader)


class Places:
    """Who may send now."""

    def __init__(self) -> None:
        self._sound = trio.CapacityLimiter(SENDING)
        self._doubtful = trio.CapacityLimiter(PROBING)

    def of(self, *, is_doubtful: bool) -> trio.CapacityLimiter:
        return self._doubtful if is_doubtful else self._sound


class Sender:
    """A follower of the log: `tail.follow(sender)`."""

    def __init__(
        self,
        world: World,
        outbox: Outbox,
        links: Links,
        client_of: Callable[[str], HostClient],
    ) -> None:
        self._world = world
        self._outbox = outbox
        self._links = links
        self._client_of = client_of
        self._places = Places()
        self._at_work: dict[str, _Link] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with trio.open_nursery() as self._nursery:
                for host in await _DIRECTION.wait_all(self._outbox):
                    self._serve(host)
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._at_work.clear()

    def applied(self, committed: Committed) -> None:
        if self._nursery is None:
            return
        for host in _DIRECTION.touched(committed):
            self._serve(host)

    def _serve(self, host: str) -> None:
        """What a task is about to end without having seen, it looks at before it does."""
        assert self._nursery is not None
        link = self._at_work.get(host)
        if link is not None:
            link.is_touched = True
            return
        client = self._client_of(host)
        nursery = self._nursery
        link = _Link(host, self._world, self._outbox, self._links, client, self._places, nursery)
        self._at_work[host] = link
        nursery.start_soon(self._work, link)

    async def _work(self, link: _Link) -> None:
        await link.run()
        del self._at_work[link.host]


@dataclass
class _Link:
    """To one host, while there is something to do."""

    host: str
    world: World
    outbox: Outbox
    links: Links
    client: HostClient
    places: Places
    nursery: trio.Nursery
    is_touched: bool = True
    _is_doubtful: bool = False
    _took_s: float = 0.0  # the last call
    _is_signed_again: bool = False
    _reached: Place | None = None  # how far the host has come, where that is not in the log yet
    _noted_s: float = -math.inf
    _retries: Retries = field(default_factory=Retries)

    async def run(self) -> None:
        while True:
            try:
                if not await self._step():
                    return
                self._retries.succeeded()
            except UnknownReader:  # removed
                return
            except (Unavailable, Full):  # the store says so itself; nothing is lost
                await self._retries.wait()

    async def _step(self) -> bool:
        """False: there is nothing to do, and nothing came that has not been looked at."""
        self.is_touched = False
        due = await self._next()
        if due is None:
            return self.is_touched
        await self._send(due)
        return True

    async def _next(self) -> Due | None:
        """What is due, at once or after a while; None if nothing came for some time."""
        with trio.move_on_after(LINGER_S):
            return await self.outbox.wait_page(self._reader, limit=1)
        due = await self.outbox.page(self._reader, limit=1)
        if due.entries or due.reader.retry_ms > self._now_ms():
            return await self.outbox.wait_page(self._reader, limit=1)
        return None

    async def _send(self, due: Due) -> None:
        """All that there is, or until something is in the way."""
        seq = due.entries[0].seq
        assert seq is not None, "what goes to a host is numbered"
        self._is_doubtful = self._is_doubtful or due.reader.attempts > 0
        flight = Flight(Course(seq - 1))
        try:
            while await self._advance(flight):
                pass
        finally:
            flight.end()

    async def _advance(self, flight: Flight) -> bool:
        """One batch further; False: there is nothing to do now."""
        course = flight.course
        batch: Sequence[Numbered] = ()
        try:
            if not flight.posts and not await self._begin(flight):
                return False
            post = flight.posts[0]
            batch = post.batch
            await self._begin_early(flight, post)
            reply = await post.wait_reply()
            flight.posts.popleft()
            self._is_doubtful = self._took_s > SLOW_S
            if post.is_early and reply.is_gap:  # it came before the one ahead of it
                flight.end()
                return True
            await self._went(course, batch, reply)
            if course.after != batch[-1].upto:
                flight.end()
        except (HostFault, Stuck, UnknownPlace) as error:
            flight.end()
            with suppress(UnknownPlace):
                await self._note()
            return await self._failed(failure_of(error), course, batch)
        return True

    async def _begin(self, flight: Flight) -> bool:
        """What comes next, if there is something."""
        course = flight.course
        most = min(course.most_events, await self._call(self.client.most_events))
        batch, flight.ahead = flight.ahead or await self._read_on(course.after, most), ()
        if batch:
            self._post(flight, batch, most)
        return bool(batch)

    async def _begin_early(self, flight: Flight, post: Post) -> None:
        """What comes after this, as soon as the host has this: if it is a host that answers soon,
        and takes more than one event at once. Of another one it is only read."""
        if len(flight.posts) > 1:
            return
        flight.ahead = flight.ahead or await self._read_on(post.batch[-1].upto, post.most)
        if flight.ahead and post.most > 1 and not self._is_doubtful:
            await post.wait_sent()
            if not post.has_failed:
                batch, flight.ahead = flight.ahead, ()
                self._post(flight, batch, post.most)

    def _post(self, flight: Flight, batch: Sequence[Numbered], most: int) -> None:
        post = Post(batch, most, is_early=bool(flight.posts))
        flight.posts.append(post)
        ask = partial(self.client.post, batch)
        self.nursery.start_soon(post.run, lambda sent: self._call(partial(ask, sent)))

    async def _read_on(self, after: int, most: int) -> list[Numbered]:
        """What comes next, while the host has a batch to work on."""
        batch = await self.links.numbered(self.host, after, most)
        if not batch or trio.current_time() >= self._noted_s + CONFIRM_S:
            await self._note()
        return batch

    async def _note(self) -> None:
        """How far the host has come. Raises UnknownPlace."""
        place, self._reached = self._reached, None
        if place is not None:
            self._noted_s = trio.current_time()
            await self.links.acknowledge(self.host, place)

    async def _call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """In one of the places for such hosts."""
        async with self.places.of(is_doubtful=self._is_doubtful):
            begun_s = trio.current_time()
            try:
                return await ask()
            finally:
                self._took_s = trio.current_time() - begun_s

    async def _went(self, course: Course, batch: Sequence[Numbered], reply: Reply) -> None:
        last = batch[-1]
        if reply == Reply(Place(last.epoch, last.upto)):
            self._reached = reply.received
            course.went(batch, last.upto, is_gap=False)
        elif reply.refused is None:
            course.went(batch, await self._acknowledge(reply), is_gap=reply.is_gap)
        else:
            await self._acknowledge(reply)
            refused = reply.refused
            await self._give_up(course.refused(batch, refused.seq), refused.code, refused.text)
        self._is_signed_again = False

    async def _acknowledge(self, reply: Reply) -> int:
        """The number up to which the receiver has all."""
        if reply.received is None:
            raise Stuck("the answer does not say how far it has come")
        try:
            return await self.links.acknowledge(self.host, reply.received)
        except UnknownPlace:
            if reply.is_gap:  # it was put back to before all that we know of
                return 0
            raise

    async def _give_up(self, event: Numbered, code: str, text: str) -> None:
        await self.links.refused(self.host, event.epoch, event.seq, code, text)
        self._log.warning("a host does not take an event", seq=event.seq, code=code, why=text)

    async def _failed(self, failure: Failure, course: Course, batch: Sequence[Numbered]) -> bool:
        """Whether there is still something to do now."""
        due = await self.outbox.page(self._reader, limit=1)
        refusable = course.refusable(batch)
        tried = Tried(due.reader.attempts, len(refusable), self._is_signed_again)
        match next_step(failure, tried, fraction_of(self.world.random.bytes(4))):
            case SignAgain():
                self._is_signed_again = True
            case SendSingly():
                course.send_singly(batch)
            case Bury(code, text):  # the one event of it: tombstones may be around it
                [seq] = refusable
                await self._give_up(course.refused(batch, seq), code, text)
            case Wait(delay_s):
                await self._put_off(due, failure, delay_s)
                return False
            case _ as never:
                assert_never(never)
        return True

    async def _put_off(self, due: Due, failure: Failure, delay_s: float) -> None:
        """If nothing is due, what failed was not needed: it goes with what is posted next."""
        self._is_signed_again = False
        self._log.info("cannot send", why=failure.text, attempts=due.reader.attempts + 1)
        if due.entries:
            at_ms = self._now_ms() + math.ceil(delay_s * 1_000)
            await self.outbox.retry(self._reader, due.entries[0].pos, at_ms, failure.text)

    @property
    def _reader(self) -> str:
        return out_reader(self.host)

    @property
    def _log(self) -> Log:
        return limited(get("postbox.hosts.sender"), self.host).bind(host=self.host)

    def _now_ms(self) -> int:
        return self.world.clock.now_ns() // 1_000_000
