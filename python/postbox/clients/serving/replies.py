"""What became of a device's request, as an error of the rpc: the one table of it.

Each has a code of its own for programs, first in its text and in the metadata `postbox-code`; the
text behind it is for people. docs/protocol/clients.md has the same table. What is not in it is a
fault of ours, of which a device learns that and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from postbox.clients.identity.callers import NotKnown, TooOften
from postbox.clients.reading.snapshot import SnapshotBusy
from postbox.clients.wire import Malformed, TooLarge
from postbox.errors import Full, Stopped, Unavailable
from postbox.logs import get, limited
from postbox.metrics import Metrics

RETRY_S = 5
"""After a fault of ours: a disk that is full or a store that is stuck is not mended sooner."""

POSTBOX_CODE: Final = "postbox-code"
RETRY_AFTER: Final = "retry-after"
NEXT_NUMBER: Final = "postbox-next-queue-number"

METADATA: Final = (POSTBOX_CODE, RETRY_AFTER, NEXT_NUMBER)

OK = "OK"
"""Beside the codes, what a request is counted as."""

_log = limited(get("postbox.clients.server"), "requests")


class QueueHole(Exception):
    """The device's first number is not the one that is next."""

    def __init__(self, next_number: int) -> None:
        self.next_number = next_number
        super().__init__(f"next={next_number}: send the queue from that number on, without a hole")


class Displaced(Exception):
    """Another stream of the device is live."""


class NotAMember(Exception):
    """The user is not in that conversation, or there is none."""


class Refusal(NamedTuple):
    """`name`: the code for programs."""

    code: Code
    name: str
    text: str
    metadata: dict[str, str]

    @property
    def line(self) -> str:
        return f"{self.name}: {self.text}"


def refusal(error: Exception) -> Refusal:
    """The most special kinds come first."""
    match error:
        case NotKnown():
            return _told(Code.UNAUTHENTICATED, error.code, str(error))
        case TooOften():
            return _later(Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", str(error), error.retry_s)
        case SnapshotBusy():
            return _later(Code.RESOURCE_EXHAUSTED, "SNAPSHOT_BUSY", str(error), error.retry_s)
        case QueueHole():
            number = {NEXT_NUMBER: str(error.next_number)}
            return _told(Code.FAILED_PRECONDITION, "QUEUE_HOLE", str(error), number)
        case Malformed():
            return _told(Code.INVALID_ARGUMENT, "INVALID", str(error))
        case TooLarge():
            return _told(Code.INVALID_ARGUMENT, "TOO_LARGE", str(error))
        case NotAMember():
            return _told(Code.PERMISSION_DENIED, "NOT_A_MEMBER", str(error))
        case Displaced():
            return _told(Code.ABORTED, "DISPLACED", str(error))
        case Stopped():
            text = "this host is stopping: call again when it is back"
            return _later(Code.UNAVAILABLE, "STOPPING", text, RETRY_S)
        case Full() | Unavailable():
            text = "this host cannot do that now"
            return _later(Code.UNAVAILABLE, "UNAVAILABLE", text, RETRY_S)
        case _:
            _log.exception("a request failed by a fault of ours")
            return _told(Code.INTERNAL, "INTERNAL", "this host failed at it; its log says why")


@contextmanager
def answering(rpc: str, context: RequestContext[Any, Any], metrics: Metrics) -> Iterator[None]:
    """Around the answer to one request, which is counted. Whatever is raised comes out as it is to
    be told: its metadata in headers and in trailers, since an answer without a message has only one
    of them."""
    try:
        yield
    except Exception as error:
        told = refusal(error)
        metrics.client_request(rpc, told.name)
        for name, value in told.metadata.items():
            context.response_headers[name] = value
            context.response_trailers[name] = value
        raise ConnectError(told.code, told.line) from error
    metrics.client_request(rpc, OK)


def _told(code: Code, name: str, text: str, metadata: dict[str, str] | None = None) -> Refusal:
    return Refusal(code, name, text, {POSTBOX_CODE: name, **(metadata or {})})


def _later(code: Code, name: str, text: str, wait_s: float) -> Refusal:
    return _told(code, name, text, {RETRY_AFTER: str(max(1, math.ceil(wait_s)))})
