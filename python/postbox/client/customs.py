"""What an app says in kinds of its own: events that no host reads and every host passes on. They
are kept, sent, refused and restored as all that a user does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from postbox.client.arguments import PAGE, checks_arguments
from postbox.client.core.acts import Act, Foreign
from postbox.client.core.forms import FIRST_FOREIGN, LAST_FOREIGN
from postbox.client.core.overlay import custom_made
from postbox.client.facts import Conversation, Custom, Queued
from postbox.client.naming import Named, key_of
from postbox.client.shelf import Shelf
from postbox.rpc.fields import bytes_field


@checks_arguments
class Customs:
    """`client.customs`. Where a conversation is asked for, an empty text means the user's own
    devices: settings, drafts, and whatever else is nobody else's."""

    def __init__(
        self,
        user: str,
        shelf: Shelf,
        do: Callable[[Act], Awaitable[Queued]],
        find: Callable[[Named], Awaitable[Conversation]],
    ) -> None:
        self._user = user
        self._shelf = shelf
        self._do = do
        self._find = find

    async def send(self, conversation: Named, number: int, value: bytes) -> Custom:
        """`number`: the app's own, from 64 on, of the field in protobuf that says which kind it is.
        Raises ValueError for another one, and for more than 64 KiB."""
        if not FIRST_FOREIGN <= number <= LAST_FOREIGN:
            kinds = f"{FIRST_FOREIGN} to {LAST_FOREIGN}"
            raise ValueError(f"an application's kinds have the numbers {kinds}, and not {number}")
        where = (await self._find(conversation)).key if conversation else ""
        queued = await self._do(Foreign(where, bytes_field(number, value)))
        row = await self._shelf.read(lambda store: store.row(queued.local))
        made = custom_made(row, self._user) if row is not None else None
        assert made is not None
        return made

    async def of(
        self,
        conversation: Named,
        before: Custom | None = None,
        limit: int = PAGE,
    ) -> list[Custom]:
        """That are on this device, oldest first, the newest `limit` of them, of all numbers;
        `before`: of those before that one."""
        return await self._shelf.read(
            lambda store: store.customs(key_of(conversation), before, limit)
        )
