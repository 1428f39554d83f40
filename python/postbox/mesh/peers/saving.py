"""Keeps the roster and our place in it across restarts: writes what changed, now and then.

Each process of a node writes what it knows itself; the rules merge it into the row. What was lost
in a crash is a few minutes of contact, and a walk that begins a little earlier. Our place is
written by whoever measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio
from msgspec.structs import replace

from postbox.errors import OUR_LOG, Full, Unavailable
from postbox.log.admission import Admission
from postbox.logs import get
from postbox.mesh.chunks import chunks
from postbox.mesh.coordinates.coordinates import Coordinates
from postbox.mesh.coordinates.vivaldi import Coordinate
from postbox.mesh.peers.known import Known
from postbox.mesh.peers.places import MAX_URL
from postbox.mesh.peers.roster import Roster
from postbox.mesh.peers.rules import MAX_ROWS, ForgetPeers, PeerDraft, PeerRules, Remember, Stay
from postbox.mesh.tables import ALL_PEERS, OWN_PLACE, peer_of, place_of_row
from postbox.store.contract import Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

_LOG = get("postbox.mesh.peers")

SAVE_EVERY_S = 60.0
STALE_NS = 10 * 60 * 10**9
"""A time of contact, or a place in a walk, is written when the row is so far behind."""
MOVES = 10
"""Our place is written when it was moved so often: every five minutes or so."""
STOP_S = 2.0


class Saver:
    def __init__(
        self,
        world: World,
        store: StoreRunner,
        admission: Admission,
        roster: Roster,
        coordinates: Coordinates,
    ) -> None:
        self._world = world
        self._store = store
        self._admission = admission
        self._roster = roster
        self._coordinates = coordinates
        self._saved: dict[str, Known] = {}
        self._moves = 0  # as far as they are saved

    async def take_over(self) -> None:
        """Before this process does what another one did for the node: with what that one saved."""
        if self._store.is_shared:
            try:
                await self.load()
            except Unavailable as fault:
                _LOG.warning("the peers that another process knew are not known", error=str(fault))

    async def load(self) -> None:
        """What was saved, by whichever process."""
        rows = await self._store.read(_rows)
        self._saved = {row.name: row for row in rows}
        self._roster.restore(_copy(row) for row in rows)
        for place in await self._store.read(_places):
            self._coordinates.restore(place)

    async def run(self) -> None:
        """Until cancelled, and then once more."""
        try:
            while True:
                await trio.sleep(SAVE_EVERY_S)
                with suppress(Full, Unavailable):  # all of it is still known here
                    await self.save()
        finally:
            with suppress(*OUR_LOG), trio.move_on_after(STOP_S, shield=True):
                await self.save(is_last=True)

    async def save(self, *, is_last: bool = False) -> None:
        """`is_last`: all that changed, however little."""
        peers = {peer.name: peer for peer in self._roster.named()}
        changed = [
            _copy(peer)
            for name, peer in peers.items()
            if len(peer.url) <= MAX_URL
            and _is_worth_it(self._saved.get(name), peer, STALE_NS if not is_last else 0)
        ]
        gone = [name for name in self._saved if name not in peers]
        new_id = self._world.new_id
        drafts: list[PeerDraft] = [
            *[Remember(new_id(), tuple(part)) for part in chunks(changed, MAX_ROWS)],
            *[ForgetPeers(new_id(), tuple(part)) for part in chunks(gone, MAX_ROWS)],
        ]
        moves = self._coordinates.moves
        if moves - self._moves >= (1 if is_last else MOVES):
            drafts.append(Stay(new_id(), self._coordinates.name, self._coordinates.own))
        else:
            moves = self._moves
        await self._admission.submit(PeerRules(), drafts)
        self._moves = moves
        self._saved.update({peer.name: peer for peer in changed})
        for name in gone:  # unless all was loaded anew meanwhile (`take_over`)
            self._saved.pop(name, None)


def _rows(reader: Reader) -> Sequence[Known]:
    return [peer_of(row) for row in reader.query(ALL_PEERS)]


def _places(reader: Reader) -> Sequence[Coordinate]:
    return [place_of_row(row) for row in reader.query(OWN_PLACE)]


def _copy(peer: Known) -> Known:
    return replace(peer)


def _is_worth_it(saved: Known | None, peer: Known, stale_ns: int) -> bool:
    if saved is None or _what(saved) != _what(peer):
        return True
    behind_ns = max(
        peer.last_contact_ns - saved.last_contact_ns,
        peer.cursor_ns - saved.cursor_ns,
        peer.told_ns - saved.told_ns,
    )
    return behind_ns > stale_ns


def _what(peer: Known) -> tuple[str, ...]:
    return (peer.url, peer.origin, peer.kind, peer.version, peer.memory_mode)
