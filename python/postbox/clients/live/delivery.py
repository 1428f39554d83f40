"""Up to where users have everything: "delivered", from what their devices say they have stored.

It costs devices no event: each request carries the token of the last frame that the device has
stored. What one device of a user has is delivered to that user; so it never goes back, however far
behind another one is. All that a user's devices say within `COALESCED_S` becomes one event for each
conversation in which somebody else has written since.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import trio

from postbox.clients.identity.callers import Caller
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Store
from postbox.clients.rules.draft import ClientDraft, delivered
from postbox.clients.rules.rules import ClientRules
from postbox.clients.rules.watermarks import MAX_MEMBERS_TOLD
from postbox.errors import DraftFault, Full, Unavailable
from postbox.log.admission import Admission
from postbox.log.retries import Retries
from postbox.logs import get, limited
from postbox.store.contract import Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

COALESCED_S = 5.0
ROUND_S = 0.5
"""From what the first device says to the event, at most and nearly always."""

USERS_AT_ONCE = 200  # for one look at the store: 20 ms of its time

MAX_USERS = 50_000
"""Who wait for their turn: what others say is passed over, and comes with their next token."""

DELIVERABLE = Query(
    "deliverable_to_user",
    """select p.conversation, w.seq, (
    select max(e.seq) from (
      select seq, author from entry indexed by entry_stream_4
      where lane = 4 and stream = cast(x'632f' || p.conversation as blob)
        and pos <= :upto and seq is not null order by pos desc limit 50) e
    where substr(e.author, 1, 16) <> p."user")
  from period p indexed by period_open
  join conversation c on c.conversation = p.conversation and c.members <= :most
  left join watermark w on w.conversation = p.conversation and w."user" = p."user" and w.kind = 16
  where p."user" = :user and p."left" = x''""",
    postgres="""select p.conversation, w.seq, (
    select max(e.seq) from (
      select seq, author from entry where lane = 4
        and (stream, pos) > ('\\x632f'::bytea || p.conversation, 0)
        and (stream, pos) <= ('\\x632f'::bytea || p.conversation, %(upto)s)
        and seq is not null order by stream desc, pos desc limit 50) e
    where substr(e.author, 1, 16) <> p."user")
  from period p
  join conversation c on c.conversation = p.conversation and c.members <= %(most)s
  left join watermark w on w.conversation = p.conversation and w."user" = p."user" and w.kind = 16
  where p."user" = %(user)s and p."left" = ''""",
)
"""Of each conversation of which others are told what the user has: up to where they are told that
it has everything, and the number of the last that somebody else wrote, up to a position. Of what
the user wrote itself after that the newest 50 are looked through."""


class _Stored(NamedTuple):
    """What a device says. `place`: of the log."""

    user_id: bytes
    user: str
    device: str
    place: int


class Delivery:
    def __init__(self, world: World, store: StoreRunner, admission: Admission) -> None:
        """To be started (`run`)."""
        self._world = world
        self._store = store
        self._admission = admission
        self._waiting: dict[bytes, dict[str, _Stored]] = {}  # by user and device
        self._told_s: dict[bytes, float] = {}  # when users had their turn; oldest first
        self._has_work = trio.Event()
        self._log = limited(get("postbox.clients.live"), "delivery")

    def stored(self, caller: Caller, place: int) -> None:
        """The device has everything up to this position of the log. Does not wait."""
        if caller.user_id not in self._waiting and len(self._waiting) == MAX_USERS:
            return
        devices = self._waiting.setdefault(caller.user_id, {})
        before = devices.get(caller.device)
        if before is None or before.place < place:
            devices[caller.device] = _Stored(caller.user_id, caller.user, caller.device, place)
        self._has_work.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        retries = Retries()
        while True:
            await self._has_work.wait()
            await trio.sleep(ROUND_S)
            try:
                await self._round()
                retries.succeeded()
            except (Unavailable, Full, DraftFault) as fault:
                self._log.warning("what devices have is not told for a while", why=str(fault))
                await retries.wait()

    async def _round(self) -> None:
        """Of those whose turn it is. What fails comes with the devices' next tokens."""
        turn = [self._waiting.pop(user) for user in self._due()]
        if not self._waiting:
            self._has_work = trio.Event()
        if not turn:
            return
        newest = [max(devices.values(), key=_place) for devices in turn]
        seqs = await self._store.read(partial(_deliverable, newest))
        told = [self._draft(each, *found) for each in newest for found in seqs[each.user_id]]
        await self._admission.submit(ClientRules(), told)
        places = [self._place(each) for devices in turn for each in devices.values()]
        await self._admission.submit(DeviceRules(), places)

    def _due(self) -> list[bytes]:
        now_s = self._world.clock.elapsed_s()
        while self._told_s:
            user, told_s = next(iter(self._told_s.items()))
            if told_s + COALESCED_S > now_s:
                break
            del self._told_s[user]
        due = [user for user in self._waiting if user not in self._told_s][:USERS_AT_ONCE]
        self._told_s.update(dict.fromkeys(due, now_s))
        return due

    def _draft(self, stored: _Stored, conversation: bytes, seq: int) -> ClientDraft:
        new_id = self._world.new_id()
        return delivered(stored.user_id, stored.user, conversation, seq, new_id)

    def _place(self, stored: _Stored) -> DeviceDraft:
        act = Store(stored.place)
        return DeviceDraft(self._world.new_id(), stored.user, stored.device, act)


def _place(stored: _Stored) -> int:
    return stored.place


def _deliverable(newest: Sequence[_Stored], reader: Reader) -> dict[bytes, list[tuple[bytes, int]]]:
    """By user: conversations of which there is something to be told, and up to which number."""
    return {each.user_id: list(_new(each, reader)) for each in newest}


def _new(stored: _Stored, reader: Reader) -> Iterator[tuple[bytes, int]]:
    rows = reader.query(DELIVERABLE, user=stored.user_id, upto=stored.place, most=MAX_MEMBERS_TOLD)
    for row in rows:
        match row:
            case (bytes(conversation), None, int(seq)):
                yield conversation, seq
            case (bytes(conversation), int(told), int(seq)) if seq > told:
                yield conversation, seq
