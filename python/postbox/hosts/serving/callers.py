"""Who calls, and how much one caller may cost.

Nothing is believed of a request before its token is: until then it counts for the address that it
came from, from then on for its host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from postbox.hosts import wire
from postbox.hosts.keys.keys import Busy, Caller, KeyCache, Refused, Unauthenticated
from postbox.hosts.serving.contacts import Contacts
from postbox.net.rates import AtOnce, Rate, TooMany, TooOften
from postbox.trust.tokens import Rpc
from postbox.world import Clock

STRANGERS_PER_MINUTE = 300
"""Requests of an address that prove nothing: those whose token is refused or cannot be checked now,
and questions for the key, which need none. A load balancer's address is that of many hosts, and
theirs are good."""

REQUESTS_OF_HOST, REQUESTS_AT_ONCE = 16, 256
"""Under way, but for streams. A sender has one at a time, and Ack beside it; the rest is for nodes
of several processes. All together are half the connections that the store and its threads serve."""

STREAMS_OF_HOST, STREAMS_AT_ONCE = 4, 256
"""Of Sync, that end when all was given. A host has one at a time, and takes as long as it likes to
read it (at 256 KiB in 30 s the guard finds it quick enough), with up to a MiB in memory here; so
those that are read slowly wait for each other, and no post for any of them."""

FOLLOWED_OF_HOST, FOLLOWED_AT_ONCE = 4, 10_000
"""Streams that stay open. A host listens to its newest one; those before are ended, but one that it
does not read has up to a MiB in memory until the connection gives it up."""


class Callers:
    def __init__(
        self,
        clock: Clock,
        keys: KeyCache,
        contacts: Contacts,
        counts_as: Callable[[str | None], str],
        heard_from: Callable[[str], None],
        *,
        requests_per_minute: int,
    ) -> None:
        """`counts_as`: what an address is where something is limited by address. `heard_from`: told
        of each host that has proved who it is."""
        self._clock = clock
        self._keys = keys
        self._contacts = contacts
        self._counts_as = counts_as
        self._heard_from = heard_from
        self._rate = Rate(requests_per_minute, requests_per_minute)
        self._strangers = Rate(STRANGERS_PER_MINUTE, STRANGERS_PER_MINUTE)
        self._under_way = AtOnce(REQUESTS_OF_HOST, REQUESTS_AT_ONCE)
        self._streams = AtOnce(STREAMS_OF_HOST, STREAMS_AT_ONCE)
        self._followed = AtOnce(FOLLOWED_OF_HOST, FOLLOWED_AT_ONCE)

    async def known(self, asked: wire.Asked, rpc: Rpc, bound: bytes, address: str | None) -> Caller:
        """The host that asks, let in. Raises what `replies.refusal` names."""
        digest = wire.digest(bound)
        try:
            caller = await self._keys.authenticate(asked.host, asked.token, rpc, digest, address)
        except (Unauthenticated, Refused, Busy):
            self.require_patience(address)
            raise
        wait_s = self._rate.wait_s(caller.host, self._clock.elapsed_s())
        if wait_s:
            raise TooOften(f"{caller.host} asks too often", wait_s)
        await self._contacts.met(caller.host)
        self._heard_from(caller.host)
        return caller

    def require_patience(self, address: str | None) -> None:
        """Raises TooOften at one request too many that proves nothing."""
        wait_s = self._strangers.wait_s(self._counts_as(address), self._clock.elapsed_s())
        if wait_s:
            raise TooOften("too many requests from this address that prove nothing", wait_s)

    def one(self, caller: Caller) -> AbstractContextManager[None]:
        """A request, while it is being answered. Raises TooOften."""
        return _one(self._under_way, caller)

    def stream(self, caller: Caller, *, is_followed: bool) -> AbstractContextManager[None]:
        """A Sync, while it lasts. Raises TooOften."""
        return _one(self._followed if is_followed else self._streams, caller)


@contextmanager
def _one(places: AtOnce, caller: Caller) -> Iterator[None]:
    try:
        with places.one(caller.host):
            yield
    except TooMany:
        raise TooOften("too many requests are under way", 1) from None
