"""The one table of what a host, or what stands in front of it, says instead of an answer.

A code of ours counts first, in the metadata or before the text; then what the wire itself says.
What only a host can judge, that an event or a batch is wrong, is believed of a host alone: no
proxy's error costs the user a message. What is let through nowhere, since it is too large (413), is
shown as refused, so that it does not hold up what is behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast, get_args

from postbox.client.transport.contract import CallFailed, Code
from postbox.rpc.answer import printable
from postbox.rpc.faults import RpcError

MAX_RETRY_S: Final = 3600.0
"""Whoever asks for more patience is asked again after an hour."""

_CODES: Final = frozenset(get_args(Code)) - {"UNREACHABLE"}

_OF_HTTP: Final[Mapping[int, Code]] = {
    401: "NO_SESSION",
    413: "TOO_LARGE",
    429: "RATE_LIMITED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
"""All others are of somebody who is no host."""

_OF_STATUS: Final[Mapping[str, Code]] = {
    "unauthenticated": "NO_SESSION",
    "resource_exhausted": "RATE_LIMITED",
    "unavailable": "UNAVAILABLE",
    "deadline_exceeded": "UNAVAILABLE",
    "aborted": "UNAVAILABLE",
    "unimplemented": "UNREACHABLE",
}
"""In Connect's spelling; all others are INTERNAL."""


def unreachable(text: str) -> CallFailed:
    return CallFailed("UNREACHABLE", text)


def of_status(status: str, text: str, metadata: Mapping[str, str]) -> CallFailed:
    """An error of Connect or gRPC; `status` in Connect's spelling, names of `metadata` in lower
    case."""
    named = (metadata.get("postbox-code", ""), text.partition(":")[0])
    code = next((name for name in named if name in _CODES), None)
    fallback = _OF_STATUS.get(status, "INTERNAL")
    return _failed(cast("Code", code) if code else fallback, text, metadata)


def of_http(status: int, text: str, metadata: Mapping[str, str]) -> CallFailed:
    """A refusal in words of HTTP alone."""
    if 300 <= status < 400:
        where = _printable(metadata.get("location", "nowhere"))
        return unreachable(f"it redirects to {where}: give that address, if it is the host's")
    code = metadata.get("postbox-code", "")
    said = f"HTTP status {status}" + (f": {text}" if text else " instead of an answer")
    fallback = _OF_HTTP.get(status, "UNREACHABLE")
    return _failed(cast("Code", code) if code in _CODES else fallback, said, metadata)


def of_rpc(error: RpcError) -> CallFailed:
    """What our gRPC client raises."""
    if error.said is None:
        return unreachable(error.text)
    metadata = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in error.said.items()
    }
    if error.http_status is not None:
        return of_http(error.http_status, error.text.partition(": ")[2], metadata)
    return of_status(error.code.name.lower(), error.text, metadata)


def _failed(code: Code, text: str, metadata: Mapping[str, str]) -> CallFailed:
    number = _next_number(text, metadata) if code == "QUEUE_HOLE" else None
    if code == "QUEUE_HOLE" and number is None:
        code = "INTERNAL"
    said = _printable(text).removeprefix(f"{code}: ")
    return CallFailed(code, said, retry_s=_retry_s(metadata), next_number=number)


def _next_number(text: str, metadata: Mapping[str, str]) -> int | None:
    in_text = re.search(r"\bnext=(\d{1,19})\b", text)
    said = metadata.get("postbox-next-queue-number", in_text[1] if in_text else "")
    is_number = said.isascii() and said.isdigit() and len(said) < 20
    return int(said) if is_number and 0 < int(said) < 2**63 else None


def _retry_s(metadata: Mapping[str, str]) -> float | None:
    """A date is none: our clock may be wrong."""
    said = metadata.get("retry-after", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 10:
        return min(float(said), MAX_RETRY_S)
    return None


def _printable(text: str) -> str:
    return printable(text.encode("utf-8", "replace"))
