"""A device's file with a life in it, and frames as a host would send them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from protobuf import Oneof
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from postbox.client.core.apply import Reader
from postbox.client.core.ids import user_uuid
from postbox.client.facts import Owner
from postbox.client.store.open import open_store
from postbox.client.store.store import Store
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.world import FileDisk

ANN, BOB = user_uuid("ann"), user_uuid("bob")
OWNER = Owner(ANN, "phone", "example.org")
CONVERSATIONS = 200
FRAME_EVENTS = 100  # as a host sends them to who asks for several
TEXT = (
    "What somebody says to somebody else has about a hundred characters, or so they say. "
    + "x" * 15
)
BEGUN_S = 1_795_219_200

_numbers = count(1)


def uuid() -> str:
    number = next(_numbers)
    # Spread, as uuids of hashes are: the cost of an index depends on it.
    return f"{number * 2654435761 % 2**32:08x}-0000-8000-8000-{number:012x}"


@contextmanager
def device(path: Path) -> Iterator[Store]:
    store = open_store(FileDisk(), str(path), OWNER)
    try:
        yield store
    finally:
        store.close()


class Host:
    """As one device sees it: its conversations, and what others say there."""

    def __init__(self) -> None:
        self.conversations = [uuid() for _ in range(CONVERSATIONS)]
        self._seqs = dict.fromkeys(self.conversations, 1)
        self._previous = ""

    def beginning(self) -> bytes:
        return self._frame([self._created(each) for each in self.conversations])

    def frames(self, events: int) -> Iterator[bytes]:
        """Messages, from one conversation to the next."""
        for first in range(0, events, FRAME_EVENTS):
            numbers = range(first, min(first + FRAME_EVENTS, events))
            yield self._frame([self._said(number) for number in numbers])

    def _frame(self, events: list[pb.Event]) -> bytes:
        frame = pb.Event(events=events, resumeToken=uuid(), previousUuid=self._previous)
        self._previous = events[-1].uuid
        return frame.to_binary()

    def _created(self, conversation: str) -> pb.Event:
        members = [pb.User(uuid=ANN, name="ann"), pb.User(uuid=BOB, name="bob", displayName="Bob")]
        created = pb.ConversationCreated(
            conversationUuid=conversation, name="a conversation", members=members
        )
        return pb.Event(
            uuid=conversation,
            content=Oneof("conversationCreated", created),  # type: ignore[arg-type]
            conversationUuid=conversation,
            conversationSeq=1,
            authorUuid=BOB,
            serverTime=Timestamp(seconds=BEGUN_S),
        )

    def _said(self, number: int) -> pb.Event:
        conversation = self.conversations[number % CONVERSATIONS]
        self._seqs[conversation] += 1
        name = uuid()
        message = pb.Message(text=TEXT, conversationUuid=conversation)
        came = pb.NewMessage(uuid=name, message=message)
        return pb.Event(
            uuid=name,
            content=Oneof("newMessage", came),  # type: ignore[arg-type]
            conversationUuid=conversation,
            conversationSeq=self._seqs[conversation],
            authorUuid=BOB,
            serverTime=Timestamp(seconds=BEGUN_S + number),
        )


def reader(store: Store) -> Reader:
    return Reader(ANN, store.place(), store.heads())


def take(store: Store, taking: Reader, frames: list[bytes]) -> None:
    """In one commit."""
    taken = [taking.take(frame) for frame in frames]
    store.take([(each.changes, each.place) for each in taken], BEGUN_S * 1_000)


def live(path: Path, messages: int) -> Host:
    """A file with so many messages."""
    host = Host()
    with device(path) as store:
        taking = reader(store)
        take(store, taking, [host.beginning()])
        frames = list(host.frames(messages))
        for at in range(0, len(frames), 10):
            take(store, taking, frames[at : at + 10])
    return host
