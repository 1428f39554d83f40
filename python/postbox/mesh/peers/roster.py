"""Who is in the mesh, as far as this node knows: the peers that its operator configured, those that
it met, heard and was told of, and those that asked it.

One place in memory for all who look for peers; what is worth it outlives the process (`saving`).
Nothing here is believed: a URL is where to try, and keys come from `trust` alone. A peer that
others only told of is one row of a bounded number, and is called within the bounds of `finding`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from postbox.errors import OUR_LOG, Fault
from postbox.event import is_name
from postbox.log.admission import Admission
from postbox.mesh.calling.client import Lied
from postbox.mesh.calling.introductions import Met
from postbox.mesh.merging.intake import Report
from postbox.mesh.merging.news import News
from postbox.mesh.peers.choosing_rules import Candidate, choose, weight
from postbox.mesh.peers.known import Caller, Known, Origin, Purpose
from postbox.mesh.peers.offences import Charge, charge_in, charge_of
from postbox.mesh.peers.records import Records
from postbox.mesh.peers.rules import Accuse, PeerRules
from postbox.mesh.peers.standing_rules import Offence, Regard
from postbox.mesh.serving.replies import NotAllowed
from postbox.net.rates import Rate
from postbox.pauses import doubled
from postbox.world import World

MAX_STRANGERS = 200
"""Names whose key is not known, which others mention: made up, perhaps. They are forgotten when
nobody knows them (`finding`)."""
SPARED = 0.1
"""Of a full roster so much is forgotten at once: to look for the worst one each time would cost."""
MAX_CALLERS = 1_000
"""Names that asked us; the one that asked longest ago is forgotten first."""
MAX_PEERS = 2_000
"""As many as there may be names (1,000 introduced, 1,000 told: `trust.tables.LIMITS`)."""
HERE_NS = 5 * 60 * 10**9
"""So long a peer counts as here after contact: nara's time after which who is silent is missing."""
RETRY_NS = 60 * 10**9
"""After a failure a peer is not chosen; doubled with each failure in a row, up to an hour."""
MAX_RETRY_NS = 3600 * 10**9
ANSWERED_NS = 90 * 10**9
"""After a ping that was answered, a peer that says nothing more is not cut off, but silent: longer
than the deadline of an answer."""
MOVED_FAILURES = 3
"""So often in a row must a peer that was met have failed before it is looked for elsewhere."""
ACCUSATIONS_PER_MINUTE = 1
"""Of one peer, in the log; a burst of ten is more than a ban takes."""


