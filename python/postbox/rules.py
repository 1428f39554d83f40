"""What a door plugs into admission: drafts, decisions, and the two pure functions between them.

Rules import neither trio nor a store's driver, read no clock and keep no state. All they see are
rows and entries by key; a batch's own puts and entries lie over what was read, so that the second
draft of a batch sees what the first one did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from postbox.store.contract import Found, Key, Lane, Row, Table


class Payer(NamedTuple):
    """Who delivered a draft and pays for it: admission takes turns among payers."""

    kind: Literal["peer", "host", "device", "operator"]
    name: str


class Draft(Protocol):
    """What a door submits. Its id is known before it is queued: any retry is harmless then."""

    @property
    def id(self) -> bytes: ...  # 16 bytes

    @property
    def payer(self) -> Payer: ...

    @property
    def size_bytes(self) -> int: ...  # about what it puts into the log: a batch is bounded by it


class NewEntry(Struct, frozen=True, gc=False):
    """An entry without its place, which admission gives it."""

    lane: Lane
    stream: bytes
    id: bytes
    kind: int
    author: bytes
    at_ms: int
    body: bytes
    flags: int = 0
    numbered: bool = False  # True: it gets the next `seq` of its stream


class RowKey(NamedTuple):
    table: Table
    key: Key


class EntryKey(NamedTuple):
    lane: Lane
    id: bytes


class StreamKey(NamedTuple):
    """A stream in which `decide` may number an entry. Its last number is read with the rest; one
    that `needs` did not name is read when it comes to it, which costs a question to the store."""

    stream: bytes


class Put(NamedTuple):
    """A whole row, written over the one with the same key."""

    table: Table
    row: Row


class Reason(Struct, frozen=True):
    """Why a draft was refused: `code` for programs, `text` for people."""

    code: str
    text: str = ""


class Decision(Struct, frozen=True, gc=False):
    """What becomes of one draft. With `refuse` only `puts` may be given (a remembered refusal).

    A decision without entries must be monotone: it may be made again after a failure. `same_as`:
    where it is stored already what the draft says, which then has no entry of its own.
    """

    entries: tuple[NewEntry, ...] = ()
    puts: tuple[Put, ...] = ()
    drops: tuple[RowKey, ...] = ()
    removes: tuple[int, ...] = ()
    blanks: tuple[int, ...] = ()
    refuse: Reason | None = None
    same_as: Duplicate | None = None


class Unread(LookupError):
    """Rules looked at a row or an entry that was not read. Admission reads it and asks again."""

    def __init__(self, key: RowKey | EntryKey) -> None:
        super().__init__(key)
        self.key = key


class State(Protocol):
    """What rules may look at. Raises `Unread` for what `needs` has not named."""

    def __getitem__(self, key: tuple[Table, Key], /) -> Row | None: ...

    def entry(self, lane: Lane, entry_id: bytes, /) -> Found | None:
        """A stored entry. A draft's own id is always read."""
        ...


class Accepted(Struct, frozen=True, gc=False):
    """`pos`: of the entry with the draft's id, else of its first entry, else the log's head."""

    pos: int
    seq: int | None


class Duplicate(Struct, frozen=True, gc=False):
    """The id is stored already, or an entry that says the same: there, and with this number."""

    pos: int
    seq: int | None


class Rejected(Struct, frozen=True):
    reason: Reason


Outcome: TypeAlias = Accepted | Duplicate | Rejected

D = TypeVar("D", bound=Draft, contravariant=True)


class Rules(Protocol[D]):
    @property
    def lane(self) -> Lane:
        """The lane in which the drafts' ids are unique."""
        ...

    @property
    def tables(self) -> tuple[Table, ...]: ...

    def needs(self, draft: D, state: State) -> Iterable[RowKey | EntryKey | StreamKey]:
        """What `decide` will look at. It may follow one row to the next: looking at what is not
        read yet raises `Unread`, which ends the round and must not be caught; what was named is
        read, and `needs` is called again (at most 3 rounds). So a generator just yields a key and
        then looks at its row."""
        ...

    def decide(self, draft: D, state: State, at_ms: int) -> Decision: ...

    def replaces(self, draft: D, stored: Found) -> bool:
        """The id is stored already. False: Duplicate. True: decide, which removes the old entry, or
        finds it the `same_as` the draft."""
        ...
