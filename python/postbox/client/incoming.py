"""Each message of others, once: what a bot reads. How far it has come is in the device's file."""

from __future__ import annotations

from functools import partial

from postbox.client.errors import Closed
from postbox.client.facts import Message
from postbox.client.news import News
from postbox.client.shelf import Shelf
from postbox.client.store.store import Store


class Incoming:
    """An iterator, without an end as long as the client is open."""

    def __init__(self, shelf: Shelf, news: News, name: str, only_new: bool) -> None:
        self._shelf = shelf
        self._news = news
        self._listener = news.listeners.listen()
        self._name = name
        self._only_new = only_new
        self._may_begin = not only_new
        self._given: Message | None = None

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> Message:
        """Who is cancelled here has lost nothing: the same comes again."""
        try:
            return await self._next()
        except Closed:
            raise StopAsyncIteration from None

    async def _next(self) -> Message:
        while not self._may_begin:
            self._may_begin = await self._shelf.read(_knows_what_was_said)
            if not self._may_begin:
                await self._wait()
        await self._shelf.write(partial(_handled, self._name, self._given, self._only_new))
        self._given = None
        while True:
            found = await self._shelf.read(lambda store: store.unhandled(self._name, 1))
            if found:
                self._given = found[0]
                return found[0]
            await self._wait()

    async def _wait(self) -> None:
        """For what may be news. Raises SignInNeeded and Displaced, since then none comes."""
        self._news.check_that_it_goes_on()
        await self._listener.changed()


def _knows_what_was_said(store: Store) -> bool:
    """A new device does not, until the host has told it."""
    return bool(store.place().epoch)


def _handled(name: str, given: Message | None, only_new: bool, store: Store) -> None:
    store.begin_handling(name, at_the_end=only_new)
    if given is not None:
        store.set_handled(name, given.conversation, given.seq)
