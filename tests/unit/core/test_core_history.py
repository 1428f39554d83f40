"""The core on 80,000 real events: all of them in, every one out again, and nobody crowded out."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from nacl.signing import VerifyKey

from postbox.core import Batch, Keys, Ledger, Selection, verdict_names
from support import history
from support.history import CRITICAL, NOW_NS, Fact

Filter = tuple[list[str], list[str]]
FILTERS: list[Filter] = [
    (["checkpoint"], []),
    (["ping", "seen"], []),
    (["hey-there", "hey-there", "no-such-service"], []),
    ([], ["amber-otter"]),
    ([], ["amber-otter", "gusty-lark", "nobody"]),
    (["observation"], ["brisk-maple"]),
    (["social", "chau"], ["ivory-lark", "early-otter"]),
    (["no-such-service"], []),
    (["social"], ["nobody"]),
]


def sample(ledger: Ledger, seed: bytes, wanted: Filter = ([], []), size: int = 5_000) -> Selection:
    return ledger.sample(
        size, *wanted, seed=seed, now_ns=NOW_NS, responder="amber-otter", requester="amber-lark"
    )


def matching(wanted: Filter) -> list[Fact]:
    services, subjects = wanted
    return [
        fact
        for fact in history.facts()
        if (not services or fact.service in services)
        and (not subjects or not fact.subjects.isdisjoint(subjects))
    ]


def test_all_80_000_are_good_and_stand_as_their_keys_prove() -> None:
    batch = Batch.decode(history.lines(), NOW_NS)
    assert Counter(batch.verdicts) == {0: 80_000}
    assert set(batch.standings) == {255}
    batch.verify(history.keys())
    assert Counter(batch.verdicts) == {0: 80_000}
    assert Counter(batch.standings) == {2: 63_587, 0: 16_413}


def test_a_ledger_of_80_000_forgets_none_of_them_and_knows_them_all_again() -> None:
    ledger, evicted = history.new_ledger(80_000)
    assert evicted == []
    assert len(ledger) == 80_000
    counts = ledger.counts()
    assert (counts["attested"], counts["hearsay"], counts["unproven"]) == (63_587, 16_413, 0)
    assert sum(count for _, count in ledger.authors()) == 80_000
    batch = Batch.decode(history.lines(), NOW_NS)
    batch.sift(ledger)
    assert set(batch.verdicts) == {verdict_names.index("known")}
    assert batch.accepted() == []


def test_a_ledger_grown_in_another_order_is_equal() -> None:
    other = Ledger(80_000, b"another hash key")
    rows = list(zip(history.lines(), history.standings(), strict=True))
    order = sorted(range(80_000), key=lambda i: hashlib.sha256(i.to_bytes(4, "big")).digest())
    names = [name for name, _, _ in history.naras()]
    for start in range(0, 80_000, 7_777):
        part = order[start : start + 7_777]
        assert other.apply([], [(i, *rows[i]) for i in part]) == []
        other.learn(names[start // 2_000 :])
    other.learn(names)
    assert other.digest() == history.shared_ledger().digest()
    seed = b"s" * 16
    assert sample(other, seed).ids() == sample(history.shared_ledger(), seed).ids()


@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_a_walk_gives_each_event_once_in_order(size: int) -> None:
    ledger, cursor = history.shared_ledger(), None
    walked: list[bytes] = []
    while True:
        page = ledger.page(cursor, size, [], [])
        walked += page.ids()
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page) == size
    assert walked == [fact.id for fact in history.facts()]


def test_a_plain_cursor_means_later_than_that_nanosecond() -> None:
    ties = Counter(fact.ts for fact in history.facts())
    ts, count = ties.most_common(1)[0]
    assert count == 50
    ledger = history.shared_ledger()
    facts = history.facts()
    first = next(i for i, fact in enumerate(facts) if fact.ts == ts)
    expected = [fact.id for fact in facts]
    at = ledger.page(str(ts - 1), 10, [], [])
    assert at.ids() == expected[first : first + 10]
    assert at.next_cursor == f"{ts}.{at.ids()[-1].hex()}"
    assert ledger.page(at.next_cursor, 50, [], []).ids() == expected[first + 10 : first + 60]
    assert ledger.page(str(ts), 10, [], []).ids() == expected[first + 50 : first + 60]


@pytest.mark.parametrize("text", ["x", "-1", "1.2", " 1", "1e9", "9223372036854775808", "5.", ".5"])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no cursor"):
        history.shared_ledger().page(text, None, [], [])


@pytest.mark.parametrize("wanted", FILTERS)
def test_filters_mean_the_same_in_every_mode(wanted: Filter) -> None:
    ledger, expected = history.shared_ledger(), [fact.id for fact in matching(wanted)]
    walked: list[bytes] = []
    cursor = None
    while True:
        page = ledger.page(cursor, 777, *wanted)
        walked += page.ids()
        cursor = page.next_cursor
        assert page.examined <= 2 * len(page) + 7 * max(1, len(wanted[1])) + 1
        if cursor is None:
            break
    assert walked == expected
    assert ledger.recent(5_000, *wanted).ids() == expected[::-1][:5_000]
    assert ledger.recent(None, *wanted).ids() == expected[::-1][:100]
    assert ledger.legacy(0, 0, 1, 0, *wanted).ids() == expected[-5_000:]
    assert ledger.legacy(0, 2, 3, 900, *wanted).ids() == expected[2::3][-900:]
    since = 1_790_000_000_000_000_000
    later = [fact.id for fact in matching(wanted) if fact.ts > since]
    assert ledger.legacy(since, 0, 0, -1, *wanted).ids() == later[-5_000:]
    found = sample(ledger, b"f" * 16, wanted).ids()
    assert len(found) == min(5_000, len(expected))
    chosen = set(found)
    assert found == [event_id for event_id in expected if event_id in chosen]
    few = sample(ledger, b"f" * 16, wanted, 50).ids()
    assert len(few) == min(50, len(expected))
    assert set(few) <= set(expected)


def test_every_sample_of_5_000_holds_all_critical_events() -> None:
    critical = history.critical_ids()
    assert len(critical) == CRITICAL
    samples = [sample(history.shared_ledger(), seed).ids() for seed in history.seeds(12)]
    for found in samples:
        assert len(found) == len(set(found)) == 5_000
        assert critical <= set(found)
    assert len({tuple(found) for found in samples}) == 12


def minted(name: Callable[[int], str], standing: int) -> list[tuple[int, bytes, int]]:
    """100,000 hey-theres, newer than all else."""
    sig = base64.b64encode(bytes(64)).decode()
    key = base64.b64encode(history.naras()[0][1]).decode()
    rows = []
    for number in range(100_000):
        ts, who = NOW_NS - 100_000 + number, name(number)
        content = f"{ts}:hey-there:hey_there:{who}:{key}:"
        body = (
            f'{{"id":"{hashlib.sha256(content.encode()).hexdigest()[:32]}","ts":{ts},'
            f'"svc":"hey-there","emitter":"{who}","sig":"{sig}",'
            f'"hey_there":{{"From":"{who}","PublicKey":"{key}","MeshIP":"","ID":"","Signature":""}}}}'
        )
        rows.append((1_000_000 + number, body.encode(), standing))
    return rows


def test_100_000_hey_theres_under_one_known_name_cost_the_others_no_place() -> None:
    ledger, _ = history.new_ledger(320_000)
    ledger.learn(["mallory"])
    assert ledger.apply([], minted(lambda _: "mallory", 2)) == []
    assert len(ledger) == 180_000
    for seed in history.seeds(5):
        found = set(sample(ledger, seed).ids())
        assert history.critical_ids() <= found


def test_100_000_hey_theres_under_as_many_new_names_cost_the_others_no_place() -> None:
    ledger, _ = history.new_ledger(320_000)
    assert ledger.apply([], minted(lambda number: f"m{number}", 1)) == []
    assert len(ledger) == 180_000
    for seed in history.seeds(5):
        found = set(sample(ledger, seed).ids())
        assert history.critical_ids() <= found


def test_minted_names_leave_a_full_ledger_before_anything_real() -> None:
    ledger, _ = history.new_ledger(80_000)
    evicted = ledger.apply([], minted(lambda number: f"m{number}", 1))
    assert min(evicted) >= 1_000_000
    assert ledger.digest() == history.shared_ledger().digest()


class Answer(msgspec.Struct):
    sender: str = msgspec.field(name="from")
    ts: int
    sig: str
    events: list[msgspec.Raw]


def test_a_real_answer_decodes_and_its_signature_is_over_the_claimed_ids() -> None:
    with gzip.open(history.NARA / "sample-response.json.gz") as file:
        answer = msgspec.json.decode(file.read(), type=Answer)
    name, key, _ = history.naras()[0]
    assert (answer.sender, len(answer.events)) == (name, 5_000)
    batch = Batch.decode([bytes(event) for event in answer.events], NOW_NS)
    batch.verify(history.keys())
    assert Counter(batch.verdicts) == {0: 5_000}
    digest = batch.claimed_digest(answer.sender, answer.ts)
    assert digest is not None
    VerifyKey(key).verify(digest, base64.b64decode(answer.sig))
    ledger = history.shared_ledger()
    assert all(row[1] in ledger for row in batch.accepted())


def test_an_answer_is_json_of_the_kept_bytes() -> None:
    found = sample(history.shared_ledger(), b"j" * 16)
    encoded = found.encode("amber-otter", 7, "c2ln")
    answer = json.loads(encoded)
    assert list(answer) == ["from", "events", "ts", "sig"]
    assert [bytes.fromhex(event["id"]) for event in answer["events"]] == found.ids()
    assert encoded == b'{"from":"amber-otter","events":[%s],"ts":7,"sig":"c2ln"}\n' % (
        b",".join(found.bodies())
    )
    assert set(found.bodies()) <= set(history.lines())


@pytest.mark.parametrize("kind", ["page", "last page", "sample", "nothing"])
def test_an_answer_in_msgpack_says_what_the_one_in_json_says(kind: str) -> None:
    ledger = history.shared_ledger()
    found = {
        "page": lambda: ledger.page(None, 5_000, [], []),
        "last page": lambda: ledger.page(str(history.facts()[-40].ts), None, [], []),
        "sample": lambda: sample(ledger, b"m" * 16),
        "nothing": lambda: ledger.recent(None, ["barrio"], []),
    }[kind]()
    asked = ("amber-otter", 1_790_000_100, "c2ln" * 22)
    packed = found.encode_msgpack(*asked)
    answer = msgpack.unpackb(packed, strict_map_key=True)
    plain = msgspec.json.decode(found.encode(*asked), type=dict[str, msgspec.Raw])
    assert list(answer) == list(plain)
    events = answer.pop("events")
    if events is None:
        assert bytes(plain.pop("events")) == b"null"
    else:
        assert all(type(event) is bytes for event in events)
        assert b"[%s]" % b",".join(events) == bytes(plain.pop("events"))
        assert events == found.bodies()
    assert answer == {key: msgspec.json.decode(text) for key, text in plain.items()}
    # The independent writer, which takes the shortest forms too.
    order = {"from": answer.pop("from"), "events": events, **answer}
    assert msgpack.packb(order) == packed


def test_a_batch_tells_whether_a_page_came_in_order() -> None:
    page = history.shared_ledger().page(None, 5_000, [], [])
    batch = Batch.decode(page.bodies(), history.NOW_NS)
    facts = history.facts()
    assert batch.span() == (facts[0].ts, facts[4_999].ts)
    backwards = Batch.decode(page.bodies()[::-1], history.NOW_NS)
    assert backwards.span() == (facts[4_999].ts, facts[0].ts)
    assert Batch.decode([], 0).span() is None


def test_introductions_are_the_naras_themselves() -> None:
    batch = Batch.decode(history.lines(), NOW_NS)
    assert dict(batch.introductions(Keys())) == {name: key for name, key, _ in history.naras()}
