"""What devices are told that is not stored: who types, and who is connected.

None of it is in the log or moves a cursor, and all of it ends by itself. What was said is told in
rounds: one look at the store for who may say it, and one pass over the streams, however many said
something meanwhile. Where nobody says anything nothing happens. Memory is bounded, whatever devices
say: `typists`, `presence` and `mailbox` each say by what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import trio

from postbox.clients.events import frames
from postbox.clients.events.incoming import Incoming, Typing
from postbox.clients.events.kinds import Kind
from postbox.clients.identity.callers import Caller
from postbox.clients.ids import author_of, conversation_of, conversation_stream
from postbox.clients.live.mailbox import Mailbox, Subject
from postbox.clients.live.presence import RENEW_S, Presence
from postbox.clients.live.typists import Spoken, Typists
from postbox.clients.live.words import Connected, Types, Word
from postbox.clients.rules.watermarks import MAX_MEMBERS_TOLD
from postbox.clients.tables import MEMBER, Member, read_row
from postbox.errors import Full, Unavailable
from postbox.log.committed import Committed
from postbox.log.retries import Retries
from postbox.logs import get, limited
from postbox.store.contract import Key, Lane, Query, Reader, Row
from postbox.store.runner import StoreRunner
from postbox.world import Clock

ROUND_S = 0.25
"""From what is said to what is told, at most and nearly always: nobody sees that somebody has begun
to type a quarter of a second ago, and all that is said meanwhile costs one pass."""

MOST_LOOKED_UP = 200
"""Devices that say something, and users who come, for one round: some 20 ms of the store's time."""

BOXES_AT_ONCE = 256  # before others may run: about a millisecond

PLACES = Query(
    "small_conversations_of_user",
    """select p.conversation from period p indexed by period_open
  join conversation c on c.conversation = p.conversation and c.members <= :most
  where p."user" = :user and p."left" = x''""",
    postgres="""select p.conversation from period p
  join conversation c on c.conversation = p.conversation and c.members <= %(most)s
  where p."user" = %(user)s and p."left" = ''""",
)
"""In which a user is with at most so many."""


class Seen(NamedTuple):
    """What one look at the store found: the conversations' streams of those that were said of, None
    where the user is in no such one, and where users may be met."""

    streams: Sequence[bytes | None]
    places: Mapping[bytes, bytes]


