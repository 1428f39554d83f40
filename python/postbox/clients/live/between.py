"""What several processes of a node, on one PostgreSQL, tell each other of their devices.

All of it is best effort: a message may be lost, and then a device has two streams for a while,
somebody is not seen to type, or a device may send more than its share. What is stored needs none of
it. Messages come to all processes in one order, their sender among them, so that of two streams of
a device all agree which is the later one, without a clock. Whoever was cut off for a while says
again what it holds. See docs/decisions/0035.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, assert_never

import trio

from postbox.clients.identity.callers import Caller, Callers
from postbox.clients.live.transitory import Transitory
from postbox.clients.live.words import (
    Connected,
    Held,
    Opened,
    Spent,
    Types,
    Word,
    messages_of,
    read_message,
)
from postbox.errors import Full, Unavailable
from postbox.log.retries import Retries
from postbox.logs import get, limited
from postbox.store.contract import Hearing
from postbox.store.runner import StoreRunner
from postbox.world import Clock

GATHERED_S = 0.05
"""So long words wait for others to go with them."""

OPENING_GATHERED_S = 0.005
"""But not that a stream was opened: of two openings the one told later counts as the later one, so
what comes first is to be told first. Where all come at once they still go together."""

MAX_WORDS = 50_000
"""That wait to be told, while the server is slow: beyond them the oldest are dropped. Enough for
two of each stream that a process may have."""

SHARE_TOLD = 8
"""A device's events are told when they are an eighth of what it may send in a second."""

MAX_SPENDERS = 10_000

HELD_APART_MS = 1_000
"""Two streams of a device that were opened closer to each other than this are left alone where only
their ages say which is the later one: a message takes time, too."""


class Here(NamedTuple):
    """What the words of others are for, in this process."""

    displace: Callable[[bytes], None]
    """The device has a newer stream elsewhere."""
    transitory: Transitory
    callers: Callers


class _Opening:
    """A stream that is open here. `is_known`: everybody was told, this process among them."""

    def __init__(self, number: int, opened_s: float) -> None:
        self.number = number
        self.opened_s = opened_s
        self.is_known = False


class Between:
    """Of one process."""

    def __init__(self, clock: Clock, store: StoreRunner, me: bytes, events_per_second: int) -> None:
        """`me`: random bytes, SENDER_BYTES of them."""
        self._clock = clock
        self._store = store
        self._me = me
        self._worth = max(1, events_per_second // SHARE_TOLD)
        self._words: dict[object, Word] = {}  # newest wins; oldest first
        self._has_words = trio.Event()
        self._has_opening = trio.Event()
        self._openings: dict[bytes, _Opening] = {}  # by device
        self._opened = 0
        self._spent: dict[bytes, int] = {}  # events of a device that nobody was told of
        self._log = limited(get("postbox.clients.live"), "between")

    # -- what this process has to say -----------------------------------------------------------

    def tell(self, word: Word) -> None:
        name = _name(word)
        self._words.pop(name, None)
        self._words[name] = word
        if len(self._words) > MAX_WORDS:
            del self._words[next(iter(self._words))]
        self._has_words.set()
        if isinstance(word, Opened):
            self._has_opening.set()

    def opened(self, device: bytes) -> None:
        self._opened += 1
        self._openings[device] = _Opening(self._opened, self._clock.elapsed_s())
        self.tell(Opened(device, self._opened))

    def closed(self, device: bytes) -> None:
        """What was not told of its stream yet would only end another one."""
        self._openings.pop(device, None)
        for kind in (Opened, Held):
            self._words.pop((kind, device), None)

    def spent(self, caller: Caller, events: int) -> None:
        device = caller.device_id
        events += self._spent.pop(device, 0)
        if events >= self._worth:
            before = self._words.get((Spent, device))
            if isinstance(before, Spent):
                events += before.events
            self.tell(Spent(device, events))
            return
        self._spent[device] = events
        if len(self._spent) > MAX_SPENDERS:
            del self._spent[next(iter(self._spent))]

    async def speak(self, transitory: Transitory) -> None:
        """Until it is cancelled."""
        retries = Retries()
        while True:
            await self._has_words.wait()
            with trio.move_on_after(GATHERED_S):
                await self._has_opening.wait()
                await trio.sleep(OPENING_GATHERED_S)
            self._has_words, self._has_opening = trio.Event(), trio.Event()
            words, self._words = self._words, {}
            try:
                await self._store.tell(list(messages_of(self._me, words.values())))
                retries.succeeded()
            except (Unavailable, Full) as fault:
                self._log.warning("other processes are not told for a while", why=str(fault))
                await retries.wait()
                self._say_again(transitory)

    def _say_again(self, transitory: Transitory) -> None:
        now_s = self._clock.elapsed_s()
        for device, opening in self._openings.items():
            age_ms = int(1_000 * (now_s - opening.opened_s))
            self.tell(Held(device, opening.number, age_ms))
        transitory.renew()

    # -- what the others say --------------------------------------------------------------------

    async def hear(self, here: Here) -> None:
        """Until it is cancelled."""
        retries = Retries()
        while True:
            try:
                hearing = await self._store.hear()
                retries.succeeded()
                self._say_again(here.transitory)
                await self._listen(hearing, here)
            except (Unavailable, Full) as fault:
                self._log.warning("other processes are not heard for a while", why=str(fault))
            await retries.wait()

    async def _listen(self, hearing: Hearing, here: Here) -> None:
        try:
            while True:
                for message in hearing.take():
                    self._take(message, here)
                await trio.lowlevel.wait_readable(hearing.fileno())
        finally:
            hearing.close()

    def _take(self, packed: bytes, here: Here) -> None:
        message = read_message(packed)
        if message is None:
            self._log.warning("a message between processes is none", size=len(packed))
        elif message.sender == self._me:
            self._confirm(message.words)
        else:
            for word in message.words:
                self._obey(word, here)

    def _confirm(self, words: Sequence[Word]) -> None:
        for word in words:
            if isinstance(word, Opened | Held):
                opening = self._openings.get(word.device)
                if opening is not None and opening.number == word.number:
                    opening.is_known = True

    def _obey(self, word: Word, here: Here) -> None:
        match word:
            case Types():
                here.transitory.types(word)
            case Connected():
                here.transitory.connected(word.user)
            case Opened():
                own = self._openings.get(word.device)
                if own is not None and own.is_known:  # else ours is the later one
                    here.displace(word.device)
            case Held():
                self._compare(word, here)
            case Spent():
                here.callers.spent(word.device.hex(), word.events)
            case _ as never:
                assert_never(never)

    def _compare(self, held: Held, here: Here) -> None:
        own = self._openings.get(held.device)
        if own is None:
            return
        older_ms = 1_000 * (self._clock.elapsed_s() - own.opened_s) - held.age_ms
        if older_ms > HELD_APART_MS:
            here.displace(held.device)
        elif older_ms < -HELD_APART_MS:
            self.tell(Opened(held.device, own.number))


def _name(word: Word) -> object:
    """Of two words with one name the newer one is told."""
    match word:
        case Types():
            return (Types, word.stream, word.user, word.device)
        case Connected():
            return (Connected, word.user)
        case Opened() | Held() | Spent():
            return (type(word), word.device)
        case _ as never:
            assert_never(never)
