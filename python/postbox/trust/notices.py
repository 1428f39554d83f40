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
"""Lines of one kind: an import of a list has thousands, and `trust list` has them all."""


class Notices:
    """A follower of the log."""

    def __init__(self) -> None:
        self._log = limited(get("postbox.trust"), "names", PER_MINUTE)

    def applied(self, committed: Commit) -> None:
        for entry in committed.entries:
            if entry.lane is Lane.NODE and entry.stream == STREAM and entry.body is not None:
                self._tell(entry, entry.body)

    def _tell(self, entry: Entry, body: bytes) -> None:
        match entry.kind:
            case kind if kind == KIND_KEY:
                known = msgspec.json.decode(body, type=KnownKey)
                if known.source is not Source.OWN:
                    self._log.info(
                        "a name is known",
                        name=known.name,
                        source=known.source.value,
                        public_key=public_key_text(known.key),
                    )
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
