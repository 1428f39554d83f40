"""What is told of an error, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import Headers, RequestContext

from postbox.errors import Full, Stopped, Unavailable
from postbox.hosts.keys.keys import Busy, Refused, Unauthenticated
from postbox.hosts.links.place import UnknownPlace
from postbox.hosts.links.room import NoRoom
from postbox.hosts.serving.replies import refusal
from postbox.hosts.wire import Malformed
from postbox.net.rates import TooOften
from support.serving import logged

METHOD: MethodInfo[Any, Any] = MethodInfo(
    name="Sync",
    service_name="",
    input=bytes,
    output=bytes,
    idempotency_level=IdempotencyLevel.UNKNOWN,
    stream_type=StreamType.UNARY,
)

TOLD = [
    (Unauthenticated("why"), Code.UNAUTHENTICATED, ""),
    (Refused("why"), Code.PERMISSION_DENIED, ""),
    (Busy("why", 2.1), Code.RESOURCE_EXHAUSTED, "3"),
    (TooOften("why", 0.2), Code.RESOURCE_EXHAUSTED, "1"),
    (NoRoom("why"), Code.RESOURCE_EXHAUSTED, "30"),
    (Malformed("why"), Code.INVALID_ARGUMENT, ""),
    (UnknownPlace("why"), Code.FAILED_PRECONDITION, ""),
]


def context() -> RequestContext[Any, Any]:
    return RequestContext(method=METHOD, http_method="POST", request_headers=Headers())


@pytest.mark.parametrize(("error", "code", "wait"), TOLD)
def test_what_a_caller_can_mend_is_told_with_its_reason(
    error: Exception, code: Code, wait: str
) -> None:
    asked = context()
    told = refusal(error, asked)
    assert told.code is code
    assert told.message.startswith("why")
    assert asked.response_headers.get("retry-after", "") == wait
    assert asked.response_trailers.get("retry-after", "") == wait


@pytest.mark.parametrize("error", [Full("a secret"), Unavailable("a secret"), Stopped("a secret")])
def test_of_a_store_that_does_not_answer_only_that_is_told(error: Exception) -> None:
    asked = context()
    told = refusal(error, asked)
    assert (told.code, "secret" in told.message) == (Code.UNAVAILABLE, False)
    assert int(asked.response_headers["retry-after"]) > 0


def test_of_a_fault_of_ours_nothing_is_told_and_all_of_it_is_logged() -> None:
    with logged() as log:
        try:
            raise KeyError("a secret")
        except KeyError as error:
            told = refusal(error, context())
    assert (told.code, "secret" in told.message) == (Code.INTERNAL, False)
    assert "a secret" in log.getvalue()
