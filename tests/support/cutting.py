"""A wire to PostgreSQL that is cut while a commit is under way.

Runs in a thread and a loop of its own, since who uses the wire waits for it without a loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

import trio

SOCKET = ".s.PGSQL.5432"
COMMIT = b"\0commit\0"  # a statement of its own among others: a reader's is all that it sends
END = b"S\0\0\0\4"  # of a message that has several statements


class Cut(Enum):
    """Seen from a commit on its way to the server, whose answer never comes."""

    BEFORE = "before"  # it does not get there
    AFTER = "after"  # it gets there, and is done
    AMID = "amid"  # it gets there; whether it is done nobody waits for


class Wire:
    """`cuts(n)` says what becomes of the n-th commit, counted from 1; None: it is answered."""

    def __init__(self, server: Path, cuts: Callable[[int], Cut | None]) -> None:
        self._server = server
        self._cuts_at = cuts
        self.messages = 0  # or parts of them, that clients sent
        self.commits = 0
        self.cuts = 0

    async def carry(self, client: trio.SocketStream) -> None:
        server = await trio.open_unix_socket(self._server / SOCKET)
        async with client, server:
            async with trio.open_nursery() as answering:
                answering.start_soon(self._answer, server, client)
                fate = await self._ask(client, server)
                answering.cancel_scope.cancel()
            await client.aclose()
            if fate is not None:
                await self._end(*fate, server)

    async def _ask(
        self, client: trio.SocketStream, server: trio.SocketStream
    ) -> tuple[Cut, bytes | bytearray] | None:
        """Until the client ends, or a commit that is to be cut."""
        with suppress(trio.BrokenResourceError):
            async for data in client:
                self.messages += 1
                cut = self._cut(data)
                if cut is not None:
                    return cut, data
                await server.send_all(data)
        return None

    async def _answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in server:
                await client.send_all(data)
            await client.send_eof()

    def _cut(self, data: bytes | bytearray) -> Cut | None:
        if COMMIT not in data or not data.endswith(END):
            return None
        self.commits += 1
        cut = self._cuts_at(self.commits)
        self.cuts += cut is not None
        return cut

    async def _end(self, cut: Cut, data: bytes | bytearray, server: trio.SocketStream) -> None:
        if cut is Cut.BEFORE:
            return
        await server.send_all(data)
        if cut is Cut.AFTER:
            await server.send_eof()  # the server ends the session when it has done all before
            with suppress(trio.BrokenResourceError):
                while await server.receive_some():
                    pass


@contextmanager
def wire(folder: Path, server: Path, cuts: Callable[[int], Cut | None]) -> Iterator[Wire]:
    """Its other end is a socket in `folder`."""
    carried = Wire(server, cuts)
    ready, stop = threading.Event(), trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        await listening.bind(str(folder / SOCKET))
        listening.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                trio.serve_listeners, carried.carry, [trio.SocketListener(listening)]
            )
            ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        assert ready.wait(10)
        yield carried
    finally:
        tokens[0].run_sync_soon(stop.set)
        thread.join()