class Roster:
    def __init__(
        self, world: World, own_name: str, urls: Sequence[str], records: Records, log: Admission
    ) -> None:
        self._world = world
        self._own_name = own_name
        self._records = records
        self._log = log
        self._accusations = Rate(ACCUSATIONS_PER_MINUTE, 10)
        self.are_online: Callable[[Sequence[str]], Sequence[bool]] = lambda names: (
            [False] * len(names)
        )
        """Of which of these names events say that they are there."""
        self.distance_ms: Callable[[str], float | None] = lambda _: None
        """By coordinates."""
        plain = dict.fromkeys(url.rstrip("/") for url in urls)
        self.configured = [Known(url, origin=Origin.CONFIGURED) for url in plain]
        self._named: dict[str, Known] = {}
        self._callers: dict[str, Caller] = {}  # whoever asked last is last

    # -- who is known ---------------------------------------------------------------------------

    def all(self) -> list[Known]:
        """Configured ones first, then by name."""
        others = [self._named[name] for name in sorted(self._named)]
        return [*self.configured, *[one for one in others if one.origin is not Origin.CONFIGURED]]

    def has_company(self) -> bool:
        """Whether a peer is configured, or has ever proved that it is there."""
        return bool(self.configured) or any(one.last_contact_ns for one in self._named.values())

    def named(self) -> list[Known]:
        return list(self._named.values())

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

    def restore(self, rows: Iterable[Known]) -> None:
        """What an earlier process, or another one, knew. What is known here is not undone."""
        by_url = {one.url: one for one in self.configured if not one.name}
        for row in rows:
            if row.name == self._own_name:
                continue
            here = self._named.get(row.name)
            if here is not None:
                _catch_up(here, row)
                continue
            configured = by_url.pop(row.url, None)
            if configured is not None:
                _continue(configured, row)
            elif row.origin is Origin.CONFIGURED:  # and not any more
                row.origin = Origin.MET
            self._add(configured or row)

    # -- what is learned of them ----------------------------------------------------------------

    def met(self, peer: Known, met: Met) -> None:
        """It answered a ping, at its URL, and says that this is its name: nobody's row changes
        hands before it has signed an answer."""
        peer.said_name, peer.kind, peer.rtt_ms = met.name, met.kind, met.rtt_ms
        peer.met_ns = self._world.clock.now_ns()
        if met.about is not None:
            peer.version, peer.memory_mode = met.about.version, met.about.memory_mode
            peer.uptime_s = met.about.uptime_s

    def succeeded(self, peer: Known) -> None:
        """A whole exchange, authenticated."""
        self.proved(peer)
        peer.last_contact_ns = self._world.clock.now_ns()
        peer.failures = 0
        if peer.origin is not Origin.CONFIGURED:
            peer.origin = Origin.MET

    def proved(self, peer: Known) -> None:
        """It signed an answer, with the key of the name that it said: who is at its URL is it."""
        if peer.said_name and self._named.get(peer.said_name) is not peer:
            self._take_name(peer, peer.said_name)
        peer.proved_url = peer.url

    def cursor_ns(self, peer: Known) -> int:
        """All events up to that time were asked for, of whom it says that it is."""
        if peer.said_name in ("", peer.name):
            return peer.cursor_ns
        row = self._named.get(peer.said_name)
        own_ns = 0 if peer.name else peer.cursor_ns
        return own_ns if row is None else max(own_ns, row.cursor_ns)

    def walked(self, peer: Known, until_ns: int) -> None:
        """All that it has up to there was asked for, page by page, and is durable. An event may say
        that it is of the future; what comes until then was not."""
        peer.cursor_ns = max(peer.cursor_ns, min(until_ns, self._world.clock.now_ns()))

    async def failed(self, peer: Known, fault: Fault) -> None:
        """An exchange came to no end, or to a bad one, which may be held against the peer; not
        where it was our own log that failed, or kept it waiting."""
        if isinstance(fault, OUR_LOG) or self._log.is_held_up:
            return
        peer.last_error = str(fault)
        peer.failed_ns = now_ns = self._world.clock.now_ns()
        peer.failures += 1
        if isinstance(fault, Lied):  # which it has signed
            self.proved(peer)
        answered_before = peer.is_proved and 0 <= now_ns - peer.met_ns < ANSWERED_NS
        charge = charge_of(
            fault, answered_before=answered_before, at_its_place=peer.is_at_its_place
        )
        await self._charge(peer, charge)

    async def gave(self, peer: Known, report: Report) -> None:
        """What became of the events of one exchange, or of one walk: that may be held against it,
        too. Counted already."""
        is_certain = peer.is_proved and peer.is_at_its_place
        await self._charge(peer, charge_in(report, peer.kind if is_certain else ""))

    def learned(
        self, news: News, is_known: Callable[[str], bool], place_of: Callable[[str], str]
    ) -> None:
        """What a commit teaches. `is_known`: whether there is a key for a name; `place_of`: the URL
        of an address as hey-theres have it."""
        for hello in news.hellos:
            self.heard(hello.name, place_of(hello.mesh_ip), hello.at_ns)
        new = [name for name in news.names if name not in self._named]
        if new:
            self._mentioned(new, is_known)

    def heard(self, name: str, url: str = "", at_ns: int | None = None) -> None:
        """It said hello itself, in an event of that time; `url`: where it says that it is."""
        self._learn(name, url, Origin.HEARD, at_ns)

    def told(self, name: str, url: str = "") -> None:
        """Others say that there is such a peer, and that it is there."""
        self._learn(name, url, Origin.TOLD)

    def asked_us(self, name: str, events: int, now_ns: int) -> None:
        before = self._callers.pop(name, None) or Caller(name, 0, 0, 0)
        self._callers[name] = Caller(name, now_ns, before.requests + 1, before.events + events)
        if len(self._callers) > MAX_CALLERS:
            del self._callers[next(iter(self._callers))]

    def forget(self, name: str) -> None:
        """A peer that nobody configured, and that turned out to be none."""
        peer = self._named.get(name)
        if peer is not None and peer.origin is not Origin.CONFIGURED:
            del self._named[name]

    # -- how they are thought of ----------------------------------------------------------------

    async def accuse(self, name: str, offence: Offence, why: str) -> None:
        """It did that, as this node has seen itself. `why`: for the operator. Durable on return,
        unless it was accused of much more than it takes to be banned."""
        clock = self._world.clock
        if not self._accusations.wait_s(name, clock.elapsed_s()):
            draft = Accuse(name, offence, why, clock.now_ns())
            await self._log.submit(PeerRules(), [draft])

    def accused(self) -> Collection[str]:
        """Names that something is held against, or was."""
        return self._records.all().keys()

    def regard(self, name: str) -> Regard:
        return self._records.regard(name)

    def is_banned(self, name: str) -> bool:
        return self.regard(name) is Regard.BANNED

    def require_dealings(self, name: str) -> None:
        """Before anything that `name` brings itself counts, over HTTP or on the bus. Raises
        NotAllowed. What others hand on of it is judged by itself, like all events."""
        if self.is_banned(name):
            raise NotAllowed(f"this node has no dealings with {name}")

    # -- whom to ask ----------------------------------------------------------------------------

    def choose(self, count: int, *, purpose: Purpose, but: Collection[str] = ()) -> list[Known]:
        """At most `count` peers with a name and a URL, the preferred ones first, never the same for
        ever. `but`: names that are not wanted."""
        asked = [
            one
            for one in self._named.values()
            if _may_be_chosen(one, purpose) and (not one.failures or self.may_try(one))
        ]
        regards = {name: self.regard(name) for name in self.accused()}
        unwanted = {name for name, regard in regards.items() if regard is Regard.BANNED}.union(but)
        demoted = {name for name, regard in regards.items() if regard is Regard.DEMOTED}
        configured = {one.name for one in self.configured}
        candidates = [
            Candidate(
                name=one.name,
                is_short=one.memory_mode == "short",
                is_configured=one.name in configured,
                is_here=is_there,
                is_demoted=one.name in demoted,
            )
            for one, is_there in zip(asked, self._are_there(asked), strict=True)
            if one.name not in unwanted
        ]
        chosen = choose(candidates, count, purpose, self._draw, self._weigh)
        return [self._named[name] for name in chosen]

    def here(self) -> list[Known]:
        """Those with a name that are here; the configured ones first, then by name."""
        named = [one for one in self.all() if one.name]
        there = zip(named, self._are_there(named), strict=True)
        return [one for one, is_there in there if is_there and self.may_try(one)]

    def one_in_touch(self, but: Collection[str]) -> Known | None:
        """Any peer that proved lately that it is there. Strangers ask for one: events, which it
        takes a while to look through for a thousand peers, are not asked."""
        found = [
            one
            for one in self._named.values()
            if one.url and self.is_in_touch(one) and one.name not in but
        ]
        good = [one for one in found if self.regard(one.name) is Regard.GOOD]
        return good[int(self._draw() * len(good))] if good else None

    def is_here(self, peer: Known) -> bool:
        """In touch, or online by what events say; not while a failure is fresh."""
        return self._are_there([peer])[0] and self.may_try(peer)

    def is_in_touch(self, peer: Known) -> bool:
        """Whether it proved lately that it is there."""
        return 0 <= self._world.clock.now_ns() - peer.last_contact_ns < HERE_NS

    def may_try(self, peer: Known) -> bool:
        """Whether it has not failed just now."""
        pause_ns = doubled(RETRY_NS, peer.failures, MAX_RETRY_NS)
        failed_ago_ns = self._world.clock.now_ns() - peer.failed_ns
        return not peer.failures or not 0 <= failed_ago_ns < pause_ns

    # -- within ---------------------------------------------------------------------------------

    async def _charge(self, peer: Known, charge: Charge | None) -> None:
        if charge is not None and peer.name:
            await self.accuse(peer.name, charge.offence, charge.why)

    def _mentioned(self, names: Sequence[str], is_known: Callable[[str], bool]) -> None:
        strangers = sum(not is_known(one) for one in self._named)
        for name in names:
            if not is_known(name):
                if strangers >= MAX_STRANGERS:
                    continue
                strangers += 1
            self.told(name)

    def _learn(self, name: str, url: str, origin: Origin, at_ns: int | None = None) -> None:
        if name == self._own_name or not is_name(name):
            return
        at_ns = self._world.clock.now_ns() if at_ns is None else at_ns
        peer = self._named.get(name)
        if peer is None:
            peer = Known(url, name, origin, told_ns=at_ns)
            self._add(peer)
        if origin is Origin.HEARD and at_ns >= peer.heard_ns:
            peer.own_url, peer.heard_ns = url, at_ns
        is_older = at_ns < peer.told_ns and peer.origin is origin
        if _knows_better(peer, origin) and not is_older:
            peer.url = url or peer.url
            peer.origin = origin if peer.origin is Origin.TOLD else peer.origin
        peer.told_ns = max(peer.told_ns, at_ns)

    def _add(self, peer: Known) -> None:
        self._named[peer.name] = peer
        if len(self._named) <= MAX_PEERS:
            return
        others = [one for one in self._named.values() if one.origin is not Origin.CONFIGURED]
        for worst in sorted(others, key=_worth)[: max(1, int(MAX_PEERS * SPARED))]:
            del self._named[worst.name]

    def _take_name(self, peer: Known, name: str) -> None:
        """Another row of that name, as of a place where it was, ends in this one."""
        before = self._named.get(name)
        if peer.name != name:
            self._drop(peer)
            peer.cursor_ns = 0 if peer.name else peer.cursor_ns
            peer.name, peer.proved_url = name, ""
        if before is not None:
            peer.cursor_ns = max(peer.cursor_ns, before.cursor_ns)
        self._add(peer)

    def _drop(self, peer: Known) -> None:
        if self._named.get(peer.name) is peer:
            del self._named[peer.name]

    def _are_there(self, peers: Sequence[Known]) -> list[bool]:
        """In touch, or online by what events say. For all at once: a mesh has a thousand peers."""
        latest_ns = self._world.clock.now_ns()
        earliest_ns = latest_ns - HERE_NS
        there = [earliest_ns < one.last_contact_ns <= latest_ns for one in peers]
        others = [at for at, is_there in enumerate(there) if not is_there]
        online = self.are_online([peers[at].name for at in others])
        for at, is_online in zip(others, online, strict=True):
            there[at] = is_online
        return there

    def _weigh(self, name: str) -> float:
        one, distance_ms = self._named[name], self.distance_ms(name)
        distance_ms = one.rtt_ms if distance_ms is None else distance_ms
        return weight(one.memory_mode, one.uptime_s, distance_ms)

    def _draw(self) -> float:
        drawn = int.from_bytes(self._world.random.bytes(6), "big")
        return (drawn + 0.5) / 2**48


