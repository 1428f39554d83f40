"""What was missed, by MQTT: this node answers who asks it, and asks others when no peer can be
reached by HTTP.

Social events only, as hearsay: the way is nara's, older than signatures. Answers come in their own
time, from whoever heard the question, and are taken in as they come; names that turn up in them are
asked about in the next round. Only who was asked is listened to, for a while, and up to a number of
events; but who it really is that answers nobody can tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial

import trio

from postbox.core import Ledger
from postbox.errors import Fault, WireError
from postbox.logs import get
from postbox.mesh.bus import topics
from postbox.mesh.bus.bus import Bus
from postbox.mesh.bus.heard import Heard
from postbox.mesh.bus.ledger_messages import (
    MAX_SUBJECTS,
    decode_request,
    decode_response,
    encode_request,
    encode_responses,
    partition,
)
from postbox.mesh.bus.plaza import PAYER
from postbox.mesh.chunks import chunks
from postbox.mesh.memory import mode_of
from postbox.mesh.merging.intake import Intake, Report
from postbox.mesh.peers.roster import Roster
from postbox.net.rates import Rate, TooOften
from postbox.trust.directory import Directory
from postbox.world import Pool, World

ANSWER_EVENTS = 20_000
"""The newest so many, to one request: some 5 MB."""
ANSWERS_PER_MINUTE, ANSWERS_BURST = 2, 6
"""To one name; a request can be made in anybody's name, and its answer is a thousand times as
large."""
ALL_ANSWERS_PER_MINUTE, ALL_ANSWERS_BURST = 4, 20
"""To all: as many at once as a mesh that wakes up asks, and in the long run 20 MB a minute."""
NEIGHBOURS, NEIGHBOURS_SHORT = 5, 2
"""That are asked at once, by nara's rule; fewer by a node of short memory."""
LISTEN_S = 120.0
"""To who was asked."""
ROUNDS = 5
"""Of asking about names that turned up in the answers of the round before."""
ROUND_S = 8.0
TAKE_EVENTS = 1_000
TAKE_BYTES = 64 * 2**20
"""Of answers that are read, each time that this node asks: anybody can send one, in the name of who
was asked."""
ALONE_S = 1800.0
"""nara's rhythm of asking others in the background: so often a node that reaches nobody by HTTP
asks here."""

FIRST_S = 10.0
"""And for the first time, when hey-theres and howdies had time to come and go."""

Subjects = Sequence[str]


