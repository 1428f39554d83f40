"""A proxy between devices and their host that loses answers, and cuts streams.

It tells where an answer begins, in HTTP/1.1 and in HTTP/2, and loses so many of them: the host has
sent the answer, and whoever asked gets a part of its bytes at the most and then the end of the
connection. So does, now and then, whoever reads a stream. It runs in a thread and a loop of its
own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import trio

from support.simulate import SeededRandom

PREFACE = b"PRI * HTTP/2.0"
FRAME_HEAD_BYTES = 9  # RFC 9113, 4.1: length, type, flags, stream
HEADERS = 1
CHUNK = 2**16
START_S = 120.0


class Answers:
    """How many answers begin in what a server sends over one connection."""

    def __init__(self) -> None:
        self._is_http2: bool | None = None  # None: nobody has asked yet
        self._is_asked = False  # HTTP/1.1: since the last answer began
        self._head = bytearray()  # HTTP/2: of a frame, as far as it is there
        self._left = 0  # of its payload
        self._begun: set[bytes] = set()  # streams

    def ask(self, data: bytes | bytearray) -> None:
        if self._is_http2 is None:
            self._is_http2 = data.startswith(PREFACE)
        self._is_asked = True

    def begin(self, data: bytes | bytearray) -> int:
        if not self._is_http2:
            begins, self._is_asked = self._is_asked, False
            return int(begins)
        return sum(self._is_first(head) for head in self._frames(data))

    def _is_first(self, head: bytes) -> bool:
        stream = head[5:]
        if head[3] != HEADERS or stream in self._begun:
            return False
        self._begun.add(stream)
        return True

    def _frames(self, data: bytes | bytearray) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            skipped = min(self._left, len(data) - at)
            at += skipped
            self._left -= skipped
            part = data[at : at + FRAME_HEAD_BYTES - len(self._head)] if not self._left else b""
            at += len(part)
            self._head += part
            if len(self._head) == FRAME_HEAD_BYTES:
                self._left = int.from_bytes(self._head[:3], "big")
                yield bytes(self._head)
                self._head.clear()


@dataclass
class LossyProxy:
    """`url`: where it is asked. Answers are counted from when it `loses` some."""

    port: int
    random: SeededRandom
    answers_lost: float
    chunks_cut: float
    loses: bool = False
    answers: int = 0
    lost: int = 0
    cut: int = 0
    url: str = ""
    _stop: trio.Event = field(default_factory=trio.Event)

    async def run(self, ready: threading.Event) -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._carry, [listener])
            ready.set()
            await self._stop.wait()
            nursery.cancel_scope.cancel()

    def stop(self) -> None:
        self._stop.set()

    async def _carry(self, client: trio.SocketStream) -> None:
        """Either end's end is the other's; so is that of a host that is not there."""
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with client, await trio.open_tcp_stream("127.0.0.1", self.port) as host:
                answers = Answers()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._ask, client, host, answers, nursery.cancel_scope)
                    await self._answer(client, host, answers)
                    nursery.cancel_scope.cancel()

    async def _ask(
        self,
        client: trio.SocketStream,
        host: trio.SocketStream,
        answers: Answers,
        course: trio.CancelScope,
    ) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in client:
                answers.ask(data)
                await host.send_all(data)
        course.cancel()

    async def _answer(
        self, client: trio.SocketStream, host: trio.SocketStream, answers: Answers
    ) -> None:
        with suppress(trio.BrokenResourceError):
            while data := await host.receive_some(CHUNK):
                if self._loses(answers.begin(data)):
                    await client.send_all(data[: int(self.random.fraction() * len(data))])
                    return
                await client.send_all(data)

    def _loses(self, begun: int) -> bool:
        if not self.loses:
            return False
        self.answers += begun
        lost = sum(self.random.fraction() < self.answers_lost for _ in range(begun))
        is_cut = not begun and self.random.fraction() < self.chunks_cut
        self.lost += lost
        self.cut += is_cut
        return bool(lost) or is_cut


@contextmanager
def lossy_proxy(
    port: int, seed: int, *, answers_lost: float, chunks_cut: float
) -> Iterator[LossyProxy]:
    """In front of a port of this machine, where now and then nobody answers."""
    proxy = LossyProxy(port, SeededRandom(seed), answers_lost, chunks_cut)
    ready, tokens = threading.Event(), list[trio.lowlevel.TrioToken]()

    async def run() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        await proxy.run(ready)

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    try:
        assert ready.wait(START_S)
        yield proxy
    finally:
        tokens[0].run_sync_soon(proxy.stop)
        thread.join()
