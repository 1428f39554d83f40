"""A device's file in tests: what is said to it, in few words, and all that is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from postbox.client.core import acts, changes
from postbox.client.core.changes import Change, Place
from postbox.client.core.outgoing import outgoing
from postbox.client.core.settle import Stored
from postbox.client.facts import Message, Owner, Queued
from postbox.client.store.open import open_store
from postbox.client.store.rows import rows
from postbox.client.store.store import Store
from postbox.world import Disk
from support.simulate import MemoryDisk

PATH = "device.db"
NOW_MS = 1_800_000_000_000


def uuid(number: int) -> str:
    """One that is easily told from others."""
    return f"00000000-0000-8000-8000-{number:012}"


ANN, BOB, CLEO = (uuid(number) for number in range(1, 4))
ROOM, ATTIC = uuid(11), uuid(12)
OWNER = Owner(ANN, "phone", "example.org")

_places = count(1)


def place() -> Place:
    number = next(_places)
    return Place(f"token {number}", uuid(number), "e1")


@contextmanager
def opened(disk: Disk | None = None, path: str = PATH, owner: Owner = OWNER) -> Iterator[Store]:
    store = open_store(disk or MemoryDisk(), path, owner)
    try:
        yield store
    finally:
        store.close()


def hear(store: Store, *several: Change) -> None:
    """One frame."""
    store.take([(several, place())], NOW_MS)


def room(conversation: str = ROOM, *others: str, name: str = "room") -> list[Change]:
    """A conversation that Ann made, with others."""
    return [
        changes.ConversationMade(conversation, name, "", NOW_MS),
        *[changes.MemberCame(conversation, user, user == ANN) for user in (ANN, *others)],
        changes.Reached(conversation, 1),
    ]


def said(
    seq: int, text: str = "", author: str = BOB, conversation: str = ROOM, **more: Any
) -> list[Change]:
    message = changes.MessageCame(
        conversation=conversation,
        message=more.pop("message", message_uuid(seq, conversation)),
        seq=seq,
        author=author,
        text=text or f"message {seq}",
        reply_to="",
        at_ms=more.pop("at_ms", NOW_MS + seq),
        claimed_ms=None,
        local=more.pop("local", ""),
        is_backfill=more.pop("is_backfill", False),
        extra=more.pop("extra", b""),
    )
    assert not more
    return [changes.Reached(conversation, seq), message]


def message_uuid(seq: int, conversation: str = ROOM) -> str:
    return uuid(int(conversation[-12:]) * 1_000_000 + seq)


def do(store: Store, act: acts.Act, local: int, now_ms: int = NOW_MS) -> Queued:
    return store.make(outgoing(act, uuid(local), now_ms), now_ms)


def send(store: Store, text: str, local: int, conversation: str = ROOM) -> Queued:
    return do(store, acts.SendMessage(conversation, text), local)


def answered(local: int, stored: int, *, is_duplicate: bool = False) -> Stored:
    return Stored(uuid(local), uuid(stored), is_duplicate)


def texts(messages: Iterable[Message]) -> list[str]:
    return [message.text for message in messages]


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that is in it, but for what a snapshot has brought so far."""
    cursor = store._reader.cursor()  # the rows themselves
    tables = rows(
        cursor,
        """select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'
        and name not like 'shadow_%'""",
    )
    return {name: sorted(rows(cursor, f"select * from {name}"), key=repr) for (name,) in tables}
