"""Forgets strangers where there are too many: hosts that proved who they are, and that is all.

Whoever can make up host names (one DNS wildcard will do) would else fill the table of keys for
ever, and no new host could be let in. So when it is nearly full those go, the oldest first, that
have neither sent an event in all the time since nor were posted one, and that the operator did not
name: their keys, that there was contact, and what tells followers of both. One that comes back is a
stranger again, which costs it a fetch of its key, and nothing else.
"""

from __future__ import annotations

from functools import partial

import msgspec
import trio

from postbox.errors import Full, Unavailable
from postbox.hosts.keys import keys as key_cache
from postbox.hosts.keys.keys import KeyCache
from postbox.hosts.keys.rules import ForgetStrangers, HostKeyRules
from postbox.hosts.tables import HOSTS_STREAM, KIND_CONTACT
from postbox.log.admission import Admission
from postbox.log.retries import Retries
from postbox.store.contract import Lane, Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

LOOK_S = 60.0

AT_ONCE = 100
"""In one commit, and in a minute: more than there can be new ones (`fetch_gate`)."""

UNUSED_MS = 3_600_000
"""For so long a stranger has time to send something. In an hour there are 3,600 new ones at most,
so there always are some that had it."""

UNUSED = Query(
    "unused_hosts",
    "select p.host from peer_key p where p.fetched_at_ms <= :before_ms"
    " and not exists (select 1 from host h where h.host = p.host)"
    " and not exists"
    " (select 1 from outbox o where o.reader in ('to/' || p.host, 'from/' || p.host))"
    " order by p.fetched_at_ms limit :limit",
)

CONTACTS_TOLD = Query(
    "contacts_told",
    f"select pos, body from entry where lane = {Lane.HOSTS:d} and stream = :stream"
    f" and kind = {KIND_CONTACT} order by pos",
)


class Strangers:
    def __init__(
        self, world: World, store: StoreRunner, admission: Admission, keys: KeyCache
    ) -> None:
        self._world = world
        self._store = store
        self._admission = admission
        self._keys = keys

    async def run(self) -> None:
        """Until cancelled; in one process of the node."""
        retries = Retries()
        while True:
            await trio.sleep(LOOK_S)
            try:
                await self._make_room()
                retries.succeeded()
            except (Unavailable, Full):  # the store says so itself
                await retries.wait()

    async def _make_room(self) -> None:
        if self._keys.count + AT_ONCE <= key_cache.MAX_PEERS:
            return
        before_ms = self._world.clock.now_ns() // 1_000_000 - UNUSED_MS
        draft = await self._store.read(partial(read_unused, before_ms))
        if draft.hosts:
            await self._admission.submit(HostKeyRules(), [draft])


class _Contact(msgspec.Struct):
    host: str


def read_unused(before_ms: int, snapshot: Reader) -> ForgetStrangers:
    """Those that have been no more than strangers since `before_ms`: not all of them at once."""
    rows = snapshot.query(UNUSED, before_ms=before_ms, limit=AT_ONCE)
    hosts = {str(host) for (host,) in rows}
    told = []
    for pos, body in snapshot.query(CONTACTS_TOLD, stream=HOSTS_STREAM) if hosts else ():
        assert isinstance(pos, int)
        assert isinstance(body, bytes)
        if msgspec.json.decode(body, type=_Contact).host in hosts:
            told.append(pos)
    return ForgetStrangers(tuple(sorted(hosts)), tuple(told))
