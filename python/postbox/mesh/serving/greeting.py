"""Who a node is, told to anybody: `GET /ping`, and introductions by `POST /api/hello`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from postbox.mesh import wire
from postbox.mesh.calling.introductions import Introductions
from postbox.mesh.peers.places import place_told
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.routes import Call, Query
from postbox.net.addresses import Reach
from postbox.net.asgi import JSON, Reply
from postbox.trust.keys import Identity
from postbox.world import Clock


class Greeting:
    def __init__(
        self,
        clock: Clock,
        identity: Identity,
        introductions: Introductions,
        roster: Roster,
        reach: Reach,
        about: Callable[[], wire.About],
    ) -> None:
        self._clock = clock
        self._identity = identity
        self._introductions = introductions
        self._roster = roster
        self._reach = reach
        self._about = about

    async def hello(self, call: Call) -> Reply:
        greeted = await self._introductions.hello(
            call.body, call.address, self._roster.require_dealings
        )
        url = place_told(call.headers.get(wire.URL_HEADER, ""), self._reach, call.address or "")
        if greeted.is_known and url:
            self._roster.told(greeted.name, url)
        return Reply(200 if greeted.is_known else 202, self._introductions.own_hello(), JSON)

    async def ping(self, query: Query) -> Reply:
        answer = wire.Ping(
            sender=self._identity.name,
            public_key=self._identity.public_key_base64,
            t=self._clock.now_ns(),
            postbox=self._about(),
        )
        return Reply(200, msgspec.json.encode(answer), JSON)
