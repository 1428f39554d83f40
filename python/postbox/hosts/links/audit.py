"""Whether the links' rows say what the log has."""

from __future__ import annotations

from postbox.store.contract import Query, Reader

MAX_FINDINGS = 100

_NUMBERS = """
select l.host, l.last_seq, coalesce(
  (select max(e.seq) from entry e where e.stream = {stream} and e.seq is not null), 0) as found
from link_out l
"""

_OFF = f"select host, last_seq, found from ({{}}) n where found <> last_seq limit {MAX_FINDINGS}"

_WRONG_NUMBERS = Query(
    "wrong_link_numbers",
    _OFF.format(_NUMBERS.format(stream="cast('out/' || l.host as blob)")),
    postgres=_OFF.format(_NUMBERS.format(stream="convert_to('out/' || l.host, 'UTF8')")),
)

_UNREAD = Query(
    "links_without_reader",
    "select host from link_out where not exists"
    f" (select 1 from outbox o where o.reader = 'to/' || host) limit {MAX_FINDINGS}",
)


def find_broken_links(snapshot: Reader) -> list[str]:
    """What is wrong with them, in words."""
    numbers = [
        f"the link to {row[0]!r} has {row[1]!r} numbers, and the log those up to {row[2]!r}"
        for row in snapshot.query(_WRONG_NUMBERS)
    ]
    unread = [
        f"nothing sends what was posted to {row[0]!r}: the link has no reader"
        for row in snapshot.query(_UNREAD)
    ]
    return [*numbers, *unread]
