"""What a store is: entries in order, and rows by key. It does not know what either means.

Everything here is synchronous and free of I/O of its own; `runner` calls it in a worker thread,
the simulator calls it inline. `write` runs one function inside a transaction that holds the
sequencer, so that positions are given out in commit order. The drivers promise:

- positions are dense when given out (`head + 1`, `head + 2`, ...) and never given out twice;
- `seq` is dense in a stream, and `last_seqs` never goes back, whatever is removed (doors remove
  from a numbered stream's beginning only, docs/decisions/0021);
- what `write` returned for is durable; what it raised `Full` or `Violation` for did not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

MAX_POS = 2**63 - 1  # SQLite's and PostgreSQL's greatest integer

# The limits are checks in the database, too: a door that passes more has a bug.
ID_BYTES = 16
MAX_STREAM_BYTES = 255  # a domain is at most 253 bytes
MAX_AUTHOR_BYTES = 256  # a name is at most 64 characters, of up to four bytes each in UTF-8
MAX_BODY_BYTES = 2**20  # a batch's limit, so that one draft always fits in a batch

MAX_MESSAGE_BYTES = 5_900
"""Between processes: PostgreSQL takes 7,999 characters at once, and base 64 has four for three."""


class Lane(IntEnum):
    """A door's part of the log. Stored as a number: never renumber."""

    NODE = 1
    MESH = 2
    HOSTS = 3
    CLIENTS = 4

    __hash__ = int.__hash__  # Enum hashes in Python code; lanes are hashed once a draft


Scalar: TypeAlias = int | float | str | bytes | None  # a text has no NUL; an int has 64 bits
Row: TypeAlias = tuple[Scalar, ...]  # all columns of a table, the key's first
Key: TypeAlias = tuple[Scalar, ...]  # the key's columns


class Entry(Struct, frozen=True, gc=False):
    """A row of the log; bytes as they came."""

    pos: int
    lane: Lane
    stream: bytes
    seq: int | None  # only in streams whose readers must prove that they have everything
    id: bytes  # 16 bytes, unique in its lane: the idempotence key
    kind: int
    flags: int
    author: bytes
    at_ms: int
    body: bytes | None  # None: erased


class Found(NamedTuple):
    """What is known of a stored entry without its body."""

    pos: int
    stream: bytes
    seq: int | None
    kind: int
    flags: int
    author: bytes


class Column(NamedTuple):
    name: str
    type: str  # "integer", "real", "text" or "blob"


class Table(Struct, frozen=True, eq=False):
    """A door's table. Made once, at module level; compared and hashed by identity: fast."""

    name: str
    columns: tuple[Column, ...]
    key: int  # the first `key` columns are the key
    followed: bool = False  # followers are told which of its rows changed


IDENTITY = Table("identity", (Column("name", "text"), Column("value", "blob")), key=1)
"""The store's own: whose log it is, `epoch` and those before, `cursor_key`, and the token of the
last commit without entries."""


class Change(Struct, frozen=True):
    """Everything one commit does, as data.

    `appends` are in position order and start at the head + 1. `removes` and `blanks` may name
    positions that this very change appends: they are then never stored, or stored without a body.
    """

    removes: Sequence[int] = ()
    blanks: Sequence[int] = ()
    appends: Sequence[Entry] = ()
    puts: Mapping[Table, Sequence[Row]] = {}
    drops: Mapping[Table, Sequence[Key]] = {}

    def is_empty(self) -> bool:
        return not (self.removes or self.blanks or self.appends or self.puts or self.drops)


class News(Struct, frozen=True):
    """What one commit did, as the node's other processes are told."""

    turn: int
    head: int  # the log's, after it
    entries: Sequence[Entry]  # that it appended; those that a later commit removed may be missing
    removes: Sequence[int] = ()
    blanks: Sequence[int] = ()
    rows: Mapping[str, Sequence[Key]] = {}  # that changed in followed tables, by the table's name


