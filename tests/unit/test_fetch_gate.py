"""How often strangers can make a node ask for keys: every bound by itself, and all together."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from postbox.hosts.keys.fetch_gate import (
    ALL_BURST,
    ALL_PER_MINUTE,
    MAX_HOSTS,
    SOURCE_PER_MINUTE,
    STRANGERS_PER_MINUTE,
    FetchGate,
)

A = "a.example:2289"


def uncounted() -> FetchGate:
    return FetchGate(lambda outcome: None)


def asked(gate: FetchGate, host: str, source: str, now_s: float, *, new: bool = True) -> str:
    held = gate.ask(host, source, now_s, is_stranger=new)
    return "" if held is None else held.why


def test_one_host_is_asked_once_a_minute_for_tokens_that_are_not_good() -> None:
    figures: Counter[str] = Counter()
    gate = FetchGate(lambda outcome: figures.update([outcome]))
    granted = []
    for at in range(10_000):
        now_s = at * 0.03  # five minutes
        if not asked(gate, A, str(at), now_s, new=False):
            granted.append(now_s)
            gate.fetched(A, now_s)
    assert granted == [0, 60, 120, 180, 240]
    assert figures == {"granted": 5, "host": 9_995}


def test_who_is_no_forger_does_not_wait_when_his_key_changes_again() -> None:
    gate = uncounted()
    for now_s in range(5):
        assert not asked(gate, A, "", now_s)
        gate.fetched(A, now_s)
        gate.useful(A)
    assert not asked(gate, A, "", 5)
    assert asked(gate, A, "", 6) == "host"


def test_a_host_that_does_not_answer_is_asked_more_and_more_seldom() -> None:
    gate = uncounted()
    now_s, waits = 0.0, []
    for _ in range(9):
        assert not asked(gate, A, "", now_s)
        gate.fail(A, now_s)
        waits.append(gate.wait_s(A, now_s))
        assert asked(gate, A, "", now_s + waits[-1] - 0.1) == "host"
        now_s += waits[-1]
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert not asked(gate, A, "", now_s)
    gate.fetched(A, now_s)
    assert gate.wait_s(A, now_s) == 60
    assert not asked(gate, A, "", now_s + 60)
    gate.fail(A, now_s + 60)
    assert gate.wait_s(A, now_s + 60) == 60  # and so from the beginning again


def test_a_host_that_was_reached_by_ourselves_is_asked_again_within_a_minute() -> None:
    gate = uncounted()
    for now_s in (0, 60, 180):
        assert not asked(gate, A, "", now_s)
        gate.fail(A, now_s)
    gate.fetched(A, 200)
    assert gate.wait_s(A, 200) == 60


def test_one_address_can_cause_so_many_and_others_are_not_held_back() -> None:
    gate = uncounted()
    answers = [asked(gate, f"{at}.example:2289", "1.2.3.4", 0) for at in range(1000)]
    assert answers.count("") == SOURCE_PER_MINUTE
    assert set(answers[SOURCE_PER_MINUTE:]) == {"source"}
    assert not asked(gate, A, "1.2.3.5", 0)


def test_strangers_all_together_can_cause_so_many_and_known_hosts_are_not_held_back() -> None:
    gate = uncounted()
    answers = [asked(gate, f"{at}.example:2289", str(at), 0) for at in range(10_000)]
    assert answers.count("") == STRANGERS_PER_MINUTE
    assert set(answers[STRANGERS_PER_MINUTE:]) == {"strangers"}
    known = [asked(gate, f"k{at}.example:2289", str(at), 0, new=False) for at in range(10_000)]
    assert known.count("") == ALL_BURST - STRANGERS_PER_MINUTE
    assert known[-1] == "all"


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 5),  # host
        st.integers(0, 3),  # address
        st.booleans(),  # never in contact
        st.sampled_from([0.0, 0.1, 1.0, 30.0, 600.0]),  # seconds after the one before
        st.sampled_from(["fetched", "fail", "under way"]),
    ),
    max_size=200,
)


@given(REQUESTS)
def test_in_any_order_of_forged_requests_no_bound_is_ever_passed(
    requests: list[tuple[int, int, bool, float, str]],
) -> None:
    figures: Counter[str] = Counter()
    gate, now_s = FetchGate(lambda outcome: figures.update([outcome])), 0.0
    last: dict[str, float] = {}
    sources: dict[str, int] = {}
    strangers = 0
    for number, address, is_new, after_s, end in requests:
        now_s += after_s
        host, source = f"{number}.example:2289", str(address)
        if asked(gate, host, source, now_s, new=is_new):
            continue
        assert now_s - last.get(host, -60) >= 59.999
        last[host] = now_s
        sources[source] = sources.get(source, 0) + 1
        strangers += is_new
        if end != "under way":
            getattr(gate, end)(host, now_s)
    minutes = now_s / 60
    assert all(count <= SOURCE_PER_MINUTE * (1 + minutes) for count in sources.values())
    assert strangers <= STRANGERS_PER_MINUTE * (1 + minutes)
    assert figures["granted"] <= ALL_BURST + ALL_PER_MINUTE * minutes
    assert figures.total() - figures["failed"] == len(requests)


def test_what_is_remembered_is_bounded() -> None:
    gate = uncounted()
    for at in range(MAX_HOSTS + 1000):
        gate.fail(f"{at}.example:2289", 0)
    assert gate.wait_s("0.example:2289", 0) == 0
    assert gate.wait_s(f"{MAX_HOSTS}.example:2289", 0) == 60
