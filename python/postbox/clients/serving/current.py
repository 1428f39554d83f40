"""What an event that came too late did not know of: the change that counts now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbox.clients.events.incoming import (
    Incoming,
    RenameConversation,
    SetDisplayName,
    SetPicture,
)
from postbox.clients.identity.callers import Caller
from postbox.clients.ids import event_id
from postbox.clients.tables import ACCOUNT, CONVERSATION, Conversation, account_of, read_row
from postbox.store.contract import Reader
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
    """Its id."""
    match late.content:
        case SetDisplayName() | SetPicture():
            key = (caller.user_id,)
            row = reader.rows(ACCOUNT, [key])[key]
            if row is None:
                return None
            account = account_of(row)
            is_name = isinstance(late.content, SetDisplayName)
            return account.name_event if is_name else account.picture_event
        case RenameConversation() if late.conversation is not None:
            keys = [(late.conversation,), (event_id(caller.device_id, late.conversation),)]
            rows = reader.rows(CONVERSATION, keys)
            found = [row for key in keys if (row := rows[key]) is not None]
            return read_row(Conversation, found[0]).name_event if found else None
        case _:
            return None