class Window(NamedTuple):
    """The entries of a stream with `after < pos <= upto`: a membership period, for instance."""

    stream: bytes
    after: int = 0
    upto: int = MAX_POS


Windows: TypeAlias = Sequence[Window]


class Page(Struct, frozen=True):
    """Entries in position order. Go on after `next`, which may be beyond the last entry."""

    entries: Sequence[Entry]
    next: int
    more: bool  # there was more at the moment of reading


class Query(Struct, frozen=True, eq=False):
    """A door's own named SQL: lists and snapshots, never used by rules. Parameters are `:name`.

    `postgres` is for where the engines' SQL differs; its parameters are `%(name)s`."""

    name: str
    sqlite: str
    postgres: str = ""


class Identity(Struct, frozen=True):
    epoch: bytes  # names this history of the log: 16 bytes
    cursor_key: bytes  # MAC key of cursors; outlives an epoch
    schema: Mapping[str, int]  # migration set -> number of its last migration


class Size(Struct, frozen=True):
    """What a store takes of its disk. None: not known, as of another machine's disk."""

    used_bytes: int  # all of it: tables, indexes, what was written ahead
    free_bytes: int | None  # of that: empty, and used again before the store grows
    room_bytes: int | None  # that the disk has left


EntryName: TypeAlias = tuple[Lane, bytes]  # lane, id


class Wanted(NamedTuple):
    """What a batch looks at: entries, rows by key, and the last numbers of streams."""

    entries: Collection[EntryName]
    rows: Mapping[Table, Collection[Key]]
    streams: Collection[bytes]


class Known(NamedTuple):
    """What is there of it, as `find`, `rows` and `last_seqs` say it."""

    entries: dict[EntryName, Found]
    rows: dict[Table, dict[Key, Row | None]]
    last_seqs: dict[bytes, int]


class Snapshot(Protocol):
    """What a transaction that writes and one that reads have in common."""

    @property
    def head(self) -> int:
        """The greatest position ever given out; 0 in an empty log."""
        ...

    @property
    def turn(self) -> int:
        """Of a shared store: the number of this write, or of the last commit that a reader sees.
        Numbers grow in the order of commits and have gaps. 0 where nobody else writes."""
        ...

    def id_at(self, pos: int) -> bytes | None:
        """The id of the entry at this position; None if there is none, or it was removed."""
        ...

    def find(self, keys: Collection[EntryName]) -> dict[EntryName, Found]:
        """Those of `keys` that are stored. One set-based read a lane."""
        ...

    def rows(self, table: Table, keys: Collection[Key]) -> dict[Key, Row | None]:
        """Every key of `keys`, with its row or None. One set-based read."""
        ...


class Tx(Snapshot, Protocol):
    """Holds the sequencer from begin to commit."""

    @property
    def is_next(self) -> bool:
        """Whether nobody else wrote since this store's last write: what that read and wrote still
        holds. False at first, and after a failure that may hide a write."""
        ...

    def last_seqs(self, streams: Collection[bytes]) -> dict[bytes, int]:
        """Every stream of `streams`, with the greatest number ever given out in it; 0 if none."""
        ...

    def look_up(self, wanted: Wanted) -> Known:
        """All of it at once, which on a server takes one message there and one back."""
        ...

    def apply(self, change: Change) -> None: ...


class Reader(Snapshot, Protocol):
    """One snapshot. Ends before `read` returns, so none is ever held across an await."""

    def page(
        self, lane: Lane, windows: Windows | None, after: int, limit: int, max_bytes: int
    ) -> Page:
        """At most `limit` entries beyond `after`, and at most `max_bytes` of bodies, but at least
        one entry. Windows None: the whole lane."""
        ...

    def query(self, query: Query, **params: Scalar) -> list[Row]: ...


Expect: TypeAlias = Callable[[], Callable[[Snapshot], None]]
"""What is known of the log now, as a check of a snapshot that is taken later: one that was taken
before need not have all that is known now."""


