"""Looks for the peers that nobody configured: asks peers where they are, and calls on them.

Names come from events that are attested (`Roster.learned`), places from hey-theres, introductions
and peers that are asked. A place is where to look, and no more: who is called there must have the
key that is known for its name, and sign what it answers. A name without a known key is got to know
by an introduction, as `mesh.admit` says of its address.

What strangers can make this node do is bounded: look-ups and calls a turn, a name is looked for
once in ten minutes, a place where nobody proved anything is called as rarely, and who is never
found is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import trio

from postbox.errors import OUR_LOG, Fault, WireError
from postbox.logs import get, limited
from postbox.mesh.calling.client import Peer
from postbox.mesh.calling.introductions import Introductions, MeetingFault
from postbox.mesh.merging.intake import Intake
from postbox.mesh.peers import query
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.places import place_of, place_told, spot_of
from postbox.mesh.peers.roster import MOVED_FAILURES, Roster
from postbox.mesh.peers.standing_rules import Regard
from postbox.mesh.wire import SyncRequest
from postbox.net.addresses import Reach
from postbox.net.client import Answer, Client
from postbox.net.rates import Rate
from postbox.pauses import around
from postbox.trust.directory import Directory
from postbox.trust.keys import public_key_text
from postbox.world import World, fraction

TURN_S = 60.0
JITTER = 0.2
LOOK_UPS = 5
"""Names that are looked for in a turn, each by up to `query.MAX_ASKED` small requests."""
AGAIN_NS = 600 * 10**9
"""From one look-up of a name to the next: nara's time for it."""
CALLS = 5
"""Peers that are called on in a turn, side by side."""
FORGET_AFTER = 5
"""Failures in a row of a peer that never proved anything; look-ups without an answer likewise."""
SPOT_PER_MINUTE = 0.1
RECENT = 10
"""Events asked for at a call: it is about who answers."""
QUERY_S = 5.0

_LOG = limited(get("postbox.mesh.peers.finding"), "finding")


