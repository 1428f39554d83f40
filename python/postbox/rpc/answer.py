"""What has come of the answer to one call, as gRPC over HTTP/2 says it: messages, then a status.

No input is wrong enough to raise here: it makes the answer a failed one. An answer is good only if
the server says so in its trailers; one that just ends, however cleanly, is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from h2.errors import ErrorCodes

from postbox.rpc.faults import Code, RpcError

Headers = Iterable[tuple[bytes, bytes]]

PREFIX_BYTES = 5
"""Before each message: a byte that says if it is compressed, and four with its length."""
TEXT_CHARACTERS = 500
"""Of a server's explanation that are kept: it goes into logs and lists."""

_BY_HTTP_STATUS = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    408: Code.UNAVAILABLE,
    413: Code.INVALID_ARGUMENT,  # this message will never be taken
    429: Code.RESOURCE_EXHAUSTED,  # gRPC's own table says UNAVAILABLE; this keeps the reason
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
"""Of answers that are none of gRPC's: of a proxy, or of a server that was too busy to look."""

_BY_RESET: Mapping[int, Code] = {
    ErrorCodes.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCodes.CANCEL: Code.CANCELLED,
    ErrorCodes.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCodes.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
"""gRPC's table; all others are INTERNAL."""


def prefixed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


class Answer:
    """Fed by `begin`, `add`, `end`, `reset` and `fail`, in the order in which things come.

    `take` gives the messages. Once there are none left, `is_over` says whether any can still come,
    and `error` why not all did; None: that was all, and it was good.
    """

    def __init__(self, max_bytes: int) -> None:
        self.is_over = False
        self.error: RpcError | None = None
        self._max_bytes = max_bytes
        self._headers: Mapping[bytes, bytes] | None = None
        self._is_refused = False  # in words of HTTP, which are its body
        self._has_body = False
        self._body = bytearray()

    def begin(self, headers: Headers) -> None:
        self._headers = said = dict(headers)
        status = said.get(b":status", b"")
        if b"grpc-status" in said:
            return
        if status != b"200":
            self._is_refused = True
        elif not _is_grpc(said.get(b"content-type", b"")):
            self.fail(RpcError(Code.UNKNOWN, "what answers there is no gRPC server"))

    def add(self, data: bytes) -> None:
        if self._headers is None:
            self.fail(RpcError(Code.INTERNAL, "the answer began without headers"))
        if not self.is_over:
            self._has_body = self._has_body or bool(data)
            self._body += data
            if self._is_refused and len(self._body) > TEXT_CHARACTERS:
                self._refuse()

    def end(self, trailers: Headers | None) -> None:
        """A status in the headers counts if nothing else came: an answer of trailers only."""
        if self.is_over:
            return
        if self._is_refused:
            self._refuse()
        elif trailers is not None:
            self._finish(MappingProxyType(dict(trailers)))
        elif self._has_body or self._headers is None:
            self._finish({})
        else:
            self._finish(self._headers)

    def reset(self, error_code: int) -> None:
        code = _BY_RESET.get(error_code, Code.INTERNAL)
        was_begun = error_code != ErrorCodes.REFUSED_STREAM
        text = f"the server broke off with {name_of(error_code)}"
        self.fail(RpcError(code, text, was_begun=was_begun))

    def fail(self, error: RpcError) -> None:
        """Whatever was whole before can still be taken."""
        if self._is_refused and not self.is_over:
            self._refuse()
        elif not self.is_over:
            self.is_over, self.error = True, error

    def take(self) -> bytes | None:
        """The next message, if it is whole."""
        if self._is_refused:
            return None
        if len(self._body) < PREFIX_BYTES:
            self._miss()
            return None
        length = int.from_bytes(self._body[1:PREFIX_BYTES], "big")
        if (wrong := self._wrong(length)) is not None:
            self._body.clear()
            self.is_over, self.error = True, wrong
            return None
        if len(self._body) < PREFIX_BYTES + length:
            self._miss()
            return None
        message = bytes(self._body[PREFIX_BYTES : PREFIX_BYTES + length])
        del self._body[: PREFIX_BYTES + length]
        return message

    def _refuse(self) -> None:
        assert self._headers is not None
        is_text = self._headers.get(b"content-type", b"").startswith(b"text/plain")
        self.is_over = True
        self.error = _of_http(self._headers, bytes(self._body) if is_text else b"")

    def _miss(self) -> None:
        if self.is_over and self.error is None and self._body:
            self.error = RpcError(Code.DATA_LOSS, "the answer ended within a message")

    def _wrong(self, length: int) -> RpcError | None:
        if self._body[0]:
            return RpcError(Code.INTERNAL, "the answer is compressed, which was not asked for")
        if length > self._max_bytes:
            text = f"the answer has a message of {length} bytes, more than {self._max_bytes}"
            return RpcError(Code.RESOURCE_EXHAUSTED, text)
        return None

    def _finish(self, trailers: Mapping[bytes, bytes]) -> None:
        status = trailers.get(b"grpc-status", b"")
        if status == b"0":
            self.is_over = True
        elif status:
            self.fail(_of_status(status, {**(self._headers or {}), **trailers}))
        else:
            text = "the answer ended without a status: it may be cut off"
            self.fail(RpcError(Code.UNKNOWN, text))


def name_of(error_code: int) -> str:
    """HTTP/2's name of a reason to reset a stream or to close a connection."""
    try:
        return ErrorCodes(error_code).name
    except ValueError:
        return f"error {error_code}"


def _is_grpc(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip() in (
        b"application/grpc",
        b"application/grpc+proto",
    )


def _of_http(headers: Mapping[bytes, bytes], body: bytes) -> RpcError:
    status = headers.get(b":status", b"")
    number = int(status) if len(status) == 3 and status.isdigit() else 0
    said = printable(body).strip()
    text = f"HTTP status {number:03}" + (f": {said}" if said else " instead of an answer")
    code = _BY_HTTP_STATUS.get(number, Code.UNKNOWN)
    return RpcError(
        code, text, retry_after_s=_retry_after_s(headers), http_status=number, said=headers
    )


def _of_status(status: bytes, said: Mapping[bytes, bytes]) -> RpcError:
    text = _text(said.get(b"grpc-message", b""))
    try:
        code = Code(int(status))
    except ValueError:
        code, text = Code.UNKNOWN, f"a status that gRPC does not have: {_text(status)}"
    return RpcError(code, text or "no reason given", retry_after_s=_retry_after_s(said), said=said)


def _text(quoted: bytes) -> str:
    """gRPC sends UTF-8 in percent encoding."""
    return printable(unquote_to_bytes(quoted))


def printable(said: bytes) -> str:
    """Whatever would move a terminal's cursor is left out."""
    text = said.decode("utf-8", "replace")[:TEXT_CHARACTERS]
    return "".join(c if c.isprintable() else " " for c in text)


def _retry_after_s(said: Mapping[bytes, bytes]) -> float | None:
    """HTTP's header in seconds, or gRPC's in milliseconds; a date or a negative number is none."""
    for name, per_s in ((b"grpc-retry-pushback-ms", 1000), (b"retry-after", 1)):
        value = said.get(name, b"").strip()
        if value.isdigit() and len(value) < 10:
            return int(value) / per_s
    return None
