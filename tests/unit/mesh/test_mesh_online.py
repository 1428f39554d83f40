"""Who is online, from the newest words about a name: a table of what is held and what follows."""

from __future__ import annotations

import pytest

from postbox.core import Ledger
from postbox.event import Standing
from postbox.mesh.projections.presence import (
    FRESH_GOSSIP_NS,
    FRESH_NS,
    VERSION,
    Presence,
    presences,
)
from postbox.trust.authoring import Chau, Observation, Payload, Ping, Seen, make_event
from postbox.trust.keys import Identity
from support.mesh import ANN, BOB, CAT, NOW_NS, checkpoint, hey_there, tease

S = 10**9
Body = tuple[int, bytes]


def said(ago_s: int, who: Identity, payload: Payload) -> Body:
    return ago_s, make_event(payload, NOW_NS - ago_s * S, who).body


def here(ago_s: int) -> Body:
    """bob's own word."""
    return said(ago_s, BOB, Ping(observer="bob", target="cat", rtt=1.5))


def left(ago_s: int) -> Body:
    return said(ago_s, BOB, Chau(from_="bob", public_key=BOB.public_key_base64, id=BOB.id))


def seen(ago_s: int, by: Identity = ANN) -> Body:
    return said(ago_s, by, Seen(observer=by.name, subject="bob", via="zine"))


def gone(ago_s: int, by: Identity = ANN, state: str = "OFFLINE") -> Body:
    return status(ago_s, by, state)


def status(ago_s: int, by: Identity, state: str) -> Body:
    payload = Observation(
        observer=by.name, subject="bob", type="status-change", importance=2, online_state=state
    )
    return said(ago_s, by, payload)


def kept(ago_s: int, by: Identity, kind: str) -> Body:
    payload = Observation(
        observer=by.name, subject="bob", type=kind, importance=3, start_time=5, restart_num=1
    )
    return said(ago_s, by, payload)


def bob_is(
    *bodies: Body,
    fresh_ns: int = FRESH_NS,
    standing: Standing = Standing.ATTESTED,
    late_ns: int = 0,
) -> Presence:
    ledger = Ledger(100, bytes(16))
    rows = [(pos, body, standing) for pos, (_, body) in enumerate(bodies, 1)]
    ledger.apply([], rows)
    (presence,) = presences(ledger, ["bob"], NOW_NS + late_ns, fresh_ns)
    return presence


TABLE: list[tuple[list[Body], Presence]] = [
    ([], "unknown"),
    ([here(1)], "online"),
    ([here(300)], "online"),
    ([here(301)], "missing"),
    ([left(1)], "offline"),
    ([left(9_000)], "offline"),  # who has left does not go missing
    ([seen(1)], "online"),
    ([seen(300)], "online"),
    ([seen(301)], "missing"),
    ([status(1, ANN, "ONLINE")], "online"),
    ([kept(1, ANN, "restart")], "online"),
    ([kept(1, ANN, "first-seen")], "online"),
    # that somebody is gone two different observers must say
    ([gone(1)], "unknown"),
    ([gone(1), gone(2), gone(3)], "unknown"),
    ([gone(1), gone(2, CAT)], "offline"),
    ([gone(1, state="MISSING"), gone(2, CAT)], "missing"),
    ([gone(9_000), gone(9_001, CAT)], "offline"),
    ([gone(1), seen(2, CAT)], "online"),
    ([gone(1), seen(301, CAT)], "missing"),
    ([gone(2, CAT), seen(1), gone(3)], "online"),
    ([gone(1), here(301)], "missing"),
    ([gone(1), gone(2, CAT), here(301)], "offline"),
    ([gone(1), here(400), gone(500, CAT)], "missing"),  # since bob spoke, only one says so
    # while its own word is fresh, nobody else makes a node look gone
    ([here(300), gone(1), gone(2, CAT)], "online"),
    # else the newer one counts, of one time its own
    ([here(301), seen(1)], "online"),
    ([left(10), seen(9)], "online"),
    ([left(9), seen(10)], "offline"),
    ([left(9), seen(9)], "offline"),
    ([here(400), gone(500), gone(501, CAT)], "missing"),
    # what is of the future counts nothing
    ([here(-1)], "unknown"),
    ([left(5), seen(-1), here(-2)], "offline"),
]


@pytest.mark.parametrize(("bodies", "presence"), TABLE)
def test_presence_follows_from_the_newest_words(bodies: list[Body], presence: Presence) -> None:
    assert bob_is(*bodies) == presence
    assert bob_is(*reversed(bodies)) == presence, "whatever came first"
    assert VERSION == 2, "of this table"


def test_one_liar_hides_no_peer_that_is_quiet_however_often_it_says_so() -> None:
    lies = [gone(number, state="MISSING") for number in range(1, 10)]
    assert bob_is(*lies, seen(20, CAT), here(400)) == "online"


@pytest.mark.parametrize("standing", [Standing.HEARSAY, Standing.UNPROVEN])
def test_what_is_not_proved_says_nothing(standing: Standing) -> None:
    assert bob_is(here(1), seen(1), gone(1, CAT), standing=standing) == "unknown"


@pytest.mark.parametrize("body", [hey_there(BOB, 1), tease(1, BOB, "ann"), gone(1, BOB)[1]])
def test_whoever_says_anything_lives(body: bytes) -> None:
    assert bob_is((1, body)) == "online"


@pytest.mark.parametrize("body", [tease(1, ANN, "bob"), checkpoint([ANN, CAT], 1, BOB)])
def test_to_be_talked_of_is_no_sign_of_life(body: bytes) -> None:
    assert bob_is((1, body)) == "unknown"


def test_gossip_may_be_older() -> None:
    assert bob_is(here(3_600), fresh_ns=FRESH_GOSSIP_NS) == "online"
    assert bob_is(here(3_600), fresh_ns=FRESH_GOSSIP_NS, late_ns=1) == "missing"
