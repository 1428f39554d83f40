"""A device of a user: its queue, its cursor, and what it was sent. It believes nothing that it
cannot check, and says at once what is wrong.

One thread offers what is in the queue until it is answered; one reads the stream, and comes again
with its cursor whenever that ends.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from support.simulate import SeededRandom
from support.stock_clients import Lost, Refused, StockClient, Tree
from torture.account import Broken
from torture.served import Nap

MOST = 8  # events that it makes at once
LONGEST_QUEUE = 20
BATCH = 20  # that it offers at once
PAUSE_S = 0.2  # at most, from one call to the next
AGAIN_S = 0.05  # after one that came to nothing
PATIENT = {"STARTING", "STOPPING", "RATE_LIMITED", "SNAPSHOT_BUSY"}
CYCLE = 10


class Turn(IntEnum):
    """Of what it makes; all else are messages."""

    EDIT = 3
    REACT = 5
    READ = 7
    BAD = 9


class Seen(NamedTuple):
    uuid: str
    text: str | None  # of a message


@dataclass(frozen=True)
class Made:
    """Known by its place in the queue, from 1 on."""

    number: int
    conversation: str
    kind: str
    content: Tree

    @property
    def is_good(self) -> bool:
        return self.kind != "bad"

    @property
    def is_numbered(self) -> bool:
        return self.kind not in ("bad", "readNewMessage")

    @property
    def text(self) -> str:
        return str(self.content["message"]["text"])


def local_uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


@dataclass
class Phone:
    user: str
    device: str
    client: StockClient
    conversations: Sequence[str]
    by_token: bool  # its cursor is one; else the last event's uuid
    random: SeededRandom
    nap: Nap
    made: list[Made] = field(default_factory=list)
    answered: dict[int, str] = field(default_factory=dict)  # uuids of what is stored
    settled: int = 0
    told_twice: int = 0  # that it was stored before: an answer was lost
    seen: dict[str, list[Seen]] = field(default_factory=dict)  # a conversation's, by number
    streams: int = 0
    caught_up: threading.Event = field(default_factory=threading.Event)
    _uuids: set[str] = field(default_factory=set)
    _last_uuid: str = ""
    _token: str = ""
    _stops_making: threading.Event = field(default_factory=threading.Event)
    _stops: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return f"{self.user}/{self.device}"

    # -- what it makes --------------------------------------------------------------------------

    def stop_making(self) -> None:
        self._stops_making.set()

    def stop(self) -> None:
        self._stops.set()
        self.client.close()

    @property
    def is_settled(self) -> bool:
        return self._stops_making.is_set() and self.settled == len(self.made)

    def offer(self) -> None:
        while not self.is_settled and not self._stops.is_set():
            waiting = len(self.made) - self.settled
            if waiting < LONGEST_QUEUE and not self._stops_making.is_set():
                for _ in range(1 + int(self.random.fraction() * MOST)):
                    self.made.append(self._make(len(self.made) + 1))
            self._offer_some(self.made[self.settled : self.settled + BATCH])
            self.nap(self.random.fraction() * PAUSE_S)

    def _make(self, number: int) -> Made:
        """What refers to a message names the one of its own that is just before it."""
        before, conversation = local_uuid(number - 1), self._any_conversation()
        text = {"text": f"{self.name}/{number} " + "x" * (number * 37 % 200)}
        match number % CYCLE:
            case Turn.EDIT:
                return self._about(number, "messageEdited", {"uuid": before, "message": text})
            case Turn.REACT:
                return self._about(number, "reactionAdded", {"uuid": before, "reaction": "ok"})
            case Turn.BAD:
                return self._about(number, "bad", {"uuid": before, "reaction": ""})
            case Turn.READ if known := self._messages_of(conversation):
                return Made(number, conversation, "readNewMessage", {"uuid": known[-1]})
            case _:
                return Made(number, conversation, "sendingNewMessage", {"message": text})

    def _about(self, number: int, kind: str, content: Tree) -> Made:
        return Made(number, self.made[-1].conversation, kind, content)

    def _any_conversation(self) -> str:
        return self.conversations[int(self.random.fraction() * len(self.conversations))]

    def _messages_of(self, conversation: str) -> list[str]:
        newest = self.seen.get(conversation, [])[-CYCLE:]
        return [seen.uuid for seen in newest if seen.text is not None]

    # -- its queue ------------------------------------------------------------------------------

    def _offer_some(self, some: Sequence[Made]) -> None:
        if not some:
            return
        request: Tree = {
            "events": [_event(made) for made in some],
            "firstQueueNumber": str(some[0].number),
            "resumeToken": self._token,
        }
        try:
            answer = self.client.sync(request)
        except Lost:
            self.nap(AGAIN_S)
        except Refused as refused:
            self._bear(refused)
        else:
            self._take_answer(some, answer)

    def _bear(self, refused: Refused) -> None:
        if refused.code not in PATIENT:
            raise Broken(f"{self.name} is refused: {refused}") from refused
        self.nap(AGAIN_S)

    def _take_answer(self, some: Sequence[Made], answer: Tree) -> None:
        told = answer.get("events", [])
        if len(told) != len(some):
            raise Broken(f"{self.name}: {len(told)} answers to {len(some)} events")
        for made, event in zip(some, told, strict=True):
            self._settle(made, event)
        self.settled += len(some)
        if int(answer["nextQueueNumber"]) <= self.settled:  # more, if an answer was lost before
            raise Broken(f"{self.name}: {answer['nextQueueNumber']} after {self.settled}")

    def _settle(self, made: Made, told: Tree) -> None:
        if told.get("clientUuid") != local_uuid(made.number):
            raise Broken(f"{self.name}: event {made.number} is answered as {told}")
        if ("eventRefused" in told) is made.is_good:
            raise Broken(f"{self.name}: {made} is answered {told}")
        if made.is_good:
            self.answered[made.number] = told["uuid"]
            self.told_twice += told.get("duplicate", False)

    # -- its stream -----------------------------------------------------------------------------

    def listen(self) -> None:
        while not self._stops.is_set():
            try:
                self._hear()
            except Lost:
                pass
            except Refused as refused:
                self._bear(refused)
            self.nap(AGAIN_S)

    def _hear(self) -> None:
        """One stream. Raises as the client does."""
        token, last = {"resumeToken": self._token}, {"lastEventUuid": self._last_uuid}
        cursor = token if self.by_token else last
        is_first = True
        for frame in self.client.stream({"eventsPerFrame": 10, **cursor}):
            self.streams += is_first
            is_first = False
            self._take_frame(frame)

    def _take_frame(self, frame: Tree) -> None:
        before = frame.get("previousUuid")
        if before and self._last_uuid and before != self._last_uuid:
            raise Broken(f"{self.name}: a frame comes after {before}, not {self._last_uuid}")
        for event in frame.get("events", [frame]):
            self._take(event)
        self._token = frame.get("resumeToken", self._token)

    def _take(self, event: Tree) -> None:
        if "snapshotBegin" in event:
            self._begin(event["snapshotBegin"])
        elif "snapshotEnd" in event:
            self._last_uuid = event.get("uuid", "")
        elif "caughtUp" in event:
            self.caught_up.set()
        elif "uuid" in event and not event.get("backfill"):
            self._take_stored(event)

    def _begin(self, content: Tree) -> None:
        if self.caught_up.is_set():
            raise Broken(f"{self.name} is sent a snapshot: {content}")
        self.seen = {conversation: [] for conversation in self.conversations}

    def _take_stored(self, event: Tree) -> None:
        uuid, number = event["uuid"], int(event.get("conversationSeq", "0"))
        if uuid in self._uuids:
            raise Broken(f"{self.name} is sent {uuid} twice")
        self._uuids.add(uuid)
        self._last_uuid = uuid
        if number:
            seen = self.seen[event["conversationUuid"]]
            if number != len(seen) + 2:  # behind the one that created it
                raise Broken(f"{self.name}: number {number} comes as the {len(seen) + 2}nd")
            seen.append(Seen(uuid, _text(event)))


def _event(made: Made) -> Tree:
    kind = "reactionAdded" if made.kind == "bad" else made.kind
    return {
        "uuid": local_uuid(made.number),
        "conversationUuid": made.conversation,
        kind: made.content,
    }


def _text(event: Tree) -> str | None:
    message: Any = event.get("newMessage")
    return None if message is None else message["message"]["text"]
