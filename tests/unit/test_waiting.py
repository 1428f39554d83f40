"""Batches out of what waits: everything while it fits, fair by payer when it does not."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from postbox.log.waiting import (
    MAX_BATCH_BYTES,
    MAX_BATCH_DRAFTS,
    TURN_DRAFTS,
    Call,
    Piece,
    Waiting,
)
from postbox.rules import Payer
from support.toy_chat import ToyChat


class Sized(Struct, frozen=True):
    id: bytes
    payer: Payer
    size_bytes: int


def drafts(payer: str, count: int, size_bytes: int = 1) -> list[Sized]:
    return [Sized(f"{payer}{at}".encode(), Payer("peer", payer), size_bytes) for at in range(count)]


def add(waiting: Waiting, some: list[Sized]) -> Call:
    call = Call(ToyChat(), some, task=None)
    waiting.add(call)
    return call


def ids(batch: Iterable[Piece]) -> list[bytes]:
    return [draft.id for piece in batch for draft in piece.call.drafts[piece.start : piece.stop]]


def take_all(waiting: Waiting) -> list[list[bytes]]:
    batches = []
    while waiting.drafts:
        batches.append(ids(waiting.take()))
    assert waiting.bytes == 0
    return batches


def test_what_fits_is_taken_in_order_of_arrival() -> None:
    waiting = Waiting()
    for name, count in (("a", 3), ("b", 1), ("a", 1)):
        add(waiting, drafts(name, count))
    assert take_all(waiting) == [[b"a0", b"a1", b"a2", b"b0", b"a0"]]


def test_a_batch_has_at_most_so_many_drafts_and_all_are_taken_once_in_order() -> None:
    waiting = Waiting()
    many = drafts("a", 3 * MAX_BATCH_DRAFTS + 5)
    add(waiting, many)
    batches = take_all(waiting)
    assert [len(batch) for batch in batches] == [MAX_BATCH_DRAFTS] * 3 + [5]
    assert [one for batch in batches for one in batch] == [draft.id for draft in many]


def test_a_batch_has_at_most_so_many_bytes() -> None:
    waiting = Waiting()
    add(waiting, drafts("a", 10, size_bytes=MAX_BATCH_BYTES // 4))
    assert [len(batch) for batch in take_all(waiting)] == [4, 4, 2]


def test_a_draft_that_is_larger_than_a_batch_gets_one_of_its_own() -> None:
    waiting = Waiting()
    add(waiting, drafts("a", 1))
    add(waiting, drafts("b", 2, size_bytes=2 * MAX_BATCH_BYTES))
    add(waiting, drafts("c", 1))
    assert take_all(waiting) == [[b"a0"], [b"b0"], [b"c0"], [b"b1"]]


def test_payers_take_turns_when_there_is_more_than_a_batch() -> None:
    waiting = Waiting()
    add(waiting, drafts("a", 5_000))
    add(waiting, drafts("b", 100))
    add(waiting, drafts("c", 1))
    first, second = ids(waiting.take()), ids(waiting.take())
    assert b"c0" in first
    assert [one for one in first if one.startswith(b"b")] == [b"b%d" % at for at in range(100)]
    assert first[:TURN_DRAFTS] == [b"a%d" % at for at in range(TURN_DRAFTS)]
    assert len(second) == MAX_BATCH_DRAFTS


def test_a_payer_that_was_served_goes_behind_the_others_in_the_next_batch() -> None:
    waiting = Waiting()
    payers = [f"payer{at:03}-" for at in range(2 * MAX_BATCH_DRAFTS // TURN_DRAFTS)]
    for payer in payers:
        add(waiting, drafts(payer, 2 * TURN_DRAFTS))
    first, second = ids(waiting.take()), ids(waiting.take())
    assert {one[:9] for one in first} & {one[:9] for one in second} == set()


def test_a_call_of_several_payers_is_charged_to_each() -> None:
    waiting = Waiting()
    add(waiting, drafts("a", 5_000))
    add(waiting, [*drafts("a", 1), *drafts("b", 1)])
    first = ids(waiting.take())
    assert b"b0" in first
    assert len(first) == MAX_BATCH_DRAFTS


def test_a_dropped_call_leaves_nothing_and_delays_nobody() -> None:
    waiting = Waiting()
    dropped = add(waiting, drafts("a", 5_000))
    add(waiting, drafts("b", 2))
    waiting.drop(dropped)
    assert (waiting.drafts, waiting.bytes) == (2, 2)
    assert take_all(waiting) == [[b"b0", b"b1"]]


def test_what_a_batch_has_taken_stays_in_it_when_the_call_is_dropped() -> None:
    waiting = Waiting()
    call = add(waiting, drafts("a", 2_000))
    batch = waiting.take()
    waiting.drop(call)
    assert len(ids(batch)) == MAX_BATCH_DRAFTS
    assert waiting.drafts == 0
    assert waiting.take() == []
