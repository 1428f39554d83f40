"""Histories from a seed: always the same, in the real mix, and nothing in them is refused."""

import base64
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from postbox.core import Batch, Keys
from postbox.event import Standing
from postbox.mesh.draws import Draws
from postbox.mesh.synthetic import PAIR_CAP, emitters_for, generate, identities
from postbox.trust.signatures import is_signature

END_NS = 1_795_132_800 * 10**9
DAY_NS = 86_400 * 10**9
REAL = Path(__file__).parents[1] / "data/nara/history.jsonl.gz"
LONG = 20_000


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    return list(generate(7, LONG, END_NS))


@pytest.fixture(scope="module")
def events(bodies: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(body) for body in bodies]


def test_a_seed_gives_the_same_bytes_for_ever() -> None:
    digest = hashlib.sha256(b"\n".join(generate(7, 1_000, END_NS))).hexdigest()
    assert digest.startswith("af1c3a9c")


def test_seeds_differ_in_names_keys_and_events() -> None:
    assert list(generate(7, 200, END_NS)) != list(generate(8, 200, END_NS))
    assert identities(7, 3)[0].public_key != identities(8, 3)[0].public_key


def test_nothing_is_made_before_it_is_asked_for() -> None:
    endless = generate(7, 10_000_000, END_NS)
    assert b'"svc":"hey-there"' in next(endless)
    with pytest.raises(ValueError, match="at most 10000000 events"):
        generate(7, 10_000_001, END_NS)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 11, 12, 13, 59, 100, 999])
def test_a_short_history_has_just_as_many_events(count: int) -> None:
    ids = {json.loads(body)["id"] for body in generate(7, count, END_NS)}
    assert len(ids) == count


def test_the_mix_is_the_real_one(events: list[dict[str, Any]]) -> None:
    share = LONG / 80_000
    kinds = Counter(_kind(event) for event in events)
    with gzip.open(REAL) as lines:
        real = Counter(map(_kind, map(json.loads, lines)))
    assert set(kinds) == set(real)
    for kind, count in real.items():
        # 50 first-seens and hey-theres more than their share, as they come once an emitter
        assert abs(kinds[kind] - count * share) <= 100, kind
    for kind in ("status-change", "restart", "chau", "seen", "ping", "checkpoint"):
        assert abs(kinds[kind] - real[kind] * share) <= 1, kind


def _kind(event: dict[str, Any]) -> str:
    return str(event.get("observation", {}).get("type", event["svc"]))


def test_the_younger_the_days_the_more_events_as_in_the_real_history(
    events: list[dict[str, Any]],
) -> None:
    for younger_than_days, share in ((1, 0.0913), (7, 0.2415), (30, 0.5), (60, 0.7071)):
        count = sum(event["ts"] > END_NS - younger_than_days * DAY_NS for event in events)
        assert abs(count / LONG - share) < 0.02
    assert max(event["ts"] for event in events) <= END_NS
    assert min(event["ts"] for event in events) >= END_NS - 121 * DAY_NS


def test_bursts_share_a_moment_and_everything_else_has_its_own(
    events: list[dict[str, Any]],
) -> None:
    sizes = Counter(Counter(event["ts"] for event in events).values())
    assert sizes.pop(1) > 0.95 * LONG
    assert sizes.pop(50) == 1
    assert 5 <= sizes.total() <= 13
    assert all(30 <= size <= 40 for size in sizes)


def test_all_ids_differ(events: list[dict[str, Any]]) -> None:
    assert len({event["id"] for event in events}) == LONG


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nobody_says_the_same_twice_in_a_burst_of_few(seed: int) -> None:
    # without a second draw these three seeds would repeat one id or two
    ids = {json.loads(body)["id"] for body in generate(seed, 1_600, END_NS, 6)}
    assert len(ids) == 1_600


@pytest.mark.parametrize(
    ("seed", "count", "emitters"),
    # without the cap, seed 21 would have a pair with 19
    [(3, LONG, 50), (3, 3_000, 10), (3, 5_000, 1), (3, 400, 400), (21, 2_600, 6)],
)
def test_no_pair_and_no_target_comes_to_its_cap(seed: int, count: int, emitters: int) -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    targets: Counter[str] = Counter()
    for event in map(json.loads, generate(seed, count, END_NS, emitters)):
        if "observation" in event:
            pairs[event["observation"]["observer"], event["observation"]["subject"]] += 1
        elif "ping" in event:
            targets[event["ping"]["target"]] += 1
    assert max(pairs.values()) <= PAIR_CAP
    assert max(targets.values()) <= 5


def test_a_history_has_as_many_emitters_as_its_length_wants() -> None:
    assert emitters_for(80_000) == 50
    assert emitters_for(800_000) == 159
    assert emitters_for(80_000, emitters=300) == 300
    assert emitters_for(80, emitters=50) == 10
    assert emitters_for(0) == 6
    # and so a pair has 6.7 observations on average, wherever it ends
    for count in (1_000, 10_000, 10**6, 10**7):
        crowd = emitters_for(count, 1)
        assert count * 0.2045 / (crowd * (crowd - 1)) < 8.5


