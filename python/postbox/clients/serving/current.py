"""What an event that came too late did not know of: the change that counts now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbox.clients.events.incoming import (
    EditMessage,
    Incoming,
    RenameConversation,
    SetDisplayName,
    SetPicture,
)
from postbox.clients.identity.callers import Caller
from postbox.clients.ids import conversation_of, event_id
from postbox.clients.tables import (
    ACCOUNT,
    CHANGED_MESSAGE,
    CONVERSATION,
    MEMBER,
    ChangedMessage,
    Conversation,
    Member,
    account_of,
    read_row,
)
from postbox.store.contract import Lane, Reader, Row, Table
from postbox.store.runner import StoreRunner


class Current:
    def __init__(
        self, store: StoreRunner, event: Callable[[bytes], Awaitable[bytes | None]]
    ) -> None:
        """`event`: what is stored under an id, as an Event."""
        self._store = store
        self._event = event

    async def of(self, caller: Caller, late: Incoming) -> bytes | None:
        """The Event that gave what `late` would change the value that it has."""
        found = await self._store.read(lambda reader: _current(reader, caller, late))
        return await self._event(found) if found else None


def _current(reader: Reader, caller: Caller, late: Incoming) -> bytes | None:
    """Its id. What was refused once is refused alike for ever: the user may have left since, and is
    told nothing more of that conversation then."""
    match late.content:
        case SetDisplayName() | SetPicture():
            row = _row(reader, ACCOUNT, caller.user_id)
            if row is None:
                return None
            account = account_of(row)
            is_name = isinstance(late.content, SetDisplayName)
            return account.name_event if is_name else account.picture_event
        case RenameConversation():
            return _newest_name(reader, caller, late.conversation or b"")
        case EditMessage(message):
            return _newest_edit(reader, caller, message)
        case _:
            return None


def _newest_name(reader: Reader, caller: Caller, named: bytes) -> bytes | None:
    for conversation in (named, event_id(caller.device_id, named)):
        if _is_in(reader, caller, conversation):
            row = _row(reader, CONVERSATION, conversation)
            return None if row is None else read_row(Conversation, row).name_event
    return None


def _newest_edit(reader: Reader, caller: Caller, named: bytes) -> bytes | None:
    """Or the message's deletion."""
    keys = [(Lane.CLIENTS, named), (Lane.CLIENTS, event_id(caller.device_id, named))]
    for key, found in reader.find(keys).items():
        conversation = conversation_of(found.stream)
        if conversation is not None and _is_in(reader, caller, conversation):
            row = _row(reader, CHANGED_MESSAGE, key[1])
            changed = ChangedMessage(key[1], b"") if row is None else read_row(ChangedMessage, row)
            return changed.deletion or changed.edit or changed.message
    return None


def _is_in(reader: Reader, caller: Caller, conversation: bytes) -> bool:
    row = _row(reader, MEMBER, conversation, caller.user_id)
    return row is not None and read_row(Member, row).is_in


def _row(reader: Reader, table: Table, *key: bytes) -> Row | None:
    return reader.rows(table, [key])[key]
