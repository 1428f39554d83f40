"""Where a host is, and who calls it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from postbox.client.transport.contract import CallFailed

_PORTS = {"https": 443, "http": 80}


class Address(NamedTuple):
    scheme: str
    host: str
    """A name in ASCII, or a literal without brackets."""
    port: int

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As a header names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(url: str) -> Address:
    """Raises ValueError for what is no `https://host`, perhaps with a port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address of a host: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ValueError(
            f"{url!r} is no address of a host: write https://HOST or https://HOST:PORT"
        )
    if parts.path not in ("", "/") or any(mark in url for mark in "@?#"):
        raise ValueError(f"{url!r} has more than a host and a port: leave out what is behind them")
    if not parts.hostname.isascii() or not parts.hostname.isprintable() or " " in parts.hostname:
        raise ValueError(f"{url!r} has a name that is not ASCII: write it as xn--...")
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


@dataclass(frozen=True)
class Caller:
    """One device. `token` is asked before each call; `device` is its name, if no token has it."""

    token: Callable[[], str]
    device: str = ""

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """Raises CallFailed, as for a token that the host refuses, if there is none to send."""
        yield b"authorization", b"Bearer " + _in_a_header("the token", self.token())
        if self.device:
            yield b"postbox-device", _in_a_header("the name of the device", self.device)


def _in_a_header(what: str, text: str) -> bytes:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise CallFailed("NO_SESSION", f"{what} is empty, or has what cannot be sent")
    return text.encode()
