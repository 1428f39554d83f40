"""What is on the screen, without a screen: asked of the library, and asked again for what changed.

Nothing is kept here that the library does not have, but for how far one has scrolled back and where
the unread messages began when a conversation was opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from postbox.chat import wording
from postbox.client import (
    Change,
    Client,
    Conversation,
    Guild,
    Invite,
    Member,
    Message,
    Queued,
    Unknown,
    What,
    Why,
)

PAGE = 50
"""Messages, or conversations: two screens."""

MOST_QUEUED = 100
"""Rows of the queue that are looked at: nobody reads more."""

TITLE_NAMES = 3
"""Members by which a conversation without a name is called."""

OF_LIST = {What.CONVERSATION, What.MESSAGE, What.MEMBERS, What.USER, What.ALL}
OF_ROOM = OF_LIST | {What.TYPING}
OF_GUILDS = {What.GUILDS, What.INVITES, What.QUEUE, What.ALL}


def invite_key(invite: Invite) -> str:
    return f"{invite.host} {invite.invite}"


@dataclass
class Room:
    """The conversation that is open."""

    conversation: Conversation
    messages: Sequence[Message] = ()
    members: Sequence[Member] = ()
    new_after: int | None = None
    limit: int = PAGE
    typing: Sequence[str] = ()  # users

    @property
    def typists(self) -> list[str]:
        """Names of those who type."""
        return [self.names.get(user, "") for user in self.typing]

    @property
    def key(self) -> str:
        return self.conversation.key

    @property
    def has_older(self) -> bool:
        return len(self.messages) >= self.limit or self.conversation.has_older

    @property
    def names(self) -> dict[str, str]:
        """Of all who are here, or said something here."""
        said = {message.author: message.author_name for message in self.messages}
        return said | {member.user: member.shown for member in self.members}

    def message(self, key: str) -> Message | None:
        return next((each for each in self.messages if each.key == key), None)


@dataclass(frozen=True)
class Waiting:
    """Why it is in the queue, and what it is about: a conversation, and what a message says."""

    why: Why
    title: str
    text: str


@dataclass
class Desk:
    client: Client
    conversations: Sequence[Conversation] = ()
    titles: dict[str, str] = field(default_factory=dict)
    room: Room | None = None
    queue: Sequence[Queued] = ()
    invites: Sequence[Invite] = ()
    guilds: Sequence[Guild] = ()
    pictured: frozenset[str] = frozenset()  # users that gave themselves a picture
    _limit: int = PAGE
    _looking: anyio.Lock = field(
        default_factory=anyio.Lock
    )  # one look at a time: none is overtaken

    @property
    def unanswered(self) -> int:
        """What the user did and the host has not answered."""
        return sum(1 for row in self.queue if wording.is_queued(row))

    @property
    def refused(self) -> int:
        return sum(1 for row in self.queue if wording.is_refused(row))

    @property
    def unanswered_invites(self) -> int:
        return sum(1 for invite in self.invites if invite.answer is None)

    def invite(self, key: str) -> Invite | None:
        """That is not answered yet."""
        found = (each for each in self.invites if key == invite_key(each) and each.answer is None)
        return next(found, None)

    # -- what is shown ----------------------------------------------------------------------------

    async def load(self) -> None:
        await self.refresh([Change(What.ALL)])

    async def refresh(self, changes: Iterable[Change]) -> None:
        async with self._looking:
            await self._refresh({change.what for change in changes})

    async def _refresh(self, what: set[What]) -> None:
        if what & {What.MEMBERS, What.USER, What.ALL}:
            self.titles.clear()
            known = await self.client.users()
            self.pictured = frozenset(each.user for each in known if each.picture_sha256)
        if what & OF_LIST:
            self.conversations = await self.client.conversations(self._limit)
            await self._name_them()
        if what & OF_ROOM:
            await self._refresh_room()
        if what & {What.QUEUE, What.ALL}:
            self.queue = await self.client.queue(MOST_QUEUED)
        if what & OF_GUILDS:
            self.invites = await self.client.invites()
            self.guilds = await self.client.guilds()

    async def more_conversations(self) -> bool:
        """Whether there were more."""
        if len(self.conversations) < self._limit:
            return False
        self._limit += PAGE
        await self.load()
        return True

    async def open(self, key: str) -> None:
        """Raises Unknown: it went while it stood in the list."""
        found = await self.client.conversation(key)
        if found is None:
            raise Unknown("That conversation is there no more.")
        async with self._looking:
            self.room = Room(found, new_after=found.read_seq if found.unread else None)
            await self._refresh_room()

    async def older(self) -> bool:
        """What was said before that: from this device, or else from the host. Whether there may be
        any. Raises CallFailed."""
        room = self.room
        if room is None or not room.has_older:
            return False
        if len(room.messages) < room.limit:
            await self.client.older(room.conversation)
        room.limit += PAGE
        async with self._looking:
            await self._refresh_room()
        return True

    def forget_older(self) -> None:
        """At the end again: a long look back need not be asked for at each change."""
        if self.room is not None and self.room.limit > PAGE:
            self.room.limit = PAGE
            self.room.messages = self.room.messages[-PAGE:]

    # -- what the user does in the open room ------------------------------------------------------

    async def saw_all(self) -> None:
        """The end of the open conversation is on the screen, and somebody looks at it."""
        room = self.room
        if room is None or not room.conversation.unread:
            return
        others = [each for each in room.messages if each.author != self.client.user and each.uuid]
        if others and others[-1].seq > room.conversation.read_seq:
            await self.client.read(others[-1])

    async def toggle(self, message: Message, reaction: str) -> None:
        """Adds the user's reaction, or takes it back."""
        mine = any(
            each.reaction == reaction and self.client.user in each.users
            for each in message.reactions
        )
        await (self.client.unreact if mine else self.client.react)(message, reaction)

    # -- what is asked for now and then -----------------------------------------------------------

    async def waiting(self) -> list[Waiting]:
        """All that is in the queue."""
        found = [(row, await self.client.why(row.local)) for row in self.queue]
        return [await self._waiting(row, why) for row, why in found if why is not None]

    async def _waiting(self, row: Queued, why: Why) -> Waiting:
        room = await self.client.conversation(row.conversation or row.local)
        message = await self.client.message(row.target or row.local)
        title = self.titles.get(room.key) or wording.title(room, ()) if room else ""
        return Waiting(why, title, message.text if message else "")

    def title(self, conversation: Conversation) -> str:
        return self.titles.get(conversation.key, "")

    # -- how it is done ---------------------------------------------------------------------------

    async def _refresh_room(self) -> None:
        room = self.room
        if room is None:
            return
        found = await self.client.conversation(room.key)
        if found is not None:
            room.messages = await self.client.messages(found, limit=room.limit)
            room.members = await self.client.members(found)
            room.typing = await self.client.typists(found)
            room.conversation = found
        elif self.room is room:  # left, removed, or what made it was dismissed
            self.room = None

    async def _name_them(self) -> None:
        for each in self.conversations:
            if each.name:
                self.titles[each.key] = wording.title(each, ())
            elif each.key not in self.titles:
                self.titles[each.key] = wording.title(each, await self._others(each))

    async def _others(self, conversation: Conversation) -> list[str]:
        members = await self.client.members(conversation)
        names = [each.shown for each in members if each.user != self.client.user]
        more = ["…"] if len(names) > TITLE_NAMES else []
        return names[:TITLE_NAMES] + more
