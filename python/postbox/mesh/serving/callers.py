"""Who calls, and how often it may: the questions that are settled before a body is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from postbox.mesh.calling.introductions import Introductions
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.replies import NotAllowed
from postbox.net.addresses import Reach
from postbox.net.asgi import address_of, headers_of
from postbox.net.rates import AtOnce, Rate, TooMany, TooOften
from postbox.trust import signatures
from postbox.trust.directory import Directory
from postbox.world import Clock

if TYPE_CHECKING:
    from hypercorn.typing import HTTPScope

REQUESTS_AT_ONCE = 1_000
"""Of all peers together: as many as there may be connections."""

ANSWERS_AT_ONCE, ANSWERS_OF_ADDRESS = 32, 8
"""In all, and to one address, whatever names it goes by: an answer of up to 16 MiB stays in memory
until its peer has read it."""

STRANGERS_PER_MINUTE = 300
"""Requests an address that prove nothing: pings, hellos, and those that end with 401. Each costs
less than a tenth of a millisecond; this is a hundredth of a core."""
STRANGERS_BURST = 300


class Gate:
    """How often one name may come, and how many may be inside: for routes that cost more than
    looking something up. Nothing of a body is read before."""

    def __init__(self, clock: Clock, what: str, per_minute: int, at_once: int) -> None:
        self._clock = clock
        self._what = what
        self._rate = Rate(per_minute, per_minute)
        self._inside = AtOnce(1, at_once)

    @contextmanager
    def enter(self, sender: str) -> Iterator[None]:
        """Raises TooOften."""
        try:
            with self._inside.one(sender):
                wait_s = self._rate.wait_s(sender, self._clock.elapsed_s())
                if wait_s:
                    raise TooOften(f"{sender} brings {self._what} too often", wait_s)
                yield
        except TooMany:
            raise TooOften(f"{self._what} are under way", 1) from None


class Callers:
    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        introductions: Introductions,
        peers: Roster,
        reach: Reach,
        *,
        requests_per_minute: int,
        concurrent_requests: int,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._introductions = introductions
        self._peers = peers
        self._reach = reach
        self._strangers = Rate(STRANGERS_PER_MINUTE, STRANGERS_BURST)
        self._rate = Rate(requests_per_minute, requests_per_minute)
        self._under_way = AtOnce(concurrent_requests, REQUESTS_AT_ONCE)
        self._answers = AtOnce(ANSWERS_OF_ADDRESS, ANSWERS_AT_ONCE)

    async def authenticate(self, scope: HTTPScope) -> str:
        """The name that the caller proved. Raises NotAllowed, AuthFailed or TooOften."""
        sender = await self._proved(scope)
        self._peers.require_dealings(sender)
        return sender

    async def _proved(self, scope: HTTPScope) -> str:
        self.require_allowed(scope)
        try:
            return self._signer(scope, self._directory.key_of)
        except signatures.UnknownSender as error:
            self.require_patience(scope)
            proves = partial(self._is_signed_with, scope)
            if not await self._introductions.call_back(error.sender, address_of(scope), proves):
                raise
            return self._signer(scope, self._directory.key_of)
        except signatures.AuthFailed:
            self.require_patience(scope)
            raise

    def _signer(self, scope: HTTPScope, key_of: signatures.KeyOf) -> str:
        now_ms = self._clock.now_ns() // 1_000_000
        return signatures.check_request(
            headers_of(scope), scope["method"], scope["path"], now_ms, key_of
        )

    def _is_signed_with(self, scope: HTTPScope, key: bytes) -> bool:
        try:
            self._signer(scope, lambda _: key)
        except signatures.AuthFailed:
            return False
        return True

    def require_allowed(self, scope: HTTPScope) -> None:
        is_tls = scope["scheme"] == "https"
        refusal = self._reach.may_call_us(address_of(scope), is_tls=is_tls)
        if refusal is not None:
            raise NotAllowed(refusal)

    def require_patience(self, scope: HTTPScope) -> None:
        """Of an address that proves nothing."""
        key = self._reach.counts_as(address_of(scope))
        wait_s = self._strangers.wait_s(key, self._clock.elapsed_s())
        if wait_s:
            raise TooOften("too many requests from this address that prove nothing", wait_s)

    def require_rate(self, sender: str) -> None:
        wait_s = self._rate.wait_s(sender, self._clock.elapsed_s())
        if wait_s:
            raise TooOften(f"{sender} asks too often", wait_s)

    def one_request(self, sender: str) -> AbstractContextManager[None]:
        """Raises TooMany."""
        return self._under_way.one(sender)

    def one_answer(self, address: str | None) -> AbstractContextManager[None]:
        """Raises TooMany."""
        return self._answers.one(self._reach.counts_as(address))
