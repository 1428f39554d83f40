"""`GET /api/checkpoints/all?limit&offset`: all checkpoints that this node has, for naras, which ask
in this way (http_api.go). A postbox asks for pages by `POST /api/sync`, whose answers are signed.

In order of time and id, as pages have them; nara's order is that of arrival. So an offset means the
same at the next request, unless an older checkpoint came in between: then one comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from postbox.core import Ledger
from postbox.errors import WireError
from postbox.event import Service
from postbox.mesh.serving.routes import Query
from postbox.metrics import Metrics
from postbox.net.addresses import Reach
from postbox.net.asgi import JSON, Reply
from postbox.net.rates import Rate, TooOften
from postbox.world import Pool, World

PATH = "/api/checkpoints/all"
LIMIT, MAX_LIMIT = 1_000, 10_000
MAX_BYTES = 16 * 2**20
"""Of an answer; it ends sooner then, and says that there is more. 1,000 ordinary checkpoints, which
is what a nara asks for, have two."""
PER_MINUTE = 60
"""An address. To go through 60,000 checkpoints takes a nara as many requests."""
_AT_ONCE = 5_000  # the most that a page of the ledger has
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class Listing:
    def __init__(
        self, world: World, me: str, ledger: Ledger, reach: Reach, metrics: Metrics
    ) -> None:
        self._world = world
        self._me = me
        self._ledger = ledger
        self._reach = reach
        self._metrics = metrics
        self._rate = Rate(PER_MINUTE, PER_MINUTE)

    async def answer(self, query: Query) -> Reply:
        address = self._reach.counts_as(query.address)
        wait_s = self._rate.wait_s(address, self._world.clock.elapsed_s())
        if wait_s:
            raise TooOften("checkpoints are asked for too often from this address", wait_s)
        offset = number_in(query.arguments, "offset", 0)
        limit = min(number_in(query.arguments, "limit", LIMIT), MAX_LIMIT)
        if limit == 0:
            raise WireError("limit is 0: ask for one checkpoint at least")

        def work() -> tuple[int, bytes]:
            total = self._ledger.counts()[Service.CHECKPOINT.wire_name]
            bodies = list(page_of(self._ledger, offset, limit))
            return len(bodies), encode(self._me, bodies, total, offset, limit)

        count, body = await self._world.threads.run(Pool.READER, work)
        self._metrics.events_served(count)
        return Reply(200, body, JSON)


def number_in(arguments: Mapping[str, str], key: str, default: int) -> int:
    """Raises WireError for what is no whole number."""
    text = arguments.get(key, "")
    if not text:
        return default
    if not _NUMBER.fullmatch(text):
        raise WireError(f"{key} is {text[:40]!r}: it must be a whole number")
    return int(text)


def page_of(ledger: Ledger, offset: int, limit: int) -> Iterator[bytes]:
    """The checkpoints from `offset` on; fewer than `limit` also where `MAX_BYTES` are full."""
    left, room = limit, MAX_BYTES
    for body in _bodies(ledger, offset, limit):
        room -= len(body) + 1
        if left == 0 or (room < 0 and left < limit):
            return
        left -= 1
        yield body


def _bodies(ledger: Ledger, offset: int, limit: int) -> Iterator[bytes]:
    cursor, skip, services = None, offset, (Service.CHECKPOINT.wire_name,)
    while True:
        size = min(_AT_ONCE, skip or limit)
        found = ledger.page(cursor, size, services, ())
        if skip:
            skip -= len(found)
        else:
            yield from found.bodies()
        cursor = found.next_cursor
        if cursor is None:
            return


def encode(me: str, bodies: list[bytes], total: int, offset: int, limit: int) -> bytes:
    """As Go writes a map: keys in order of the alphabet."""
    fields = {
        "checkpoints": b"[" + b",".join(bodies) + b"]",
        "count": b"%d" % len(bodies),
        "has_more": b"true" if offset + len(bodies) < total else b"false",
        "limit": b"%d" % limit,
        "offset": b"%d" % offset,
        "server": msgspec.json.encode(me),
        "total": b"%d" % total,
    }
    return b"{" + b",".join(b'"%s":%s' % (key.encode(), fields[key]) for key in fields) + b"}\n"
