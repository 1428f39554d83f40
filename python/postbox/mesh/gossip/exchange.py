"""Two nodes hand each other their zines, in one request: whoever is asked takes what it is given,
and answers with its own.

A zine is believed only from the one whose name it bears: the request, or the answer, is signed by
that name, and so is the set of events in it. Then they are judged one by one, like any others.
"""

from __future__ import annotations

import trio

from postbox.core import Batch, Ledger
from postbox.errors import WireError
from postbox.mesh.calling.client import (
    MAX_CLOCK_DIFFERENCE_S,
    Bounds,
    Lied,
    Peer,
    PeerFault,
    Told,
)
from postbox.mesh.gossip.zine import MAX_BYTES, make_zine, read_zine
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.replies import NotAllowed
from postbox.mesh.serving.routes import Call
from postbox.mesh.wire import ZINE_PATH
from postbox.metrics import Metrics
from postbox.net.asgi import JSON, Reply
from postbox.net.faults import TooSlow
from postbox.rules import Payer
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.trust.signatures import is_signed_digest
from postbox.world import Pool, World

EXCHANGE_S = 15.0
"""For one with a peer, nara's."""

ZINES_PER_MINUTE = 6
"""Of one name. A nara of the greatest chattiness has a round every 30 s, with a few of its peers.
"""
ZINES_AT_ONCE = 16
"""Of all peers: so much memory, in times of 4 MiB and what is made of them, may be needed."""


class NotTheirs(WireError):
    """A zine that whoever signed around it cannot have made."""


class Zines:
    def __init__(
        self,
        world: World,
        identity: Identity,
        directory: Directory,
        ledger: Ledger,
        intake: Intake,
        roster: Roster,
        metrics: Metrics,
    ) -> None:
        self._world = world
        self._identity = identity
        self._directory = directory
        self._ledger = ledger
        self._intake = intake
        self._roster = roster
        self._metrics = metrics

    async def answer(self, call: Call) -> Reply:
        """To `POST /gossip/zine`. Ours is made first: it need not tell them what they told."""
        try:
            key = self._directory.key_of(call.sender)
            batch = await self._believed(call.body, call.sender, key)
        except WireError as error:
            self._metrics.zine("theirs", "failed")
            if isinstance(error, NotTheirs):
                raise NotAllowed(f"Invalid zine: {error}") from error
            raise
        own = await self._own()
        report = await self._intake.take(batch, Payer("peer", call.sender))
        self._metrics.zine("theirs", "done")
        known = self._roster.get(call.sender)
        if known is not None:
            await self._roster.gave(known, report)
        return Reply(200, own + b"\n", JSON)

    async def exchange(self, peer: Peer) -> Report:
        """With that peer; what it told is durable on return. Raises as `Peer.post`, and Lied."""
        own = await self._own()
        told = await self._in_time(peer, own)
        try:
            batch = await self._believed(told.answer.body, told.peer, told.key)
        except NotTheirs as error:
            raise Lied(f"the zine of {told.peer} disproves itself: {error}") from error
        except WireError as error:
            raise PeerFault(f"the zine of {told.peer} cannot be believed: {error}") from error
        return await self._intake.take(batch, Payer("peer", told.peer))

    async def _in_time(self, peer: Peer, own: bytes) -> Told:
        """Meeting it included. How long we take to read what it gives is not its fault."""
        with trio.move_on_after(EXCHANGE_S):
            return await peer.post(ZINE_PATH, own, Bounds(MAX_BYTES, EXCHANGE_S))
        raise TooSlow(f"no zine within {EXCHANGE_S:g} s")

    async def _own(self) -> bytes:
        now_ns = self._world.clock.now_ns()

        def work() -> tuple[bytes, int]:
            return make_zine(self._identity, self._ledger, now_ns)

        body, count = await self._world.threads.run(Pool.READER, work)
        self._metrics.events_served(count)
        return body

    async def _believed(self, body: bytes, sender: str, key: bytes | None) -> Batch:
        """`key`: that the request or answer was signed with; the name may get another one while the
        zine is read. Raises WireError, and NotTheirs."""
        zine = read_zine(body)
        if zine.sender != sender:
            raise NotTheirs(f"it is from {zine.sender[:80]!r}, and signed by {sender}")
        if abs(zine.created_at - self._world.clock.now_ns() // 10**9) > MAX_CLOCK_DIFFERENCE_S:
            raise WireError(f"its time is off by more than {MAX_CLOCK_DIFFERENCE_S} s")
        batch = await self._intake.decode(zine.events)
        digest = batch.claimed_digest(sender, zine.created_at)
        if digest is None or key is None:
            raise NotTheirs("it has events that are no objects with an id of text")
        if not is_signed_digest(key, digest, zine.signature):
            raise NotTheirs("the signature inside does not fit the events")
        return batch
