"""Asking other hosts for their keys: each of them once at a time, whoever wants to know.

A fetch that a request causes runs in a task of its own, never in that of the request: a caller
that hangs up stops nothing, and no caller can have more of them under way than there are tasks.
What this node wants to know for itself is fetched where it is wanted: whoever calls hosts bounds
how many, and those that never answer keep nobody else waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeAlias

import trio

from postbox.errors import Fault, WireError
from postbox.hosts.keys.fetch_gate import FetchGate
from postbox.hosts.keys.key_list import read_reply
from postbox.hosts.keys.rules import PeerKeys
from postbox.logs import get, limited
from postbox.world import Clock

FETCHERS = 4
"""That work at once for hosts that are known, and as many for strangers, who so cannot keep the
others waiting by naming hosts that never answer."""

MAX_QUEUE = 100
"""Fetches that wait for a fetcher; at 10 s for each at worst, more would wait for nothing."""

WAIT_S = 15.0
"""For a fetch, which takes 10 s at most, and for its turn."""

_log = limited(get("postbox.hosts.keys"), "fetch")

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Asks a host for its key: the bytes of its GetKeyReply. Bounded in size and time; raises a Fault,
WireError or OSError."""


class KeyUnavailable(Fault):
    """A host's keys could not be had; the text says why, and the cause, where the host was asked,
    is what came of that. Not for strangers: it tells what is where in our network."""


class _Flight:
    """A fetch that is on its way, and whoever waits for it."""

    def __init__(self, host: str, *, is_ours: bool) -> None:
        self.host = host
        self.is_ours = is_ours  # nobody else has caused it
        self.landed = trio.Event()
        self.peer: PeerKeys | None = None
        self.error = ""
        self.fault: Exception | None = None


class KeyFetching:
    def __init__(
        self,
        clock: Clock,
        fetch: Fetch,
        gate: FetchGate,
        learned: Callable[[PeerKeys], Awaitable[None]],
    ) -> None:
        """`learned` is told of every answer before whoever waits for it."""
        self._clock = clock
        self._fetch = fetch
        self._gate = gate
        self._learned = learned
        self._flights: dict[str, _Flight] = {}
        self._known = trio.open_memory_channel[_Flight](MAX_QUEUE)
        self._strangers = trio.open_memory_channel[_Flight](MAX_QUEUE)

    def is_under_way(self, host: str) -> bool:
        return host in self._flights

    async def keys_of(self, host: str, *, is_ours: bool, is_stranger: bool) -> PeerKeys:
        """What `host` answers: to the question that is under way, else to a new one. Raises
        KeyUnavailable."""
        flight = self._flights.get(host)
        if flight is None and is_ours:
            flight = self._flights[host] = _Flight(host, is_ours=True)
            await self._fly(flight)
        elif flight is None:
            flight = self._start(_Flight(host, is_ours=False), is_stranger=is_stranger)
        with trio.move_on_after(WAIT_S):
            await flight.landed.wait()
        if flight.peer is None:
            why = flight.error if flight.landed.is_set() else f"no answer within {WAIT_S:.0f} s"
            raise KeyUnavailable(f"the key of {host} could not be fetched: {why}") from flight.fault
        return flight.peer

    def loops(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """What must run for anything to be fetched."""
        for _, queue in (self._known, self._strangers):
            yield from [partial(self._run, queue)] * FETCHERS

    def _start(self, flight: _Flight, *, is_stranger: bool) -> _Flight:
        queue, _ = self._strangers if is_stranger else self._known
        try:
            queue.send_nowait(flight)
        except trio.WouldBlock:
            raise KeyUnavailable(
                f"the key of {flight.host} was not asked for: {MAX_QUEUE} others wait already"
            ) from None
        self._flights[flight.host] = flight
        return flight

    async def _run(self, queue: trio.MemoryReceiveChannel[_Flight]) -> None:
        while True:
            await self._fly(await queue.receive())

    async def _fly(self, flight: _Flight) -> None:
        try:
            await self._ask(flight)
        finally:
            del self._flights[flight.host]
            flight.landed.set()

    async def _ask(self, flight: _Flight) -> None:
        host = flight.host
        try:
            raw = await self._fetch(host)
            flight.peer = read_reply(raw, host, self._clock.now_ns() // 1_000_000).peer
            self._gate.fetched(host, self._clock.elapsed_s())
            await self._learned(flight.peer)
        except trio.Cancelled:
            flight.error = "whoever asked gave up, or the node is stopping: try again"
            raise
        except (Fault, WireError, OSError) as error:
            if flight.peer is None and not flight.is_ours:
                self._gate.fail(host, self._clock.elapsed_s())
            flight.error, flight.fault = str(error) or type(error).__name__, error
            _log.info("a host's keys were not had", host=host, error=flight.error)
