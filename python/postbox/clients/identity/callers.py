"""Who calls, and how much one caller may cost.

What costs nothing comes first: the token's form, its times, then its signature by a key that is
known; only for a key that is not is the issuer asked, within the bounds of `issuers`. What was
verified is remembered until it expires, but believed only as long as its key counts and its device
is not revoked. Until its token is good a request counts for the address that it came from, from
then on for its device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from postbox.clients.events.kinds import MAX_BATCH_EVENTS
from postbox.clients.identity.devices import Devices, ShutOut, TooManyDevices
from postbox.clients.identity.issuers import Issuer, NotNow
from postbox.clients.identity.names import device_refusal
from postbox.clients.identity.tokens import (
    ClientToken,
    Expired,
    check_times,
    read_token,
)
from postbox.clients.ids import device_id, user_id
from postbox.clients.rules.devices import is_revoked
from postbox.clients.tables import MAX_CONVERSATIONS
from postbox.errors import WireError
from postbox.net.rates import AtOnce, Rate, TooMany
from postbox.trust.host_keys import HostKey
from postbox.trust.jwt import BadToken, is_signed
from postbox.world import World

STRANGERS_PER_MINUTE = 300
"""Requests of an address whose token is no good, or cannot be checked now. A whole office may be
behind it, whose tokens expire on one morning."""

REQUESTS_OF_DEVICE, REQUESTS_AT_ONCE = 8, 512
"""Under way. A device sends its queue by one request at a time, and asks for history beside it."""

STREAMS_OF_DEVICE, STREAMS_AT_ONCE = 4, 20_000
"""Of which the newest lives and those before it are being ended."""

ASKED, ASKED_PER_MINUTE = 300, 300
"""Requests of a device that bring no event: streams that it opens, pages of history, empty batches.
Each is a look at the store of some milliseconds; who looks back through years, or whose connection
breaks all day, asks for less."""

MOST_OWED = MAX_BATCH_EVENTS * (1 + MAX_CONVERSATIONS)
"""Events, by a device that has sent a batch of changes which each go to all conversations of its
user: it is taken as a whole, and paid off before the next one."""

MAX_SESSIONS = 50_000
"""Verified tokens that are remembered, about 600 bytes each: one more is verified again."""

Code: TypeAlias = Literal["NO_SESSION", "DEVICE_REVOKED", "TOKEN_EXPIRED"]


class NotKnown(WireError):
    """It is not shown who calls (401); `code` for programs, the text for people."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code: Code = code


class TooOften(WireError):
    """Not before `retry_s` (429)."""

    def __init__(self, text: str, retry_s: float) -> None:
        super().__init__(text)
        self.retry_s = retry_s


@dataclass(frozen=True)
class Caller:
    """A device that has shown which one it is, until `expires_ms`. `kid`: of the issuer's key that
    its token was signed with; empty: it is one of ours."""

    user: str
    user_id: bytes
    device: str
    device_id: bytes
    expires_ms: int
    issued_ms: int = 0
    kid: str = ""
    signed_with: bytes = b""

    @property
    def key(self) -> str:
        """Of what is limited a device."""
        return self.device_id.hex()


Listener: TypeAlias = Callable[[Caller, int], None]
"""Of what a device spends: so many events."""


