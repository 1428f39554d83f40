"""How far each link has come, and what waits, failed or was given up on it: what a View and the
operator's lists say. Events themselves are in `reports`.

Only reading; each function is one snapshot.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from postbox.hosts.links.place import Incoming, incoming, outgoing
from postbox.hosts.tables import ALL_CONTACTS, LINK_IN, LINK_OUT, out_reader, out_stream
from postbox.log.outbox_tables import OUTBOX, durable_reader
from postbox.store.contract import MAX_POS, Lane, Query, Reader, Row

# The number of the first entry that its reader is not done with: how many there are beyond is the
# difference of two numbers, however many it is.
FIRST_OPEN = Query(
    "first_open_number",
    f"select seq from entry where lane = {Lane.HOSTS:d} and stream = :stream and pos > :after"
    " order by pos limit 1",
    postgres=f"select seq from entry where lane = {Lane.HOSTS:d}"
    " and (stream, pos) > (%(stream)s, %(after)s)"
    f" and (stream, pos) <= (%(stream)s, {MAX_POS}) order by stream, pos limit 1",
)

_SUMMARY = """
select h.host, coalesce(o.last_seq, 0), coalesce(t.attempts, 0), coalesce(t.retry_ms, 0),
  coalesce(t.error, ''),
  (select e.seq from entry e where e.lane = 3 and e.stream = {out} and e.pos > t.acknowledged
   order by e.stream, e.pos limit 1),
  i.places,
  (select max(e.seq) from entry e where e.stream = {in} and e.seq is not null),
  (select e.seq from entry e where e.lane = 3 and e.stream = {in} and e.pos > f.acknowledged
   order by e.stream, e.pos limit 1),
  (select count(*) from dead d where d.reader = 'to/' || h.host),
  (select count(*) from dead d where d.reader = 'from/' || h.host),
  coalesce(c.last_ms, 0), coalesce(c."view", {none})
from (
  select host from contact union select host from link_out union select host from link_in
  union select substr(reader, 6) from outbox where reader >= 'from/' and reader < 'from0'
) h
left join link_out o on o.host = h.host
left join outbox t on t.reader = 'to/' || h.host
left join link_in i on i.host = h.host
left join outbox f on f.reader = 'from/' || h.host
left join contact c on c.host = h.host
order by h.host
"""

_ALL_LINKS = Query(
    "all_links",
    _SUMMARY.format_map(
        {
            "out": "cast('out/' || h.host as blob)",
            "in": "cast('in/' || h.host as blob)",
            "none": "x''",
        }
    ),
    postgres=_SUMMARY.format_map(
        {
            "out": "convert_to('out/' || h.host, 'UTF8')",
            "in": "convert_to('in/' || h.host, 'UTF8')",
            "none": "''::bytea",
        }
    ),
)


class LinkView(Struct, frozen=True):
    """A link as this end sees it: what a View says."""

    queued: int  # for the other host, not acknowledged by it
    acknowledged: int  # the number up to which it is
    incoming: Incoming  # what came from it
    next_attempt_ms: int  # 0: nothing waits for its time
    error: str  # of the last attempt


class LinkSummary(Struct, frozen=True):
    """Both directions of what there is with a host, for the operator."""

    host: str
    queued: int
    acknowledged: int
    attempts: int  # that failed since one did not
    next_attempt_ms: int
    error: str
    received: int  # the last number from there that all has come up to
    unhandled: int  # of what came
    dead: int  # letters of both directions
    last_contact_ms: int  # proved by its key; 0: never
    view: bytes  # a View, as it saw the link last; may be empty


def read_view(host: str, snapshot: Reader) -> LinkView:
    link = outgoing(host, snapshot.rows(LINK_OUT, [(host,)])[host,])
    came = incoming(host, snapshot.rows(LINK_IN, [(host,)])[host,])
    row = snapshot.rows(OUTBOX, [(out_reader(host),)])[out_reader(host),]
    if row is None:
        return LinkView(0, 0, came, 0, "")
    reader = durable_reader(row)
    stream, after = out_stream(host), reader.acknowledged
    match snapshot.query(FIRST_OPEN, stream=stream, after=after):
        case [(int(seq),)]:
            acknowledged = seq - 1
        case _:
            acknowledged = link.last_seq
    queued = link.last_seq - acknowledged
    return LinkView(queued, acknowledged, came, reader.retry_ms if queued else 0, reader.error)


def read_summary(snapshot: Reader) -> list[LinkSummary]:
    """Of all hosts there was anything with, by name."""
    return [_summary(row) for row in snapshot.query(_ALL_LINKS)]


class _SummaryRow(Struct, array_like=True):
    host: str
    last_seq: int
    attempts: int
    retry_ms: int
    error: str
    first_open: int | None
    places: bytes | None
    last_in: int | None
    first_unhandled: int | None
    dead_to: int
    dead_from: int
    last_contact_ms: int
    view: bytes


def _summary(row: Row) -> LinkSummary:
    found = msgspec.convert(row, _SummaryRow)
    acknowledged = found.last_seq if found.first_open is None else found.first_open - 1
    queued = found.last_seq - acknowledged
    last_in = found.last_in or 0
    link_in = None if found.places is None else (found.host, found.places, 0, 0, "", "")
    return LinkSummary(
        host=found.host,
        queued=queued,
        acknowledged=acknowledged,
        attempts=found.attempts,
        next_attempt_ms=found.retry_ms if queued else 0,
        error=found.error,
        received=incoming(found.host, link_in).current.seq,
        unhandled=0 if found.first_unhandled is None else last_in - found.first_unhandled + 1,
        dead=found.dead_to + found.dead_from,
        last_contact_ms=found.last_contact_ms,
        view=found.view,
    )


def read_contacts(snapshot: Reader) -> list[str]:
    """Every host that there was contact with, or that something was posted to."""
    return [str(host) for (host,) in snapshot.query(ALL_CONTACTS)]
