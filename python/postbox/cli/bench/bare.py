"""The yardstick of `served.py`: the server of `net.server` with an app that does nothing.

A process of its own (`python -m postbox.cli.bench.bare`), as the node is. It says `ready URL`, and
answers `/N` with N bytes, to whatever is asked, until SIGTERM.
"""

from __future__ import annotations

import signal
from functools import cache, partial
from typing import TYPE_CHECKING

import trio

from postbox.net.asgi import Reply, read_body, send_reply
from postbox.net.server import TcpAddress, serve
from postbox.world import system_world

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope


async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] == "http":
        await read_body(receive)
        await send_reply(send, reply_of(int(scope["path"].removeprefix("/"))))


@cache
def reply_of(size_bytes: int) -> Reply:
    return Reply(200, bytes(size_bytes), "application/octet-stream")


async def main() -> None:
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            run = partial(serve, system_world(), answer, TcpAddress("127.0.0.1", 0), stop=stop)
            url = await nursery.start(run)
            print(f"ready {url}", flush=True)
            async for _ in signals:
                break
            stop.set()


if __name__ == "__main__":
    trio.run(main)