class Callers:
    def __init__(
        self,
        world: World,
        own_key: HostKey,
        issuer: Issuer | None,
        devices: Devices,
        counts_as: Callable[[str | None], str],
        *,
        events_per_second: int,
        burst: int,
    ) -> None:
        """`own_key`: as `tokens.token_key`. `counts_as`: what an address is where something is
        limited by address."""
        self._clock = world.clock
        self._own_key = own_key
        self._issuer = issuer
        self._devices = devices
        self._counts_as = counts_as
        self._sessions: dict[bytes, Caller] = {}  # by a digest of the token; oldest first
        self._strangers = Rate(STRANGERS_PER_MINUTE, STRANGERS_PER_MINUTE)
        self._asked = Rate(ASKED_PER_MINUTE, ASKED)
        self._events = Rate(events_per_second * 60, burst, most_owed=max(MOST_OWED, burst))
        self._requests = AtOnce(REQUESTS_OF_DEVICE, REQUESTS_AT_ONCE)
        self._streams = AtOnce(STREAMS_OF_DEVICE, STREAMS_AT_ONCE)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Called with what each device spends here; must not raise, nor wait."""
        self._listeners.append(listener)

    async def known(
        self, authorization: str | None, address: str | None, device: str | None = None
    ) -> Caller:
        """The device that calls, registered. `authorization`: the header; `device`: the header
        `postbox-device`, for tokens that do not say. Raises NotKnown and TooOften."""
        text = _bearer(authorization)
        name = hashlib.sha256(f"{device or ''}\0{text}".encode(errors="surrogatepass")).digest()
        caller = self._sessions.get(name)
        if caller is not None and self._is_in(caller):
            return caller
        self._require_patience(address)
        try:
            caller = await self._sign_in(text, device or "")
        except (NotKnown, TooOften):
            self._strangers.take(self._counts_as(address), self._clock.elapsed_s(), 1)
            raise
        self._remember(name, caller)
        return caller

    def why_over(self, caller: Caller) -> Code | None:
        """Why this device is not let in any more; None: it still is. A token whose key its issuer
        has taken back is as good as expired."""
        if self._now_ms() >= caller.expires_ms or not self._is_key_good(caller):
            return "TOKEN_EXPIRED"
        device = self._devices.known(caller.user, caller.device)
        if device is not None and is_revoked(caller.issued_ms, device.revoked_ms):
            return "DEVICE_REVOKED"
        return None

    def ask(self, caller: Caller) -> None:
        """For something, without an event. Raises TooOften."""
        wait_s = self._asked.wait_s(caller.key, self._clock.elapsed_s())
        if wait_s:
            raise TooOften("this device asks too often", wait_s)

    def spend(self, caller: Caller, events: int) -> None:
        """So many events, or what costs as much. Raises TooOften, and then nothing of it is
        counted."""
        wait_s = self._events.due_s(caller.key, self._clock.elapsed_s(), events)
        if wait_s:
            raise TooOften("this device sends too many events", wait_s)
        self.spent(caller.key, events)
        for listener in self._listeners:
            listener(caller, events)

    def spent(self, device_key: str, events: int) -> None:
        """By this device, here or in another process of the node."""
        self._events.take(device_key, self._clock.elapsed_s(), events)

    @contextmanager
    def one(self, caller: Caller, *, is_stream: bool = False) -> Iterator[None]:
        """While it is being answered. Raises TooOften."""
        places = self._streams if is_stream else self._requests
        try:
            with places.one(caller.key):
                yield
        except TooMany:
            raise TooOften("too many requests are under way", 1) from None

    async def _sign_in(self, text: str, device: str) -> Caller:
        try:
            token = read_token(text)
            check_times(token, self._now_ms())
            key = await self._key_of(token)
            if not is_signed(text, key):
                raise BadToken(f"its signature is not by the key {token.kid[:80]}")
            caller = _caller(token, _device(token, device), key)
        except Expired as error:
            raise NotKnown("TOKEN_EXPIRED", f"the token was not accepted: {error}") from error
        except BadToken as error:
            raise NotKnown("NO_SESSION", f"the token was not accepted: {error}") from error
        except NotNow as error:
            raise TooOften(str(error), error.retry_s) from error
        await self._let_in(caller)
        return caller

    async def _key_of(self, token: ClientToken) -> bytes:
        """Raises BadToken and NotNow."""
        if token.is_ours:
            if token.kid != self._own_key.kid:
                raise BadToken("it was made by another node: make one here, postbox token mint")
            return self._own_key.public_key
        if self._issuer is None:
            raise BadToken(
                "it is not one that this node made (postbox token mint), and no other issuer is"
                " named (clients.issuer)"
            )
        return await self._issuer.key_for(token)

    async def _let_in(self, caller: Caller) -> None:
        user, name = caller.user, caller.device
        revoked = NotKnown("DEVICE_REVOKED", f"{user}'s {name} was revoked: sign in again on it")
        device = await self._devices.of(user, name)
        if is_revoked(caller.issued_ms, device.revoked_ms):
            raise revoked
        try:
            await self._devices.sign_in(user, name, caller.issued_ms)
        except ShutOut as error:
            raise revoked from error
        except TooManyDevices as error:
            raise NotKnown("NO_SESSION", str(error)) from error

    def _is_in(self, caller: Caller) -> bool:
        """Can it be let in without its token being looked at again? For nearly every request: what
        else is to be done for a device is done once an hour."""
        is_noted = self._devices.is_noted(caller.user, caller.device)
        return is_noted and self.why_over(caller) is None

    def _is_key_good(self, caller: Caller) -> bool:
        if not caller.kid:
            return True
        return self._issuer is not None and self._issuer.known(caller.kid) == caller.signed_with

    def _remember(self, name: bytes, caller: Caller) -> None:
        self._sessions.pop(name, None)
        self._sessions[name] = caller
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def _require_patience(self, address: str | None) -> None:
        """Raises TooOften while an address has sent too much that proves nothing: what is not
        remembered from there is not looked at, so a flood costs as good as nothing."""
        wait_s = self._strangers.due_s(self._counts_as(address), self._clock.elapsed_s())
        if wait_s:
            raise TooOften("too many requests from this address that prove nothing", wait_s)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000


def _caller(token: ClientToken, device: str, key: bytes) -> Caller:
    user = user_id(token.user)
    return Caller(
        user=token.user,
        user_id=user,
        device=device,
        device_id=device_id(user, device),
        expires_ms=token.exp_ms,
        issued_ms=token.iat_ms,
        kid="" if token.is_ours else token.kid,
        signed_with=b"" if token.is_ours else key,
    )


def _device(token: ClientToken, said: str) -> str:
    """The token's word counts; where it has none, the request's. Raises BadToken."""
    if token.device and said not in ("", token.device):
        raise BadToken(f"it is for the device {token.device}, and the request is of {said[:80]!r}")
    name = token.device or said
    if not name:
        raise BadToken("it names no device: send the header postbox-device with it")
    refusal = device_refusal(name)
    if refusal is not None:
        raise BadToken(refusal)
    return name


def _bearer(authorization: str | None) -> str:
    """Empty if there is no token."""
    scheme, _, text = (authorization or "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""
