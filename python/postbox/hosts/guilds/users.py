"""Users of the federation: `name@host`, in one spelling.

Canonical as hosts are (`trust/host_names.py`), so `ann@A.example` is `ann@a.example:2289`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from postbox.event import NAME_MAX, is_name
from postbox.trust.host_names import BadHostName, canonical_host

MAX_CHARACTERS = 400  # more than a name and a host's take together

KEPT = 4_096
"""Spellings whose reading is remembered: a host's name takes 0.1 ms, and an event is looked at more
than once. At most 4 MB."""


class BadUser(ValueError):
    """This names no user; the text says why."""


class User(NamedTuple):
    name: str
    host: str  # canonical

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"


def read_user(text: str, *, is_local: bool) -> User:
    """`is_local`: whether addresses may stand for hosts, as under `--loopback`. Raises BadUser."""
    if len(text) > MAX_CHARACTERS:
        raise BadUser(f"a user's name has at most {MAX_CHARACTERS} characters: {text[:60]!r}…")
    return _read(text, is_local)


@lru_cache(maxsize=KEPT)
def _read(text: str, is_local: bool) -> User:
    name, at, host = text.rpartition("@")
    if not at or "@" in name or not is_name(name):
        raise BadUser(
            f"{text[:100]!r} names no user: that is name@host, with 1 to {NAME_MAX} characters in"
            " the name, none of them an @, a colon or a space"
        )
    try:
        return User(name, canonical_host(host, is_local=is_local))
    except BadHostName as error:
        raise BadUser(f"{text[:100]!r} names no user: {error}") from error
