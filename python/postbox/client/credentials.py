"""The token of a device: whom it is for, and where the next one comes from.

It is read here and not checked: the host does that. A token for another user or another device than
the file's is not used, so that nobody's queue is sent in somebody else's name.
"""

from __future__ import annotations

import base64
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from msgspec import Struct

from postbox.client.core.ids import derived_uuid, user_uuid
from postbox.client.errors import AnotherOwner, SignInNeeded
from postbox.client.facts import Owner
from postbox.client.transport.contract import CallFailed

Token: TypeAlias = str | Callable[[], Awaitable[str]]
"""One, or what gets a new one: called whenever the host wants another. It raises SignInNeeded if
the user has to do something; after anything else that it raises it is called again, later."""


NO_TOKEN = (
    "this is no token of a user, which has three parts with points between, and says whose it is"
)


class Claims(Struct, frozen=True):
    """`sub`: the name that the user signs in with. `device`: empty if the token names none."""

    sub: str
    device: str = ""


class Credentials:
    def __init__(
        self, owner: Owner, token: str, get: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """`token`: empty: there is none yet. `get`: a new one. Raises as `put`."""
        self.owner = owner
        self._token = ""
        self._get = get
        if token:
            self.put(token)

    def current(self) -> str:
        """Raises CallFailed, as a host does that is shown none."""
        if not self._token:
            raise CallFailed("NO_SESSION", "there is no token yet")
        return self._token

    def put(self, token: str) -> None:
        """Raises ValueError and AnotherOwner; the one before stays then."""
        claims = claims_of(token)
        if claims is None:
            raise ValueError(NO_TOKEN)
        if user_uuid(claims.sub) != self.owner.user:
            raise AnotherOwner(
                f"the token is {claims.sub}'s, and what is on this device is another user's: give "
                f"each user a file of its own"
            )
        if claims.device and claims.device != self.owner.device:
            raise AnotherOwner(
                f"the token is for the device {claims.device!r}, and this file is that of "
                f"{self.owner.device!r}: use a token for that one, or a file of its own"
            )
        self._token = token

    async def renew(self) -> None:
        """Raises what `put` raises, SignInNeeded, and whatever the app's function raises."""
        if self._get is None:
            raise SignInNeeded("client.sign_in(token) goes on with a new one")
        self.put(await self._get())


def claims_of(token: str) -> Claims | None:
    """None: it is not in the form of a token that says so."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Claims)
    except (NotBase64, ValueError, msgspec.MsgspecError):
        return None


def once_uuid(word: str) -> str:
    """The local uuid of what is done once under that word: a uuid of version 8 (RFC 9562)."""
    return derived_uuid(b"postbox once\0" + word.encode())
