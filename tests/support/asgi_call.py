"""Calls an ASGI app without a server: one request, with whatever stands in it, and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import trio
from hypercorn.typing import ASGIFramework

GRPC = "application/grpc+proto"


@dataclass
class Call:
    """One under way, or its answer. `parts`: of the answer's body, as they were sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    moved: trio.Event = field(default_factory=trio.Event)
    pause: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    """Behind each part: a caller takes its time, or goes away."""

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def messages(self) -> list[bytes]:
        """Of gRPC."""
        body, found = self.body, []
        while body:
            length = int.from_bytes(body[1:5], "big")
            found.append(body[5 : 5 + length])
            body = body[5 + length :]
        return found

    async def until(self, count: int) -> list[bytes]:
        """When so many messages are there."""
        while len(self.messages) < count:
            await self.moved.wait()
        return self.messages

    def _move(self) -> None:
        self.moved.set()
        self.moved = trio.Event()


def framed(message: bytes) -> bytes:
    """As gRPC has it."""
    return b"\0" + len(message).to_bytes(4, "big") + message


async def call(
    app: ASGIFramework,
    path: str,
    *body: bytes | None,
    answer: Call | None = None,
    content_type: str = GRPC,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    **scope: Any,
) -> Call:
    """`body`: in these parts; None is one that never comes. Whatever the app raises comes out."""
    found = answer or Call()
    parts: list[bytes | None] = list(body) or [b""]
    asked: dict[str, Any] = {
        "type": "http",
        "http_version": "2",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", content_type.encode()), (b"te", b"trailers"), *headers],
        "client": ("127.0.0.1", 5_000),
        "server": ("127.0.0.1", 7_433),
        "extensions": {"http.response.trailers": {}},
        **scope,
    }

    async def receive() -> Any:
        if not parts or parts[0] is None:
            await trio.sleep_forever()
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(event: Any) -> None:
        match event["type"]:
            case "http.response.start":
                found.status, found.headers = event["status"], _text(event["headers"])
            case "http.response.body":
                found.parts.append(event["body"])
            case "http.response.trailers":
                found.trailers = _text(event["headers"])
            case other:
                raise AssertionError(other)
        found._move()
        await found.pause()

    await app(asked, receive, send)  # type: ignore[arg-type]
    return found


def _text(headers: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}
