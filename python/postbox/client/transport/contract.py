"""What a client needs of a wire to its host: three calls, bytes of protobuf in and out.

Whatever goes wrong with a call, on whatever wire, is one `CallFailed`, whose code says what the
client does next (docs/protocol/clients.md, "Codes"). Cancelling a call closes what it used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol, TypeAlias, get_args

from postbox.errors import Fault

Rpc: TypeAlias = Literal["Sync", "SyncFromServer", "History"]
PATHS: Final[Mapping[Rpc, str]] = {rpc: f"/postbox.v1.EventService/{rpc}" for rpc in get_args(Rpc)}

MAX_ANSWER_BYTES: Final = 4 * 2**20
"""Of one message from a host: four times what it puts into a frame or a page."""
SILENCE_S: Final = 60.0
"""After which a stream without a frame is dead: a host gives a sign of life every 25 s."""
ANSWER_S: Final = 30.0
"""For a batch or a page. A host that commits is done in milliseconds; a full batch of 1 MiB takes
this long at 35 kB/s."""
CONNECT_S: Final = 10.0
"""A TCP handshake with its one retransmission takes 3 s on the worst link worth using; TLS needs
two more round trips and a slow machine's arithmetic."""

Code: TypeAlias = Literal[
    "NO_SESSION",
    "TOKEN_EXPIRED",
    "DEVICE_REVOKED",
    "RATE_LIMITED",
    "SNAPSHOT_BUSY",
    "QUEUE_HOLE",
    "INVALID",
    "TOO_LARGE",
    "NOT_A_MEMBER",
    "DISPLACED",
    "STOPPING",
    "UNAVAILABLE",
    "INTERNAL",
    "UNREACHABLE",
]
"""A host's own, and UNREACHABLE: no host answered, or what answers is none. A host newer than this
client may have others; to the client they are INTERNAL, which is tried again."""


class CallFailed(Fault):
    """There is no answer, or the stream is over without having been ended. What was asked may have
    been done all the same.

    `text`: for people. `retry_s`: when the host wants to be asked again. `next_number`: of
    QUEUE_HOLE, the number that it awaits.
    """

    def __init__(
        self,
        code: Code,
        text: str,
        *,
        retry_s: float | None = None,
        next_number: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.retry_s = retry_s
        self.next_number = next_number


class Transport(Protocol):
    """To one host, for one device. Any number of calls may be under way."""

    async def submit(self, request: bytes) -> bytes:
        """From a SubmitEventInput to a SubmitEventOutput. Raises CallFailed."""
        ...

    def stream(self, request: bytes) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """From a SyncFromServerRequest to Events; their end is the host's, in order. Whoever takes
        them slowly slows the host down. Raises CallFailed, also where they are taken."""
        ...

    async def history(self, request: bytes) -> bytes:
        """From a HistoryRequest to a HistoryPage. Raises CallFailed."""
        ...
