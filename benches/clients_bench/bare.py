"""The yardstick: an EventService of connectrpc alone, on the server that nodes have.

A process of its own (`python -m clients_bench.bare`) that says `ready URL`. Sync answers with the
events that it was sent, and gives each of them, as a frame, to all streams that are open and to all
that come and are not told where to begin. Nobody is known, and nothing is kept.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio

from postbox.net.limits import DEFAULT_LIMITS
from postbox.net.server import TcpAddress, serve
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.rpc.postbox.v1.clients_connect import EventService, EventServiceASGIApplication
from postbox.world import system_world

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

LIMITS = replace(DEFAULT_LIMITS, max_connections=20_000, max_connections_per_address=20_000)
LIVE = "live"  # a token: the stream gives what comes from now on


class Bare:
    def __init__(self) -> None:
        self._frames: list[pb.Event] = []
        self._moved = trio.Event()

    async def sync(self, request: pb.SubmitEventInput, context: Any) -> pb.SubmitEventOutput:
        if request.resumeToken == LIVE:
            self._frames.extend(request.events)
            self._moved.set()
            self._moved = trio.Event()
        return pb.SubmitEventOutput(events=request.events)

    async def sync_from_server(
        self, request: pb.SyncFromServerRequest, context: Any
    ) -> AsyncIterator[pb.Event]:
        yield pb.Event()
        at = len(self._frames) if request.resumeToken == LIVE else 0
        while True:
            while at < len(self._frames):
                yield self._frames[at]
                at += 1
            if request.untilCaughtUp:
                return
            await self._moved.wait()

    async def history(self, request: pb.HistoryRequest, context: Any) -> pb.HistoryPage:
        return pb.HistoryPage()


async def main() -> None:
    app = EventServiceASGIApplication(cast("EventService", Bare()), compressions=())
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            where = TcpAddress("127.0.0.1", 0)
            asgi = cast("ASGIFramework", app)
            run = partial(serve, system_world(), asgi, where, stop=stop, limits=LIMITS)
            print(f"ready {await nursery.start(run)}", flush=True)
            async for _ in signals:
                break
            stop.set()


if __name__ == "__main__":
    trio.run(main)
