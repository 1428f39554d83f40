"""Calls a peer: signs the request, believes the answer only as far as it is proved.

The header signature says who answers and covers the body; it must be of the node that was met at
this address. In the answer to a sync an inner one says which events, in which order, at what time.
Then the events are judged one by one, like any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from postbox.core import Batch
from postbox.errors import Fault, WireError
from postbox.mesh import wire
from postbox.mesh.calling.introductions import Introductions, MeetingFault, Met
from postbox.mesh.merging.intake import Intake
from postbox.mesh.wire import SyncRequest
from postbox.net.client import Answer, Client
from postbox.rules import Payer
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
MAX_WAIT_S = 300.0
"""A peer that says `Retry-After` is believed up to this long."""


class PeerFault(Fault):
    """A peer refused us, or what it answered cannot be believed."""


class Lied(PeerFault):
    """The peer signed what disproves itself: nobody else can have made it."""


class Stranger(PeerFault):
    """The peer does not know this node, and did not get to know it by an introduction."""


class Busy(PeerFault):
    """The peer asks us to come again later."""

    def __init__(self, text: str, wait_s: float) -> None:
        super().__init__(text)
        self.wait_s = wait_s


class Bounds(NamedTuple):
    """Of an answer: its size, and until it is whole."""

    max_bytes: int
    deadline_s: float


SYNC_BOUNDS = Bounds(MAX_ANSWER_BYTES, DEADLINE_S)


class Told(NamedTuple):
    """An answer of 200 that `peer` signed with `key`, all of it."""

    peer: str
    key: bytes
    answer: Answer


class Heard(NamedTuple):
    """An answer to a sync whose signatures verify. Its events are decoded, and not verified yet."""

    peer: str
    batch: Batch
    next_cursor: str | None
    bytes: int

    @property
    def payer(self) -> Payer:
        return Payer("peer", self.peer)


class Peer:
    """One peer, by URL (`http://100.64.0.7:7433`). With a `name` it must be that one, whose key is
    known, and nothing is learned of whom else one meets there: for URLs that others told."""

    def __init__(
        self,
        clock: Clock,
        http: Client,
        identity: Identity,
        directory: Directory,
        introductions: Introductions,
        url: str,
        name: str = "",
    ) -> None:
        self._clock = clock
        self._http = http
        self._identity = identity
        self._directory = directory
        self._introductions = introductions
        self._url = url.rstrip("/")
        self._name = name
        self._met: Met | None = None
        self._is_introduced = False  # since we met

    # -- whom ------------------------------------------------------------------------------------

    async def meet(self) -> Met:
        """Who is there, asked anew. Raises MeetingFault or a fault of `net.client`."""
        if self._name:
            met = await self._meet_again()
        else:
            met = await self._introductions.meet(self._url)
        self._met, self._is_introduced = met, False
        return met

    async def met(self) -> Met:
        """Who is there, asked once. Raises MeetingFault or a fault of `net.client`."""
        return self._met or await self.meet()

    async def _meet_again(self) -> Met:
        try:
            met = await self._introductions.look(self._url)
        except WireError as error:
            raise MeetingFault(f"the node at {self._url} cannot be met: {error}") from error
        if met.name != self._name:
            raise MeetingFault(f"{self._url} is {met.name}, and {self._name} was looked for there")
        if self._directory.key_of(met.name) is None:
            raise MeetingFault(f"the key of {met.name} at {self._url} is not known")
        return met

    # -- what ------------------------------------------------------------------------------------

    async def get(
        self, path: str, bounds: Bounds, query: Mapping[str, str] | None = None
    ) -> Answer:
        """What anybody is told there; nothing of it is proved. Raises PeerFault unless it is 200,
        or a fault of `net.client`."""
        answer = await self._http.request(
            "GET",
            self._url + path,
            query=query,
            max_body_bytes=bounds.max_bytes,
            deadline_s=bounds.deadline_s,
        )
        if answer.status != 200:
            raise self._refusal(answer)
        return answer

    async def post(
        self, path: str, body: bytes, bounds: Bounds, headers: Mapping[str, str] | None = None
    ) -> Told:
        """One request, signed, after getting to know each other if need be; `body` is JSON. Raises
        PeerFault, MeetingFault, or a fault of `net.client`."""
        met = await self.met()
        answer, asked_ms = await self._send(path, body, bounds, headers)
        if _is_stranger(answer) and met.about and not self._is_introduced:
            await self._introduce(met)
            answer, asked_ms = await self._send(path, body, bounds, headers)
        if answer.status != 200:
            raise self._refusal(answer)
        try:
            # An answer's headers are of about when it was asked for, however long its body took.
            key = self._directory.key_of(met.name)
            peer = signatures.check_response(
                answer.headers, answer.body, asked_ms, self._directory.key_of
            )
            if peer != met.name or key is None:
                raise WireError(f"it is signed by {peer}, and {met.name} is who is met there")
        except WireError as error:
            raise PeerFault(self._unbelievable(error)) from error
        if not self._name:
            await self._introductions.confirm(self._url, peer)
        return Told(peer, key, answer)

    async def ask(self, request: SyncRequest, intake: Intake) -> Heard:
        """What the peer has. Raises as `post`, and Lied."""
        is_postbox = (await self.met()).about is not None
        request.sender = self._identity.name
        told = await self.post(
            wire.SYNC_PATH if is_postbox else wire.NARA_SYNC_PATH,
            wire.encode_request(request),
            SYNC_BOUNDS,
            {"accept": wire.MSGPACK} if is_postbox else None,
        )
        try:
            return await self._believe(told, intake)
        except _Disproved as error:
            raise Lied(self._unbelievable(error)) from error
        except WireError as error:
            raise PeerFault(self._unbelievable(error)) from error

    async def _send(
        self, path: str, body: bytes, bounds: Bounds, headers: Mapping[str, str] | None
    ) -> tuple[Answer, int]:
        """The answer, and when it was asked for."""
        asked_ms = self._now_ms()
        proof = signatures.request_headers(self._identity, "POST", path, asked_ms)
        answer = await self._http.request(
            "POST",
            self._url + path,
            body=body,
            headers={"content-type": "application/json", **proof, **(headers or {})},
            max_body_bytes=bounds.max_bytes,
            deadline_s=bounds.deadline_s,
        )
        return answer, asked_ms

    async def _introduce(self, met: Met) -> None:
        """Once: who still does not know us then waits for its operator. A nara takes no
        introductions; it has asked back before it said that it does not know us."""
        self._is_introduced = True
        try:
            who = await self._introductions.introduce(self._url)
        except WireError as error:
            raise PeerFault(f"{self._url} introduces itself wrongly: {error}") from error
        if (who.name, who.key) != (met.name, self._directory.key_of(met.name)):
            raise PeerFault(
                f"{self._url} introduces itself as {who.name}, or with another key than"
                f" {met.name} has, who is met there"
            )

    async def _believe(self, told: Told, intake: Intake) -> Heard:
        peer, key, answer = told
        content = wire.decode_answer(answer.body, answer.headers.get("content-type", ""))
        if content.sender != peer:
            said = content.sender[:80]
            raise _Disproved(f"it is signed by {peer} and says it is from {said!r}")
        if abs(content.ts - self._now_ms() // 1000) > MAX_CLOCK_DIFFERENCE_S:
            raise WireError(f"its time is off by more than {MAX_CLOCK_DIFFERENCE_S} s")
        batch = await intake.decode(content.events)
        digest = batch.claimed_digest(content.sender, content.ts)
        if digest is None:
            raise _Disproved("it has events that are no objects with an id of text")
        if not signatures.is_signed_digest(key, digest, content.sig):
            raise _Disproved("the signature inside does not fit the events")
        return Heard(peer, batch, content.next_cursor, len(answer.body))

    def _unbelievable(self, error: WireError) -> str:
        return f"what {self._url} answered cannot be believed: {error}"

    def _refusal(self, answer: Answer) -> PeerFault:
        said = answer.body[:300].decode("utf-8", "replace").strip()
        refused = f"{self._url} answered {answer.status}: {said!r}"
        if _is_stranger(answer):
            me = self._identity
            return Stranger(
                f"{refused}. This node waits there to be let in: the operator of that node runs"
                f" postbox trust add {me.name}, or, if it does not wait in postbox trust list,"
                f" postbox trust add {me.name} {me.public_key_base64} --id {me.id}"
            )
        wait = answer.headers.get("retry-after", "")
        if answer.status in (429, 503) and wait.isascii() and wait.isdigit():
            return Busy(refused, min(float(wait), MAX_WAIT_S))
        return PeerFault(refused)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


class _Disproved(WireError):
    """By itself, whoever looks at it."""


def _is_stranger(answer: Answer) -> bool:
    """In nara's words, which ours are."""
    return answer.status == 401 and b"unknown sender" in answer.body[:300]
