"""Why the connection is as it is, in words."""

from __future__ import annotations

from typing import get_args

import pytest

from postbox.client.core.apply import EPOCH_CHANGED
from postbox.client.reasons import COPY, MEANINGS, Reasons
from postbox.client.transport.contract import Code
from postbox.clients.serving.streams import Why

CODES = sorted({*get_args(Code), *Why, EPOCH_CHANGED, "STORE", "LOST"})


@pytest.mark.parametrize("code", CODES)
def test_every_code_that_a_machine_tells_has_a_text(code: str) -> None:
    reasons = Reasons()
    assert reasons.text_of(code) == MEANINGS[code]
    reasons.hear(code, "the host's own words")
    assert reasons.text_of(code) == "the host's own words"
    reasons.hear(code, "")
    assert reasons.text_of(code) == MEANINGS[code]


def test_only_a_device_that_stays_displaced_is_to_be_taken_over() -> None:
    reasons = Reasons()
    assert "take_over" not in reasons.text_of("DISPLACED", "offline")
    assert "by itself" in reasons.text_of("DISPLACED", "offline")
    reasons.hear("DISPLACED", "another stream of this device is live")
    assert reasons.text_of("DISPLACED", "displaced") == COPY
    assert "take_over" in COPY


def test_a_code_of_a_newer_host_has_one_too_and_nothing_wrong_has_none() -> None:
    assert "OF_TOMORROW" in Reasons().text_of("OF_TOMORROW")
    assert Reasons().text_of("") == ""


def test_why_there_is_no_new_token_is_told_with_what_the_host_said_until_there_is_one() -> None:
    reasons = Reasons()
    reasons.hear("TOKEN_EXPIRED", "it was good until noon")
    for _ in range(2):
        reasons.hear_of_token("ann has to enter her password")
        told = "it was good until noon; ann has to enter her password"
        assert reasons.text_of("TOKEN_EXPIRED") == told
    reasons.hear("UNREACHABLE", "no route")
    assert reasons.text_of("UNREACHABLE") == "no route"
    reasons.hear_of_token("")
    assert reasons.text_of("TOKEN_EXPIRED") == "it was good until noon"