class Store(Protocol):
    def write(self, work: Callable[[Tx], T]) -> T:
        """Durable on return. `work` may be run again, so it touches nothing but its tx.

        Raises Unavailable (perhaps committed: submit the same again, ids make it harmless),
        Full or Violation (nothing happened), Fatal (stop the process).
        """
        ...

    def read(self, work: Callable[[Reader], T]) -> T: ...

    def identity(self) -> Identity: ...

    @property
    def shared(self) -> Shared | None:
        """What there is besides if other processes of the node may write to the same log."""
        ...

    def check(self) -> list[str]:
        """Looks at all of the database, which takes a while beside whatever else goes on. What is
        wrong with it, in words: damaged pages, rows that break a constraint, indexes that are
        missing or do not fit the rows. Nothing of what the rows mean. Raises as `read` does where
        the database cannot be asked at all."""
        ...

    def size(self) -> Size: ...

    def close(self) -> None: ...


class Shared(Protocol):
    """A store's means for several processes. All raise as `Store.read` does."""

    def guard(self, expect: Expect) -> None:
        """From now on every new connection, which may lead to another server than the one before,
        is held against what is expected: in its first transaction. What that raises ends it."""
        ...

    def news(self, since: int, after: int, limit: int) -> list[News]:
        """The commit of turn `since`, if it is still known, and at most `limit` after it. `after`:
        the log's head after that one, from where on entries are wanted."""
        ...

    def listen(self) -> Listening: ...

    def tell(self, messages: Sequence[bytes]) -> None:
        """To all processes of the node that hear at this moment, this one among them: all of them
        get what is told in one order. Nothing is kept, so a message may be lost; at most
        `MAX_MESSAGE_BYTES` each."""
        ...

    def hear(self) -> Hearing: ...

    def interrupt(self) -> None:
        """From any thread: a write that waits for the server is Unavailable."""
        ...

    def link_leases(self, holder: bytes, idle_ms: int) -> LeaseLink:
        """`holder` names this process; it is taken for dead when it asks nothing for `idle_ms`."""
        ...


class Listening(Protocol):
    """A connection on which the store says that somebody committed."""

    def fileno(self) -> int:
        """Readable when there is something to drain, or the connection has ended."""
        ...

    def drain(self) -> bool:
        """Takes in what has come, without waiting; whether any of it was of another process.
        Raises Unavailable."""
        ...

    def close(self) -> None: ...


class Hearing(Protocol):
    """A connection on which messages of the node's processes come: see `Shared.tell`."""

    def fileno(self) -> int:
        """Readable when there is something to take, or the connection has ended."""
        ...

    def take(self) -> list[bytes]:
        """The messages that have come, without waiting. Raises Unavailable."""
        ...

    def close(self) -> None: ...


class LeaseStep(Enum):
    """What is asked of a lease; each is answered by yes or no."""

    LOCK = "lock"  # yes: nobody else has it until `LEAVE`, `UNLOCK` or the end of the connection
    CLAIM = "claim"  # of a locked one. Yes: its last holder is done, and this process holds it now
    SEIZE = "seize"  # of a locked one, after its last holder was waited for. Yes
    LEAVE = "leave"  # of one that is held, after its work has ended. Yes
    UNLOCK = "unlock"  # of one that is locked, and not held. Yes
    BEAT = "beat"  # of none. Yes: the connection is there, and all that is locked by it


class LeaseLink(Protocol):
    """A connection whose end gives back all leases. Nothing waits here: who asks waits for
    `fileno`, and asks the next when it was answered. All raise Unavailable when it has ended."""

    def fileno(self) -> int:
        """Readable when there is an answer, or the connection has ended."""
        ...

    def ask(self, step: LeaseStep, name: str = "") -> None: ...

    def answer(self) -> bool | None:
        """None: not yet."""
        ...

    def close(self) -> None: ...
