"""What is forgotten of clients: tombs, by which a device goes on from an event that left no entry.

A device that was away for longer begins with a snapshot, and a retry that comes later is judged
anew, which does no harm (`rules/tombs.py`).
"""

from __future__ import annotations

import trio

from postbox.clients.rules.tombs import Forget, TombRules
from postbox.clients.tables import OLD_TOMBS
from postbox.errors import DraftFault, Full, Unavailable
from postbox.log.admission import Admission
from postbox.log.retries import Retries
from postbox.logs import get
from postbox.store.runner import StoreRunner
from postbox.world import World

UPKEEP = "clients"
"""The lease: one process of a node does it."""

KEEP_MS = 30 * 86_400_000
"""As long as a device may be away, and still goes on from where it was."""

LOOK_S = 3_600.0  # it is counted in days

STEP_TOMBS = 500
"""In one commit, so that nobody who sends waits for long."""

_log = get("postbox.clients.upkeep")


async def keep_up(world: World, store: StoreRunner, admission: Admission) -> None:
    """Until cancelled."""
    retries = Retries()
    while True:
        try:
            await forget(world, store, admission)
        except (Unavailable, Full):  # the store says so; what is kept too long harms none
            await retries.wait()
            continue
        except DraftFault:
            _log.exception("what is too old is not forgotten, and looked at in an hour again")
        retries.succeeded()
        await trio.sleep(LOOK_S)


async def forget(world: World, store: StoreRunner, admission: Admission) -> None:
    """What is too old now."""
    before_ms = world.clock.now_ns() // 1_000_000 - KEEP_MS
    while True:
        rows = await store.read(
            lambda reader: reader.query(OLD_TOMBS, before_ms=before_ms, limit=STEP_TOMBS)
        )
        tombs = tuple([row[0] for row in rows if isinstance(row[0], bytes)])
        if tombs:
            draft = Forget(world.new_id(), tombs, before_ms)
            await admission.submit(TombRules(), [draft])
        if len(tombs) < STEP_TOMBS:
            return
