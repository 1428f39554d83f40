"""Who introduced itself and waits for the operator: pure rules over the rows of `tables`.

A name that nobody knows waits with the first key it came with. The same again changes nothing, and
another key is refused for as long as it waits: what the operator saw in `postbox trust list` is
what `postbox trust add NAME` admits. Whatever makes a name known ends its waiting, in the decision
that does it (`rules.KeyRules`).

How many wait is a row of `tally`, changed by every decision that lets a name in or out, so that the
bound holds inside the transaction, for however many callers and processes at once. Nothing expires:
each name that waits is an entry of the log, kept for ever, and a stranger for whom places came free
with time would make the log grow with time. As it is, strangers make no more entries between two
commands of the operator than `tables.LIMITS` has places.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

import msgspec

from postbox.rules import Decision, EntryKey, NewEntry, Payer, Put, Reason, RowKey, State
from postbox.store.contract import Found, Lane, Table
from postbox.trust.claims import (
    check_claim,
    claim_refusal,
    claimable_id,
    is_full,
    known_in,
    stranger,
    tally_put,
)
from postbox.trust.rules import OPERATOR, KeyDraft, KeyRules
from postbox.trust.tables import (
    KEY,
    KIND_REFUSED,
    KIND_WAITS,
    LIMITS,
    STREAM,
    TALLY,
    VOTER,
    WAITING,
    Group,
    Source,
    WaitingName,
    waiting_name,
    waiting_row,
)

MAX_ADDRESS = 64
"""Characters. An address is an IP literal, with the name of an interface at most."""


class WaitDraft(msgspec.Struct, frozen=True):
    """`name` introduced itself and shall wait. Raises ValueError like `KeyDraft`."""

    id: bytes
    payer: Payer
    name: str
    key: bytes
    voter_id: str | None
    address: str

    def __post_init__(self) -> None:
        check_claim(self.name, self.key, self.voter_id)
        if len(self.address) > MAX_ADDRESS:
            raise ValueError(f"{self.address[:80]!r} cannot be an address: it is too long")

    @property
    def size_bytes(self) -> int:
        return 512  # an entry and a row


class AnswerDraft(msgspec.Struct, frozen=True):
    """What the operator says to a name that waits."""

    id: bytes
    payer: Payer
    name: str
    admits: bool

    @property
    def size_bytes(self) -> int:
        return 1024  # as a change of a key


AnyDraft: TypeAlias = WaitDraft | AnswerDraft


def waiting_draft(
    draft_id: bytes, name: str, key: bytes, voter_id: str | None, address: str, payer: Payer
) -> WaitDraft:
    """A name that introduced itself where the door's policy is to ask. The caller has checked the
    hey-there (`hello.read_hello`). `draft_id`: 16 new bytes, not made of the content: a name that
    was refused may wait again. `address`: from where it came, for the operator to read."""
    return WaitDraft(draft_id, payer, name, key, voter_id, address)


def admit_draft(draft_id: bytes, name: str) -> AnswerDraft:
    """The operator's `trust add NAME`: the key it waits with is believed. `draft_id`: 16 new
    bytes."""
    return AnswerDraft(draft_id, OPERATOR, name, admits=True)


def refuse_draft(draft_id: bytes, name: str) -> AnswerDraft:
    """The operator's `trust refuse NAME`: it waits no more. `draft_id`: 16 new bytes. Not
    remembered: the name may introduce itself again."""
    return AnswerDraft(draft_id, OPERATOR, name, admits=False)


class WaitingRules:
    """Every change has an entry, so that `waiting.Waiting` sees it."""

    lane: Lane = Lane.NODE
    tables: tuple[Table, ...] = (KEY, VOTER, WAITING, TALLY)

    def needs(self, draft: AnyDraft, state: State) -> Iterable[RowKey | EntryKey]:
        yield RowKey(WAITING, (draft.name,))
        yield RowKey(TALLY, (str(Group.WAITING),))
        match draft:
            case WaitDraft():
                yield RowKey(KEY, (draft.name,))
                if draft.voter_id is not None:
                    yield RowKey(VOTER, (draft.voter_id,))
            case AnswerDraft():
                waiting = _waiting_in(state, draft.name)
                if waiting is not None and draft.admits:
                    yield from _KEY_RULES.needs(_admitted(draft, waiting), state)
            case _:
                assert_never(draft)

    def decide(self, draft: AnyDraft, state: State, at_ms: int) -> Decision:
        match draft:
            case WaitDraft():
                return _wait(draft, state, at_ms)
            case AnswerDraft():
                return _answer(draft, state, at_ms)
            case _:
                assert_never(draft)

    def replaces(self, draft: AnyDraft, stored: Found) -> bool:
        return False


_KEY_RULES = KeyRules()


def _waiting_in(state: State, name: str) -> WaitingName | None:
    row = state[WAITING, (name,)]
    return None if row is None else waiting_name(row)


def _wait(draft: WaitDraft, state: State, at_ms: int) -> Decision:
    waiting = _waiting_in(state, draft.name)
    refusal = _wait_refusal(draft, waiting, state)
    if refusal is not None:
        return Decision(refuse=refusal)
    if waiting is not None or known_in(state, draft.name) is not None:
        return Decision()
    voter_id = claimable_id(draft.name, draft.voter_id, state)
    waits = WaitingName(draft.name, draft.key, voter_id, draft.address, at_ms)
    entry = _entry(draft.id, KIND_WAITS, at_ms, msgspec.json.encode(waits))
    puts = (Put(WAITING, waiting_row(waits)), tally_put(Group.WAITING, 1, state))
    return Decision(entries=(entry,), puts=puts)


def _wait_refusal(draft: WaitDraft, waiting: WaitingName | None, state: State) -> Reason | None:
    if draft.payer.kind not in ("operator", "peer"):
        return stranger(draft.name)
    if waiting is not None and waiting.key != draft.key:
        return Reason(
            "other_key_waiting",
            f"{draft.name} waits with another key for the operator of this node, who decides",
        )
    refusal = claim_refusal(draft.name, draft.key, state)
    if refusal is not None or waiting is not None or known_in(state, draft.name) is not None:
        return refusal
    if not is_full(Group.WAITING, state):
        return None
    return Reason(
        "too_many_waiting",
        f"{LIMITS[Group.WAITING]} names wait for the operator of this node already; who"
        f" wants {draft.name} to be known sends its key to the operator, for postbox trust add",
    )


def _answer(draft: AnswerDraft, state: State, at_ms: int) -> Decision:
    if draft.payer.kind != "operator":
        return Decision(
            refuse=Reason("not_the_operator", "only the operator can admit or refuse who waits")
        )
    waiting = _waiting_in(state, draft.name)
    if waiting is None:
        return Decision(
            refuse=Reason(
                "nothing_waits",
                f"nobody waits under the name {draft.name}: postbox trust list shows who does",
            )
        )
    if draft.admits:
        return _KEY_RULES.decide(_admitted(draft, waiting), state, at_ms)
    return _refuse(draft, state, at_ms)


def _admitted(draft: AnswerDraft, waiting: WaitingName) -> KeyDraft:
    return KeyDraft(draft.id, draft.payer, Source.ADMITTED, waiting.name, waiting.key, waiting.id)


def _refuse(draft: AnswerDraft, state: State, at_ms: int) -> Decision:
    entry = _entry(draft.id, KIND_REFUSED, at_ms, draft.name.encode())
    return Decision(
        entries=(entry,),
        puts=(tally_put(Group.WAITING, -1, state),),
        drops=(RowKey(WAITING, (draft.name,)),),
    )


def _entry(entry_id: bytes, kind: int, at_ms: int, body: bytes) -> NewEntry:
    return NewEntry(
        lane=Lane.NODE, stream=STREAM, id=entry_id, kind=kind, author=b"", at_ms=at_ms, body=body
    )
