"""Any number of hosts in one process, each with a loopback address for a name, that take whatever
is sent to them and keep none of it: so what is measured is whoever sends.

`python -m hosts_bench.crowd` says `ready URL`, and answers at that port of every loopback address.
Behind another port, which it says too, connections are accepted and never answered.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from postbox.hosts import wire
from postbox.hosts.keys.key_list import make_reply
from postbox.hosts.links.place import Place
from postbox.net.asgi import read_body
from postbox.net.limits import DEFAULT_LIMITS
from postbox.net.server import TcpAddress, serve
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.trust.host_keys import FIRST
from postbox.world import SystemClock, system_world

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

SEED = bytes(32)  # one for all of them
CLOCK = SystemClock()
LIMITS = replace(DEFAULT_LIMITS, max_connections=5_000, max_connections_per_address=5_000)
FRAME_BYTES = 5  # before a message: whether it is compressed, and its length


async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] != "http":
        return
    host = dict(scope["headers"])[b"host"].decode()
    body = await read_body(receive) or b""
    replies = _replies(scope["path"], host, body[FRAME_BYTES:])
    framed = b"".join(b"\0" + len(reply).to_bytes(4, "big") + reply for reply in replies)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/grpc+proto")],
            "trailers": True,
        }
    )
    await send({"type": "http.response.body", "body": framed, "more_body": False})
    await send(
        {
            "type": "http.response.trailers",
            "headers": [(b"grpc-status", b"0")],
            "more_trailers": False,
        }
    )


def _replies(path: str, host: str, message: bytes) -> list[bytes]:
    if path == wire.PATHS[wire.GET_KEY]:
        return [make_reply(host, SEED, FIRST, CLOCK.now_ns() // 10**6)]
    if path == wire.PATHS[wire.POST_EVENTS]:
        last = wire.read_events(wire.read_post(message).events)[-1]
        place = Place(last.epoch, last.upto or last.seq)
        return [pb.PostReply(received=wire.place_of(place)).to_binary()]
    if path == wire.PATHS[wire.ACK]:
        return [pb.AckReply().to_binary()]
    return []  # of a Sync: it has nothing for whoever asks


async def main() -> None:
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            [silent] = await trio.open_tcp_listeners(0, host="0.0.0.0", backlog=5_000)
            where = TcpAddress("0.0.0.0", 0)
            run = partial(serve, system_world(), answer, where, stop=stop, limits=LIMITS)
            url = await nursery.start(run)
            silent_port = silent.socket.getsockname()[1]
            print(f"ready {url} silent {silent_port}", flush=True)
            async for _ in signals:
                break
            stop.set()


if __name__ == "__main__":
    trio.run(main)
