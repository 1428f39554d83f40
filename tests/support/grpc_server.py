"""A gRPC server of somebody else's make (grpcio), in threads of its own, on a port of this machine.

It answers bytes with bytes. `produced` counts what its endless stream has given out, `cancelled`
is set when a call was given up by whoever asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc  # type: ignore[import-untyped]

PART = b"x" * 2**16


class Behaviour(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self) -> None:
        self.produced = 0
        self.cancelled = threading.Event()
        self.started = threading.Event()
        self.stopped = threading.Event()

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if (unary := getattr(self, f"unary_{name}", None)) is not None:
            return grpc.unary_unary_rpc_method_handler(unary)
        if (stream := getattr(self, f"stream_{name}", None)) is not None:
            return grpc.unary_stream_rpc_method_handler(stream)
        return None

    def unary_echo(self, request: bytes, context: Any) -> bytes:
        return request

    def unary_large(self, request: bytes, context: Any) -> bytes:
        return bytes(int(request))

    def unary_lost(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("retry-after", "7"),))
        context.abort(grpc.StatusCode.DATA_LOSS, "3 % of ö\x1b[2J are\ngone")
        raise AssertionError

    def unary_left(self, request: bytes, context: Any) -> bytes:
        return b"%d" % (context.time_remaining() * 1000)

    def unary_never(self, request: bytes, context: Any) -> bytes:
        context.add_callback(self.cancelled.set)
        self.started.set()
        self.stopped.wait(60)
        return b""

    def unary_never_told(self, request: bytes, context: Any) -> bytes:
        return self.unary_never(request, context)

    def stream_count(self, request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    def stream_aborted(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield from (b"one", b"two")
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")

    def stream_endless(self, request: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        while context.is_active() and not self.stopped.is_set():
            self.produced += 1
            yield PART

    def stream_silent(self, request: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(self.cancelled.set)
        yield b"first"
        self.stopped.wait(60)


@contextmanager
def grpc_serving(
    behaviour: Behaviour, *, tls: tuple[bytes, bytes] | None = None
) -> Iterator[tuple[int, Callable[[float], None]]]:
    """The port, and what stops it: all calls at once, or after a grace in which they may end.
    `tls`: a key and a certificate with its chain, in PEM."""
    pool = ThreadPoolExecutor(max_workers=120)
    server = grpc.server(pool, handlers=[behaviour], options=[("grpc.so_reuseport", 0)])
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([tls]))
    server.start()
    try:
        yield port, lambda grace_s: server.stop(grace_s)
    finally:
        behaviour.stopped.set()
        server.stop(0).wait(10)
        pool.shutdown()
