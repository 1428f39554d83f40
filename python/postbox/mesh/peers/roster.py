"""Who is in the mesh, as far as this node knows: the peers that its operator configured, those that
it met, heard and was told of, and those that asked it.

One place in memory for all who look for peers; what is worth it outlives the process
(`mesh.tables`). A peer that is only told of costs one row of a bounded number, and never a call
without the bounds of `finding`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from postbox.errors import Fault
from postbox.mesh.calling.introductions import Met
from postbox.mesh.peers.choosing_rules import Candidate, choose
from postbox.mesh.peers.known import Caller, Known, Origin, Purpose
from postbox.mesh.peers.standing_rules import CLEAN, Offence, Record, Regard, accused, regard_of
from postbox.world import World

MAX_CALLERS = 1_000
"""Names that asked us; the one that asked longest ago is forgotten first."""
HERE_NS = 5 * 60 * 10**9
"""So long a peer counts as here after contact: nara's time after which who is silent is missing."""
RETRY_NS = 60 * 10**9
"""After a failure a peer is not chosen; the time doubles with each failure in a row, up to an hour.
"""
MAX_RETRY_NS = 3600 * 10**9


class Roster:
    def __init__(
        self,
        world: World,
        urls: Sequence[str],
        *,
        is_online: Callable[[str], bool | None] = lambda _: None,
        distance_ms: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        """`is_online`: what events say of a name, None: nothing. `distance_ms`: by coordinates."""
        self._world = world
        self.is_online = is_online
        self.distance_ms = distance_ms
        plain = dict.fromkeys(url.rstrip("/") for url in urls)
        self.configured = [Known(url, origin=Origin.CONFIGURED) for url in plain]
        self._named: dict[str, Known] = {}
        self._records: dict[str, Record] = {}
        self._callers: dict[str, Caller] = {}  # whoever asked last is last

    # -- who is known ---------------------------------------------------------------------------

    def all(self) -> list[Known]:
        """Configured ones first, then by name."""
        others = [self._named[name] for name in sorted(self._named)]
        return [*self.configured, *[one for one in others if one not in self.configured]]

    def get(self, name: str) -> Known | None:
        return self._named.get(name)

    def at(self, url: str) -> Known:
        """The configured peer of this URL, or one of its own that is not on the roster."""
        url = url.rstrip("/")
        return next((one for one in self.configured if one.url == url), Known(url))

    @property
    def callers(self) -> list[Caller]:
        """Whoever asked last is first."""
        return list(reversed(self._callers.values()))

    # -- what is learned of them ----------------------------------------------------------------

    def met(self, peer: Known, met: Met) -> None:
        """It answered a ping, at its URL, under its name."""
        peer.name, peer.kind, peer.rtt_ms = met.name, met.kind, met.rtt_ms
        if met.about is not None:
            peer.version, peer.memory_mode = met.about.version, met.about.memory_mode
            peer.uptime_s = met.about.uptime_s
        if peer.origin is not Origin.CONFIGURED:
            peer.origin = Origin.MET
        self._named[met.name] = peer

    def succeeded(self, peer: Known) -> None:
        """A whole exchange, authenticated."""
        peer.last_contact_ns = self._world.clock.now_ns()
        peer.failures = 0

    def walked(self, peer: Known, until_ns: int) -> None:
        """All that it has up to there was asked for, page by page, and is durable."""
        peer.cursor_ns = max(peer.cursor_ns, until_ns)

    def failed(self, peer: Known, fault: Fault) -> None:
        peer.failed_ns = self._world.clock.now_ns()
        peer.failures += 1
        peer.last_error = str(fault)

    def asked_us(self, name: str, events: int, now_ns: int) -> None:
        before = self._callers.pop(name, None) or Caller(name, 0, 0, 0)
        self._callers[name] = Caller(name, now_ns, before.requests + 1, before.events + events)
        if len(self._callers) > MAX_CALLERS:
            del self._callers[next(iter(self._callers))]

    # -- how they are thought of ----------------------------------------------------------------

    def accuse(self, name: str, offence: Offence, why: str) -> None:
        """`why`: for the operator, in words that have no name."""
        now_ns = self._world.clock.now_ns()
        self._records[name] = accused(self.record(name), offence, why, now_ns)

    def record(self, name: str) -> Record:
        return self._records.get(name, CLEAN)

    def regard(self, name: str) -> Regard:
        return regard_of(self.record(name), self._world.clock.now_ns())

    # -- whom to ask ----------------------------------------------------------------------------

    def choose(self, count: int, *, purpose: Purpose, but: Collection[str] = ()) -> list[Known]:
        """At most `count` peers with a name and a URL, the preferred ones first, never the same for
        ever. `but`: names that are not wanted."""
        candidates = [
            self._candidate(one)
            for one in self._named.values()
            if one.url and one.name not in but and self.regard(one.name) is not Regard.BANNED
        ]
        return [self._named[name] for name in choose(candidates, count, purpose, self._draw)]

    def is_here(self, peer: Known) -> bool:
        """In contact lately, or online by what events say; not if it has failed since."""
        since_ns = self._world.clock.now_ns() - peer.last_contact_ns
        if peer.failed_ns > peer.last_contact_ns and not self._may_try(peer):
            return False
        return since_ns < HERE_NS or self.is_online(peer.name) is True

    def _candidate(self, one: Known) -> Candidate:
        distance_ms = self.distance_ms(one.name)
        return Candidate(
            name=one.name,
            memory_mode=one.memory_mode,
            uptime_s=one.uptime_s,
            distance_ms=one.rtt_ms if distance_ms is None else distance_ms,
            is_configured=one.origin is Origin.CONFIGURED,
            is_here=self.is_here(one),
            may_be_there=self._may_try(one),
            is_demoted=self.regard(one.name) is Regard.DEMOTED,
        )

    def _may_try(self, peer: Known) -> bool:
        pause_ns = min(MAX_RETRY_NS, RETRY_NS * 2 ** min(max(0, peer.failures - 1), 20))
        failed_ago_ns = self._world.clock.now_ns() - peer.failed_ns
        return not peer.failures or failed_ago_ns >= pause_ns

    def _draw(self) -> float:
        drawn = int.from_bytes(self._world.random.bytes(6), "big")
        return (drawn + 0.5) / 2**48
