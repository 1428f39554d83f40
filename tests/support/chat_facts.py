"""What a client library might tell a chat, as values."""

from __future__ import annotations

from postbox.client import Conversation, Member, Message, Queued, Standing, State

ANN, BOB, CARL = "uuid-of-ann", "uuid-of-bob", "uuid-of-carl"
NAMES = {ANN: "Ann", BOB: "Bob", CARL: "Carl"}
NOON_MS = 1_795_262_400_000
"""2026-11-21 12:00 UTC."""

MINUTE_MS = 60_000


def message(
    at: int, text: str, author: str = BOB, state: State = State.READ, **more: object
) -> Message:
    """The `at`-th of a conversation, said in the `at`-th minute behind noon."""
    facts = {
        "uuid": f"message-{at}",
        "local": "",
        "conversation": "room",
        "seq": at,
        "author": author,
        "author_name": NAMES.get(author, author),
        "text": text,
        "state": state,
        "at_ms": NOON_MS + at * MINUTE_MS,
        "others": 2,
    }
    return Message(**(facts | more))  # type: ignore[arg-type]


def own(at: int, text: str, state: State, **more: object) -> Message:
    return message(at, text, ANN, state, local=f"local-{at}", **more)


def conversation(key: str = "room", name: str = "Lunch", **more: object) -> Conversation:
    facts = {
        "uuid": key,
        "local": "",
        "name": name,
        "state": State.SENT,
        "unread": 0,
        "read_seq": 0,
        "newest_seq": 9,
        "newest_ms": NOON_MS,
        "newest": None,
        "is_owner": False,
        "members": 3,
        "has_older": False,
        "oldest_seq": 1,
    }
    return Conversation(**(facts | more))  # type: ignore[arg-type]


def member(user: str, **more: object) -> Member:
    name = NAMES[user]
    facts = {
        "conversation": "room",
        "user": user,
        "name": name.lower(),
        "display": name,
        "is_owner": False,
        "read_seq": 0,
        "delivered_seq": 0,
    }
    return Member(**(facts | more))  # type: ignore[arg-type]


def queued(standing: Standing = Standing.QUEUED, **more: object) -> Queued:
    facts = {
        "number": 1,
        "local": "local-1",
        "kind": "sendingNewMessage",
        "conversation": "room",
        "target": "",
        "standing": standing,
        "made_ms": NOON_MS,
    }
    return Queued(**(facts | more))  # type: ignore[arg-type]
