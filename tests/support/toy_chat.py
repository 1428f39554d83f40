"""A toy chat: the smallest door with dense numbers, state rows, remembered refusals and removals.

An entry's kind is its verb. Refusals of `send` are remembered; `rename` must name the version that
it was based on; `remove` and `blank` have no entry of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never

from msgspec import Struct

from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State, StreamKey
from postbox.store.contract import Column, Found, Lane, Table
from postbox.store.schema import Migrations

CHAT = Table(
    "chat", (Column("id", "blob"), Column("name", "text"), Column("version", "integer")), 1
)
MEMBER = Table("toy_member", (Column("chat", "blob"), Column("user", "text")), 2)
VERDICT = Table("verdict", (Column("id", "blob"), Column("code", "text")), 1, followed=True)
MIGRATIONS = Migrations("chat", "support.toy_migrations")

Verb = Literal["create", "join", "send", "rename", "remove", "blank"]
KINDS: dict[Verb, int] = {"create": 1, "join": 2, "send": 3, "rename": 4}


class ChatDraft(Struct, frozen=True):
    id: bytes
    verb: Verb
    chat: bytes
    user: str = "ann"
    text: str = ""
    based_on: int = 0  # rename: the version of the name that the user saw
    target: bytes = b""  # remove, blank: an entry's id

    @property
    def payer(self) -> Payer:
        return Payer("device", self.user)

    @property
    def size_bytes(self) -> int:
        return len(self.text)


class ToyChat:
    lane = Lane.CLIENTS
    tables = (CHAT, MEMBER, VERDICT)

    def needs(self, draft: ChatDraft, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        yield StreamKey(draft.chat)
        yield RowKey(VERDICT, (draft.id,))
        yield RowKey(CHAT, (draft.chat,))
        yield RowKey(MEMBER, (draft.chat, draft.user))
        if draft.target:
            yield EntryKey(Lane.CLIENTS, draft.target)

    def decide(self, draft: ChatDraft, state: State, at_ms: int) -> Decision:
        verdict = state[VERDICT, (draft.id,)]
        if verdict is not None:
            return refuse(str(verdict[1]))
        chat = state[CHAT, (draft.chat,)]
        is_member = state[MEMBER, (draft.chat, draft.user)] is not None
        match draft.verb:
            case "create" if chat is not None:
                return refuse("exists")
            case "create":
                row = (draft.chat, draft.text, 1)
                return said(draft, Put(CHAT, row), Put(MEMBER, (draft.chat, draft.user)))
            case "join" if chat is None:
                return refuse("none")
            case "join":
                return said(draft, Put(MEMBER, (draft.chat, draft.user)))
            case "send" if not is_member:
                return refuse("stranger", Put(VERDICT, (draft.id, "stranger")))
            case "send":
                return said(draft)
            case "rename":
                if chat is None or not is_member or chat[2] != draft.based_on:
                    return refuse("stale")
                return said(draft, Put(CHAT, (draft.chat, draft.text, draft.based_on + 1)))
            case "remove" | "blank":
                return gone(draft, state.entry(Lane.CLIENTS, draft.target))
            case _ as never:
                assert_never(never)

    def replaces(self, draft: ChatDraft, stored: Found) -> bool:
        return False


def said(draft: ChatDraft, *puts: Put) -> Decision:
    kind, author = KINDS[draft.verb], draft.user.encode()
    entry = NewEntry(
        Lane.CLIENTS, draft.chat, draft.id, kind, author, 0, draft.text.encode(), numbered=True
    )
    return Decision((entry,), puts)


def gone(draft: ChatDraft, found: Found | None) -> Decision:
    if found is None:
        return refuse("unknown")
    if draft.verb == "remove":
        return Decision(removes=(found.pos,))
    return Decision(blanks=(found.pos,))


def refuse(code: str, *puts: Put) -> Decision:
    return Decision(puts=puts, refuse=Reason(code))
