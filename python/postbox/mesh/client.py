"""Asks a peer what it has: signs the request, believes the answer only as far as it is proved.

The header signature says who answers and covers the body; the inner one says which events, in
which order, at what time. Both must be of one known peer. Then the events are judged one by one,
like any others.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from postbox.core import Batch
from postbox.errors import Fault, WireError
from postbox.mesh import wire
from postbox.mesh.intake import Intake
from postbox.net.client import Answer, Client
from postbox.trust import signatures
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.world import Clock

MAX_ANSWER_BYTES = 20 * 2**20
"""A full page of ordinary events has 2 MB, and a postbox peer cuts its answers at 16."""
DEADLINE_S = 60.0
"""For a whole answer: a full page at 40 kB/s."""
MAX_CLOCK_DIFFERENCE_S = 300
"""An answer whose own time is further off is an old one played again, or of a broken clock."""


class PeerFault(Fault):
    """A peer refused us, or what it answered cannot be believed."""


def require_safe_url(url: str) -> None:
    """Raises PeerFault for plain HTTP to anywhere but this machine: nothing would secure it."""
    try:
        parts = urlsplit(url)
        is_plain, host = parts.scheme == "http", parts.hostname or ""
    except ValueError as error:
        raise PeerFault(f"{url!r} is no URL: {error}") from error
    if is_plain and not _is_loopback(host):
        raise PeerFault(
            f"will not ask {url}: over plain HTTP this version asks loopback addresses only"
            " (http://127.0.0.1:7433); use https"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Heard(NamedTuple):
    """An answer whose signatures verify. Its events are decoded, and not verified yet."""

    peer: str
    batch: Batch
    next_cursor: str | None


class Peer:
    """One peer, by URL."""

    def __init__(
        self, clock: Clock, http: Client, identity: Identity, directory: Directory, url: str
    ) -> None:
        require_safe_url(url)
        self._clock = clock
        self._http = http
        self._identity = identity
        self._directory = directory
        self._url = url.rstrip("/") + wire.PATH

    async def ask(self, request: wire.SyncRequest, intake: Intake) -> Heard:
        """One request. Raises PeerFault, or a fault of `net.client`."""
        request.sender = self._identity.name
        asked_ms = self._now_ms()
        signed = signatures.request_headers(self._identity, "POST", wire.PATH, asked_ms)
        answer = await self._http.request(
            "POST",
            self._url,
            body=wire.encode_request(request),
            headers={"content-type": "application/json", **signed},
            max_body_bytes=MAX_ANSWER_BYTES,
            deadline_s=DEADLINE_S,
        )
        if answer.status != 200:
            raise PeerFault(self._refused(answer))
        try:
            return await self._believe(answer, asked_ms, intake)
        except WireError as error:
            raise PeerFault(f"what {self._url} answered can not be believed: {error}") from error

    async def _believe(self, answer: Answer, asked_ms: int, intake: Intake) -> Heard:
        """`asked_ms`: an answer's headers are of about then, however long its body took."""
        key_of = self._directory.key_of
        peer = signatures.check_response(answer.headers, answer.body, asked_ms, key_of)
        content = wire.decode_answer(answer.body)
        if content.sender != peer:
            raise WireError(f"it is signed by {peer} and says it is from {content.sender!r}")
        if abs(content.ts - self._now_ms() // 1000) > MAX_CLOCK_DIFFERENCE_S:
            raise WireError(f"its time is off by more than {MAX_CLOCK_DIFFERENCE_S} s")
        batch = await intake.decode([bytes(event) for event in content.events or ()])
        digest = batch.claimed_digest(content.sender, content.ts)
        key = key_of(peer)
        if digest is None or key is None:
            raise WireError("it has events that are no objects with an id of text")
        if not signatures.is_signed_digest(key, digest, content.sig):
            raise WireError("the signature inside does not fit the events")
        return Heard(peer, batch, content.next_cursor)

    def _refused(self, answer: Answer) -> str:
        text = answer.body[:300].decode("utf-8", "replace").strip()
        refused = f"{self._url} answered {answer.status}: {text!r}"
        if answer.status != 401:
            return refused
        me = self._identity
        return (
            f"{refused}. If it does not know this node, its operator runs:"
            f" postbox trust add {me.name} {me.public_key_base64} --id {me.id}"
        )

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000
