"""What an app calls a message or a conversation, and what that is: by the host's uuid, or by the
local uuid of what this device made."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import apsw

from postbox.client.facts import Row, Standing
from postbox.client.store import outbox
from postbox.client.store.rows import row, rows, value

_ROW = f"select {outbox.ROW} from outbox"

_CONVERSATION = "select uuid from conversation where uuid = ?"
_MADE_AS = """select local from outbox
  where uuid = ? and uuid <> '' and kind = 'conversationCreated'"""
_MAKER = f"""{_ROW} where local = ?1 and kind = 'conversationCreated' union all
  {_ROW} where uuid = ?1 and uuid <> '' and kind = 'conversationCreated'"""

_MADE_AS_UUID = """select uuid from outbox
  where local = ? and uuid <> '' and kind = 'conversationCreated'"""

_BY_UUID = "select uuid, local, conversation, seq from message where uuid = ?"
_BY_LOCAL = "select uuid, local, conversation, seq from message where local = ? and local <> ''"
_SENDER = f"""{_ROW} where local = ?1 and standing < 3 and kind = 'sendingNewMessage' union all
  {_ROW} where uuid = ?1 and uuid <> '' and standing < 3 and kind = 'sendingNewMessage'"""

_KEYS_OF_MADE = """select uuid, local from outbox where uuid in (select value from carray(?))
  and uuid <> '' and kind in ('conversationCreated', '')"""
_ITS_MESSAGES = "in (select value from carray(?1))"
_KEYS_OF_MESSAGES = f"""select uuid, coalesce(nullif(local, ''), uuid) from message
    where uuid {_ITS_MESSAGES}
  union select local, local from message where local <> '' and local {_ITS_MESSAGES}
  union select uuid, local from outbox
    where uuid <> '' and uuid {_ITS_MESSAGES} and kind = 'sendingNewMessage'
  union select local, local from outbox
    where local {_ITS_MESSAGES} and kind = 'sendingNewMessage'"""


class ConversationNames(NamedTuple):
    """`maker`: the row that makes it, if the base does not have it."""

    uuid: str
    local: str
    maker: Row | None = None

    @property
    def key(self) -> str:
        return self.local or self.uuid

    @property
    def both(self) -> tuple[str, str]:
        return self.uuid or self.local, self.local or self.uuid


class MessageNames(NamedTuple):
    """`sender`: the row that sends it, if the base does not have it."""

    uuid: str
    local: str
    conversation: str
    seq: int
    sender: Row | None = None


def conversation_named(cursor: apsw.Cursor, name: str) -> ConversationNames | None:
    if _is_in_base(cursor, name):
        return ConversationNames(name, value(cursor, _MADE_AS, (name,), ""))
    maker = _row(cursor, _MAKER, name)
    if maker is None:
        return None
    uuid, local = maker.queued.uuid, maker.queued.local
    if uuid and _is_in_base(cursor, uuid):
        return ConversationNames(uuid, local)
    if maker.queued.standing is Standing.KEPT:  # the user has left it
        return None
    return ConversationNames(uuid, local, maker)


def conversation_uuid(cursor: apsw.Cursor, name: str) -> str:
    """Also of one that the user has left; of one that the host has not named, `name`."""
    return str(value(cursor, _MADE_AS_UUID, (name,), name))


def message_named(cursor: apsw.Cursor, name: str) -> MessageNames | None:
    for sql in (_BY_UUID, _BY_LOCAL):
        if (found := row(cursor, sql, (name,))) is not None:
            return MessageNames(*found)
    sender = _row(cursor, _SENDER, name)
    if sender is None:
        return None
    queued = sender.queued
    return MessageNames(queued.uuid, queued.local, queued.conversation, 0, sender)


def keys(cursor: apsw.Cursor, made: Collection[str], messages: Collection[str]) -> dict[str, str]:
    """By which an app knows them: of what was `made`, a conversation or something of the app's own,
    if that is another name; of all messages that are here."""
    found: dict[str, str] = {}
    for sql, names in ((_KEYS_OF_MADE, made), (_KEYS_OF_MESSAGES, messages)):
        found |= dict(rows(cursor, sql, (apsw.carray(tuple(names)),))) if names else {}
    return found


def _is_in_base(cursor: apsw.Cursor, uuid: str) -> bool:
    return row(cursor, _CONVERSATION, (uuid,)) is not None


def _row(cursor: apsw.Cursor, sql: str, name: str) -> Row | None:
    found = row(cursor, sql, (name,))
    return None if found is None else outbox.row_of(found)
