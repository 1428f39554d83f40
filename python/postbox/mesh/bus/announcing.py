"""Saying on the plaza that this node is here, and that it goes: its own hey-there and chau, as they
lie in its log.

A follower of the log, so whoever writes them there need not know of the bus. At each new connection
hello is said again, after a moment that differs from node to node: a broker that comes back has all
its nodes at the door at once. One that is old by then is said anew, as who hears it goes by its
time.
"""

from __future__ import annotations

from typing import Protocol

import trio

from postbox.errors import Fault
from postbox.event import Service, Standing
from postbox.log.committed import Committed
from postbox.mesh.bus import topics
from postbox.mesh.bus.bus import Bus
from postbox.mesh.reading import read_event
from postbox.store.contract import Lane
from postbox.world import World, fraction

JITTER_S = 5.0
"""nara's, before the first hey-there on a connection."""
RECENT_MS = 60_000
"""What this node said longer ago comes back to it by others, and is no news to say again."""
ANEW_NS = 300 * 10**9
"""nara's time after which who is silent counts as missing."""


class Presence(Protocol):
    """`mesh/gossip/presence.py`."""

    async def enter(self) -> None: ...

    def last_hello(self) -> bytes: ...


class Announcer:
    def __init__(self, world: World, own_name: str, bus: Bus, presence: Presence) -> None:
        self._world = world
        self._author = own_name.encode()
        self._bus = bus
        self._presence = presence
        self._hello = b""  # the last one
        self._said = b""  # on this connection
        self._chau = b""  # to be said
        self._wake = trio.Event()
        self._leaving = trio.Event()
        self._done = trio.Event()
        bus.greet(self._begin_again)

    def applied(self, committed: Committed) -> None:
        """The follower's call."""
        recent_ms = self._world.clock.now_ns() // 1_000_000 - RECENT_MS
        for entry in committed.entries:
            if (
                entry.lane is Lane.MESH
                and entry.author == self._author
                and entry.flags == Standing.ATTESTED
                and entry.at_ms >= recent_ms
            ):
                self._note(entry.kind, entry.body or b"")

    def _note(self, kind: int, body: bytes) -> None:
        if kind == Service.HEY_THERE:
            self._hello = body
            if self._leaving.is_set():  # it has come back
                self._leaving = trio.Event()
        elif kind == Service.CHAU:
            self._hello, self._chau = b"", body
            self._leaving.set()
        else:
            return
        self._wake.set()
        self._done = trio.Event()

    async def _begin_again(self) -> None:
        self._said = b""
        self._wake.set()

    async def said_all(self) -> None:
        """Until what was written is said, or was tried."""
        if self._hello or self._chau:
            await self._done.wait()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._bus.wait_up()
            await self._say()
            if not self._wake.is_set():
                self._done.set()

    async def _say(self) -> None:
        try:
            if not self._said:
                await self._refresh()
            if self._hello and self._hello != self._said:
                self._said = self._hello
                await self._bus.publish(topics.HEY_THERE, self._hello)
            if self._chau:
                chau, self._chau = self._chau, b""
                await self._bus.publish(topics.CHAU, chau)
        except Fault:
            self._said = b""  # said at the next connection; a chau has then come too late

    async def _refresh(self) -> None:
        """Has a hello to say on a new connection, unless the node leaves."""
        with trio.move_on_after(self._jitter_s()):
            await self._leaving.wait()
            return
        self._hello = self._presence.last_hello()
        if not self._hello or self._age_ns(self._hello) > ANEW_NS:
            await self._presence.enter()
            self._hello = self._presence.last_hello()

    def _age_ns(self, hello: bytes) -> int:
        return self._world.clock.now_ns() - read_event(hello).ts_ns

    def _jitter_s(self) -> float:
        return JITTER_S * fraction(self._world.random)