def test_the_emitters_of_a_longer_history_begin_with_those_of_a_shorter_one() -> None:
    assert identities(7, 60)[:50] == identities(7, 50)
    crowd = identities(7, 5_000)
    assert len({one.name for one in crowd}) == len({one.id for one in crowd}) == 5_000


def test_an_emitter_says_hey_before_anything_else(events: list[dict[str, Any]]) -> None:
    introduced = set()
    for event in events:
        if event["svc"] == "hey-there":
            introduced.add(event["emitter"])
        elif "emitter" in event:
            assert event["emitter"] in introduced
    assert introduced == {one.name for one in identities(7, emitters_for(LONG))}


def test_what_is_signed_in_the_wild_is_signed_here_and_the_rest_is_not(
    events: list[dict[str, Any]],
) -> None:
    signed = {event["svc"] for event in events if "sig" in event}
    unsigned = {event["svc"] for event in events if "sig" not in event}
    assert signed == {"social", "seen", "ping", "hey-there", "chau"}
    assert unsigned == {"observation", "checkpoint"}


def test_libsodium_verifies_the_signatures(events: list[dict[str, Any]]) -> None:
    keys = {one.name: one.public_key for one in identities(7, 50)}
    voters = {one.id: one.public_key for one in identities(7, 50)}
    checked = 0
    for event in events[::37]:
        if "sig" in event:
            digest = _digest(event)
            assert is_signature(keys[event["emitter"]], digest, base64.b64decode(event["sig"]))
            checked += 1
    for event in events:
        for voter, message, signature in _votes(event):
            assert is_signature(voters[voter], message, signature)
            checked += 1
    assert checked > 500


def _digest(event: dict[str, Any]) -> bytes:
    payload = event[event["svc"].replace("-", "_")]
    match event["svc"]:
        case "social":
            keys = ("type", "actor", "target", "reason", "witness")
            content = ":".join(payload.get(key, "") for key in keys)
        case "seen":
            content = f"seen:{payload['observer']}:{payload['subject']}:{payload['via']}"
        case "ping":
            content = f"{payload['observer']}:{payload['target']}:{payload['rtt']:.1f}"
        case "hey-there":
            content = f"hey_there:{payload['From']}:{payload['PublicKey']}:{payload['MeshIP']}"
        case _:
            content = f"chau:{payload['From']}:{payload['PublicKey']}"
    signed = f"{event['id']}:{event['ts']}:{event['svc']}:{event['emitter']}:{content}"
    return hashlib.sha256(signed.encode()).digest()


def _votes(event: dict[str, Any]) -> list[tuple[str, bytes, bytes]]:
    if "checkpoint" not in event:
        return []
    checkpoint = event["checkpoint"]
    tally = checkpoint["observation"]
    votes = []
    for voter, signature in zip(checkpoint["voter_ids"], checkpoint["signatures"], strict=True):
        message = (
            f"attestation:v2:{voter}:{checkpoint['subject_id']}:{checkpoint['as_of_time']}"
            f":{tally['restarts']}:{tally['total_uptime']}:{tally['start_time']}"
            f":{checkpoint.get('previous_checkpoint_id', '')}"
        )
        votes.append((voter, message.encode(), base64.b64decode(signature)))
    assert len({voter for voter, _, _ in votes}) == 5
    return votes


def test_the_core_takes_every_event_and_proves_what_is_signed(
    bodies: list[bytes], events: list[dict[str, Any]]
) -> None:
    batch = Batch.decode(bodies, END_NS)
    assert not any(batch.verdicts)
    crowd = identities(7, 50)
    introduced = dict(batch.introductions(Keys()))
    assert introduced == {one.name: one.public_key for one in crowd}
    keys = Keys()
    for one in crowd:
        keys.put(one.name, [one.public_key], one.id)
    batch.verify(keys)
    assert not any(batch.verdicts)
    for event, standing in zip(events, batch.standings, strict=True):
        hearsay = event["svc"] == "observation"
        assert standing == (Standing.HEARSAY if hearsay else Standing.ATTESTED)


def test_draws_are_the_same_everywhere_and_even() -> None:
    assert [Draws("x").below(100) for _ in range(3)] == [Draws("x").below(100)] * 3
    draws = Draws("even")
    counts = Counter(draws.below(10) for _ in range(50_000))
    assert all(abs(count - 5_000) < 350 for count in counts.values())
    assert all(0 <= draws.fraction() < 1 for _ in range(1_000))


def test_a_shuffle_loses_nothing_and_puts_anything_anywhere() -> None:
    places: Counter[int] = Counter()
    for number in range(6_000):
        items = bytearray(b"abc")
        Draws(f"{number}").shuffle(items)
        assert sorted(items) == list(b"abc")
        places[items.index(b"a")] += 1
    assert all(abs(count - 2_000) < 200 for count in places.values())
