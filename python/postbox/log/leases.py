"""Leases: work that must run once a node, whichever of its processes does it.

Where one process has the log to itself, everything is granted and nothing happens here. On a shared
store a lease is held by at most one process; its work is cancelled as soon as that process knows
that the lease is gone, and at the latest when it has not heard from the server for `valid_s`. Who
takes a lease that was not given back waits for longer than that. What the work has handed to
somebody else by then (drafts to admission, a request to a peer) is not called back: so work under a
lease must be harmless when done twice, and a lease only makes that rare
(docs/decisions/0019-a-lease-is-a-lock-and-how-it-was-left.md).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeAlias

import trio
from msgspec import Struct

from postbox.errors import Fault, Unavailable
from postbox.log.retries import Retries
from postbox.logs import get, limited
from postbox.store.contract import LeaseLink, LeaseStep
from postbox.store.runner import StoreRunner
from postbox.world import World

Work: TypeAlias = Callable[[], Awaitable[None]]

HOLDER_BYTES = 16


class Terms(Struct, frozen=True):
    """Equal in all processes of a node, in seconds."""

    beat_s: float = 3.0  # between two signs of life; who waits for a lease tries it as often
    valid_s: float = 10.0  # from a sign that was answered: three beats, so that one may be lost
    handover_s: float = 15.0  # `valid_s`, and as long as cancelled work may take to its end


class Stage(Enum):
    FREE = "free"  # of us; others may have it
    LOCKED = "locked"  # nobody else can take it, and its last holder may not know that yet
    HELD = "held"


class _Lease:
    def __init__(self) -> None:
        self.stage = Stage.FREE
        self.is_wanted = False
        self.tried = trio.Event()
        self.granted = trio.Event()
        self.free_s = math.inf  # when its last holder can be at work no more
        self.scopes: set[trio.CancelScope] = set()  # of work that is under way

    def ungrant(self) -> None:
        """Whoever waits already goes on waiting for the same event."""
        if self.granted.is_set():
            self.granted = trio.Event()


class Leases:
    def __init__(self, world: World, store: StoreRunner, terms: Terms = Terms()) -> None:  # noqa: B008
        self._store = store
        self._terms = terms
        self._me = world.random.bytes(HOLDER_BYTES)
        self._leases: dict[str, _Lease] = {}
        self._until_s = -math.inf  # whatever is held is held until then
        self._nap = trio.CancelScope()
        self._ended = trio.Event()
        self._log = get("postbox.log.leases")
        self._failing = limited(self._log, "link")

    @property
    def held(self) -> list[str] | None:
        """The names of those that this process holds; None where there is nobody else."""
        if not self._store.is_shared:
            return None
        return sorted(name for name in self._leases if self.is_held(name))

    def is_held(self, name: str) -> bool:
        """Whether work under this lease may go on here and now."""
        if not self._store.is_shared:
            return True
        lease = self._leases.get(name)
        if lease is None or not lease.is_wanted or lease.stage is not Stage.HELD:
            return False
        return trio.current_time() < self._until_s

    async def hold(
        self,
        name: str,
        work: Work,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Runs `work` while this process holds the lease, from its beginning each time that it is
        granted; returns when `work` does. Started as soon as it is known whether somebody else has
        the lease. One task a name."""
        if not self._store.is_shared:
            task_status.started()
            await work()
            return
        lease = self._leases.setdefault(name, _Lease())
        assert not lease.is_wanted, f"{name} has its task already"
        lease.is_wanted = True
        try:
            self._nap.cancel()
            await lease.tried.wait()
            task_status.started()
            await lease.granted.wait()
            while not await self.within(name, work):
                lease.ungrant()  # until the server is heard from again
                await lease.granted.wait()
        finally:
            lease.is_wanted = False
            self._nap.cancel()

    async def within(self, name: str, work: Work) -> bool:
        """Runs `work` if this process holds the lease, which it does not wait for. False: it was
        not begun, or it was cancelled since the lease is gone."""
        if not self._store.is_shared:
            await work()
            return True
        if not self.is_held(name):
            await trio.lowlevel.checkpoint()
            return False
        scopes = self._leases[name].scopes
        with trio.CancelScope(deadline=self._until_s) as scope:
            scopes.add(scope)
            try:
                await work()
                return True
            finally:
                scopes.remove(scope)
                self._ended.set()
                self._nap.cancel()  # it may have to be given back, or may be taken again
        return False

    async def run(self) -> None:
        """The task that takes, keeps and gives back, until cancelled. What is held then is given
        back, if its work has ended."""
        if not self._store.is_shared:
            await trio.sleep_forever()
        retries = Retries()
        while True:
            try:
                await self._link(retries)
            except Unavailable as fault:
                self._lose(fault)
            await retries.wait()

    async def _link(self, retries: Retries) -> None:
        """One connection, until it fails."""
        # Of a process that stands still the server takes them when its time is over for sure.
        link = await self._store.link_leases(self._me, int(self._terms.handover_s * 1_000))
        try:
            while True:
                self._nap = trio.CancelScope()  # from here on whoever wants something ends it
                await self._round(link)
                retries.succeeded()
                with self._nap:
                    self._nap.deadline = self._next_s()
                    await trio.lowlevel.wait_readable(link.fileno())
        except trio.Cancelled:
            with trio.CancelScope(deadline=trio.current_time() + self._terms.beat_s, shield=True):
                await self._give_back(link)
            raise
        finally:
            link.close()

    async def _round(self, link: LeaseLink) -> None:
        asked_s = trio.current_time()
        await self._ask(link, LeaseStep.BEAT)
        self._extend(asked_s + self._terms.valid_s)
        for name, lease in list(self._leases.items()):
            await self._advance(link, name, lease)

    def _next_s(self) -> float:
        beat_s = trio.current_time() + self._terms.beat_s
        waits = [lease.free_s for lease in self._leases.values() if lease.stage is Stage.LOCKED]
        return min([beat_s, *waits])

    async def _advance(self, link: LeaseLink, name: str, lease: _Lease) -> None:
        match lease.stage:
            case Stage.FREE if lease.is_wanted and not lease.scopes:
                if await self._ask(link, LeaseStep.LOCK, name):
                    await self._claim(link, name, lease)
                lease.tried.set()
            case Stage.LOCKED if not lease.is_wanted:
                await self._ask(link, LeaseStep.UNLOCK, name)
                lease.stage = Stage.FREE
            case Stage.LOCKED if trio.current_time() >= lease.free_s:
                await self._ask(link, LeaseStep.SEIZE, name)
                self._grant(name, lease)
            case Stage.HELD if not lease.is_wanted and not lease.scopes:
                await self._leave(link, name, lease)
            case _:
                pass

    async def _claim(self, link: LeaseLink, name: str, lease: _Lease) -> None:
        lease.stage = Stage.LOCKED
        if await self._ask(link, LeaseStep.CLAIM, name):
            self._grant(name, lease)
            return
        handover_s = self._terms.handover_s
        lease.free_s = trio.current_time() + handover_s
        self._log.info("a lease was not given back: waits", lease=name, wait_s=handover_s)

    def _grant(self, name: str, lease: _Lease) -> None:
        lease.stage = Stage.HELD
        lease.granted.set()
        self._log.info("holds a lease", lease=name)

    async def _leave(self, link: LeaseLink, name: str, lease: _Lease) -> None:
        lease.stage = Stage.FREE
        lease.ungrant()
        await self._ask(link, LeaseStep.LEAVE, name)

    async def _give_back(self, link: LeaseLink) -> None:
        """All, once their work has ended, which was cancelled with this. What goes wrong costs
        those who come next their wait, and nothing else."""
        while any(lease.scopes for lease in self._leases.values()):
            self._ended = trio.Event()
            await self._ended.wait()
        try:
            for name, lease in self._leases.items():
                if lease.stage is Stage.HELD:
                    await self._leave(link, name, lease)
        except Unavailable as fault:
            self._lose(fault)

    def _extend(self, until_s: float) -> None:
        self._until_s = until_s
        for lease in self._leases.values():
            if lease.stage is Stage.HELD:
                lease.granted.set()
                for scope in lease.scopes:
                    scope.deadline = until_s

    def _lose(self, fault: Fault) -> None:
        names = self.held
        self._until_s = -math.inf
        for lease in self._leases.values():
            lease.stage = Stage.FREE
            lease.ungrant()
            lease.tried.set()
            for scope in lease.scopes:
                scope.cancel()
        self._failing.warning("cannot hold leases", lost=names, error=str(fault))

    async def _ask(self, link: LeaseLink, step: LeaseStep, name: str = "") -> bool:
        """Not cancelled from outside, so that no answer is taken for another question's."""
        valid_s = self._terms.valid_s
        with trio.CancelScope(deadline=trio.current_time() + valid_s, shield=True):
            link.ask(step, name)
            while (answer := link.answer()) is None:
                await trio.lowlevel.wait_readable(link.fileno())
            return answer
        raise Unavailable(f"the database has not answered for {valid_s:g} s: it is tried again")
