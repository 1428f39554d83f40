"""What is done about a host that failed: every failure waits, and less is never too much."""

from __future__ import annotations

import pytest

from postbox.hosts.sending.backoff import (
    FIRST_DELAY_S,
    JITTER,
    LONGEST_DELAY_S,
    Bury,
    Failure,
    SendSingly,
    SignAgain,
    Step,
    Tried,
    Wait,
    delay_s,
    fraction_of,
    next_step,
)
from postbox.rpc.faults import Code

WAITS_AT_ONCE = [
    None,  # no answer at all
    *(
        set(Code)
        - {Code.UNAUTHENTICATED, Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE}
        - {Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.NOT_FOUND}
    ),
]


def after(code: Code | None, tried: Tried, retry_after_s: float | None = None) -> Step:
    return next_step(Failure(code, "because", retry_after_s), tried, 0.25)


def waits(step: Step) -> float:
    assert isinstance(step, Wait)
    return step.delay_s


@pytest.mark.parametrize("code", sorted(WAITS_AT_ONCE, key=str))
@pytest.mark.parametrize("events", [0, 1, 1000])
def test_an_answer_that_nobody_foresaw_waits_twice_as_long_each_time(
    code: Code | None, events: int
) -> None:
    delays = [waits(after(code, Tried(attempts, events))) for attempts in range(40)]
    assert delays[0] == FIRST_DELAY_S * (1 - JITTER * 0.25)
    assert delays[5] == 32 * delays[0]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_S * (1 - JITTER * 0.25)


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.NOT_FOUND])
def test_what_people_decided_is_asked_once_an_hour(code: Code) -> None:
    assert waits(after(code, Tried())) == LONGEST_DELAY_S * (1 - JITTER * 0.25)


def test_a_token_that_is_not_believed_is_signed_again_once_and_then_it_waits() -> None:
    assert after(Code.UNAUTHENTICATED, Tried()) == SignAgain()
    again = [
        waits(after(Code.UNAUTHENTICATED, Tried(attempts, is_signed_again=True)))
        for attempts in range(20)
    ]
    assert again[0] > 0
    assert again[-1] == LONGEST_DELAY_S * (1 - JITTER * 0.25)


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE])
def test_an_event_that_is_refused_is_found_and_buried(code: Code) -> None:
    assert after(code, Tried(events=1000)) == SendSingly()
    assert after(code, Tried(events=1)) == Bury(code.name.lower(), "because")


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.OUT_OF_RANGE])
def test_a_refusal_of_what_is_no_event_waits_like_the_rest(code: Code) -> None:
    assert waits(after(code, Tried(attempts=3, events=0))) > 4


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
def test_what_a_host_asks_for_is_the_least_and_never_more_than_the_longest(code: Code) -> None:
    assert 30 <= waits(after(code, Tried(), retry_after_s=30)) < 30 + FIRST_DELAY_S
    assert waits(after(code, Tried(attempts=9), retry_after_s=30)) > 256
    assert waits(after(code, Tried(), retry_after_s=1e12)) <= LONGEST_DELAY_S + FIRST_DELAY_S


@pytest.mark.parametrize("asked_s", [-5.0, float("-inf"), float("nan"), 0.0])
def test_what_no_host_can_ask_for_changes_nothing(asked_s: float) -> None:
    assert delay_s(0, 0.25, asked_s) == delay_s(0, 0.25)


def test_hosts_that_failed_together_do_not_come_back_together() -> None:
    delays = {delay_s(4, fraction_of(bytes([byte, 0, 0, 0]))) for byte in range(256)}
    assert len(delays) == 256
    assert min(delays) > 16 * (1 - JITTER)
    assert max(delays) == 16


def test_random_bytes_make_a_fraction_below_one() -> None:
    assert fraction_of(bytes(4)) == 0
    assert 0.999 < fraction_of(b"\xff" * 4) < 1
