"""The Rust core. Batches of bytes cross, never dicts; whatever takes more than a few microseconds
runs without the GIL. Checked against the built module by stubtest (`make lint`)."""

from collections.abc import Sequence
from typing import Literal, final

__all__ = [
    "Batch",
    "Keys",
    "Ledger",
    "Rebuild",
    "Selection",
    "base58_decode",
    "base58_encode",
    "build_profile",
    "is_weak_key",
    "service_names",
    "verdict_names",
]

build_profile: str
"""`release`, or `debug` for a build that benches must not use."""

verdict_names: tuple[str, ...]
"""What each verdict code means, in order: `verdict_names[code]`; `docs/protocol/mesh.md` lists
them."""

service_names: tuple[str, ...]
"""The seven services, by code: social, ping, observation, hey-there, chau, seen, checkpoint."""

def base58_encode(data: bytes, /) -> str: ...
def base58_decode(text: str, /) -> bytes:
    """Raises ValueError on a character outside the Bitcoin alphabet."""

def is_weak_key(key: bytes, /) -> bool:
    """Is this 32-byte Ed25519 public key one that must not be registered: of small order, or no
    point of the curve?"""

@final
class Keys:
    """Whose signature is checked with what: names to keys, voter ids to names. Thread-safe."""

    def __new__(cls) -> Keys: ...
    def put(self, name: str, keys: Sequence[bytes], id: str | None) -> None:
        """Set what `name` signs with: its current key first, then its old ones (32 bytes each).
        Raises ValueError for an empty list or another length."""

    def keys_of(self, name: str) -> list[bytes]: ...
    def name_of(self, id: str) -> str | None: ...
    def __len__(self) -> int: ...

@final
class Batch:
    """Events as they came, each with a verdict: 0 (`ok`) or why it is refused. Never raises over
    what an event holds."""

    @staticmethod
    def decode(
        raws: Sequence[bytes], now_ns: int, cutoffs: Sequence[tuple[str, int]] = ...
    ) -> Batch:
        """Parse, recompute ids, check limits. `now_ns`: events later than it by 15 minutes are
        refused. `cutoffs`: (subject, Unix second): checkpoints about it up to then are refused."""

    def __len__(self) -> int: ...
    @property
    def verdicts(self) -> bytes:
        """One code an event, in the order given."""

    @property
    def standings(self) -> bytes:
        """One an event, after `verify`: 0 hearsay, 1 unproven, 2 attested; 255 where there is
        none (refused, known already, or not verified)."""

    def claimed_digest(self, sender: str, ts: int) -> bytes | None:
        """SHA-256 of `{sender}:{ts}:` and the ids as they came, in order: what an answer's inner
        signature is over, of refused events too. None if one is no object or its id no text."""

    def span(self) -> tuple[int, int] | None:
        """Times (ns) of the first and of the last event, in the order given; None for none.
        Refused events count, too; left out are those in which no time or no id can be read."""

    def sift(self, ledger: Ledger) -> None:
        """Give events that the ledger holds already the verdict `known`, events it would drop at
        once `below_retention`. Before `verify` that is judged by the best they can prove to be,
        after it by what they are; cheap enough for both."""

    def verify(self, keys: Keys) -> None:
        """Check the signatures of all events still `ok`, in one batch; sets standings, and the
        verdict `bad_signature` and its kin."""

    def accepted(self) -> list[tuple[int, bytes, int, int, int, str, str, bytes, int | None]]:
        """The events still `ok` after `verify`: (index, id: 16 bytes, time in ns, service code,
        standing, author, signer, body, over). `signer` is the name whose key decides ("" when none
        does: unsigned, a checkpoint, or checked and still unproven, because the emitter signed
        another's words); body: the kept bytes; `over`: the position of the copy that `sift` found
        it to be better than, None for what is new."""

    def introductions(self, keys: Keys) -> list[tuple[str, bytes]]:
        """(name, key), for names without a key yet, of the self-signed hey-theres among the `ok`
        events whose signature verifies with the key inside, in order, first one a name."""

@final
class Selection:
    """What a query found: events, in order, ready to be encoded."""

    def __len__(self) -> int: ...
    @property
    def next_cursor(self) -> str | None: ...
    @property
    def examined(self) -> int:
        """Index entries looked at: what the answer cost."""

    def ids(self) -> list[bytes]: ...
    def bodies(self) -> list[bytes]: ...
    def standings(self) -> bytes:
        """One code an event: 0 hearsay, 1 unproven, 2 attested."""

    def votes(self) -> list[int]:
        """How many different known voters prove it, one an event: 0 of all but attested
        checkpoints, and of those about a name that is known by another id than they voted on."""

    def digest(self, sender: str, ts: int) -> bytes:
        """SHA-256 of `{sender}:{ts}:` and the ids in order (32 bytes): what the server signs."""

    def encode(self, sender: str, ts: int, signature: str) -> bytes:
        """The JSON answer of `POST /api/sync`, closed by a newline; `events` is null when
        empty, as nara's is."""

    def encode_msgpack(self, sender: str, ts: int, signature: str) -> bytes:
        """The same answer in MessagePack, `events` an array of `bin`, each an event's kept bytes;
        nil when empty. Nothing follows the map, no newline either."""

