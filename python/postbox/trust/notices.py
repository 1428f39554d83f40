"""Says in the log whom the node lets in, who waits, and who is refused, whatever it was done by."""

from __future__ import annotations

import msgspec

from postbox.logs import get, limited
from postbox.store.contract import Entry, Lane
from postbox.trust.directory import Commit
from postbox.trust.keys import public_key_text
from postbox.trust.tables import (
    KIND_KEY,
    KIND_REFUSED,
    KIND_WAITS,
    STREAM,
    KnownKey,
    Source,
    WaitingName,
)

PER_MINUTE = 60
"""Lines of one kind."""
FEW = 5
"""Names of one commit and source that have a line each; of more the log says how many: a file, a
list or a first pull brings all of a mesh, and `trust list` has them with their keys."""


class Notices:
    """A follower of the log."""

    def __init__(self) -> None:
        self._log = limited(get("postbox.trust"), "names", PER_MINUTE)

    def applied(self, committed: Commit) -> None:
        ours = [e for e in committed.entries if e.lane is Lane.NODE and e.stream == STREAM]
        known: dict[Source, list[KnownKey]] = {}
        for entry in ours:
            if entry.kind == KIND_KEY and entry.body is not None:
                key = msgspec.json.decode(entry.body, type=KnownKey)
                known.setdefault(key.source, []).append(key)
        known.pop(Source.OWN, None)
        for source, keys in known.items():
            self._tell_known(source, keys)
        for entry in ours:
            if entry.body is not None:
                self._tell(entry, entry.body)

    def _tell_known(self, source: Source, keys: list[KnownKey]) -> None:
        if len(keys) > FEW:
            self._log.info("names are known", source=source.value, count=len(keys))
            return
        for known in keys:
            self._log.info(
                "a name is known",
                name=known.name,
                source=source.value,
                public_key=public_key_text(known.key),
            )

    def _tell(self, entry: Entry, body: bytes) -> None:
        match entry.kind:
            case kind if kind == KIND_WAITS:
                waiting = msgspec.json.decode(body, type=WaitingName)
                self._log.info(
                    "a name waits to be let in",
                    name=waiting.name,
                    address=waiting.address,
                    public_key=public_key_text(waiting.key),
                )
            case kind if kind == KIND_REFUSED:
                self._log.info("a name that waited is refused", name=body.decode())
