"""The answer to `POST /api/sync`, and to nara's path of it: events out of the ledger, signed as a
set. Everything is answered from memory."""

from __future__ import annotations

from postbox.core import Ledger
from postbox.mesh import wire
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.routes import Call
from postbox.metrics import Metrics
from postbox.net.asgi import JSON, Reply
from postbox.trust import signatures
from postbox.trust.keys import Identity
from postbox.world import Pool, World

SEED_BYTES = 16


class SyncAnswers:
    def __init__(
        self, world: World, identity: Identity, ledger: Ledger, peers: Roster, metrics: Metrics
    ) -> None:
        self._world = world
        self._identity = identity
        self._ledger = ledger
        self._peers = peers
        self._metrics = metrics

    async def answer(self, call: Call) -> Reply:
        request = wire.decode_request(call.body)
        if request.sender != call.sender:
            raise signatures.AuthFailed(f"from is not {call.sender}")
        packed = wire.is_msgpack(call.headers.get("accept", ""))
        now_ns = self._world.clock.now_ns()
        seed = self._world.random.bytes(SEED_BYTES)
        me = self._identity.name
        draw = wire.Draw(seed, now_ns, me, call.sender)

        def work() -> tuple[int, Reply]:
            found = wire.select(self._ledger, request, draw)
            ts = now_ns // 10**9
            signature = signatures.sign_digest(self._identity, found.digest(me, ts))
            encode = found.encode_msgpack if packed else found.encode
            return len(found), Reply(
                200, encode(me, ts, signature), wire.MSGPACK if packed else JSON
            )

        is_small = wire.is_small(self._ledger, request, draw)
        count, reply = work() if is_small else await self._world.threads.run(Pool.READER, work)
        self._metrics.events_served(count)
        self._peers.asked_us(call.sender, count, now_ns)
        return reply
