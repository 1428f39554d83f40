"""A device's file as the library uses it: what is written is durable when a method returns, what is
read is of one moment.

Synchronous: the caller runs it in a thread, of those that write one call at a time, and of those
that read; each has a connection of its own. Whatever a method raises, nothing was written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import apsw
from msgspec import Struct
from msgspec.structs import replace

from postbox.client.core.changes import Change, Place
from postbox.client.core.outgoing import Outgoing
from postbox.client.core.overlay import message_made
from postbox.client.core.settle import Settlement
from postbox.client.errors import AnotherOwner
from postbox.client.facts import (
    Conversation,
    Custom,
    Guild,
    Invite,
    Member,
    Message,
    Owner,
    Profile,
    Queued,
    Row,
    Why,
)
from postbox.client.store import (
    conversations,
    handling,
    messages,
    outbox,
    people,
    shadow,
    taking_in,
)
from postbox.client.store.customs import OWN_DEVICES, customs_before
from postbox.client.store.faults import named
from postbox.client.store.messages import Reading
from postbox.client.store.names import (
    conversation_named,
    conversation_uuid,
    keys,
    message_named,
)
from postbox.client.store.outbox import Batch
from postbox.client.store.rows import row, rows, value

T = TypeVar("T")


class Hole(Struct, frozen=True):
    """The numbers between the two are missing."""

    conversation: str
    after: int
    before: int


class Left(Struct, frozen=True):
    """When something was written, and before whatever is written next."""

    queued: int  # rows that are to be sent
    holes: int


class Store:
    """See `open_store`."""

    def __init__(
        self, path: str, lock: apsw.Connection, writer: apsw.Connection, reader: apsw.Connection
    ) -> None:
        self._path = path
        self._connections = (reader, writer, lock)  # the lock is the last to go
        self._writer = writer
        self._reader = reader
        self.owner: Owner | None = None
        self.owner = self._read(lambda look: _owner(look.cursor))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def claim(self, owner: Owner, *, moves: bool = False) -> None:
        """Says whose file it is, for good. Raises AnotherOwner if it is another's. `moves`: the
        host that it was of is called `owner.host` from now on."""
        if self.owner is not None:
            _check(self._path, self.owner, owner, moves=moves)
            known = self.owner
            owner = replace(owner, host=owner.host or known.host, name=owner.name or known.name)
        if self.owner != owner:
            with self._write() as cursor:
                values = (owner.user, owner.device, owner.host, owner.name)
                cursor.execute("replace into owner values (1, ?, ?, ?, ?)", values)
                people.know_owner(cursor)
            self.owner = owner

    # -- what the user does ----------------------------------------------------------------------

    def make(self, made: Outgoing, now_ms: int) -> Queued:
        """What was made under the same local uuid before is returned as it is."""
        with self._write() as cursor:
            return outbox.make(cursor, made, now_ms)

    def again(self, local: str) -> list[Queued]:
        """What was refused, and what hangs on it. What answers a message that is gone from this
        device answers none from now on. Raises Unknown and NotByItself."""
        with self._write() as cursor:
            return outbox.again(cursor, local, lambda name: message_named(cursor, name) is not None)

    def dismiss(self, local: str, *, whole: bool = False) -> list[Queued]:
        """What was refused, and is not to be shown any more; with what hangs on it. Raises Unknown
        and NotByItself."""
        with self._write() as cursor:
            return outbox.dismiss(cursor, local, whole=whole)

    def dismiss_refused(self, before_ms: int) -> list[Queued]:
        """All that was made before that, each with what hangs on it."""
        with self._write() as cursor:
            return outbox.dismiss_refused(cursor, before_ms)

    # -- what the host says ----------------------------------------------------------------------

    def settle(self, settlements: Iterable[Settlement], next_number: int) -> int:
        """`next_number`: that the host awaits; 0: it did not say. Returns how many rows are to be
        sent behind this, and before whatever is written next."""
        with self._write() as cursor:
            outbox.settle(cursor, settlements)
            if next_number:
                cursor.execute("update place set awaited = ?", (next_number,))
            return outbox.waiting(cursor)

    def tried(self, offered: Iterable[str], error: str, now_ms: int) -> None:
        """`offered`: local uuids. `error`: why there was no answer, for who asks."""
        with self._write() as cursor:
            outbox.tried(cursor, offered, error, now_ms)

    def refuse(self, local: str, code: str, detail: str) -> None:
        """If it is still to be sent."""
        with self._write() as cursor:
            outbox.refuse(cursor, local, code, detail)

    def stream_opened(self) -> None:
        """Another one: if the one before was in the middle of a snapshot, that does not count."""
        with self._write() as cursor:
            shadow.drop(cursor)

    def take(self, frames: Iterable[tuple[Iterable[Change], Place]], now_ms: int) -> Left:
        """The changes of frames, in order, and the place behind the last: all, or none."""
        with self._write() as cursor:
            for changes, place in frames:
                taking_in.take_in(cursor, changes, now_ms)
                taking_in.put_place(cursor, place)
            return Left(outbox.waiting(cursor), int(value(cursor, "select count(*) from hole")))

    def take_history(
        self,
        conversation: str,
        changes: Iterable[Change],
        before: int,
        lowest: int,
        has_more: bool,
        now_ms: int,
    ) -> None:
        """A page of History, asked for `before` a number: `lowest` is the least in it, 0 if it is
        empty."""
        with self._write() as cursor:
            if taking_in.wants_history(cursor, conversation):
                taking_in.take_in(cursor, changes, now_ms)
                taking_in.fill(cursor, conversation, before, lowest, has_more)

    def prune(self, now_ms: int) -> None:
        """Drops what was kept long enough."""
        with self._write() as cursor:
            outbox.prune(cursor, now_ms)

    # -- where it is -----------------------------------------------------------------------------

    def place(self) -> Place:
        sql = "select token, uuid, epoch from place"
        return self._read(lambda look: Place(*rows(look.cursor, sql)[0]))

    def awaited(self) -> int:
        """The number of the queue that the host awaits; 0: not known."""
        sql = "select awaited from place"
        return self._read(lambda look: int(value(look.cursor, sql)))

    def heads(self) -> dict[str, int]:
        """Of each conversation that the user is in, the newest number that is here."""
        sql = "select uuid, reached from conversation"
        return self._read(lambda look: dict(rows(look.cursor, sql)))

    def holes(self) -> list[Hole]:
        sql = "select conversation, after, before from hole order by conversation, before"
        return self._read(lambda look: [Hole(*each) for each in rows(look.cursor, sql)])

    # -- the queue -------------------------------------------------------------------------------

    def queued(self) -> int:
        """Rows that are to be sent."""
        return self._read(lambda look: outbox.waiting(look.cursor))

    def batch(self, max_events: int, max_bytes: int) -> Batch:
        """What is to be sent next."""
        return self._read(lambda look: outbox.batch(look.cursor, max_events, max_bytes))

    def queue(self, limit: int = 100, after: int = 0) -> list[Queued]:
        """What is not done, in order, behind the number `after`."""
        return self._read(lambda look: outbox.unfinished(look.cursor, after, limit))

    def row(self, local: str) -> Row | None:
        """A row of the queue with its event, whatever became of it."""
        return self._read(lambda look: outbox.find_row(look.cursor, local))

    def why(self, local: str) -> Why | None:
        return self._read(lambda look: outbox.why(look.cursor, local))

    def keys(self, made: Collection[str], messages: Collection[str]) -> dict[str, str]:
        """See `names.keys`."""
        return self._read(lambda look: keys(look.cursor, made, messages))

    # -- what the user sees ----------------------------------------------------------------------

    def conversations(self, limit: int = 50, before: str = "") -> list[Conversation]:
        """The one in which something was said last first."""
        return self._read(lambda look: conversations.conversations_before(look, before, limit))

    def conversation(self, name: str) -> Conversation | None:
        """`name`: its uuid, or the local one."""

        def read(look: Reading) -> Conversation | None:
            names = conversation_named(look.cursor, name)
            return None if names is None else conversations.read_conversation(look, names)

        return self._read(read)

    def unread(self) -> dict[str, int]:
        """Messages of others that the user has not read, of each conversation that has any."""
        return self._read(conversations.read_unread)

    def messages(self, conversation: str, before: str = "", limit: int = 50) -> list[Message]:
        """A page of them, the oldest first. `before`: a message; empty: the newest."""

        def read(look: Reading) -> list[Message]:
            where = conversations.read_whereabouts(look, conversation)
            found = [] if where is None else messages.messages_before(look, where, before, limit)
            return found[::-1]

        return self._read(read)

    def message(self, name: str) -> Message | None:
        """`name`: its uuid, or the local one."""
        return self._read(lambda look: _message(look, name))

    def sent(self, local: str) -> Message | None:
        """What was made here, as it is shown; or was, if it was deleted, or the user is out."""

        def read(look: Reading) -> Message | None:
            if (shown := _message(look, local)) is not None:
                return shown
            its = outbox.find_row(look.cursor, local)
            return None if its is None else message_made(its, look.user, "")

        return self._read(read)

    def is_read(self, name: str) -> bool:
        """Or the user has said so, and that waits to be sent."""

        def read(look: Reading) -> bool:
            message = _message(look, name)
            if message is None:
                return False
            where = conversations.read_whereabouts(look, message.conversation)
            is_past = where is not None and 0 < message.seq <= where.read_seq
            return is_past or messages.is_marked(look, message)

        return self._read(read)

    def customs(
        self, conversation: str, before: Custom | None = None, limit: int = 50
    ) -> list[Custom]:
        """A page of what is an application's, the oldest first. No conversation: of what is for the
        user's own devices."""

        def read(look: Reading) -> list[Custom]:
            its = conversation_named(look.cursor, conversation) if conversation else OWN_DEVICES
            return customs_before(look, its, before, limit)[::-1] if its else []

        return self._read(read)

    def members(self, conversation: str) -> list[Member]:
        def read(look: Reading) -> list[Member]:
            names = conversation_named(look.cursor, conversation)
            return [] if names is None else people.read_members(look, names)

        return self._read(read)

    def user(self, uuid: str) -> Profile | None:
        return self._read(lambda look: people.read_profile(look, uuid))

    def users(self) -> list[Profile]:
        """All that are known, without their pictures."""
        return self._read(people.read_profiles)

    def guilds(self) -> list[Guild]:
        return self._read(people.read_guilds)

    def invites(self) -> list[Invite]:
        return self._read(people.read_invites)

    # -- handlers of messages --------------------------------------------------------------------

    def begin_handling(self, name: str, *, at_the_end: bool = False) -> None:
        """Unless it has begun before. `at_the_end`: only what comes from now on is for it."""
        with self._write() as cursor:
            handling.begin(cursor, name, at_the_end=at_the_end)

    def unhandled(self, name: str, limit: int = 50) -> list[Message]:
        """Of others, the oldest first."""

        def read(look: Reading) -> list[Message]:
            found = handling.unhandled(look.cursor, name, limit)
            shown = (_message(look, each.uuid) for each in found)
            return list(islice(filter(None, shown), limit))

        return self._read(read)

    def set_handled(self, name: str, conversation: str, seq: int) -> None:
        """With the message of that number, and all before it in that conversation."""
        with self._write() as cursor:
            handling.mark(cursor, name, conversation_uuid(cursor, conversation), seq)

    # --------------------------------------------------------------------------------------------

    @contextmanager
    def _write(self) -> Iterator[apsw.Cursor]:
        with named(self._path):
            cursor = self._writer.cursor()
            cursor.execute("begin immediate")
            try:
                yield cursor
                cursor.execute("commit")
            except BaseException:
                if self._writer.in_transaction:  # SQLite ends it by itself after some errors
                    cursor.execute("rollback")
                raise

    def _read(self, work: Callable[[Reading], T]) -> T:
        with named(self._path):
            cursor = self._reader.cursor()
            cursor.execute("begin")
            try:
                return work(Reading(cursor, self.owner.user if self.owner else ""))
            finally:
                cursor.execute("rollback")


def _owner(cursor: apsw.Cursor) -> Owner | None:
    found = row(cursor, "select user, device, host, name from owner")
    return None if found is None else Owner(*found)


def _check(path: str, its: Owner, owner: Owner, *, moves: bool) -> None:
    if (its.user, its.device) != (owner.user, owner.device):
        raise AnotherOwner(
            f"{path} belongs to {its.name or its.user} on the device {its.device!r}, and this is"
            f" {owner.name or owner.user} on {owner.device!r}: each user and device has a file of"
            " its own"
        )
    if its.host and owner.host and its.host != owner.host and not moves:
        raise AnotherOwner(
            f"{path} is of the host {its.host}, and not of {owner.host}: name another file for that"
            " one; or, if it is the same host in another place, open the file with host_moved=True"
        )


def _message(look: Reading, name: str) -> Message | None:
    names = message_named(look.cursor, name)
    if names is None:
        return None
    where = conversations.read_whereabouts(look, names.conversation)
    return None if where is None else messages.read_message(look, where, names)
