"""That messages of others have come: the host makes their "delivered" from the token that each
request carries. A device that only listens makes one for that, seldom."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import anyio

from postbox.client.core import changes as core
from postbox.client.core.outgoing import batch_of
from postbox.client.shelf import Shelf
from postbox.client.transport.contract import Transport
from postbox.errors import Fault

WITHIN_S = 3.0
"""The host tells it on every 5 s at most, and a request for each message would cost more than the
messages. Who answers at once has said it by that."""


class Acknowledging:
    def __init__(self, user: str, shelf: Shelf, wire: Transport) -> None:
        """`user`: whose device it is: its own messages are nobody's to be told of."""
        self._user = user
        self._shelf = shelf
        self._wire = wire
        self._owes = anyio.Event()

    def heard(self, changes: Iterable[core.Change]) -> None:
        """They were committed."""
        for change in changes:
            if isinstance(change, core.MessageCame) and change.author != self._user:
                self._owes.set()

    def said(self) -> None:
        """By a request that carries the token of this moment."""
        if self._owes.is_set():
            self._owes = anyio.Event()

    async def run(self) -> None:
        """One that is lost is said with the next, or with the next stream."""
        while True:
            await self._owes.wait()
            await anyio.sleep(WITHIN_S)
            if self._owes.is_set():
                with suppress(Fault):
                    await self._say()

    async def _say(self) -> None:
        place = await self._shelf.read(lambda store: store.place())
        self.said()
        await self._wire.submit(batch_of([], 0, place.token))
