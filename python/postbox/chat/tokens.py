"""Where the chat's token comes from: at first, when the host wants another one, and when the user
asks to sign in again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from postbox.client import SignInNeeded


class Tokens(Protocol):
    async def fresh(self) -> str:
        """Another one than before. Raises SignInNeeded: what the user has to do for it."""
        ...

    async def again(self) -> str:
        """Whatever there is, since the user asks for it. Raises as `fresh` does."""
        ...


class TokenFile:
    """Somebody puts a new one into it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._given = ""

    async def fresh(self) -> str:
        token = self._read()
        if token == self._given:
            raise SignInNeeded(f"the token in {self._path} is over: put a new one there, then F5")
        self._given = token
        return token

    async def again(self) -> str:
        self._given = self._read()
        return self._given

    def _read(self) -> str:
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SignInNeeded(
                f"no token can be read from {self._path}: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            raise SignInNeeded(f"{self._path} is no text: put a token there, then F5") from None
        if not token:
            raise SignInNeeded(f"{self._path} is empty: put a token there, then F5")
        return token


class OneToken:
    """There is no other."""

    def __init__(self, token: str, where: str) -> None:
        self._token = token
        self._where = where
        self._is_given = False

    async def fresh(self) -> str:
        if self._is_given:
            raise SignInNeeded(f"the token of {self._where} is over: start again with a new one")
        return await self.again()

    async def again(self) -> str:
        self._is_given = True
        return self._token


class Minted:
    """By whoever may make them."""

    def __init__(self, mint: Callable[[], Awaitable[str]]) -> None:
        self._mint = mint

    async def fresh(self) -> str:
        return await self._mint()

    async def again(self) -> str:
        return await self._mint()
