"""Which hosts a worker has to look at: by their links' durable readers, and by what changes there.

There is a worker a direction: it names its streams and readers by the functions of `tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from postbox.errors import Unavailable
from postbox.log.committed import Committed
from postbox.log.outbox import Outbox, readers_in
from postbox.log.retries import Retries
from postbox.store.contract import Lane


class Direction:
    def __init__(self, stream: Callable[[str], bytes], reader: Callable[[str], str]) -> None:
        """`stream` and `reader` of a host."""
        self._streams = stream("")
        self._readers = reader("")

    async def wait_all(self, outbox: Outbox) -> list[str]:
        """Every host that something was to be done for once, as soon as the store can say so."""
        retries = Retries()
        while True:
            try:
                names = [reader.name for reader in await outbox.readers()]
            except Unavailable:
                await retries.wait()
            else:
                return list(self._hosts(names))

    def touched(self, committed: Committed) -> Iterator[str]:
        """The hosts for which there may be something to do: new entries, or a reader that was
        hurried, or is given a letter again."""
        for lane, stream in committed.streams:
            if lane is Lane.HOSTS and stream.startswith(self._streams):
                yield stream.removeprefix(self._streams).decode()
        yield from self._hosts(readers_in(committed))

    def _hosts(self, readers: Iterable[str]) -> Iterator[str]:
        for reader in readers:
            if reader.startswith(self._readers):
                yield reader.removeprefix(self._readers)
