"""How the values of `config.toml` stand there, and what they become.

A kind reads a value as TOML gives it, or refuses it, and writes it back. It knows no key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

Network: TypeAlias = IPv4Network | IPv6Network
TomlValue: TypeAlias = bool | int | str | list[str]

URL_EXPECTED = "http:// or https:// with a host, as in http://100.64.0.7:7433"
SHOWN_CHARACTERS = 60
"""Of a wrong value in an error's text: enough to find it in the file."""


class Address(NamedTuple):
    """Where to listen. `host` is an IP literal without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Cutoff(NamedTuple):
    """Checkpoints about `subject` up to that second of Unix time are not taken in."""

    subject: str
    until_s: int

    def __str__(self) -> str:
        return f"{self.subject}:{self.until_s}"


class Kind(Protocol):
    """How a value stands in the file, and what it becomes."""

    @property
    def expected(self) -> str:
        """What an error asks for."""
        ...

    def read(self, value: object, folder: Path) -> object:
        """Raises ValueError, saying what was wrong. `folder`: where relative paths begin."""
        ...

    def written(self, value: object) -> TomlValue:
        """What `read` would make `value` of."""
        ...


class Choice(Struct, frozen=True):
    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"

    def read(self, value: object, folder: Path) -> object:
        return value if isinstance(value, str) and value in self.words else _refuse(value)

    def written(self, value: object) -> TomlValue:
        return str(value)


MAX_HOST_NAME = 261
"""Characters: a domain of 255 and a port."""


class Flag(Struct, frozen=True):
    expected: str = "true or false"

    def read(self, value: object, folder: Path) -> object:
        return value if isinstance(value, bool) else _refuse(value)

    def written(self, value: object) -> TomlValue:
        return bool(value)


class Whole(Struct, frozen=True):
    least: int
    most: int

    @property
    def expected(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def read(self, value: object, folder: Path) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse(value)
        return value if self.least <= value <= self.most else _refuse(value)

    def written(self, value: object) -> TomlValue:
        assert isinstance(value, int)
        return value


class Memory(Struct, frozen=True):
    """A memory mode or a number of events, as `mesh/memory.py` reads it: a number stays text."""

    modes: tuple[str, ...] = ("auto", "short", "medium", "hog")
    most: int = 20_000_000

    @property
    def expected(self) -> str:
        return f"{', '.join(self.modes)} or a number of events from 1 to {self.most}"

    def read(self, value: object, folder: Path) -> object:
        if value in self.modes:
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)  # a number from the command line
        return str(Whole(1, self.most).read(value, folder))

    def written(self, value: object) -> TomlValue:
        text = str(value)
        return int(text) if text.isdigit() else text


class Listen(Struct, frozen=True):
    expected: str = "an IP address and a port, as in 127.0.0.1:7433 or [::1]:7433"

    def read(self, value: object, folder: Path) -> object:
        host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
        if not colon or not is_port:
            _refuse(value)
        if host == "localhost":
            return Address("127.0.0.1", int(port))
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            address = ip_address(bare)
        except ValueError:
            _refuse(value)
        if (address.version == 6) != (bare != host):
            _refuse(value)
        return Address(str(address), int(port))

    def written(self, value: object) -> TomlValue:
        return str(value)


class HostName(Struct, frozen=True):
    """Its form; what else a name of a host must be is for `trust/host_names.py` to say."""

    expected: str = 'a domain, with a port or without, as in chat.example.org:2289, or ""'

    def read(self, value: object, folder: Path) -> object:
        if not isinstance(value, str) or len(value) > MAX_HOST_NAME:
            _refuse(value)
        is_one = value.isprintable() and not set(value) & set("/@?#% ")
        return value if is_one else _refuse(value)

    def written(self, value: object) -> TomlValue:
        return str(value)


class File(Struct, frozen=True):
    expected: str = 'the path of a file, or "" for none'

    def read(self, value: object, folder: Path) -> object:
        if not isinstance(value, str) or "\0" in value:
            _refuse(value)
        return folder / value if value else None

    def written(self, value: object) -> TomlValue:
        return "" if value is None else str(value)


class KeySetPlace(Struct, frozen=True):
    """Where an issuer publishes its keys. Who could change them on the way would be every user, so
    that there is no plain HTTP here, whatever else is allowed."""

    expected: str = 'an https URL, the path of a file, or "" for none'

    def read(self, value: object, folder: Path) -> object:
        if not isinstance(value, str) or "\0" in value:
            _refuse(value)
        if value.startswith("https://"):
            url_of(value)
            return value  # with a slash at its end, if it has one
        if "://" in value:
            _refuse(value)
        return str(folder / value) if value else ""

    def written(self, value: object) -> TomlValue:
        return str(value)


MAX_WORD = 200
"""Characters. Issuers are called by URLs."""


class Word(Struct, frozen=True):
    """What is compared with what others write, letter by letter."""

    expected: str = f"1 to {MAX_WORD} characters without spaces"
    may_be_empty: bool = False

    def read(self, value: object, folder: Path) -> object:
        if not isinstance(value, str) or len(value) > MAX_WORD:
            _refuse(value)
        is_one = value.isprintable() and " " not in value and (value or self.may_be_empty)
        return value if is_one else _refuse(value)

    def written(self, value: object) -> TomlValue:
        return str(value)


MAX_TOLD_URL = 200
"""Characters. What peers take of what another node says of itself (`mesh.wire.Word`)."""


class Url(Struct, frozen=True):
    """Where this node is, told to others, who take printable ASCII alone."""

    expected: str = f'{URL_EXPECTED}, or ""'

    def read(self, value: object, folder: Path) -> object:
        url = "" if value == "" else url_of(value)
        if not url.isascii() or len(url) > MAX_TOLD_URL:
            raise ValueError(
                f"in ASCII (a name with other letters as xn--...) and of at most {MAX_TOLD_URL}"
                f" characters, not {_quoted(value)}: no peer could read it"
            )
        return url

    def written(self, value: object) -> TomlValue:
        return str(value)


class Urls(Struct, frozen=True):
    expected: str = 'a list of URLs, as in ["http://100.64.0.7:7433"]'

    def read(self, value: object, folder: Path) -> object:
        return tuple(dict.fromkeys(url_of(item) for item in _list(value)))

    def written(self, value: object) -> TomlValue:
        return [str(item) for item in _list(value)]


class Origins(Struct, frozen=True):
    """As browsers write them: nothing behind host and port, and no port that the scheme has."""

    expected: str = 'a list of origins, as in ["https://app.example.org"], or ["*"] for all pages'

    def read(self, value: object, folder: Path) -> object:
        return tuple(dict.fromkeys(_origin(item) for item in _list(value)))

    def written(self, value: object) -> TomlValue:
        return [str(item) for item in _list(value)]


DATABASE_SCHEMES = ("postgresql://", "postgres://")


class Database(Struct, frozen=True):
    """What stands in the URL is libpq's business."""

    expected: str = 'the URL of a PostgreSQL database, as in postgresql://user@host/name, or ""'

    def read(self, value: object, folder: Path) -> object:
        is_url = isinstance(value, str) and value.startswith(DATABASE_SCHEMES)
        if value != "" and not (is_url and str(value).isprintable() and " " not in str(value)):
            raise ValueError("not what was given")  # a password may be in it
        who, at, _ = str(value).partition("?")[0].partition("//")[2].rpartition("@")
        if at and set(who) & set("/@"):
            raise ValueError("with / and @ in a name or a password as %2F and %40")
        return value

    def written(self, value: object) -> TomlValue:
        """Without any password: this is shown. Rather too much is hidden than too little."""
        shown = re.sub(r"(?<=//)([^/@:?]*):.*@", r"\1:***@", str(value))
        return re.sub(r"(?<=password=)[^&]*", "***", shown)


