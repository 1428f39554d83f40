"""Takes what another host sends, however it came: posted here, or asked for there.

What is answered is durable: the answer is read from the log after the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from postbox.errors import WireError
from postbox.hosts.links.arrivals import Arrival, Arrived, PlainArrival, plain_id
from postbox.hosts.links.links import Links
from postbox.hosts.links.place import Incoming, Place, Refusal
from postbox.hosts.links.room import Room
from postbox.hosts.links.rules import HostRules
from postbox.log.admission import Admission
from postbox.rules import Outcome, Reason, Rejected
from postbox.world import World


class Taken(Struct, frozen=True):
    """What became of a batch."""

    place: Place
    """Everything up to there is durable here."""
    is_gap: bool
    """Something before the rest of the batch is missing: it has to be sent from `place` on."""
    refusal: Refusal | None
    """Of the number after `place`, which is not taken for good; what follows was not looked at."""


class NeverTaken(WireError):
    """Nothing of a batch, however often it comes; the text is for its sender."""


class Intake:
    def __init__(
        self, world: World, admission: Admission, rules: HostRules, links: Links, room: Room
    ) -> None:
        self._world = world
        self._admission = admission
        self._rules = rules
        self._links = links
        self._room = room

    async def take(self, host: str, events: Sequence[Arrived]) -> Taken:
        """Stores them, and says what became of them. Raises NoRoom, NeverTaken."""
        await self.store(host, events)
        return taken(await self._links.received(host), events)

    async def store(self, host: str, events: Sequence[Arrived]) -> None:
        """Numbered ones, in order, of a host that has proved who it is. At least one. What became
        of them is in the link's row: see `taken`. Raises NoRoom, NeverTaken."""
        await self._room.require(host)
        draft = Arrival(self._world.new_id(), host, tuple(events))
        [outcome] = await self._admission.submit(self._rules, [draft])
        _require_taken(outcome)

    async def take_plain(self, host: str, event: Arrived, jti: bytes) -> Reason | None:
        """One without a number. None: it is here, perhaps from before. Raises NoRoom."""
        await self._room.require(host)
        draft = PlainArrival(plain_id(host, jti, event.body), host, event)
        [outcome] = await self._admission.submit(self._rules, [draft])
        return outcome.reason if isinstance(outcome, Rejected) else None


def taken(link: Incoming, events: Sequence[Arrived]) -> Taken:
    """What the link's row says of these events, which were decided with it or before."""
    last = events[-1]
    refusal = link.refusal
    if refusal is not None and any(_is(event, refusal.place) for event in events):
        place = Place(refusal.place.epoch, refusal.place.seq - 1)
        return Taken(place, is_gap=False, refusal=refusal)
    place = link.place_in(last.epoch)
    is_there = place.epoch == last.epoch and place.seq >= (last.upto or last.seq)
    return Taken(place, is_gap=not is_there, refusal=None)


def _is(event: Arrived, place: Place) -> bool:
    return not event.upto and (event.epoch, event.seq) == (place.epoch, place.seq)


def _require_taken(outcome: Outcome) -> None:
    """What of a batch was taken is in the link's row; it is refused as a whole only if none of it
    can ever be."""
    if isinstance(outcome, Rejected):
        raise NeverTaken(outcome.reason.text)
