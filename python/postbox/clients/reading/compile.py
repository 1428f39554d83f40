"""From entries to the events that a device is sent.

What everybody gets of an entry is made once and kept for all streams; a device's own fields are
added for that device. Pictures lie beside the log, and are sent with the event that set them for as
long as they are somebody's: what replaced one comes later on the same stream.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from postbox.clients.events import frames
from postbox.clients.events.frames import Sent
from postbox.clients.events.kinds import IS_COPY, Kind
from postbox.clients.ids import NIL
from postbox.clients.reading.windows import Viewer
from postbox.clients.tables import ACCOUNT, PICTURE, account_of
from postbox.log.committed import Committed
from postbox.rpc.fields import only
from postbox.store.contract import Entry, Lane, Reader, Window
from postbox.store.runner import StoreRunner

KEPT_BYTES = 16 * 2**20
"""Of events that were made for one stream and may be wanted by others: as much as the ring of the
newest commits has."""

KEPT_PICTURES = 64  # of 64 KiB each

_SHA256 = 3  # of a ProfilePictureChanged
_DEVICE, _LOCAL = slice(16, 32), slice(32, 48)  # of an author


class Compiler:
    """A follower, so that it forgets a picture as soon as its user has another one."""

    def __init__(self, store: StoreRunner) -> None:
        self._store = store
        self._kept: dict[tuple[int, bool], Sent] = {}
        self._kept_bytes = 0
        self._pictured: dict[int, Sent] = {}
        self._changes = 0  # of pictures, that were seen

    def applied(self, committed: Committed) -> None:
        for entry in committed.entries:
            if entry.lane == Lane.CLIENTS and entry.kind == Kind.PROFILE_PICTURE_CHANGED:
                self._changes += 1
                self._pictured.clear()

    def common(self, entry: Entry) -> Sent:
        """As everybody gets it; a picture without its bytes."""
        name = (entry.pos, entry.body is None)
        found = self._kept.get(name)
        if found is None:
            found = frames.sent(entry.pos, frames.stored(entry), entry.id)
            self._keep(name, found)
        return found

    def _keep(self, name: tuple[int, bool], made: Sent) -> None:
        self._kept[name] = made
        self._kept_bytes += len(made.event)
        while self._kept_bytes > KEPT_BYTES:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._kept_bytes -= len(oldest.event)

    async def pictured(self, entries: Iterable[Entry]) -> dict[int, Sent]:
        """By position, those that set a picture which is still their user's; with its bytes."""
        wanted = [entry for entry in entries if is_picture(entry)]
        if not wanted:
            return {}
        if all(entry.pos in self._pictured for entry in wanted):
            return {entry.pos: self._pictured[entry.pos] for entry in wanted}
        changes = self._changes
        pngs = await self._store.read(lambda reader: _read_pictures(wanted, reader))
        made = {
            entry.pos: _with_picture(self.common(entry), entry, pngs[entry.pos])
            for entry in wanted
            if entry.pos in pngs
        }
        if changes == self._changes and len(self._pictured) + len(made) <= KEPT_PICTURES:
            self._pictured.update(made)
        return made

    async def event(self, event_id: bytes) -> bytes | None:
        """What is stored under this id, as everybody gets it; None: nothing is."""
        entry = await self._store.read(lambda reader: read_entry(event_id, reader))
        if entry is None:
            return None
        pictured = await self.pictured([entry])
        return pictured.get(entry.pos, self.common(entry)).event


def is_picture(entry: Entry) -> bool:
    return entry.kind == Kind.PROFILE_PICTURE_CHANGED and entry.body is not None


class Course:
    """What one stream is sent of the entries that it sees, in their order."""

    def __init__(self, compiler: Compiler, viewer: Viewer) -> None:
        self._compiler = compiler
        self._viewer = viewer
        self._copied = b""  # the author of the copy that was sent last

    def events(self, entries: Sequence[Entry], pictured: dict[int, Sent]) -> list[Sent]:
        common, device, made = self._compiler.common, self._viewer.device, []
        for entry in entries:
            if entry.kind == Kind.MEMBERSHIP or (entry.flags & IS_COPY and self._is_told(entry)):
                continue
            event = pictured.get(entry.pos) or common(entry)
            if entry.author[_DEVICE] == device:
                event = with_fields(event, frames.own_fields(entry), entry.id)
            made.append(event)
        return made

    def _is_told(self, copy: Entry) -> bool:
        """Of a change of its own the user has the event itself. Whoever shares several
        conversations with the author sees a copy in each, and they stand together."""
        author, last = copy.author, self._copied
        self._copied = author
        is_same = author == last and author[_LOCAL] != NIL
        return is_same or author.startswith(self._viewer.user)


def with_fields(event: Sent, fields: bytes, uuid: bytes) -> Sent:
    return frames.sent(event.place, event.event + fields, uuid) if fields else event


def backfill(event: bytes, place: int) -> Sent:
    """Part of a state; it moves no cursor."""
    return frames.sent(place, event + frames.BACKFILL)


def kept_back(event: Sent, place: int) -> Sent:
    """Sent now, but whoever resumes before what belongs to it has come is sent it again."""
    return replace(event, place=place)


def read_entry(event_id: bytes, reader: Reader) -> Entry | None:
    found = reader.find([(Lane.CLIENTS, event_id)]).get((Lane.CLIENTS, event_id))
    if found is None:
        return None
    window = Window(found.stream, found.pos - 1, found.pos)
    page = reader.page(Lane.CLIENTS, [window], found.pos - 1, 1, 1)
    return page.entries[0] if page.entries else None


def read_pngs(shas: Collection[bytes], reader: Reader) -> dict[bytes, bytes]:
    """By their SHA-256, those that are there."""
    rows = reader.rows(PICTURE, [(sha,) for sha in shas])
    return {key[0]: row[1] for key, row in rows.items() if row is not None}  # type: ignore[misc]


def _read_pictures(entries: Sequence[Entry], reader: Reader) -> dict[int, bytes]:
    """By position, of those that are still their users'."""
    users = {entry.author[:16] for entry in entries}
    accounts = [row for row in reader.rows(ACCOUNT, [(user,) for user in users]).values() if row]
    current = {account.user: account.picture for account in map(account_of, accounts)}
    shas = {entry.pos: _sha_in(entry) for entry in entries}
    is_current = {entry.pos: current.get(entry.author[:16]) == shas[entry.pos] for entry in entries}
    wanted = {sha for pos, sha in shas.items() if sha and is_current[pos]}
    pngs = read_pngs(wanted, reader)
    return {pos: pngs[sha] for pos, sha in shas.items() if is_current[pos] and sha in pngs}


def _sha_in(entry: Entry) -> bytes:
    assert entry.body is not None
    return only(only(entry.body, Kind.PROFILE_PICTURE_CHANGED), _SHA256)


def _with_picture(event: Sent, entry: Entry, png: bytes) -> Sent:
    return frames.sent(event.place, event.event + frames.png_image(png), entry.id)
