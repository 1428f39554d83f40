"""Events of kinds that are an application's own: what the stream brought, and behind it what waits
in the queue. A page is read from the newest on, as of messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from postbox.client.core.outgoing import custom_of
from postbox.client.core.overlay import custom_made
from postbox.client.facts import Custom, Standing, State
from postbox.client.store import outbox
from postbox.client.store.messages import Reading
from postbox.client.store.names import ConversationNames
from postbox.client.store.rows import row, rows

_PAGE = """select uuid, local, seq, author, at_ms, body, number from foreign_event
  where conversation = ? and (seq, number) < (?, ?) order by seq desc, number desc limit ?"""

_PLACE = "select seq, number from foreign_event where conversation = ? and uuid = ?"

_PENDING = f"""select {outbox.ROW} from outbox where standing < 3
  and conversation in (?, ?) and kind = '' and number < ? order by number desc limit ?"""

_END = 1 << 62
"""Beyond every number."""

OWN_DEVICES = ConversationNames("", "")


def customs_before(
    look: Reading, names: ConversationNames, before: Custom | None, limit: int
) -> list[Custom]:
    """The newest first. `before`: one of them, or there are none; None: all are."""
    return list(islice(_newest_first(look, names, before, limit), limit))


def _newest_first(
    look: Reading, names: ConversationNames, before: Custom | None, size: int
) -> Iterator[Custom]:
    waiting = outbox.find(look.cursor, before.local) if before else None
    uuid = (before.uuid if before else "") or (waiting.uuid if waiting else "")
    place = row(look.cursor, _PLACE, (names.uuid, uuid)) if uuid else None
    if place is None:
        if before and (waiting is None or waiting.standing is Standing.KEPT):
            return
        yield from _pending(look, names, waiting.number if waiting else _END, size)
    if names.maker is None:  # else the base has nothing of it, and no name for it
        yield from _base(look, names, place or (_END, _END), size)


def _pending(look: Reading, names: ConversationNames, number: int, size: int) -> Iterator[Custom]:
    for found in rows(look.cursor, _PENDING, (*names.both, number, size)):
        made = custom_made(outbox.row_of(found), look.user)
        if made is not None:
            yield made


def _base(
    look: Reading, names: ConversationNames, place: Sequence[int], size: int
) -> Iterator[Custom]:
    """Kinds that the host knows and this device is too old for are none of the app's."""
    while True:
        found = rows(look.cursor, _PAGE, (names.uuid, *place, size))
        yield from filter(None, (_told(names, each) for each in found))
        if len(found) < size:
            return
        _, _, seq, *_, number = found[-1]
        place = (seq, number)


def _told(names: ConversationNames, found: Sequence[Any]) -> Custom | None:
    uuid, local, seq, author, at_ms, body, _ = found
    said = custom_of(body)
    if said is None:
        return None
    where = names.local or names.uuid
    return Custom(uuid, local, where, seq, author, *said, State.SENT, at_ms)
