"""Connect (connectrpc.com/docs/protocol) to one host: unary calls and streams of answers, in
protobuf, over HTTP/1.1 or HTTP/2, on Trio and on asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import msgspec

from postbox.client.transport.address import Caller
from postbox.client.transport.contract import (
    ANSWER_S,
    MAX_ANSWER_BYTES,
    PATHS,
    SILENCE_S,
    CallFailed,
    Rpc,
)
from postbox.client.transport.faults import of_http, of_status, unreachable
from postbox.client.transport.http import Answer, Http

MAX_REFUSAL_BYTES: Final = 64 * 2**10

_UNARY: Final = "application/proto"
_STREAM: Final = "application/connect+proto"
_JSON: Final = "application/json"

_HEAD_BYTES: Final = 5
"""Of an envelope: its flags, and the length of what is in it."""
_END: Final = 2
"""The flag of what ends a stream. Flag 1 is compression, which is not asked for."""


class ConnectTransport:
    """See `contract.Transport`."""

    def __init__(self, http: Http, caller: Caller) -> None:
        self._http = http
        self._caller = caller

    async def submit(self, request: bytes) -> bytes:
        return await self._unary("Sync", request)

    async def history(self, request: bytes) -> bytes:
        return await self._unary("History", request)

    @asynccontextmanager
    async def stream(self, request: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        headers = self._headers(_STREAM)
        body = b"\0" + len(request).to_bytes(4, "big") + request
        async with AsyncExitStack() as calls:
            with _within(SILENCE_S):
                answer = await calls.enter_async_context(
                    self._http.post(PATHS["SyncFromServer"], headers, body)
                )
                await _check(answer, _STREAM)
            yield _Messages(answer)

    async def _unary(self, rpc: Rpc, request: bytes) -> bytes:
        headers = [*self._headers(_UNARY), (b"connect-timeout-ms", b"%d" % (ANSWER_S * 1000))]
        with _within(ANSWER_S):
            async with self._http.post(PATHS[rpc], headers, request) as answer:
                await _check(answer, _UNARY)
                return await answer.read(MAX_ANSWER_BYTES)

    def _headers(self, content_type: str) -> list[tuple[bytes, bytes]]:
        return [
            (b"content-type", content_type.encode()),
            (b"connect-protocol-version", b"1"),
            *self._caller.headers(),
        ]


class _Messages:
    """Of a stream. Not a generator: that would have to be closed, by whoever stops midway."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._body = bytearray()
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with _within(SILENCE_S):
            while (found := self._take()) is None:
                await self._more()
        flags, message = found
        if flags == _END:
            self._is_over = True
            _require_good(message, self._answer.headers)
            raise StopAsyncIteration
        return message

    async def _more(self) -> None:
        if self._is_over:
            raise StopAsyncIteration
        part = await self._answer.next()
        if part is None:
            raise unreachable("the stream was cut off")
        self._body += part

    def _take(self) -> tuple[int, bytes] | None:
        """The next message with its flags, if it is whole."""
        if self._is_over or len(self._body) < _HEAD_BYTES:
            return None
        flags, length = self._body[0], int.from_bytes(self._body[1:_HEAD_BYTES], "big")
        if flags not in (0, _END):
            raise unreachable("the stream has compressed messages, which were not asked for")
        if length > MAX_ANSWER_BYTES:
            raise unreachable(f"a message of {length} bytes, more than {MAX_ANSWER_BYTES}")
        end = _HEAD_BYTES + length
        if len(self._body) < end:
            return None
        message = bytes(self._body[_HEAD_BYTES:end])
        del self._body[:end]
        return flags, message


async def _check(answer: Answer, content_type: str) -> None:
    """That it is one, of this kind. Raises CallFailed."""
    found = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if answer.status != 200:
        raise _refusal(answer, found, await _start_of(answer))
    if found != content_type:
        raise unreachable(f"what answers there is no postbox: it sent {found[:80] or 'no type'!r}")
    for name in ("content-encoding", "connect-content-encoding"):
        if answer.headers.get(name, "identity") != "identity":
            raise unreachable("the answer is compressed, which was not asked for")


async def _start_of(answer: Answer) -> bytes:
    """Enough of it to know why; a refusal that breaks off is one, too."""
    body = bytearray()
    try:
        while len(body) < MAX_REFUSAL_BYTES and (part := await answer.next()) is not None:
            body += part
    except CallFailed:
        return b""
    return bytes(body)


def _refusal(answer: Answer, content_type: str, body: bytes) -> CallFailed:
    error = _object(body) if content_type == _JSON else None
    if error is not None and isinstance(error.get("code"), str):
        return _of_error(error, answer.headers)
    text = body.decode("utf-8", "replace").strip() if content_type == "text/plain" else ""
    return of_http(answer.status, text, answer.headers)


def _require_good(end: bytes, headers: Mapping[str, str]) -> None:
    """What ends a stream says why, if it was not its time. Raises CallFailed."""
    found = _object(end)
    if found is None:
        raise unreachable("the end of the stream is not understood")
    error = found.get("error")
    if error is None:
        return
    if not isinstance(error, dict):
        raise unreachable("the end of the stream is not understood")
    raise _of_error(error, {**headers, **_metadata(found.get("metadata"))})


def _of_error(error: Mapping[str, Any], metadata: Mapping[str, str]) -> CallFailed:
    return of_status(str(error.get("code", "")), str(error.get("message", "")), metadata)


def _metadata(found: object) -> dict[str, str]:
    """The first value of each name."""
    if not isinstance(found, dict):
        return {}
    return {
        name.lower(): values[0]
        for name, values in found.items()
        if isinstance(values, list) and values and isinstance(values[0], str)
    }


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise unreachable(f"it said nothing whole for {seconds:g} s") from None