class Transitory:
    def __init__(self, clock: Clock, store: StoreRunner, tell: Callable[[Word], None]) -> None:
        """`tell`: the node's other processes. To be started (`run`), and to follow the tail."""
        self._clock = clock
        self._store = store
        self._tell = tell
        self._typists = Typists()
        self._presence = Presence()
        self._boxes: dict[Mailbox, None] = {}
        self._devices: Counter[bytes] = Counter()  # of the boxes
        self._users: Counter[bytes] = Counter()
        self._changed: dict[Subject, bytes] = {}  # with the device that has said so
        self._came: dict[bytes, None] = {}  # users of whose being connected is to be told
        self._looks: dict[Mailbox, None] = {}  # that are to be told of what is so already
        self._has_work = trio.Event()
        self._log = limited(get("postbox.clients.live"), "store")

    # -- what devices of this process do ----------------------------------------------------------

    def said(self, caller: Caller, event: Incoming) -> None:
        """A transitory event, of a device whose user may be in no such conversation."""
        if isinstance(event.content, Typing) and event.conversation is not None:
            is_over = event.content.is_over
            spoken = Spoken(caller.user_id, caller.device_id, event.conversation, is_over)
            self._typists.hear(spoken)
            self._has_work.set()

    @contextmanager
    def mail(self, caller: Caller) -> Iterator[Mailbox]:
        """For a stream that somebody looks at, while it is open."""
        user, device = caller.user_id, caller.device_id
        box = Mailbox(user, device, self._frame, self._look)
        self._boxes[box] = None
        self._devices[device] += 1
        self._users[user] += 1
        if self._users[user] == 1:
            self._announce(user)
        try:
            yield box
        finally:
            del self._boxes[box]
            self._looks.pop(box, None)
            if _is_last(self._devices, device):
                self._gone(device)
            _is_last(self._users, user)

    def renew(self) -> None:
        """Every minute, and when other processes may not have heard: who is connected here."""
        for user in self._users:
            self._announce(user)

    def _announce(self, user: bytes) -> None:
        self.connected(user)
        self._tell(Connected(user))

    def _gone(self, device: bytes) -> None:
        for subject in self._typists.gone(device):
            self._change(subject, device)
            self._tell(Types(subject.stream, subject.user, device, 0))

    def _look(self, box: Mailbox) -> None:
        self._looks[box] = None
        self._has_work.set()

    def _change(self, subject: Subject, device: bytes) -> None:
        self._changed[subject] = device
        self._has_work.set()

    # -- what other processes tell, and the log ---------------------------------------------------

    def connected(self, user: bytes) -> None:
        self._presence.connect(user, self._clock.elapsed_s())
        self._came[user] = None
        self._has_work.set()

    def types(self, word: Types) -> None:
        subject, now_s = Subject(word.stream, word.user), self._clock.elapsed_s()
        if word.ttl_ms > 0:
            self._typists.type(subject, word.device, word.ttl_ms / 1_000, now_s)
        elif not self._typists.stop(subject, word.device):
            return
        self._change(subject, word.device)

    def applied(self, committed: Committed) -> None:
        """The follower's call, in position order."""
        for (lane, stream), entries in committed.streams.items():
            if lane != Lane.CLIENTS:
                continue
            conversation = conversation_of(stream)
            for entry in entries:
                if entry.kind == Kind.MEMBERSHIP:
                    self._moved(stream[2:])
                elif entry.kind == Kind.NEW_MESSAGE and conversation is not None:
                    author = author_of(entry.author)
                    self._typists.wrote(stream, conversation, author.user, author.device)

    def _moved(self, user: bytes) -> None:
        """Into or out of a conversation: whoever it has to do with now is told that it is here."""
        self._presence.moved(user)
        if self._presence.left_ms(user, self._clock.elapsed_s()):
            self._came[user] = None
            self._has_work.set()

    # -- the rounds -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is cancelled."""
        retries, renewed_s = Retries(), trio.current_time()
        while True:
            renewal_s = renewed_s + RENEW_S
            with trio.move_on_at(renewal_s):
                await self._has_work.wait()
            if trio.current_time() >= renewal_s:
                renewed_s = trio.current_time()
                self.renew()
            await trio.sleep(ROUND_S)
            try:
                await self._round()
                retries.succeeded()
            except (Unavailable, Full) as fault:
                self._log.warning("who types is not told for a while", why=str(fault))
                self._has_work.set()
                await retries.wait()

    async def _round(self) -> None:
        self._has_work = trio.Event()
        self._forget()
        spoken = self._typists.due(self._clock.elapsed_s(), MOST_LOOKED_UP)
        unplaced = self._presence.unplaced(self._came)[:MOST_LOOKED_UP]
        if spoken or unplaced:
            self._take_in(spoken, await self._store.read(partial(_see, spoken, unplaced)))
        await self._tell_changes()
        await self._tell_arrivals()
        if self._typists.is_waiting or self._came or self._looks:
            self._has_work.set()

    def _forget(self) -> None:
        now_s = self._clock.elapsed_s()
        self._typists.forget(now_s)
        self._presence.forget(now_s)

    def _take_in(self, spoken: Iterable[Spoken], seen: Seen) -> None:
        now_s = self._clock.elapsed_s()
        for each, stream in zip(spoken, seen.streams, strict=True):
            subject = self._typists.settle(each, stream, now_s)
            if subject is not None:
                ttl_ms = self._typists.left_ms(subject, now_s)
                self._change(subject, each.device)
                self._tell(Types(*subject, each.device, ttl_ms))
        for user, places in seen.places.items():
            self._presence.place(user, places)

    async def _tell_changes(self) -> None:
        """To all streams whose devices are shown a conversation that it concerns."""
        changed, self._changed = self._changed, {}
        told: dict[bytes, list[tuple[Subject, bytes]]] = {}
        for subject, device in changed.items():
            told.setdefault(subject.stream, []).append((subject, device))
        unplaced = set(self._presence.unplaced(self._came))
        for user in [user for user in self._came if user not in unplaced]:
            del self._came[user]
            for conversation in self._presence.places(user):
                of_place = told.setdefault(conversation_stream(conversation), [])
                of_place.append((Subject(b"", user), b""))
        if not told:
            return
        for at, box in enumerate(tuple(self._boxes)):
            for stream in _both(box.streams, told):
                for subject, device in told[stream]:
                    _put(box, subject, device)
            if at % BOXES_AT_ONCE == BOXES_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()

    async def _tell_arrivals(self) -> None:
        """To streams that are new, or whose devices are shown more than before: what is so now."""
        looks, self._looks = self._looks, {}
        lookers: dict[bytes, list[Mailbox]] = {}
        for box in looks:
            for stream in box.streams:
                lookers.setdefault(stream, []).append(box)
        if not lookers:
            return
        for subject, device in self._typists.all():
            for box in lookers.get(subject.stream, ()):
                _put(box, subject, device)
        for at, (stream, boxes) in enumerate(lookers.items()):
            conversation = conversation_of(stream)
            for user in () if conversation is None else self._presence.there(conversation):
                for box in boxes:
                    _put(box, Subject(b"", user), b"")
            if at % BOXES_AT_ONCE == BOXES_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()

    def _frame(self, subject: Subject) -> bytes | None:
        """How it stands."""
        now_s = self._clock.elapsed_s()
        conversation = conversation_of(subject.stream)
        if conversation is not None:
            ttl_ms = self._typists.left_ms(subject, now_s)
            return frames.typing(conversation, subject.user, ttl_ms)
        ttl_ms = self._presence.left_ms(subject.user, now_s)
        return frames.connected(subject.user, ttl_ms) if ttl_ms else None