@final
class Ledger:
    """The bounded index of mesh events. Thread-safe; readers run beside each other."""

    def __new__(cls, capacity: int, hash_key: bytes) -> Ledger:
        """`capacity`: events kept at most. `hash_key`: 16 random bytes that key the hash tables
        (names and ids are chosen by strangers)."""

    def __len__(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    def __contains__(self, id: bytes, /) -> bool: ...
    def apply(self, removed: Sequence[int], added: Sequence[tuple[int, bytes, int]]) -> list[int]:
        """One commit: positions removed, then (position, body, standing) added, in order.
        Returns the positions of what is thereby evicted, to be removed from the log too.
        Raises ValueError if a body is no event: then the log is not ours."""

    def learn(self, names: Sequence[str]) -> None:
        """These names have a key now: events that name only known ones are pruned later."""

    def count_votes_of(self, keys: Keys) -> None:
        """Of checkpoints that one set of votes proves the one with most known voters is kept:
        these are known, by their ids, and whose names those ids are. To be called whenever that
        changes."""

    def unproven(self, names: Sequence[str], ids: Sequence[str]) -> list[tuple[int, bytes]]:
        """(position, body) of the events on which a key of these names or voter ids has a say:
        unproven ones, unattested hey-theres and chaus, and checkpoints with their votes."""

    def attested_by(self, signers: Sequence[str]) -> list[tuple[int, bytes]]:
        """(position, body) of the attested events that these names signed: what is looked at again
        when a key counts no more."""

    def all_unproven(self) -> list[tuple[int, bytes]]:
        """(position, body) of every unproven event: what a rebuilt ledger checks again."""

    def page(
        self, cursor: str | None, size: int | None, services: Sequence[str], subjects: Sequence[str]
    ) -> Selection:
        """Oldest first, after `cursor`. Raises ValueError for a cursor that is none."""

    def recent(
        self, limit: int | None, services: Sequence[str], subjects: Sequence[str]
    ) -> Selection: ...
    def sample(
        self,
        size: int | None,
        services: Sequence[str],
        subjects: Sequence[str],
        *,
        seed: bytes,
        now_ns: int,
        responder: str,
        requester: str,
    ) -> Selection:
        """A weighted sample in order of time. `seed`: 16 bytes; equal ledgers give equal samples
        for equal seeds."""

    def legacy(
        self,
        since_ns: int,
        slice_index: int,
        slice_total: int,
        max_events: int,
        services: Sequence[str],
        subjects: Sequence[str],
    ) -> Selection:
        """nara's older request: oldest first, interleaved slices, the newest `max_events`."""

    def words(
        self,
        name: str,
        role: Literal["by", "about", "any"],
        services: Sequence[str],
        *,
        least: int,
        upto_ns: int,
        most: int,
    ) -> Selection:
        """Newest first: what `name` says (`by`: it acts, observes or presents itself), what others
        say about it (`about`), or both (`any`), of these services, with the standing `least` at
        least, not later than `upto_ns`; `most` events and 16 MiB at most."""

    def greetings(self, most: int) -> Selection:
        """The newest attested hey-there of each name, newest first; of `most` names."""

    def lately(
        self, *, since_ns: int, upto_ns: int, most: int, most_each: int, most_bytes: int
    ) -> Selection:
        """Oldest first: of the events after `since_ns` and not after `upto_ns` attested hellos and
        goodbyes, two an author, then the newest of all else, `most_each` an author; `most` events
        and `most_bytes` at most."""

    def presences(self, names: Sequence[str], *, now_ns: int, fresh_ns: int) -> bytes:
        """A code a name: 0 nothing is known, 1 online, 2 offline, 3 missing, from attested events
        that are not later than `now_ns`; a sign of life tells for `fresh_ns`."""

    def names_in(self, positions: Sequence[int]) -> list[str]:
        """Emitters, actors and targets of the events at these positions that it holds, each name
        once, in no order that means anything."""

    def digest(self) -> bytes:
        """32 bytes; two ledgers hold the same events, bytes and standings when it is equal."""

    def counts(self) -> dict[str, int]:
        """How many events of each service, and of each standing, by name."""

    def authors(self) -> list[tuple[str, int]]:
        """Emitters (observers where unsigned, subjects of checkpoints) and how many events of
        each, most first, then by name."""

@final
class Rebuild:
    """A ledger taken from its log as a whole: quicker than `apply` by page, with the same outcome.
    Until `finish` the ledger is empty, and what is done to it is lost."""

    def __new__(cls, ledger: Ledger) -> Rebuild: ...
    def add(self, added: Sequence[tuple[int, bytes, int]]) -> list[int]:
        """The log's next (position, body, standing), on all cores. Left out is what is no event.
        Returns the positions of what is thereby evicted. Raises ValueError after `finish`."""

    def finish(self) -> None:
        """Gives the ledger what was added, in order. Some 1 µs an event. Raises ValueError if
        called twice."""
