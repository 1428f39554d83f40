"""The views of what is held equal a replay from scratch, whatever came late, was replaced or was
forgotten: random histories into a small ledger, and beside it a fold over what it holds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from postbox.core import Keys, Ledger
from postbox.event import Standing
from postbox.log.committed import Committed
from postbox.mesh.merging.personality_rules import Personality
from postbox.mesh.projections.clout import clout_of
from postbox.mesh.projections.opinions import Remark, opinion_of
from postbox.mesh.projections.presence import FRESH_NS
from postbox.mesh.projections.projections import Projections
from postbox.mesh.reading import Checkpoint, Observation, Ping, read_event
from postbox.store.contract import Entry, Lane
from postbox.trust import authoring
from support.mesh import ANN, BOB, CAT, NOW_NS, fixed_world

NAMES = ("ann", "bob", "cat", "dan")
CAPACITY = 12
S = 10**9
Body = tuple[bytes, Standing]


# -- events -------------------------------------------------------------------------------------

Seconds = st.integers(-2, 900)


def agreed(subject: str, tally: authoring.Tally, as_of_s: int) -> authoring.Checkpoint:
    """By two voters, whose signatures the ledger does not look at any more."""
    return authoring.Checkpoint(
        version=2,
        subject=subject,
        subject_id=f"id-of-{subject}",
        observation=tally,
        as_of_time=as_of_s,
        round=1,
        voter_ids=(ANN.id, BOB.id),
        signatures=("A" * 86 + "==",) * 2,
    )


"""Ago; some are of the future."""
Name = st.sampled_from(NAMES)
Payloads: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        authoring.Social,
        type=st.sampled_from(["tease", "service", "observation"]),
        actor=Name,
        target=Name,
        reason=st.sampled_from(["online", "random", ""]),
    ),
    st.builds(authoring.Ping, observer=Name, target=Name, rtt=st.sampled_from([0.1, 0.2, 7.3])),
    st.builds(authoring.Seen, observer=Name, subject=Name, via=st.just("zine")),
    st.builds(
        authoring.Observation,
        observer=Name,
        subject=Name,
        type=st.sampled_from(["restart", "first-seen", "status-change"]),
        importance=st.just(2),
        start_time=st.integers(0, 3).map(lambda ago: NOW_NS // S - ago),  # of hellos, some
        restart_num=st.integers(0, 3),
        online_state=st.sampled_from(["ONLINE", "OFFLINE", "MISSING"]),
    ),
    st.sampled_from([ANN, BOB, CAT]).map(
        lambda who: authoring.HeyThere(
            from_=who.name, public_key=who.public_key_base64, mesh_ip="", id=who.id
        )
    ),
    st.sampled_from([ANN, BOB, CAT]).map(
        lambda who: authoring.Chau(from_=who.name, public_key=who.public_key_base64, id=who.id)
    ),
    st.builds(
        lambda subject, ago: agreed(
            subject,
            authoring.Tally(restarts=ago, total_uptime=ago, start_time=1_700_000_000),
            1_790_000_000 - ago,
        ),
        Name,
        st.integers(0, 3),
    ),
)
Events: st.SearchStrategy[Body] = st.builds(
    lambda payload, ago, standing: (
        authoring.make_event(payload, NOW_NS - ago * S, None).body,
        standing,
    ),
    Payloads,
    Seconds,
    st.sampled_from([Standing.ATTESTED, Standing.ATTESTED, Standing.HEARSAY]),
)
Steps = st.lists(
    st.one_of(
        st.lists(Events, min_size=1, max_size=6),  # a commit
        st.integers(0, 60),  # that position leaves
    ),
    max_size=10,
)


# -- a replay from scratch ----------------------------------------------------------------------


@dataclass
class Replay:
    """All that is held, in order of time, folded name by name."""

    own: dict[str, tuple[int, str]] = field(default_factory=dict)
    others: defaultdict[str, dict[str, tuple[int, str]]] = field(
        default_factory=lambda: defaultdict(dict)
    )  # the last word of each observer, whoever spoke last is last
    remarks: defaultdict[str, list[Remark]] = field(default_factory=lambda: defaultdict(list))
    hellos_s: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    signed: dict[str, Checkpoint] = field(default_factory=dict)
    ways: defaultdict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def take(self, body: bytes, standing: Standing) -> None:
        event, is_proved = json.loads(body), standing is Standing.ATTESTED
        told, ts = event[event["svc"].replace("-", "_")], event["ts"]
        if event["svc"] == "observation":
            seen = read_event(body).payload
            assert isinstance(seen, Observation)
            if seen.observer != seen.subject:
                self.remarks[seen.subject].append(Remark(seen, ts // S, is_proved))
        if is_proved:
            self.take_proved(event["svc"], told, ts, body)

    def take_proved(self, svc: str, told: dict[str, Any], ts: int, body: bytes) -> None:
        if svc == "checkpoint":
            found = read_event(body).payload
            assert isinstance(found, Checkpoint)
            before = self.signed.get(found.subject)
            if before is None or before.as_of_time <= found.as_of_time:
                self.signed[found.subject] = found
            return
        actor: str = told.get("actor") or told.get("observer") or told["From"]
        target: str = told.get("target") or told.get("subject") or actor
        if svc == "hey-there":
            self.hellos_s[actor].append(ts // S)
        if svc == "ping" and actor != target:
            self.ways[actor, target].append(told["rtt"])
        if ts > NOW_NS:
            return
        self.own[actor] = (ts, "offline" if svc == "chau" else "online")
        if svc in ("ping", "seen", "observation") and actor != target:
            is_status = told.get("type") == "status-change"
            says = told["online_state"].lower() if is_status else "online"
            self.others[target].pop(actor, None)
            self.others[target][actor] = (ts, says)

    def online(self, name: str) -> str:
        own, others = self.own.get(name), self.agreed(name)
        if own and own[1] == "online" and NOW_NS - own[0] <= FRESH_NS:
            return "online"
        if not own and not others:
            return "unknown"
        ts, says = others if others and (not own or others[0] > own[0]) else own or (0, "")
        return "missing" if says == "online" and NOW_NS - ts > FRESH_NS else says

    def agreed(self, name: str) -> tuple[int, str] | None:
        """That it is gone only if the two who spoke last say so."""
        words = list(self.others[name].values())
        if words and words[-1][1] == "online":
            return words[-1]
        if len(words) < 2:
            return None
        (ts, before), (_, last) = words[-2:]
        return ts, before if before == "online" else last


def replayed(ledger: Ledger) -> Replay:
    replay = Replay()
    page = ledger.page(None, 5_000, [], [])
    for body, standing in zip(page.bodies(), page.standings(), strict=True):
        replay.take(body, Standing(standing))
    return replay


# -- the two beside each other ------------------------------------------------------------------


def views(ledger: Ledger) -> Projections:
    keys = Keys()
    for one in (ANN, BOB):
        keys.put(f"voter {one.name}", [one.public_key], one.id)
    ledger.count_votes_of(keys)
    return Projections(fixed_world(), ledger, "soul", Personality(), FRESH_NS)


def apply(ledger: Ledger, steps: list[list[Body] | int], check: Callable[[], None]) -> None:
    pos = 0
    for step in steps:
        if isinstance(step, int):
            ledger.apply([step], [])
        else:
            rows = [(pos + nth, body, standing) for nth, (body, standing) in enumerate(step, 1)]
            pos += len(step)
            ledger.apply([], rows)
        check()


def same(ledger: Ledger, projections: Projections) -> None:
    replay = replayed(ledger)
    for name in NAMES:
        assert projections.online(name) == replay.online(name)
        about = projections.checkpoint(name)
        expected = replay.signed.get(name)
        assert (about and about.as_of_time) == (expected and expected.as_of_time)
        opinion = opinion_of(replay.remarks[name], replay.hellos_s[name], expected, NOW_NS // S)
        assert projections.opinion(name) == opinion
        for other in NAMES:
            assert (projections.round_trip_ms(name, other) is None) == (
                (name, other) not in replay.ways
            )


@settings(max_examples=150)
@given(Steps)
def test_the_views_equal_a_replay_after_every_commit(steps: list[list[Body] | int]) -> None:
    ledger = Ledger(CAPACITY, b"k" * 16)
    ledger.learn(["ann", "bob"])
    projections = views(ledger)
    apply(ledger, steps, lambda: same(ledger, projections))


@settings(max_examples=30)
@given(st.lists(Events, max_size=CAPACITY), st.randoms(use_true_random=False))
def test_what_came_late_makes_no_difference(events: list[Body], random: Any) -> None:
    unlike = {read_event(body).id: (body, standing) for body, standing in events}
    there, back = Ledger(100, b"k" * 16), Ledger(100, b"q" * 16)
    mixed = list(unlike.values())
    apply(there, [[one] for one in mixed], lambda: None)
    random.shuffle(mixed)
    apply(back, [mixed] if mixed else [], lambda: None)

    async def ask(ledger: Ledger) -> list[Any]:
        asked = views(ledger)
        told: list[Any] = [await asked.clout(), await asked.round_trips()]
        return told + [(asked.online(name), asked.opinion(name)) for name in NAMES]

    assert trio.run(ask, there) == trio.run(ask, back)


async def test_clout_and_round_trips_are_of_all_that_is_attested() -> None:
    ledger = Ledger(20_000, b"k" * 16)
    bodies: list[Body] = []
    for number in range(6_000):  # more than one page
        social = authoring.Social(type="service", actor="ann", target="bob", reason="")
        bodies.append((authoring.make_event(social, NOW_NS - number, None).body, Standing.ATTESTED))
    for number, standing in enumerate([Standing.ATTESTED, Standing.ATTESTED, Standing.HEARSAY]):
        ping = authoring.Ping(observer="ann", target="bob", rtt=1.0 + 2 * number)
        bodies.append((authoring.make_event(ping, NOW_NS - number, None).body, standing))
    forged = authoring.Social(type="service", actor="eve", target="bob", reason="")
    bodies.append((authoring.make_event(forged, NOW_NS, None).body, Standing.UNPROVEN))
    apply(ledger, [bodies], lambda: None)
    projections = views(ledger)
    events = [read_event(body) for body, _ in bodies[:6_000]]
    assert await projections.clout() == clout_of(events, Personality(), "soul", NOW_NS // S)
    assert await projections.round_trips() == {("ann", "bob"): 2.0}
    assert projections.round_trip_ms("ann", "bob") == 2.0
    assert projections.round_trip_ms("bob", "ann") is None


def test_the_checkpoint_that_counts_is_attested_and_speaks_of_the_latest_time() -> None:
    ledger = Ledger(100, b"k" * 16)

    def about_bob(as_of_s: int, ago_ns: int) -> bytes:
        tally = authoring.Tally(restarts=1, total_uptime=1, start_time=1)
        told = agreed("bob", tally, as_of_s)
        return authoring.make_event(told, NOW_NS - ago_ns, None).body

    older_news, newer_news = about_bob(1_790_000_000, 9), about_bob(1_780_000_000, 1)
    forged = about_bob(1_795_000_000, 5)
    to_come = about_bob(NOW_NS // S + 1, 7)  # two voters would have the last word for ever
    rows = [(body, Standing.ATTESTED) for body in (older_news, newer_news, to_come)]
    apply(ledger, [[*rows, (forged, Standing.UNPROVEN)]], lambda: None)
    found = views(ledger).checkpoint("bob")
    assert found is not None
    assert found.as_of_time == 1_790_000_000


def restart(by: str, number: int, ago_ns: int, subject: str = "bob") -> bytes:
    told = authoring.Observation(
        observer=by,
        subject=subject,
        type="restart",
        importance=3,
        start_time=1_700_000_000,
        restart_num=number,
    )
    return authoring.make_event(told, NOW_NS - ago_ns, None).body


def test_a_flood_of_hearsay_hides_no_opinion_of_those_who_signed() -> None:
    ledger = Ledger(20_000, b"k" * 16)
    truth: list[Body] = [(restart(by, 3, 10**12), Standing.ATTESTED) for by in ("ann", "cat")]
    lies: list[Body] = [
        (restart(f"eve{nth}", 900 + nth, nth), Standing.HEARSAY) for nth in range(5_500)
    ]
    # The observer is not in a restart's id: they differ by their times.
    truth[1] = (restart("cat", 3, 10**12 + 1), Standing.ATTESTED)
    apply(ledger, [truth, lies], lambda: None)
    opinion = views(ledger).opinion("bob")
    assert (opinion.restarts, opinion.observers) == (3, 2)


def test_who_observes_others_all_the_time_hides_nothing_that_is_said_of_it() -> None:
    ledger = Ledger(20_000, b"k" * 16)
    about = [restart(by, 3, 10**12 + nth) for nth, by in enumerate(("ann", "cat"))]
    busy = [restart("bob", 1, nth, f"dan{nth}") for nth in range(5_500)]
    apply(ledger, [[(body, Standing.ATTESTED) for body in (*about, *busy)]], lambda: None)
    assert views(ledger).opinion("bob").restarts == 3


def committed(entries: list[Entry], removes: list[int]) -> Committed:
    return Committed(9, entries, removes, [], {}, {})


@pytest.mark.parametrize(
    ("lanes", "removes", "versions"),
    [
        ([Lane.MESH] * 3, [], 1),
        ([Lane.MESH], [4], 1),
        ([], [4], 1),
        ([Lane.HOSTS], [], 0),
        ([], [], 0),
    ],
)
def test_the_version_counts_commits_that_may_change_an_answer(
    lanes: list[Lane], removes: list[int], versions: int
) -> None:
    projections = views(Ledger(5, b"k" * 16))
    entries = [
        Entry(pos, lane, b"mesh", None, bytes(16), 0, 2, b"", 0, b"{}")
        for pos, lane in enumerate(lanes, 1)
    ]
    projections.applied(committed(entries, removes))
    assert projections.version == versions


def test_pings_are_read_as_they_were_written() -> None:
    ping = authoring.make_event(authoring.Ping(observer="ann", target="bob", rtt=1.5), 7, None)
    assert read_event(ping.body).payload == Ping(observer="ann", target="bob", rtt_ms=1.5)
