"""Who is online, from the newest words about a name."""

from __future__ import annotations

import pytest

from postbox.mesh.projections.presence import (
    FRESH_GOSSIP_NS,
    FRESH_NS,
    Presence,
    Word,
    others_word,
    own_word,
    presence_of,
)
from postbox.mesh.reading import (
    Chau,
    Checkpoint,
    Event,
    HeyThere,
    Observation,
    Payload,
    Ping,
    Seen,
    Social,
)

NOW = 1_800_000_000 * 10**9
S = 10**9


def ago(seconds: int, says: Presence) -> Word:
    return Word(NOW - seconds * S, says)


# own word, others' word, what follows
TABLE: list[tuple[Word | None, Word | None, Presence]] = [
    (None, None, "unknown"),
    (ago(1, "online"), None, "online"),
    (ago(300, "online"), None, "online"),
    (ago(301, "online"), None, "missing"),
    (ago(1, "offline"), None, "offline"),
    (ago(9_000, "offline"), None, "offline"),  # who has left does not go missing
    (None, ago(1, "online"), "online"),
    (None, ago(300, "online"), "online"),
    (None, ago(301, "online"), "missing"),
    (None, ago(9_000, "offline"), "offline"),
    (None, ago(9_000, "missing"), "missing"),
    # while its own word is fresh, nobody else makes a node look gone
    (ago(300, "online"), ago(1, "offline"), "online"),
    (ago(300, "online"), ago(1, "missing"), "online"),
    (ago(301, "online"), ago(1, "offline"), "offline"),
    (ago(301, "online"), ago(1, "online"), "online"),
    # else the newer one counts
    (ago(10, "offline"), ago(9, "online"), "online"),
    (ago(9, "offline"), ago(10, "online"), "offline"),
    (ago(9, "offline"), ago(9, "online"), "offline"),
    (ago(400, "online"), ago(500, "offline"), "missing"),
]


@pytest.mark.parametrize(("own", "others", "presence"), TABLE)
def test_presence_follows_from_the_newest_words(
    own: Word | None, others: Word | None, presence: Presence
) -> None:
    assert presence_of(own, others, NOW, FRESH_NS) == presence


def test_gossip_may_be_older() -> None:
    told = ago(3_600, "online")
    assert presence_of(told, None, NOW, FRESH_GOSSIP_NS) == "online"
    assert presence_of(told, None, NOW + 1, FRESH_GOSSIP_NS) == "missing"


def event(payload: Payload) -> Event:
    return Event("", NOW, "ann", payload)


def observed(kind: str, state: str = "") -> Observation:
    return Observation(observer="ann", subject="bob", type=kind, online_state=state)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (Ping(observer="ann", target="bob", rtt_ms=1.0), "online"),
        (Seen(observer="ann", subject="bob", via="zine"), "online"),
        (observed("restart"), "online"),
        (observed("first-seen"), "online"),
        (observed("status-change", "ONLINE"), "online"),
        (observed("status-change", "OFFLINE"), "offline"),
        (observed("status-change", "MISSING"), "missing"),
        (Social(type="tease", actor="ann", target="bob"), None),
        (Checkpoint(subject="bob"), None),
    ],
)
def test_what_an_event_says_about_its_target(payload: Payload, says: Presence | None) -> None:
    word = others_word(event(payload))
    assert word == (None if says is None else Word(NOW, says))


@pytest.mark.parametrize(
    "payload",
    [
        HeyThere(name="ann", public_key="key"),
        Social(type="tease", actor="ann", target="bob"),
        Ping(observer="ann", target="bob", rtt_ms=1.0),
        observed("status-change", "OFFLINE"),
    ],
)
def test_whoever_signs_anything_lives(payload: Payload) -> None:
    assert own_word(event(payload)) == Word(NOW, "online")


def test_a_chau_is_a_farewell() -> None:
    assert own_word(event(Chau(name="ann"))) == Word(NOW, "offline")