def _put(box: Mailbox, subject: Subject, device: bytes) -> None:
    """Nobody is told of what his own device says, nor of his own being connected."""
    is_own = box.device == device if subject.stream else box.user == subject.user
    if not is_own:
        box.put(subject)


def _both(streams: frozenset[bytes], told: Mapping[bytes, object]) -> Iterator[bytes]:
    """What is in both; the shorter one is gone through."""
    if len(told) < len(streams):
        return (stream for stream in told if stream in streams)
    return (stream for stream in streams if stream in told)


def _is_last(counted: Counter[bytes], name: bytes) -> bool:
    counted[name] -= 1
    if counted[name]:
        return False
    del counted[name]
    return True


def _see(spoken: Sequence[Spoken], users: Sequence[bytes], reader: Reader) -> Seen:
    keys = {(named, each.user) for each in spoken for named in each.may_mean}
    is_in = {key for key, row in reader.rows(MEMBER, keys).items() if row and _is_in(row)}
    places = {user: _places_of(user, reader) for user in users}
    return Seen([_stream_of(each, is_in) for each in spoken], places)


def _is_in(row: Row) -> bool:
    return read_row(Member, row).is_in


def _stream_of(spoken: Spoken, is_in: Collection[Key]) -> bytes | None:
    for named in spoken.may_mean:
        if (named, spoken.user) in is_in:
            return conversation_stream(named)
    return None


def _places_of(user: bytes, reader: Reader) -> bytes:
    rows = reader.query(PLACES, user=user, most=MAX_MEMBERS_TOLD)
    return b"".join([place for (place,) in rows if isinstance(place, bytes)])
