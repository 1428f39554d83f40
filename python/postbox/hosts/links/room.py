"""How much there is in the log of what one host has sent, so that no host fills the disk.

What is done is kept for a while, and `retention` sees to it that it is no more than
`hosts.retain_mib`; but it looks only now and then, and what no handler is done with, or lies behind
a dead letter, it may not take away. So a host from which there is twice as much is told to come
again later. It keeps what it has for us meanwhile: nothing is lost, and the link goes on as soon as
there is room.

Each process counts what all of them commit, and asks the log itself before it refuses anything.
"""

from __future__ import annotations

from functools import partial

from postbox.errors import WireError
from postbox.hosts.tables import in_stream
from postbox.log.committed import Committed
from postbox.logs import get, limited
from postbox.store.contract import MAX_POS, Lane, Query, Reader
from postbox.store.runner import StoreRunner
from postbox.world import Clock

RETRY_S = 30.0
"""For a host that was told so. Retention has looked by then (`retention.SOON_S`)."""
MEASURE_S = 15.0
"""At least, from one look into the log for the same host to the next: it reads its whole stream."""


ENTRY_BYTES = 256
"""That an entry takes beside its body, about: its row, and its places in three indexes."""

_STREAM = f"entry where lane = {Lane.HOSTS:d} and stream = :stream and pos <= :upto"
_STREAM_POSTGRES = (
    f"entry where lane = {Lane.HOSTS:d} and (stream, pos) > (%(stream)s, 0)"
    " and (stream, pos) <= (%(stream)s, %(upto)s)"
)
_SUM = f"count(*) * {ENTRY_BYTES} + coalesce(sum"

BYTES_KEPT = Query(
    "bytes_kept",
    f"select {_SUM}(length(body)), 0) from {_STREAM}",
    postgres=f"select ({_SUM}(octet_length(body)), 0))::bigint from {_STREAM_POSTGRES}",
)

_IN_STREAMS = in_stream("")


class NoRoom(WireError):
    """Nothing is taken from this host now; the text is for it and for its operator."""

    wait_s = RETRY_S


class Room:
    """In bytes, of the streams of what came."""

    def __init__(self, clock: Clock, store: StoreRunner, retain_mib: int) -> None:
        """`retain_mib`: of what is done, for each host."""
        self._clock = clock
        self._store = store
        self._retain_bytes = retain_mib * 2**20
        self._kept: dict[bytes, int] = {}
        self._measured_s: dict[bytes, float] = {}  # before that only what came since the start

    def applied(self, committed: Committed) -> None:
        """The follower's call. What is removed is noted when it is measured."""
        for (lane, stream), entries in committed.streams.items():
            if lane is Lane.HOSTS and stream.startswith(_IN_STREAMS):
                came = sum([len(entry.body or b"") for entry in entries])
                came += ENTRY_BYTES * len(entries)
                self._kept[stream] = self._kept.get(stream, 0) + came

    async def require(self, host: str) -> None:
        """Raises NoRoom."""
        stream = in_stream(host)
        if not self._has_room(stream) and self._is_to_be_measured(stream):
            await self.measure(stream)
        if self._kept.get(stream, 0) <= 2 * self._retain_bytes:
            return
        mib = self._kept[stream] / 2**20
        text = (
            f"there is no room for more from {host}: {mib:,.0f} MiB of it are here, which no"
            " handler is done with, or which wait for the operator. Send it later"
        )
        limited(get("postbox.hosts.room"), host).warning(
            "a host has sent too much: see `postbox inbox` and `postbox dead`", host=host, why=text
        )
        raise NoRoom(text)

    def crowded(self) -> list[bytes]:
        """The streams that retention should look at before it is time."""
        many = self._retain_bytes * 3 // 2
        return [stream for stream, kept in self._kept.items() if kept > many]

    async def measure(self, stream: bytes) -> None:
        """What there is of it now."""
        self._kept[stream] = await self._store.read(partial(size_kept, stream))
        self._measured_s[stream] = self._clock.elapsed_s()

    def _has_room(self, stream: bytes) -> bool:
        is_measured = stream in self._measured_s
        return is_measured and self._kept.get(stream, 0) <= 2 * self._retain_bytes

    def _is_to_be_measured(self, stream: bytes) -> bool:
        at_s = self._measured_s.get(stream)
        return at_s is None or self._clock.elapsed_s() >= at_s + MEASURE_S


def size_kept(stream: bytes, snapshot: Reader, upto: int = MAX_POS) -> int:
    """In bytes, of its entries up to this position."""
    [(size_bytes,)] = snapshot.query(BYTES_KEPT, stream=stream, upto=upto)
    assert isinstance(size_bytes, int)
    return size_bytes
