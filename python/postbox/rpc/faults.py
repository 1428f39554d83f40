"""What can go wrong with a call, in gRPC's own words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from postbox.errors import Fault


class Code(IntEnum):
    """gRPC's status codes but OK, which is no fault."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Fault):
    """A call that did not succeed. What was asked may have been done, unless `was_begun` is false.

    `text`: the other side's own, if it gave one. `retry_after_s`: when it wants to be asked again.
    `is_transport`: there was no answer, for there is no connection, or it broke. `http_status`: of
    an answer that was none of gRPC's. `said`: the server's headers and trailers, names in lower
    case; None if the server did not say that this call failed.
    """

    def __init__(
        self,
        code: Code,
        text: str,
        *,
        retry_after_s: float | None = None,
        is_transport: bool = False,
        was_begun: bool = True,
        http_status: int | None = None,
        said: Mapping[bytes, bytes] | None = None,
    ) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text
        self.retry_after_s = retry_after_s
        self.is_transport = is_transport
        self.was_begun = was_begun
        self.http_status = http_status
        self.said = said

    def again(self) -> RpcError:
        """The same, for another call that it befalls: an exception is raised once."""
        return RpcError(
            self.code,
            self.text,
            retry_after_s=self.retry_after_s,
            is_transport=self.is_transport,
            was_begun=self.was_begun,
            http_status=self.http_status,
            said=self.said,
        )


def unreachable(text: str, *, was_begun: bool = True) -> RpcError:
    return RpcError(Code.UNAVAILABLE, text, is_transport=True, was_begun=was_begun)
