"""The links with other hosts, for whoever sends, answers, or asks how they stand.

What goes out is read by number and not from its durable reader: a receiver that was put back asks
for what it had acknowledged, and is sent it as long as it is kept (`numbered`). The durable reader
says what is confirmed, and when to try again; it moves by `acknowledge` and `refused` alone, and
each believes only what can be true of this link.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

from postbox.hosts.links.numbered import Numbered, position_in, read_numbered
from postbox.hosts.links.place import (
    NOWHERE,
    Incoming,
    Outgoing,
    Place,
    incoming,
    outgoing,
)
from postbox.hosts.links.postings import EPOCH, Forget, Posted, Refuse, Repost, epoch_of
from postbox.hosts.links.reports import (
    InboxPage,
    Letter,
    LettersPage,
    entry_at,
    read_inbox,
    read_letters,
)
from postbox.hosts.links.rules import Confirm, HostRules
from postbox.hosts.links.summary import (
    LinkSummary,
    LinkView,
    read_contacts,
    read_summary,
    read_view,
)
from postbox.hosts.tables import (
    LINK_IN,
    LINK_OUT,
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    in_reader,
    out_reader,
    out_stream,
)
from postbox.log.admission import Admission
from postbox.log.outbox import Outbox, storable
from postbox.log.outbox_tables import OUTBOX, durable_reader
from postbox.rules import Accepted, Outcome, Payer, Reason, Rejected
from postbox.store.contract import IDENTITY, Reader
from postbox.store.runner import StoreRunner
from postbox.world import World

T = TypeVar("T")

_OPERATOR = Payer("operator", "")


class _Sent(NamedTuple):
    """A link's sending side at one moment. `epoch`: the log's."""

    link: Outgoing
    epoch: bytes
    acknowledged: int  # the position up to which it is confirmed


class Links:
    def __init__(
        self,
        world: World,
        store: StoreRunner,
        outbox: Outbox,
        admission: Admission,
        rules: HostRules,
    ) -> None:
        self._world = world
        self._store = store
        self._outbox = outbox
        self._admission = admission
        self._rules = rules

    # What goes out.

    async def numbered(
        self,
        host: str,
        after: int,
        limit: int = MAX_BATCH_EVENTS,
        max_bytes: int = MAX_BATCH_BYTES,
    ) -> list[Numbered]:
        """The numbers beyond `after`, without a hole, ready to be sent: at most `limit` and
        `max_bytes`, but at least one if there is one."""
        return await self._read(partial(read_numbered, host, after, limit, max_bytes))

    async def start_of(self, host: str, place: Place | None) -> int:
        """The number up to which whoever is at this place has all of ours. Raises UnknownPlace."""
        sent = await self._read(partial(_sent, host))
        return sent.link.reached(place or NOWHERE, sent.epoch)

    async def acknowledge(self, host: str, place: Place) -> int:
        """The host has stored everything up to `place`: that is confirmed, and never less than
        before. The number up to which it has all of ours; what is beyond waits to be sent. Raises
        UnknownPlace for a place that says nothing about this link, by which nothing changes."""
        reached, pos = await self._read(partial(_reached, host, place))
        if pos:
            await self._confirm(host, pos)
        return reached

    async def delivered(self, host: str, seq: int) -> None:
        """All numbers up to `seq` were taken by a host that knows no numbers."""
        pos = await self._read(partial(_unconfirmed, host, seq))
        if pos:
            await self._confirm(host, pos)

    async def _confirm(self, host: str, pos: int) -> None:
        draft = Confirm(self._world.new_id(), host, pos)
        await self._admission.submit(self._rules, [draft])

    async def refused(self, host: str, epoch: bytes, seq: int, code: str, text: str) -> None:
        """The host does not take the event of this number, for good: it is a dead letter, and its
        number a tombstone from now on. What is no number of ours in that epoch is passed over."""
        found = await self._read(partial(_refusable, host, epoch, seq))
        if found is not None:
            pos, entry_id = found
            error = storable(f"{code}: {text}" if text else code)
            draft = Refuse(self._world.new_id(), host, pos, entry_id, error)
            await self._admission.submit(self._rules, [draft])

    # What came.

    async def received(self, host: str) -> Incoming:
        """How far the link from there has come, and whether its next number is not taken."""
        rows = await self._read(lambda snapshot: snapshot.rows(LINK_IN, [(host,)]))
        return incoming(host, rows[host,])

    async def place_of(self, host: str) -> Place:
        return (await self.received(host)).current

    # How it all stands.

    async def view_of(self, host: str) -> LinkView:
        return await self._read(partial(read_view, host))

    async def summary(self) -> list[LinkSummary]:
        return await self._read(read_summary)

    async def contacts(self) -> list[str]:
        return await self._read(read_contacts)

    async def inbox_page(
        self, host: str | None = None, after_seq: int = 0, after: int = 0, limit: int = 500
    ) -> InboxPage:
        """See `read_inbox`."""
        return await self._read(partial(read_inbox, host, after_seq, after, limit))

    async def letters(self, after: tuple[str, int] = ("", 0), limit: int = 100) -> LettersPage:
        return await self._read(partial(read_letters, after, limit))

    async def retry(self, letter: Letter) -> Outcome:
        """One that a host did not take is posted again, under a new number, and forgotten; one that
        no handler could deal with is handed over again. Rejected if it was settled meanwhile."""
        host, pos = letter.came.host, letter.came.pos
        if letter.way == "from":
            return await self._outbox.revive(in_reader(host), pos)
        entry = await self._read(lambda snapshot: entry_at(snapshot, out_stream(host), pos))
        if entry is None or entry.body is None:
            text = f"the event of this dead letter for {host} is not kept any more: forget it"
            return Rejected(Reason("entry_gone", text))
        again = Posted(self._world.new_id(), entry.body)
        draft = Repost(_OPERATOR, host, pos, again)
        [outcome] = await self._admission.submit(self._rules, [draft])
        return outcome

    async def forget(self, letter: Letter) -> Outcome:
        """The letter is given up for good. Its event, if it was to be sent, is erased."""
        host, pos = letter.came.host, letter.came.pos
        if letter.way == "from":
            await self._outbox.ack(in_reader(host), pos)
            return Accepted(pos, None)
        draft = Forget(self._world.new_id(), _OPERATOR, host, pos)
        [outcome] = await self._admission.submit(self._rules, [draft])
        return outcome

    async def _read(self, work: Callable[[Reader], T]) -> T:
        return await self._store.read(work)


def _sent(host: str, snapshot: Reader) -> _Sent:
    row = snapshot.rows(OUTBOX, [(out_reader(host),)])[out_reader(host),]
    link = outgoing(host, snapshot.rows(LINK_OUT, [(host,)])[host,])
    epoch = epoch_of(snapshot.rows(IDENTITY, [EPOCH])[EPOCH])
    return _Sent(link, epoch, 0 if row is None else durable_reader(row).acknowledged)


def _reached(host: str, place: Place, snapshot: Reader) -> tuple[int, int]:
    """And the position of what is to be confirmed by it; 0: nothing that is not yet."""
    sent = _sent(host, snapshot)
    reached = sent.link.reached(place, sent.epoch)
    pos = position_in(snapshot, out_stream(host), reached) if reached else 0
    return reached, pos if pos > sent.acknowledged else 0


def _unconfirmed(host: str, seq: int, snapshot: Reader) -> int:
    sent = _sent(host, snapshot)
    pos = position_in(snapshot, out_stream(host), min(seq, sent.link.last_seq))
    return pos if pos > sent.acknowledged else 0


def _refusable(host: str, epoch: bytes, seq: int, snapshot: Reader) -> tuple[int, bytes] | None:
    """Position and id of the event with this number, if there is one."""
    link = _sent(host, snapshot).link
    if not 0 < seq <= link.last_seq or link.label_of(seq).epoch != epoch:
        return None
    pos = position_in(snapshot, out_stream(host), seq)
    entry = entry_at(snapshot, out_stream(host), pos)
    if entry is None or entry.seq != seq or entry.body is None:
        return None
    return pos, entry.id