class Exchange:
    def __init__(
        self,
        world: World,
        own_name: str,
        bus: Bus,
        index: Ledger,
        directory: Directory,
        roster: Roster,
        intake: Intake,
        heard: Heard,
    ) -> None:
        self._world = world
        self._own_name = own_name
        self._bus = bus
        self._index = index
        self._directory = directory
        self._roster = roster
        self._intake = intake
        self._heard = heard
        self._log = get("postbox.mesh.bus.exchange")
        self._answers = Rate(ANSWERS_PER_MINUTE, ANSWERS_BURST)
        self._all_answers = Rate(ALL_ANSWERS_PER_MINUTE, ALL_ANSWERS_BURST)
        self._asked_about: set[str] = set()
        self._awaited: dict[str, _Awaited] = {}
        self._bytes_left = 0
        self._wanted = trio.Event()
        self.taken = Report()
        """What became of all that came this way."""
        if topics.is_level(own_name):
            bus.handle(topics.ledger_request(own_name), self._answer)
            bus.handle(topics.ledger_response(own_name), self._take)

    # -- asking ---------------------------------------------------------------------------------

    async def ask(self) -> None:
        """Asks those that are there for what they remember; the answers come later."""
        if not self._bus.is_up:
            return
        self._asked_about.clear()
        self._bytes_left = TAKE_BYTES
        await self._round()
        self._wanted.set()

    async def run(self) -> None:
        """The rounds after the first; and a first one now and then, if nobody can be reached."""
        pause_s = FIRST_S
        while True:
            await self._bus.wait_up()
            with trio.move_on_after(pause_s):
                await self._wanted.wait()
            pause_s = ALONE_S
            if not self._wanted.is_set() and self._is_alone():
                await self.ask()
            if self._wanted.is_set():
                await self._further_rounds()
                self._wanted = trio.Event()

    async def _further_rounds(self) -> None:
        before = self.taken.imported
        for _ in range(ROUNDS - 1):
            await trio.sleep(ROUND_S)
            if not await self._round():
                break
        await trio.sleep(ROUND_S)
        new_events = self.taken.imported - before
        self._log.info("asked by MQTT, as no peer could be reached", new_events=new_events)

    def _is_alone(self) -> bool:
        return not any(peer.url for peer in self._roster.here())

    async def _round(self) -> bool:
        """False if there is nobody to ask, or nothing to ask about."""
        neighbours = self._drawn(self._neighbours())
        subjects = [name for name in self._subjects() if name not in self._asked_about]
        if not neighbours or not subjects:
            return False
        parts = partition(subjects[:MAX_SUBJECTS], len(neighbours))
        for neighbour, part in zip(neighbours, parts, strict=False):
            if part and not await self._request(neighbour, part):
                return False
        return True

    async def _request(self, neighbour: str, subjects: Subjects) -> bool:
        try:
            request = encode_request(self._own_name, subjects)
            await self._bus.publish(topics.ledger_request(neighbour), request)
        except Fault:
            return False
        self._asked_about.update(subjects)
        until_s = self._world.clock.elapsed_s() + LISTEN_S
        self._awaited[neighbour] = _Awaited(until_s, 2 * ANSWER_EVENTS)
        return True

    def _neighbours(self) -> list[str]:
        here = [peer.name for peer in self._roster.here()]
        names = dict.fromkeys([*self._heard.here, *here])
        return [name for name in names if self._may_be_asked(name)]

    def _may_be_asked(self, name: str) -> bool:
        is_other = name != self._own_name and topics.is_level(name)
        return is_other and not self._roster.is_banned(name)

    def _drawn(self, names: list[str]) -> list[str]:
        """A few, at random: who never answers is not asked for ever."""
        is_short = mode_of(self._index.capacity) == "short"
        drawn = self._world.random.bytes(8 * len(names))
        order = sorted(range(len(names)), key=lambda at: drawn[8 * at : 8 * at + 8])
        return [names[at] for at in order[: NEIGHBOURS_SHORT if is_short else NEIGHBOURS]]

    def _subjects(self) -> Iterable[str]:
        """Whom this node has heard of, in whatever way; who is likely to be somebody first."""
        known = [known.name for known in self._directory.all()]
        peers = [peer.name for peer in self._roster.all() if peer.name]
        return dict.fromkeys(
            [self._own_name, *self._heard.here, *known, *peers, *self._heard.mentioned]
        )

    async def _take(self, topic: str, payload: bytes) -> None:
        self._require_room(len(payload))
        work = partial(decode_response, payload)
        response = await self._world.threads.run(Pool.VERIFIER, work)
        events = self._expected(response.sender, response.events)
        self._heard.mention(sorted(response.names))
        for part in chunks(events, TAKE_EVENTS):
            self.taken.add(await self._intake.take(await self._intake.decode(part), PAYER))

    def _require_room(self, size_bytes: int) -> None:
        """Before it is read, which for the largest takes a second."""
        now_s, awaited = self._world.clock.elapsed_s(), self._awaited
        self._awaited = {name: one for name, one in awaited.items() if one.until_s >= now_s}
        if not self._awaited:
            raise WireError("a ledger response that nobody asked for")
        if size_bytes > self._bytes_left:
            raise TooOften("more ledger responses than are looked at", LISTEN_S)
        self._bytes_left -= size_bytes

    def _expected(self, sender: str, events: list[bytes]) -> list[bytes]:
        """As many as are still taken from who was asked. Raises WireError if nobody was."""
        awaited = self._awaited.get(sender)
        if awaited is None:
            raise WireError(f"a ledger response of {sender!r}, whom nobody asked")
        room, awaited.room = awaited.room, max(0, awaited.room - len(events))
        return events[:room]

    # -- answering ------------------------------------------------------------------------------

    async def _answer(self, topic: str, payload: bytes) -> None:
        request = decode_request(payload)
        if request.sender == self._own_name:
            return
        if self._directory.key_of(request.sender) is None:
            raise WireError(f"a ledger request of {request.sender!r}, whom nobody here knows")
        self._roster.require_dealings(request.sender)
        self._require_seldom(request.sender)
        work = partial(social_events, self._index, request.subjects)
        bodies = await self._world.threads.run(Pool.READER, work)
        where = topics.ledger_response(request.sender)
        for response in encode_responses(self._own_name, bodies):
            await self._bus.publish(where, response)

    def _require_seldom(self, name: str) -> None:
        now_s = self._world.clock.elapsed_s()
        wait_s = self._answers.wait_s(name, now_s) or self._all_answers.wait_s("all", now_s)
        if wait_s:
            raise TooOften("too many ledger requests", wait_s)


class _Awaited:
    """An answer, or some. `room`: so many events may still come."""

    def __init__(self, until_s: float, room: int) -> None:
        self.until_s = until_s
        self.room = room


def social_events(index: Ledger, subjects: Subjects) -> list[bytes]:
    """About these names, oldest first; of too many the newest. None about nobody."""
    found: deque[bytes] = deque(maxlen=ANSWER_EVENTS)
    cursor: str | None = None
    while subjects:
        page = index.page(cursor, None, ("social",), subjects)
        found.extend(page.bodies())
        cursor = page.next_cursor
        if cursor is None:
            break
    return list(found)
