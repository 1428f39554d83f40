"""The issuer that the operator named: whose tokens count besides our own, and its keys.

Its keys are fetched when the door opens, every few minutes, and when a token names a key that is
not among them; by one task, one at a time and at most once a minute, whoever asks. So a flood of
forged tokens causes one fetch a minute, a caller that hangs up stops none, and a key that the
issuer has just begun to use is known within a minute. While the issuer does not answer the keys
that are known still count, for a day.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import trio

from postbox.clients.identity.jwks import MAX_BYTES, KeySet, read_key_set
from postbox.clients.identity.tokens import ClientToken
from postbox.config import Config
from postbox.connections import client_tls
from postbox.errors import Fault, WireError
from postbox.logs import get, limited
from postbox.net.addresses import reach_of
from postbox.net.client import open_client
from postbox.trust.jwt import BadToken
from postbox.world import Clock, Pool, World

FRESH_S = 600.0
"""Then the keys are asked for again: a key that the issuer takes back counts for 10 min more."""

PAUSE_S = 60.0
"""Between two fetches, whatever is asked for."""

KEEP_S = 86_400.0
"""How long known keys count while the issuer does not answer: nobody shall be shut out by its bad
day, and a key that was stolen is to end some time."""

FETCH_S = 5.0
"""For an answer: it is a small file."""

WAIT_S = 10.0
"""For a fetch that is under way, and what it does with its time."""

MAX_WAITING = 500
"""Requests that wait for keys: about 50 kB each. One more is told to come again."""

Fetch: TypeAlias = Callable[[], Awaitable[bytes]]
"""A published key set, as it is now. Bounded in size and time; raises a Fault or OSError."""

_log = limited(get("postbox.clients.identity"), "issuer")


class NotNow(WireError):
    """Whether the token is good cannot be said before `retry_s`."""

    def __init__(self, text: str, retry_s: float) -> None:
        super().__init__(text)
        self.retry_s = retry_s


class Issuer:
    """`run` must be running for anything to be fetched."""

    def __init__(self, clock: Clock, name: str, audience: str, fetch: Fetch) -> None:
        """`name`: the `iss` of its tokens; `audience`: the `aud` of those that are for us."""
        self._clock = clock
        self._name = name
        self._audience = audience
        self._fetch = fetch
        self.error = ""  # why the last fetch brought no keys, if so
        self._known = KeySet({}, ())
        self._known_s: float | None = None  # since when
        self._asked_s: float | None = None  # when the last fetch began
        self._wanted = trio.Event()
        self._landed: trio.Event | None = None  # of a fetch that is wanted or under way
        self._waiting = 0

    async def key_for(self, token: ClientToken) -> bytes:
        """The key that the token says it is signed with. Raises BadToken and NotNow."""
        self._check(token)
        key = self.known(token.kid)
        if key is not None:
            return key
        await self._ask()
        key = self.known(token.kid)
        if key is not None:
            return key
        if not self._is_known():
            raise NotNow(_NONE_KNOWN, max(1.0, self._pause_s()))
        raise BadToken("its issuer publishes no Ed25519 key with its kid")

    def known(self, kid: str) -> bytes | None:
        """The key of this name, if it counts now."""
        return self._known.keys.get(kid) if self._is_known() else None

    @property
    def keys(self) -> KeySet | None:
        """Those that count now, and those passed over; None while there are none."""
        return self._known if self._is_known() else None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._fly()
            with trio.move_on_after(FRESH_S):
                await self._wanted.wait()

    def _check(self, token: ClientToken) -> None:
        if token.iss != self._name:
            raise BadToken(f"its iss is {token.iss[:80]!r}, which is not the issuer of this host")
        if self._audience not in token.audiences:
            raise BadToken(f"its aud does not name {self._audience!r}: it was made for others")

    async def _ask(self) -> None:
        """Waits for the fetch that is under way, or for one more. Raises NotNow."""
        if self._landed is None:
            pause_s = self._pause_s()
            if pause_s:
                raise NotNow(_FITS_NONE if self._is_known() else _NONE_KNOWN, pause_s)
            self._landed = trio.Event()
            self._wanted.set()
        if self._waiting >= MAX_WAITING:
            raise NotNow("too many wait for the keys of its issuer", 1.0)
        self._waiting += 1
        try:
            with trio.move_on_after(WAIT_S):
                await self._landed.wait()
        finally:
            self._waiting -= 1

    async def _fly(self) -> None:
        landed = self._landed = trio.Event() if self._landed is None else self._landed
        self._wanted = trio.Event()
        self._asked_s = self._clock.elapsed_s()
        try:
            self._learn(read_key_set(await self._fetch()))
            self.error = ""
        except (Fault, WireError, OSError) as error:
            self.error = str(error)
            _log.warning("the issuer's keys were not had", why=str(error))
        finally:
            self._landed = None
            landed.set()

    def _learn(self, found: KeySet) -> None:
        if found.passed_over and found.passed_over != self._known.passed_over:
            _log.info("not all of the issuer's keys count", why="; ".join(found.passed_over)[:500])
        self._known, self._known_s = found, self._clock.elapsed_s()

    def _is_known(self) -> bool:
        return self._known_s is not None and self._clock.elapsed_s() < self._known_s + KEEP_S

    def _pause_s(self) -> float:
        if self._asked_s is None:
            return 0.0
        return max(0.0, self._asked_s + PAUSE_S - self._clock.elapsed_s())


_FITS_NONE = "the keys of its issuer were asked for a moment ago, and it fits none of them"
_NONE_KNOWN = "the keys of its issuer could not be fetched"


def open_issuer(world: World, config: Config) -> Issuer | None:
    """None: the operator named none."""
    named = config.clients
    if not named.issuer:
        return None
    return Issuer(world.clock, named.issuer, named.audience, fetch_from(world, config))


def fetch_from(world: World, config: Config) -> Fetch:
    """How the keys of the issuer are had that the operator named."""
    place = config.clients.jwks
    if place.startswith("https://"):
        return partial(_call, world, config, place)
    return partial(world.threads.run, Pool.READER, partial(_read, Path(place)))


async def _call(world: World, config: Config, url: str) -> bytes:
    reach = reach_of(config)
    async with open_client(world.net, client_tls(config.hosts.ca), reach=reach) as client:
        answer = await client.request("GET", url, max_body_bytes=MAX_BYTES, deadline_s=FETCH_S)
    if answer.status != 200:
        raise NoKeySet(f"{url} answers with status {answer.status}")
    return answer.body


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


class NoKeySet(Fault):
    """The issuer answers, but not with its keys."""
