"""What a link does in the situations it was made for, one by one: two ends with real logs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from postbox.hosts.links.arrivals import Arrived
from postbox.hosts.links.bodies import content, label, number
from postbox.hosts.links.place import MAX_EPOCHS, Place, UnknownPlace
from postbox.hosts.links.postings import Refuse
from postbox.hosts.links.retention import Keep
from postbox.hosts.links.rules import LinkDraft, Trim
from postbox.hosts.links.summary import LinkSummary
from postbox.hosts.sending.intake import NeverTaken, Taken
from postbox.hosts.tables import out_reader
from postbox.hosts.wire import read_event
from postbox.rules import Accepted, Rejected
from support.link_ends import BAD, GOOD, End, MemoryShelf
from support.simulate import Simulation, simulate

A, B = "a.example:2289", "b.example:2289"
EVERYTHING = Keep(0, 1)
DAY_S = 86_400.0


def between_two(main: Callable[[End, End], Awaitable[None]], place: str = "node.db") -> None:
    """`place`: the database of the second."""

    async def run(_: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            a = End(A, B, MemoryShelf(), nursery)
            b = End(B, A, MemoryShelf(place), nursery)
            await a.start()
            await b.start()
            await main(a, b)
            await a.stop()
            await b.stop()

    simulate(1, run, limit_s=30 * DAY_S)


async def post(end: End, *names: str, kind: str = GOOD) -> None:
    await end.post([(kind, name.encode()) for name in names])


async def batch(a: End, after: int = 0, limit: int = 100) -> list[Arrived]:
    return [read_event(each.body) for each in await a.links.numbered(B, after, limit)]


async def send(a: End, b: End, after: int, limit: int = 100) -> Taken:
    """What comes after this number, and the answer to it."""
    taken = await b.take(await batch(a, after, limit))
    await a.links.acknowledge(B, taken.place)
    if taken.refusal is not None:
        place = taken.refusal.place
        await a.links.refused(B, place.epoch, place.seq, "bad", "it is bad")
    return taken


async def came(b: End) -> list[str]:
    """Names; of what is lost, the numbers."""
    events = [event for _, event in await b.inbox(0)]
    return [
        f"lost {event.seq}-{event.upto}" if event.upto else event.value.decode() for event in events
    ]


def test_a_posting_is_numbered_and_waits_while_nobody_asks() -> None:
    async def main(a: End, b: End) -> None:
        assert await a.post([(GOOD, b"x"), (GOOD, b"y")]) == 1
        assert await a.post([(GOOD, b"z")]) == 3
        view = await a.links.view_of(B)
        assert (view.queued, view.acknowledged) == (3, 0)
        assert [event.seq for event in await batch(a)] == [1, 2, 3]
        assert [event.first for event in await batch(a)] == [1, 1, 1]

    between_two(main)


def test_what_arrives_twice_or_late_is_stored_once() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y", "z")
        first = await batch(a, limit=2)
        await b.take(first)
        await b.take(await batch(a))
        assert not (await b.take(first)).is_gap
        assert await came(b) == ["x", "y", "z"]

    between_two(main)


def test_beyond_a_gap_nothing_is_taken_and_the_answer_says_from_where() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y", "z")
        await send(a, b, 0, limit=1)
        taken = await b.take(await batch(a, after=2))
        assert taken.is_gap
        assert taken.place.seq == 1
        assert await came(b) == ["x"]

    between_two(main)


def test_a_sender_that_was_put_back_goes_on_without_loss_or_repetition() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y")
        backup = await a.save()
        await post(a, "forgotten")
        await send(a, b, 0)
        await a.put_back(backup)
        await post(a, "z")
        assert [event.first for event in await batch(a)] == [1, 1, 3]
        # The receiver's number 3 is another one.
        assert await a.links.acknowledge(B, await b.links.place_of(A)) == 2
        assert (await a.links.view_of(B)).queued == 1
        await send(a, b, 0)
        assert await came(b) == ["x", "y", "forgotten", "z"]
        assert (await a.links.view_of(B)).queued == 0

    between_two(main)


def test_a_sender_put_back_to_a_newer_backup_after_an_older_one_loses_nothing() -> None:
    """The receiver is in an epoch that the sender does not know any more, with numbers as high."""

    async def main(a: End, b: End) -> None:
        await post(a, "x")
        older = await a.save()
        await post(a, "never sent before", "nor this")
        newer = await a.save()
        await a.put_back(older)
        await post(a, "other 2", "other 3", "other 4")
        await send(a, b, 0)
        await a.put_back(newer)
        await post(a, "y")
        taken = await b.take(await batch(a, after=3))  # as if all before had arrived
        assert taken.is_gap
        with pytest.raises(UnknownPlace):
            await a.links.acknowledge(B, taken.place)
        await send(a, b, 0)
        assert await came(b) == [
            *("x", "other 2", "other 3", "other 4"),
            *("never sent before", "nor this", "y"),
        ]
        assert (await a.links.view_of(B)).queued == 0

    between_two(main)


def test_a_receiver_that_was_put_back_is_sent_again_what_it_had_acknowledged() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x")
        await send(a, b, 0)
        backup = await b.save()
        await post(a, "y", "z")
        await send(a, b, 1)
        await b.put_back(backup)
        assert await came(b) == ["x"]
        after = await a.links.start_of(B, await b.links.place_of(A))
        await send(a, b, after)
        assert await came(b) == ["x", "y", "z"]

    between_two(main)


def test_what_is_not_kept_any_more_is_said_to_be_lost() -> None:
    async def main(a: End, b: End) -> None:
        backup = await b.save()
        await post(a, "x", "y")
        await send(a, b, 0)
        await trio.sleep(1)
        await a.trim(EVERYTHING)
        assert await a.kept() == set()
        await post(a, "z")
        await b.put_back(backup)
        await send(a, b, await a.links.start_of(B, None))
        assert await came(b) == ["lost 1-2", "z"]
        [first, _] = (await b.links.inbox_page()).came
        assert first.lost == 2

    between_two(main)


def test_what_is_to_be_sent_is_kept_however_old_it_is() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y", "z")
        await send(a, b, 0, limit=1)
        await trio.sleep(5 * 86_400)
        await a.trim(EVERYTHING)
        assert await a.kept() == {2, 3}
        assert await a.problems() == []

    between_two(main)


def test_what_a_handler_is_not_done_with_is_kept() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y")
        await send(a, b, 0)
        await b.handle(1)
        await trio.sleep(1)
        await b.trim(EVERYTHING)
        assert await came(b) == ["y"]
        [summary] = await b.links.summary()
        assert (summary.host, summary.received, summary.unhandled) == (A, 2, 1)

    between_two(main)


@pytest.mark.parametrize("is_trimmed_first", [False, True])
def test_what_is_refused_while_it_is_trimmed_is_a_dead_letter_that_has_its_event_or_none(
    is_trimmed_first: bool,
) -> None:
    """By a receiver that had taken it before it was put back."""

    async def main(a: End, b: End) -> None:
        await post(a, "x", "y", "z")
        await send(a, b, 0)
        sent = await a.sent()
        second = sent[1]
        drafts: list[LinkDraft] = [
            Refuse(b"r" * 16, B, second.pos, second.id, "it is bad"),
            Trim(b"t" * 16, out_reader(B), tuple([entry.pos for entry in sent])),
        ]
        for draft in reversed(drafts) if is_trimmed_first else drafts:
            await a.submit(draft)
        letters = (await a.links.letters()).letters
        if is_trimmed_first:
            assert (letters, await a.kept()) == ([], set())
        else:
            assert await a.kept() == {2, 3}
            [letter] = letters
            assert isinstance(await a.links.retry(letter), Accepted)
        assert await a.problems() == []

    between_two(main)


def test_only_so_much_is_kept_of_what_is_done() -> None:
    async def main(a: End, b: End) -> None:
        for name in "xyz":
            await post(a, name * 600_000)
        await send(a, b, 0, limit=1)
        await send(a, b, 1, limit=1)
        await a.trim(Keep(30, 1))
        assert await a.kept() == {2, 3}

    between_two(main)


def test_what_waited_for_long_is_kept_from_when_it_was_confirmed() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x")
        await trio.sleep(9 * DAY_S)
        await send(a, b, 0)
        await post(a, "y")
        await a.trim(Keep(7, 1))
        assert await a.kept() == {1, 2}
        await trio.sleep(6 * DAY_S)
        await send(a, b, 1)
        await post(a, "z")
        await a.trim(Keep(7, 1))
        assert await a.kept() == {1, 2, 3}
        await trio.sleep(2 * DAY_S)
        await a.trim(Keep(7, 1))
        assert await a.kept() == {2, 3}

    between_two(main)


def test_a_refused_event_is_a_dead_letter_and_the_link_goes_on() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x")
        await post(a, "no", kind=BAD)
        await post(a, "y")
        taken = await send(a, b, 0)
        assert taken.refusal is not None
        assert (taken.place.seq, taken.refusal.place.seq) == (1, 2)
        assert await came(b) == ["x"]
        await send(a, b, 1)
        assert await came(b) == ["x", "y"]
        [letter] = (await a.links.letters()).letters
        assert (letter.way, letter.came.host, letter.came.value) == ("to", B, b"no")
        assert letter.error == "bad: it is bad"
        [summary] = await a.links.summary()
        assert (summary.queued, summary.acknowledged, summary.dead) == (0, 3, 1)

    between_two(main)


def test_a_dead_letter_is_posted_again_under_a_new_number_and_once() -> None:
    async def main(a: End, b: End) -> None:
        backup = await b.save()
        await post(a, "late", kind=BAD)
        await post(a, "x")
        await send(a, b, 0)
        await send(a, b, 0)
        [letter] = (await a.links.letters()).letters
        b.policy.takes_bad = True
        assert await a.links.retry(letter) == Accepted(letter.came.pos + 3, 3)
        assert isinstance(await a.links.retry(letter), Rejected)
        await send(a, b, 2)
        assert await came(b) == ["x", "late"]
        await b.put_back(backup)  # it is sent everything, and the letter not twice
        await send(a, b, 0)
        assert await came(b) == ["x", "late"]

    between_two(main)


def test_a_dead_letter_that_is_forgotten_is_not_sent_to_who_asks_again() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "no", kind=BAD)
        await send(a, b, 0)
        [letter] = (await a.links.letters()).letters
        await a.links.forget(letter)
        assert (await a.links.letters()).letters == []
        b.policy.takes_bad = True
        await send(a, b, 0)
        assert await came(b) == []
        assert (await b.links.place_of(A)).seq == 1

    between_two(main)


def test_an_acknowledgement_of_a_dead_letters_number_does_not_forget_the_letter() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "no", kind=BAD)
        await send(a, b, 0)
        await send(a, b, 0)
        assert (await b.links.place_of(A)).seq == 1
        await a.links.acknowledge(B, await b.links.place_of(A))
        assert len((await a.links.letters()).letters) == 1

    between_two(main)


def test_a_refusal_of_a_number_that_was_given_twice_buries_no_other_event() -> None:
    async def main(a: End, b: End) -> None:
        backup = await a.save()
        await post(a, "no", kind=BAD)
        taken = await b.take(await batch(a))
        assert taken.refusal is not None
        await a.put_back(backup)
        await post(a, "x")
        place = taken.refusal.place
        await a.links.refused(B, place.epoch, place.seq, "bad", "")
        await send(a, b, 0)
        assert await came(b) == ["x"]

    between_two(main)


def test_a_place_that_cannot_be_true_acknowledges_nothing_and_the_error_says_why() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y")
        [event, _] = await batch(a)
        with pytest.raises(UnknownPlace, match="in an epoch in which nothing was posted"):
            await a.links.acknowledge(B, Place(bytes(16), 1))
        with pytest.raises(UnknownPlace, match="beyond the last number posted to"):
            await a.links.acknowledge(B, Place(event.epoch, 3))
        assert (await a.links.view_of(B)).acknowledged == 0
        assert await a.links.acknowledge(B, Place(event.epoch, 1)) == 1
        assert (await a.links.view_of(B)).acknowledged == 1

    between_two(main)


def test_the_operator_sees_both_directions_of_a_link(place: str) -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y")
        await a.post([(BAD, b"no")])
        await send(a, b, 0)
        await post(b, "u", "v")
        await b.links.refused(A, (await batch_to(b, A))[0].epoch, 1, "bad", "it is bad")
        assert await b.links.summary() == [
            LinkSummary(A, 1, 1, 0, 0, "", 2, 2, 1, 0, b""),
        ]
        [letter] = (await b.links.letters()).letters
        assert (letter.way, letter.came.host, letter.came.seq) == ("to", A, 1)
        assert await b.links.contacts() == [A]
        page = await b.links.inbox_page(A, 1, limit=1)
        assert [(each.host, each.seq, each.type_url, each.value) for each in page.came] == [
            (A, 2, GOOD, b"y")
        ]
        view = await b.links.view_of(A)
        assert (view.queued, view.acknowledged, view.incoming.current.seq) == (1, 1, 2)
        assert (await b.links.received(A)).refusal is not None
        await trio.sleep(1)
        await b.handle(1)
        await b.trim(EVERYTHING)
        assert await b.kept() == {1, 2}  # a dead letter keeps what came after it
        assert [seq for seq, _ in await b.inbox(0)] == [2]
        assert await b.problems() == []

    between_two(main, place)


async def batch_to(end: End, host: str) -> list[Arrived]:
    return [read_event(each.body) for each in await end.links.numbered(host, 0)]


def test_the_events_of_an_epoch_that_was_forgotten_are_refused_and_the_link_goes_on() -> None:
    async def main(_: End, b: End) -> None:
        def first_of(epoch: int) -> Arrived:
            named = label(bytes((epoch,)) * 16, 1, b"")
            return read_event(content(bytes(16), GOOD, b"x", 1) + named + number(1))

        for epoch in range(MAX_EPOCHS + 1):
            assert not (await b.intake.take(A, [first_of(epoch)])).is_gap
        with pytest.raises(NeverTaken, match="of an epoch of the sender's log that was over"):
            await b.intake.take(A, [first_of(0)])
        assert (await b.intake.take(A, [first_of(1)])).place.seq == 1
        assert not (await b.intake.take(A, [first_of(MAX_EPOCHS + 1)])).is_gap
        assert len(await b.inbox(0)) == MAX_EPOCHS + 2

    between_two(main)


def test_the_inbox_is_read_by_host_and_number_or_as_a_whole() -> None:
    async def main(a: End, b: End) -> None:
        await post(a, "x", "y", "z")
        await send(a, b, 0)
        page = await b.links.inbox_page(A, 1, limit=1)
        assert [(each.host, each.seq, each.type_url, each.value) for each in page.came] == [
            (A, 2, GOOD, b"y")
        ]
        assert page.more
        rest = await b.links.inbox_page(after=page.next)
        assert [each.value for each in rest.came] == [b"z"]
        assert await b.links.contacts() == []
        assert await a.links.contacts() == [B]

    between_two(main)