def _may_be_chosen(peer: Known, purpose: Purpose) -> bool:
    """Where somebody proved once that it is this peer, or the operator says so. A recovery also
    tries where a peer itself says that it is; whoever else is found, `finding` calls on first."""
    if not peer.url or peer.last_contact_ns:
        return bool(peer.url)
    is_heard = peer.origin is Origin.HEARD and purpose == "recovery"
    return is_heard or peer.origin is Origin.CONFIGURED


def _continue(configured: Known, row: Known) -> None:
    """A configured peer, as it was known when it was asked last."""
    for field in row.__struct_fields__:
        if field not in ("url", "origin"):
            setattr(configured, field, getattr(row, field))


def _catch_up(here: Known, row: Known) -> None:
    """With another process, as far as that one knows better: whoever was in touch last knows where
    a peer is, and what it says of itself."""
    is_configured = here.origin is Origin.CONFIGURED
    if row.last_contact_ns > here.last_contact_ns:
        for field in ("kind", "version", "memory_mode", "uptime_s", "rtt_ms"):
            setattr(here, field, getattr(row, field))
        here.failures = 0
        if not is_configured:
            here.url, here.origin = row.url, Origin.MET
    elif not here.url:
        here.url, here.origin = row.url, row.origin
    here.last_contact_ns = max(here.last_contact_ns, row.last_contact_ns)
    here.cursor_ns = max(here.cursor_ns, row.cursor_ns)
    here.told_ns = max(here.told_ns, row.told_ns)


def _knows_better(peer: Known, origin: Origin) -> bool:
    """Whether what is said now may move the peer: its own word may move one that others told of,
    and anyone's one that has no URL, or does not answer where it was any more."""
    match peer.origin:
        case Origin.CONFIGURED:
            return False
        case Origin.MET:
            return not peer.url or peer.failures >= MOVED_FAILURES
        case Origin.HEARD:
            return not peer.url or origin is Origin.HEARD or peer.failures >= MOVED_FAILURES
        case Origin.TOLD:
            return not peer.url or origin is Origin.HEARD or peer.failures > 0


def _worth(peer: Known) -> tuple[int, int, int]:
    """Who is forgotten first when there are too many: who is only told of, and longest ago."""
    order = list(Origin)
    return (-order.index(peer.origin), peer.last_contact_ns, peer.told_ns)