@dataclass
class Finder:
    world: World
    roster: Roster
    directory: Directory
    introductions: Introductions
    intake: Intake
    http: Client
    reach: Reach
    peer_of: Callable[[Known], Peer]
    _looked_ns: dict[str, int] = field(default_factory=dict)
    _unfound: dict[str, int] = field(default_factory=dict)
    _spots: Rate = field(default_factory=lambda: Rate(SPOT_PER_MINUTE, 2))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.turn()
            await trio.sleep(around(TURN_S, JITTER, fraction(self.world.random)))

    async def turn(self) -> None:
        for known in self._lost()[:LOOK_UPS]:
            await self._look_for(known)
        async with trio.open_nursery() as nursery:
            for known in self._to_call():
                nursery.start_soon(self._call_on, known)

    # -- where -----------------------------------------------------------------------------------

    def _lost(self) -> list[Known]:
        """Without a place, or not found any more where they were; who waits longest comes first."""
        now_ns = self.world.clock.now_ns()
        due = [
            known
            for known in self.roster.named()
            if (not known.url or known.failures >= MOVED_FAILURES)
            and known.origin is not Origin.CONFIGURED
            and not 0 <= now_ns - self._looked_ns.get(known.name, 0) < AGAIN_NS
        ]
        return sorted(due, key=lambda one: (self._looked_ns.get(one.name, 0), one.name))

    async def _look_for(self, known: Known) -> None:
        self._looked_ns[known.name] = self.world.clock.now_ns()
        url = await self._asked_for(known.name)
        if url:
            self._unfound.pop(known.name, None)
            self.roster.told(known.name, url)
        else:
            self._not_found(known)
        self._looked_ns = self._of_peers(self._looked_ns)
        self._unfound = self._of_peers(self._unfound)

    def _of_peers(self, noted: dict[str, int]) -> dict[str, int]:
        return {name: number for name, number in noted.items() if self.roster.get(name)}

    def _not_found(self, known: Known) -> None:
        times = self._unfound.pop(known.name, 0) + 1
        if times < FORGET_AFTER or known.last_contact_ns:
            self._unfound[known.name] = times
        elif not known.url:
            self.roster.forget(known.name)

    async def _asked_for(self, name: str) -> str:
        """Through peers, one after the other, and whom they name; "" if none of them knows."""
        ahead = self.roster.choose(3, purpose="ping", but={name})
        asked: list[str] = []
        while ahead and len(asked) < query.MAX_ASKED:
            known = ahead.pop(0)
            asked.append(known.name)
            url, further = await self._ask(known, name, asked)
            if url:
                return url
            other = self.roster.get(further)
            if other is not None and other.url and other.name not in asked:
                ahead.insert(0, other)
        return ""

    async def _ask(self, known: Known, name: str, asked: list[str]) -> tuple[str, str]:
        """Where `name` is, or who else may know."""
        try:
            answer = await self.http.request(
                "GET",
                known.url + query.PATH,
                query={"target": name, "asked": ",".join(asked)},
                max_body_bytes=query.MAX_BYTES,
                deadline_s=QUERY_S,
            )
            return self._place_in(answer, name), answer.headers.get(query.REDIRECT, "")
        except (Fault, WireError) as fault:
            _LOG.debug("a peer cannot be asked for another", url=known.url, why=str(fault))
            return "", ""

    def _place_in(self, answer: Answer, name: str) -> str:
        if answer.status != 200:
            return ""
        told = query.decode(answer.body)
        key = self.directory.key_of(name)
        is_it = told.target == name and (key is None or told.public_key == public_key_text(key))
        if not is_it:
            return ""
        by_postbox = place_told(told.postbox.url, self.reach) if told.postbox else ""
        return by_postbox or (place_of(told.mesh_ip, self.reach) if told.mesh_ip else "")

    # -- who -------------------------------------------------------------------------------------

    def _to_call(self) -> list[Known]:
        """Who is not here, and may be; who was never called on comes first. Who was found, and is
        online by what events say, gossip comes to: in a mesh of a thousand hardly any two are in
        touch, and to call on each other all the time is nobody's part."""
        here = {one.name for one in self.roster.here() if one.last_contact_ns and not one.failures}
        due = [
            known
            for known in self.roster.named()
            if known.url
            and known.origin is not Origin.CONFIGURED
            and known.name not in here
            and self.roster.may_try(known)
            and self.roster.regard(known.name) is not Regard.BANNED
        ]
        due.sort(key=lambda one: (max(one.last_contact_ns, one.failed_ns), one.name))
        # Asked one by one: whose turn it is not has not used up its place's.
        return list(islice(filter(self._may_call, due), CALLS))

    def _may_call(self, known: Known) -> bool:
        """A place where this peer was once; or one that others told of, now and then."""
        if known.last_contact_ns:
            return True
        return not self._spots.wait_s(spot_of(known.url), self.world.clock.elapsed_s())

    async def _call_on(self, known: Known) -> None:
        try:
            await self._talk(known)
        except OUR_LOG:
            raise  # no peer has a part in it
        except Fault as fault:
            await self.roster.failed(known, fault)
            tell = _LOG.info if known.last_contact_ns else _LOG.debug  # old events name many places
            tell("a peer was not found", name=known.name, url=known.url, why=str(fault))
            if not known.last_contact_ns and known.failures >= FORGET_AFTER:
                self.roster.forget(known.name)

    async def _talk(self, known: Known) -> None:
        is_new = not known.last_contact_ns
        if self.directory.key_of(known.name) is None:
            await self.introductions.get_to_know(known.url, known.name)
        peer = self.peer_of(known)
        met = await peer.meet()
        if met.name != known.name:
            raise MeetingFault(f"{known.url} is {met.name}, and {known.name} was looked for there")
        self.roster.met(known, met)
        heard = await peer.ask(SyncRequest(mode="recent", limit=RECENT), self.intake)
        report = await self.intake.take(heard.batch, heard.payer)
        self.roster.succeeded(known)
        await self.roster.gave(known, report)
        if is_new:
            _LOG.info("found a peer", name=known.name, url=known.url, kind=known.kind)
