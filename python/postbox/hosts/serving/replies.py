"""What became of a host's request, as an error of the rpc: the one table of it.

`docs/protocol/hosts.md` has the same table for those who call. What is not in it is a fault of
ours, of which a caller learns that and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from postbox.errors import Full, Stopped, Unavailable, WireError
from postbox.hosts.keys.keys import Busy, Refused, Unauthenticated
from postbox.hosts.links.place import UnknownPlace
from postbox.hosts.links.room import NoRoom
from postbox.logs import get, limited
from postbox.metrics import Metrics
from postbox.net.rates import TooOften

RETRY_S = 5
"""After a fault of ours: a disk that is full or a store that is stuck is not mended sooner."""

RETRY_AFTER = "retry-after"

OK = "ok"
"""Beside the codes, what a request is counted as."""

_log = limited(get("postbox.hosts.server"), "requests")


@contextmanager
def answering(rpc: str, context: RequestContext[Any, Any], metrics: Metrics) -> Iterator[None]:
    """Around the answer to one request, which is counted. Whatever is raised comes out as it is to
    be told."""
    try:
        yield
    except Exception as error:
        told = refusal(error, context)
        metrics.host_request(rpc, told.code.value)
        raise told from error
    metrics.host_request(rpc, OK)


def refusal(error: Exception, context: RequestContext[Any, Any]) -> ConnectError:
    """To be raised. Notes in the answer's headers when to try again. The most special kinds come
    first."""
    match error:
        case ConnectError():
            return error
        case Unauthenticated():
            return ConnectError(Code.UNAUTHENTICATED, str(error))
        case Refused():
            return ConnectError(Code.PERMISSION_DENIED, str(error))
        case Busy():
            return _later(context, Code.RESOURCE_EXHAUSTED, str(error), error.retry_s)
        case TooOften() | NoRoom():
            return _later(context, Code.RESOURCE_EXHAUSTED, str(error), error.wait_s)
        case UnknownPlace():
            return ConnectError(Code.FAILED_PRECONDITION, str(error))
        case WireError():
            return ConnectError(Code.INVALID_ARGUMENT, str(error))
        case Full() | Unavailable() | Stopped():
            text = "this host cannot do that now"
            return _later(context, Code.UNAVAILABLE, text, RETRY_S)
        case _:
            _log.exception("a request failed by a fault of ours")
            return ConnectError(Code.INTERNAL, "this host failed at it; its log says why")


def _later(context: RequestContext[Any, Any], code: Code, text: str, wait_s: float) -> ConnectError:
    """In headers and in trailers: an answer without a message has only one of them."""
    wait = str(max(1, math.ceil(wait_s)))
    context.response_headers[RETRY_AFTER] = wait
    context.response_trailers[RETRY_AFTER] = wait
    return ConnectError(code, text)