BROKER_SCHEMES = ("mqtt", "mqtts")


class Broker(Struct, frozen=True):
    """Read into its parts by `net/mqtt/broker.py`. A password may be in it."""

    expected: str = 'the URL of an MQTT broker, as in mqtts://user:password@mqtt.example.org, or ""'

    def read(self, value: object, folder: Path) -> object:
        if value == "":
            return value
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise ValueError("not what was given")
        try:
            parts = urlsplit(value)
            is_url = parts.scheme in BROKER_SCHEMES and parts.hostname and parts.port != 0
        except ValueError:  # brackets, or a port that is none
            is_url = False
        if not is_url or parts.path.strip("/") or "?" in value or "#" in value:
            raise ValueError("not what was given (/ ? # in a name or a password are %2F %3F %23)")
        return value

    def written(self, value: object) -> TomlValue:
        """Without any password: this is shown."""
        return re.sub(r"(?<=//)([^@:]*):.*@", r"\1:***@", str(value))


class Networks(Struct, frozen=True):
    expected: str = 'a list of networks, as in ["100.64.0.0/10"]'

    def read(self, value: object, folder: Path) -> object:
        return tuple(dict.fromkeys(_network(item) for item in _list(value)))

    def written(self, value: object) -> TomlValue:
        return [str(item) for item in _list(value)]


_CUTOFF = re.compile(r"([^:\s]{1,64}):([0-9]{1,18})")


class Cutoffs(Struct, frozen=True):
    expected: str = 'a list of names and seconds, as in ["r2d2:1768774453"]'

    def read(self, value: object, folder: Path) -> object:
        return tuple(dict.fromkeys(_cutoff(item) for item in _list(value)))

    def written(self, value: object) -> TomlValue:
        return [str(item) for item in _list(value)]


def _cutoff(value: object) -> Cutoff:
    if isinstance(value, Cutoff):
        return value
    found = _CUTOFF.fullmatch(value) if isinstance(value, str) else None
    return Cutoff(found[1], int(found[2])) if found else _refuse(value)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else _refuse(value)


def url_of(value: object) -> str:
    """Of a peer: without a slash at the end, so that a path can follow. Raises ValueError."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        _refuse(value)
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets, or a port that is none
        _refuse(value)
    if not is_url:
        _refuse(value)
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise ValueError(f"without user, ? and #, which {_quoted(value)} has")
    return value.rstrip("/")


def _origin(value: object) -> str:
    if value == "*":
        return "*"
    url = url_of(value)
    parts = urlsplit(url)
    if parts.path:
        raise ValueError(f"without a path, which {_quoted(value)} has")
    if not url.isascii():
        raise ValueError(f"in ASCII, a name with other letters as xn--..., not {_quoted(value)}")
    usual = {"http": 80, "https": 443}[parts.scheme]
    netloc = parts.netloc if parts.port != usual else parts.netloc.rpartition(":")[0]
    return f"{parts.scheme}://{netloc}".lower()


def _network(value: object) -> Network:
    if not isinstance(value, str):
        _refuse(value)
    try:
        wide = ip_network(value, strict=False)
    except ValueError:
        _refuse(value)
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(f"not {_quoted(value)}: the network is {wide}") from None


def _refuse(value: object) -> NoReturn:
    raise ValueError(f"not {_quoted(value)}")


def _quoted(value: object) -> str:
    """As Python would write it: what cannot be printed is escaped."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of so many digits"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
