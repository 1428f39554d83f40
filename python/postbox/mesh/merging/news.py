"""What an applied commit teaches about others: names, greetings, farewells, round trips.

A follower of the log: nothing is learned from an event before it is committed, by whichever process
of the node, and nothing from one that is not attested. Told once a commit, and only where there is
something to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from postbox.core import Ledger
from postbox.event import Service, Standing
from postbox.log.committed import Committed
from postbox.logs import get, limited
from postbox.mesh.reading import Chau, HeyThere, Ping, Unread, read_event
from postbox.store.contract import Entry, Lane

_TELLING = frozenset((Service.HEY_THERE, Service.CHAU, Service.PING))
"""Services whose payload teaches more than names."""


class Hello(NamedTuple):
    """`name` presented itself then, with the key that is known for it. `mesh_ip`: where it says
    that it is, "" where it does not; `id`: as it claims, which nobody can check."""

    name: str
    mesh_ip: str
    id: str
    at_ns: int


class Farewell(NamedTuple):
    name: str
    at_ns: int


class Trip(NamedTuple):
    """`observer` measured the way to `target`."""

    observer: str
    target: str
    rtt_ms: float
    at_ns: int


class News(NamedTuple):
    """Of one commit, attested events only. `names`: emitters, actors and targets, each once; the
    targets are what an attested author says, and may be nobody."""

    names: tuple[str, ...] = ()
    hellos: tuple[Hello, ...] = ()
    chaus: tuple[Farewell, ...] = ()
    pings: tuple[Trip, ...] = ()


Listener: TypeAlias = Callable[[News], None]


class Newsroom:
    def __init__(self, ledger: Ledger) -> None:
        """`ledger`: which applies each commit before this does."""
        self._ledger = ledger
        self._listeners: list[Listener] = []
        self._log = limited(get("postbox.mesh.merging.news"), "unread")

    def listen(self, listener: Listener) -> None:
        """Called once a commit that teaches something; must be quick, and not raise."""
        self._listeners.append(listener)

    def applied(self, committed: Committed) -> None:
        """The follower's call."""
        if not self._listeners:
            return
        entries = [
            entry
            for entry in committed.entries
            if entry.lane is Lane.MESH and entry.flags == Standing.ATTESTED
        ]
        if entries:
            news = self._news(entries)
            for listener in self._listeners:
                listener(news)

    def held(self, most: int) -> News:
        """Of what the ledger holds already: the newest hello of each name, of `most` names. What a
        node that starts would have been told, had it been there."""
        hellos: list[Hello] = []
        for body in self._ledger.greetings(most).bodies():
            try:
                event = read_event(body)
            except Unread as unread:
                self._log.warning("an event teaches nothing", why=str(unread))
                continue
            if isinstance(event.payload, HeyThere):
                hellos.append(_hello(event.payload, event.ts_ns))
        return News(hellos=tuple(hellos))

    def _news(self, entries: list[Entry]) -> News:
        names = tuple(sorted(self._ledger.names_in([entry.pos for entry in entries])))
        hellos: list[Hello] = []
        chaus: list[Farewell] = []
        pings: list[Trip] = []
        for entry in entries:
            if entry.kind not in _TELLING or entry.body is None:
                continue
            try:
                event = read_event(entry.body)
            except Unread as unread:
                self._log.warning("an event teaches nothing", pos=entry.pos, why=str(unread))
                continue
            match event.payload:
                case HeyThere() as payload:
                    hellos.append(_hello(payload, event.ts_ns))
                case Chau(name):
                    chaus.append(Farewell(name, event.ts_ns))
                case Ping(observer, target, rtt_ms):
                    pings.append(Trip(observer, target, rtt_ms, event.ts_ns))
                case _:
                    pass
        return News(names, tuple(hellos), tuple(chaus), tuple(pings))


def _hello(payload: HeyThere, at_ns: int) -> Hello:
    return Hello(payload.name, payload.mesh_ip, payload.id, at_ns)
