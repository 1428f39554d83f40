"""What the mesh thinks of a name: trimmed means, counted restarts, uptime (nara's derivations)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.mesh.projections.opinions import Opinion, Remark, opinion_of
from postbox.mesh.projections.statistics import trimmed_mean, trimmed_mean_of_positive
from postbox.mesh.reading import Checkpoint, Observation, Tally

NOW_S = 1_800_000_000
AGO = NOW_S - 1_000_000


# nara's table of TrimmedMeanInt64, and what its rules say of the rest.
@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([], 0),
        ([7], 7),
        ([-3], -3),
        ([10, 20], 15),
        ([10, 11], 10),  # towards zero
        ([-10, -11], -10),  # towards zero, too
        ([100, 100, 1_000], 100),
        ([100, 100, 501], 100),
        ([100, 100, 500], 233),
        ([100, 100, 20], 73),
        ([100, 100, 19], 100),
        ([1, 100, 100], 100),
        ([0, 0, 10], 3),
        ([0, 0, 11], 0),
        ([-10, 0, 0], -3),
        ([-100, -100, -500], -233),
        ([-100, -100, -501], -100),
        ([-100, -100, -19], -100),
        ([3, 1_000_000], 1_000_000),  # of two in the middle the upper
        ([9, 9, 2, 1], 5),  # a bound is whole: a fifth of nine is one
    ],
)
def test_a_trimmed_mean_leaves_outliers_out(values: list[int], mean: int) -> None:
    assert trimmed_mean(values) == mean
    assert trimmed_mean(reversed(values)) == mean


def test_zero_is_no_observation() -> None:
    assert trimmed_mean_of_positive([0, 0, 0, 40, 60, -5]) == 50
    assert trimmed_mean_of_positive([0, -1]) == 0


@given(st.lists(st.integers(-(2**62), 2**62), max_size=20))
def test_a_trimmed_mean_lies_between_the_least_and_the_most(values: list[int]) -> None:
    if values:
        assert min(values) <= trimmed_mean(values) <= max(values)


@dataclass
class Mesh:
    """Remarks about bob, one a second, so that they are in the order they stand here."""

    is_attested: bool = False
    next_s: int = AGO

    def at(self, s: int, observation: Observation) -> Remark:
        return Remark(observation, s, self.is_attested)

    def __call__(self, observation: Observation) -> Remark:
        self.next_s += 1
        return self.at(self.next_s, observation)

    def restart(self, start: int, number: int, by: str = "ann", last: int = 0) -> Remark:
        return self(
            Observation(
                observer=by,
                subject="bob",
                type="restart",
                start_time=start,
                restart_num=number,
                last_restart=last,
            )
        )

    def first_seen(self, start: int, by: str = "ann") -> Remark:
        return self(Observation(observer=by, subject="bob", type="first-seen", start_time=start))

    def backfill(self, start: int, number: int, by: str = "ann") -> Remark:
        return self(
            Observation(
                observer=by,
                subject="bob",
                type="restart",
                is_backfill=True,
                start_time=start,
                restart_num=number,
            )
        )

    def turns(self, at_s: int, state: str, by: str = "ann") -> Remark:
        told = Observation(observer=by, subject="bob", type="status-change", online_state=state)
        return self.at(at_s, told)


def agreed(as_of: int = AGO, restarts: int = 0, uptime: int = 0, start: int = 0) -> Checkpoint:
    tally = Tally(restarts=restarts, total_uptime=uptime, start_time=start)
    return Checkpoint(subject="bob", as_of_time=as_of, observation=tally)


def think(
    remarks: Sequence[Remark],
    checkpoint: Checkpoint | None = None,
    hellos_s: Collection[int] = (),
) -> Opinion:
    return opinion_of(remarks, hellos_s, checkpoint, NOW_S)


def test_of_whom_nobody_speaks_nothing_is_known() -> None:
    assert think([]) == Opinion()


def test_the_start_is_the_trimmed_mean_of_all_starts() -> None:
    told = Mesh()
    opinion = think(
        [told.first_seen(AGO), told.restart(AGO + 10, 1, "cat"), told.first_seen(1, "eve")]
    )
    assert opinion.start_time_s == AGO + 5
    assert opinion.first_start_s == 1
    assert opinion.observers == 3


@pytest.mark.parametrize(
    ("numbers", "restarts"),
    [
        ([("ann", 3), ("ann", 9)], 9),  # one observer: the most
        ([("ann", 10), ("bob", 20)], 15),
        ([("ann", 10), ("bob", 10), ("eve", 900)], 10),
        ([("ann", 0), ("bob", 0)], 0),
        ([("ann", 4), ("bob", 0)], 4),  # who has not counted does not count
    ],
)
def test_restarts_are_what_most_observers_say(
    numbers: list[tuple[str, int]], restarts: int
) -> None:
    told = Mesh()
    remarks = [told.restart(AGO, number, by) for by, number in numbers]
    assert think(remarks).restarts == restarts


def test_the_last_restart_is_the_latest_told() -> None:
    told = Mesh()
    assert think([told.restart(AGO, 1, last=AGO + 5), told.restart(AGO, 1, last=AGO + 3)]) == (
        think([told.restart(AGO, 1, last=AGO + 3), told.restart(AGO, 1, last=AGO + 5)])
    )
    assert think([told.restart(AGO, 1, last=AGO + 5)]).last_restart_s == AGO + 5


def test_counting_counts_starts_that_differ() -> None:
    told = Mesh()
    remarks = [told.restart(AGO, 1), told.restart(AGO, 1, "cat"), told.restart(AGO + 60, 2)]
    assert think(remarks).counted_restarts == 2


def test_counting_goes_on_from_a_backfill() -> None:
    told = Mesh()
    remarks = [told.backfill(AGO, 47), told.restart(AGO, 47), told.restart(AGO + 60, 48)]
    assert think(remarks).counted_restarts == 48


def test_counting_goes_on_from_a_checkpoint_whatever_a_backfill_says() -> None:
    told = Mesh()
    remarks = [
        told.backfill(AGO, 900),
        told.restart(AGO - 1, 1),
        told.restart(AGO, 2),  # at that very time: counted by the checkpoint
        told.restart(AGO + 1, 3),
        told.restart(AGO + 1, 3, "cat"),
    ]
    assert think(remarks, agreed(restarts=47)).counted_restarts == 48


def test_uptime_is_the_sum_of_the_spans_online() -> None:
    told = Mesh()
    remarks = [
        told.turns(AGO, "OFFLINE"),  # not after any ONLINE
        told.turns(AGO + 100, "ONLINE"),
        told.turns(AGO + 150, "ONLINE", "cat"),
        told.turns(AGO + 300, "MISSING"),
        told.turns(AGO + 310, "OFFLINE"),
        told.turns(AGO + 400, "ONLINE"),
        told.turns(AGO + 401, "OFFLINE"),
    ]
    assert think(remarks).uptime_s == 201
    assert think(list(reversed(remarks))).uptime_s == 201


def test_who_is_still_online_is_so_up_to_now() -> None:
    assert think([Mesh().turns(NOW_S - 50, "ONLINE")]).uptime_s == 50


def test_uptime_goes_on_from_a_checkpoint() -> None:
    told = Mesh()
    remarks = [
        told.turns(AGO, "ONLINE"),  # at that very time: counted by the checkpoint
        told.turns(AGO + 10, "ONLINE"),
        told.turns(AGO + 30, "OFFLINE"),
    ]
    assert think(remarks, agreed(uptime=5_000)).uptime_s == 5_020


def test_a_backfill_says_that_the_name_was_there_from_its_start_on() -> None:
    told = Mesh()
    backfill = told.backfill(AGO, 3)
    assert think([backfill]).uptime_s == NOW_S - AGO
    assert think([backfill, told.turns(AGO + 500, "OFFLINE")]).uptime_s == 500


def test_what_is_of_the_future_does_not_count() -> None:
    told = Mesh()
    ahead = [
        told.restart(NOW_S + 1, 5),
        told.restart(AGO, 5, last=NOW_S + 1),
        told.turns(NOW_S + 1, "ONLINE"),
    ]
    assert think(ahead) == Opinion()


def test_two_who_signed_outweigh_any_number_of_unsigned_ones() -> None:
    signed, unsigned = Mesh(is_attested=True), Mesh()
    truth = [signed.restart(AGO, 2, "ann"), signed.restart(AGO, 2, "cat")]
    lies = [unsigned.restart(5, 900, f"eve{nth}", last=NOW_S - 1) for nth in range(50)]
    assert think([*lies, *truth]) == think(truth)
    assert think(truth).restarts == 2


def test_one_who_signed_is_one_of_all() -> None:
    signed, unsigned = Mesh(is_attested=True), Mesh()
    lie = signed.restart(AGO, 900, "eve")
    others = [unsigned.restart(AGO, 2, name) for name in ("ann", "bob", "cat")]
    assert think([lie, *others]).restarts == 2


def test_one_who_signed_makes_no_restart_that_nobody_else_knows_of() -> None:
    signed = Mesh(is_attested=True)
    truth = [signed.restart(AGO, 1, by) for by in ("ann", "cat")]
    lies = [signed.restart(AGO + 1_000 * nth, 1 + nth, "eve", NOW_S) for nth in range(1, 50)]
    backfill = signed.backfill(AGO - 5, 900, "eve")
    assert think([*lies, backfill, *truth]) == think(truth)
    assert think(truth).counted_restarts == 1
    assert think([*lies, *truth], hellos_s=[AGO, AGO + 2_000, AGO + 7]).counted_restarts == 2


def test_of_first_sights_the_second_earliest_counts_or_one_that_a_hello_bears_out() -> None:
    signed = Mesh(is_attested=True)
    truth = [signed.first_seen(AGO, "ann"), signed.first_seen(AGO + 40, "cat")]
    lie = signed.first_seen(5, "eve")
    assert think([lie, *truth]).first_start_s == AGO
    assert think([lie, *truth]).start_time_s == AGO + 20
    assert think(truth).first_start_s == AGO + 40
    assert think(truth, hellos_s=[AGO]).first_start_s == AGO
    assert think([lie, signed.turns(AGO, "ONLINE", "cat")]).first_start_s == 5, (
        "for want of another"
    )


OBSERVATIONS = st.builds(
    Observation,
    observer=st.sampled_from(["ann", "cat", "dan"]),
    subject=st.just("bob"),
    type=st.sampled_from(["restart", "first-seen", "status-change"]),
    is_backfill=st.booleans(),
    start_time=st.integers(AGO, AGO + 5),
    restart_num=st.integers(0, 5),
    online_state=st.sampled_from(["ONLINE", "OFFLINE", "MISSING"]),
)
REMARKS = st.builds(Remark, OBSERVATIONS, st.integers(AGO, AGO + 5), st.booleans())


@given(st.lists(REMARKS, max_size=12), st.randoms())
def test_the_order_in_which_remarks_came_makes_no_difference(
    remarks: list[Remark], random: object
) -> None:
    mixed = list(remarks)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert think(mixed) == think(remarks)
