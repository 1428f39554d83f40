"""The hosts that this one knows, in memory: what the operator said of them, and with whom there
ever was contact.

Promises: after `load` and every commit applied in order it holds what the rows hold, whichever
process changed them. A row of the operator's may be a pattern; of several that speak of a host
the most specific one counts, and one that blocks counts before all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from postbox.hosts.keys.keys import HostSettings
from postbox.hosts.tables import (
    ALL_CONTACTS,
    ALL_HOSTS,
    HOSTS_STREAM,
    KIND_CONTACT,
    KIND_FORGOTTEN,
    KIND_SET_HOST,
)
from postbox.log.committed import Committed
from postbox.store.contract import Lane, Reader
from postbox.trust.host_names import rows_for

BLOCK, ALLOW = "block", "allow"
PLAIN = "plain"


class Said(Struct, frozen=True):
    """A row of the table `host`. Empty: nothing was said."""

    host: str
    admit: str
    tokens: str


class Contact(Struct, frozen=True):
    """As much as matters here of who there was contact with."""

    host: str


class KnownHosts:
    def __init__(self, admit: Literal["auto", "open", "list"], *, is_local: bool) -> None:
        """`is_local`: under --loopback."""
        self._is_open = admit == "open" or (admit == "auto" and is_local)
        self._said: dict[str, Said] = {}
        self._contacts: dict[str, None] = {}

    def load(self, reader: Reader) -> None:
        """Start from the rows: before the first commit is applied."""
        for host, admit, tokens in reader.query(ALL_HOSTS):
            self._say(Said(str(host), str(admit), str(tokens)))
        for host, *_ in reader.query(ALL_CONTACTS):
            self._contacts[str(host)] = None

    def applied(self, committed: Committed) -> None:
        """The follower's call, in position order."""
        for entry in committed.streams.get((Lane.HOSTS, HOSTS_STREAM), ()):
            if entry.kind == KIND_SET_HOST and entry.body is not None:
                self._say(msgspec.json.decode(entry.body, type=Said))
            elif entry.kind == KIND_CONTACT and entry.body is not None:
                self._contacts[msgspec.json.decode(entry.body, type=Contact).host] = None
            elif entry.kind == KIND_FORGOTTEN and entry.body is not None:
                for host in msgspec.json.decode(entry.body, type=list[str]):
                    self._contacts.pop(host, None)

    def settings(self, host: str) -> HostSettings:
        """Of a canonical name."""
        said = list(self._about(host))
        tokens = next((row.tokens for row in said if row.tokens), "")
        is_named = any((row.host, row.admit) == (host, ALLOW) for row in said)
        is_known = is_named or host in self._contacts
        return HostSettings(self._refusal(host, said), tokens == PLAIN, is_known)

    def contacts(self) -> list[str]:
        """Every host that there ever was contact with, or a posting for, by name, if it is let in:
        what it has is taken no more from its answers than from its posts."""
        return [host for host in sorted(self._contacts) if self.settings(host).refusal is None]

    def _about(self, host: str) -> Iterator[Said]:
        for name in rows_for(host):
            if (said := self._said.get(name)) is not None:
                yield said

    def _refusal(self, host: str, said: list[Said]) -> str | None:
        if any(row.admit == BLOCK for row in said):
            return f"{host} is blocked here"
        if self._is_open or any(row.admit == ALLOW for row in said):
            return None
        return (
            f"{host} is not on this host's list: its operator lets it in by"
            f" postbox hosts allow {host}"
        )

    def _say(self, said: Said) -> None:
        if said.admit or said.tokens:
            self._said[said.host] = said
        else:
            self._said.pop(said.host, None)
