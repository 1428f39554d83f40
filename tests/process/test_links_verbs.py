"""`postbox links`, `inbox`, `dead` and `retry`: what is shown of a home in which something has
come, waits, failed and was given up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio
from protobuf.wkt.google.protobuf.any_pb import Any

from postbox.config import Config, NodeConfig
from postbox.hosts.applications.events import PREFIX
from postbox.hosts.links import place
from postbox.hosts.links.arrivals import Arrival, Arrived
from postbox.hosts.links.host_rules import Contact
from postbox.hosts.links.links import Links
from postbox.hosts.links.postings import Posting, posted
from postbox.hosts.links.rules import HostRules, LinkDraft
from postbox.node import Node, open_node
from postbox.rpc.postbox.v1.hosts_pb import GuildLeft, Place, PostboxEvent, Tombstone, View
from postbox.rules import Payer, Rejected
from postbox.store.contract import Entry
from postbox.world import system_world
from support.command import Call, Done, served

B, C = "b.example:2289", "c.example:2289"
EPOCH = b"e" * 16
ESCAPE = "\x1b[2J"
LEFT = GuildLeft(user="u@a.example", guild="g", reason="left").to_binary()


async def submit(node: Node, *drafts: LinkDraft) -> None:
    outcomes = await node.admission.submit(HostRules(), drafts)
    assert not any(isinstance(one, Rejected) for one in outcomes), outcomes


def came(seq: int, type_name: str, value: bytes) -> Arrived:
    type_url = PREFIX + type_name
    event = PostboxEvent(event=Any(type_url=type_url, value=value), epoch=EPOCH, seq=seq, first=1)
    return Arrived(event.to_binary(), EPOCH, seq, 1, type_url=type_url, value=value)


def lost(seq: int, upto: int) -> Arrived:
    tombstone = Tombstone(upto=upto, reason="lost")
    event = PostboxEvent(tombstone=tombstone, epoch=EPOCH, seq=seq, first=1)
    return Arrived(event.to_binary(), EPOCH, seq, 1, upto=upto, reason="lost")


async def fill(home: Path, database: str = "") -> None:
    """To b three events, of which the second was refused and the third waits; from b five numbers,
    of which two are lost; the first could not be handled. From c one event."""
    config = Config(node=NodeConfig(store=database))
    async with open_node(system_world(), home, config) as node:
        new_id, now_ms = node.world.new_id, node.world.clock.now_ns() // 10**6
        events = [posted(new_id(), PREFIX + "a.Note", b'{"n": %d}' % n, now_ms) for n in (1, 2, 3)]
        arrivals = [
            came(1, "a.Note", b'{"n": 1.0}'),
            came(2, "postbox.v1.GuildLeft", LEFT),
            came(3, f"a.No{ESCAPE}te", b"\xff\x00"),
            lost(4, 5),
        ]
        stored = Place(epoch=EPOCH, seq=1)
        view = View(now_ms=now_ms - 120_000, queued=3, acknowledged=4, received=stored)
        view.last_error = f"no way{ESCAPE}"
        await submit(
            node,
            Posting(Payer("operator", ""), B, tuple(events)),
            Contact(new_id(), B, now_ms, view.to_binary()),
            Arrival(new_id(), B, tuple(arrivals)),
            Arrival(new_id(), C, (came(1, "a.Note", b'"from c"'),)),
        )
        links = Links(node.world, node.store, node.outbox, node.admission, HostRules())
        numbered = await links.numbered(B, 0)
        await links.acknowledge(B, place.Place(numbered[0].epoch, 1))
        await links.refused(B, numbered[0].epoch, 2, "no_guild", "there is no such guild")
        third = await first_of(node, f"to/{B}")
        await node.outbox.retry(f"to/{B}", third.pos, now_ms + 3_600_000, f"all failed{ESCAPE}")
        await node.outbox.bury(f"from/{B}", await first_of(node, f"from/{B}"), "poison")


async def first_of(node: Node, reader: str) -> Entry:
    """That it is not done with."""
    return (await node.outbox.page(reader)).entries[0]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    trio.run(fill, tmp_path / "home")
    return tmp_path / "home"


def told(call: Call, *words: object) -> Done:
    done = call(*words)
    assert done.code == 0, done
    return done


def test_links_are_told_with_their_numbers_and_the_other_hosts_view(home: Path, call: Call) -> None:
    [b, c] = told(call, "links", "--home", home, "--json").json["links"]
    theirs = b.pop("theirs")
    for name in ("next_attempt", "last_contact"):
        assert b.pop(name).endswith("Z")
    error = f"all failed{ESCAPE}"
    assert b == {
        "host": B,
        "queued": 1,
        "acknowledged": 2,
        "attempts": 1,
        "error": error,
        "received": 5,
        "unhandled": 3,
        "dead": 2,
    }
    assert (theirs["queued"], theirs["received"], theirs["next_attempt"]) == (2, 1, None)
    assert (c["host"], c["queued"], c["received"], c["theirs"]) == (C, 0, 1, None)


def test_links_are_shown_in_words(home: Path, call: Call) -> None:
    shown = told(call, "links", "--home", home).out
    shown = re.sub(r"\b\d+ (s|min) ago", "a while ago", shown)  # it may be a slow machine
    head, *rest = re.sub(r"\bin \d+ min", "in a while", shown).splitlines()
    assert head == "the node does not serve: what is queued waits until it does"
    head = "host queued acknowledged received last contact next attempt dead"
    assert " ".join(rest[0].split()) == head
    assert rest[1].split() == f"{B} 1 2 5 a while ago in a while 2".split()
    safe = "\N{REPLACEMENT CHARACTER}[2J"
    assert rest[3:] == [
        f"  {B}: failed (1 attempt): all failed{safe}",
        f"  {B}: 2 events given up: postbox dead shows them",
        f"  {B}: 3 events from there not handled yet",
        f"  {B}: has 2 events for us (a while ago)",
        f"  {B}: cannot send to us (a while ago): no way{safe}",
        f"  {C}: 1 event from there not handled yet",
    ]


def test_the_inbox_is_told_as_it_came_oldest_first(home: Path, call: Call) -> None:
    found = told(call, "inbox", "--home", home, "--json").json
    left = {"user": "u@a.example", "guild": "g", "reason": "left"}
    assert found == {
        "events": [
            {"host": B, "seq": 1, "type": f"{PREFIX}a.Note", "data": {"n": 1.0}},
            {"host": B, "seq": 2, "type": f"{PREFIX}postbox.v1.GuildLeft", "data": left},
            {"host": B, "seq": 3, "type": f"{PREFIX}a.No{ESCAPE}te", "data_base64": "/wA="},
            {"host": B, "seq": 4, "type": "", "lost": 2},
            {"host": C, "seq": 1, "type": f"{PREFIX}a.Note", "data": "from c"},
        ],
        "more": False,
    }


def test_the_inbox_is_read_on_by_a_hosts_numbers(
    home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbox.cli.inbox.PAGE", 2)

    def numbers(*words: object) -> tuple[list[tuple[str, int]], bool]:
        found = told(call, "inbox", *words, "--home", home, "--json").json
        return [(event["host"], event["seq"]) for event in found["events"]], found["more"]

    assert numbers() == ([(B, 1), (B, 2), (B, 3), (B, 4), (C, 1)], False)
    assert numbers("--limit", 3) == ([(B, 1), (B, 2), (B, 3)], True)
    assert numbers("--host", "B.example", "--after", 2) == ([(B, 3), (B, 4)], False)
    assert numbers("--host", B, "--limit", 1, "--after", 0) == ([(B, 1)], True)
    assert numbers("--host", "d.example") == ([], False)
    assert numbers("--host", B, "--after", 2**63 - 1) == ([], False)
    assert call("inbox", "--host", B, "--after", 2**63, "--home", home).code == 2
    assert call("inbox", "--after", 2, "--home", home).code == 2
    assert call("inbox", "--limit", 0, "--home", home).code == 2


def test_what_a_stranger_wrote_moves_no_terminals_cursor(home: Path, call: Call) -> None:
    for verb in ("inbox", "dead", "links"):
        assert "\x1b" not in told(call, verb, "--home", home).out, verb
    lines = told(call, "inbox", "--home", home).out.splitlines()
    assert "(2 bytes that are no JSON)" in lines[3]
    assert "(2 events lost: its host does not have them any more)" in lines[4]


def test_what_was_given_up_is_told_tried_again_and_forgotten(home: Path, call: Call) -> None:
    def given_up() -> list[tuple[object, ...]]:
        dead = told(call, "dead", "--home", home, "--json").json["dead"]
        return [(one["way"], one["host"], one["data"], one["error"]) for one in dead]

    refused = ("to", B, {"n": 2}, "no_guild: there is no such guild")
    poison = ("from", B, {"n": 1.0}, "poison")
    assert given_up() == [poison, refused]
    assert told(call, "retry", C, "--home", home, "--json").json["retried"] == 0
    assert told(call, "retry", B, "--seq", 2, "--home", home, "--json").json == {
        "retried": 1,
        "refused": 0,
        "hurried": 0,
    }
    assert given_up() == [poison]
    [b, _] = told(call, "links", "--home", home, "--json").json["links"]
    assert (b["queued"], b["acknowledged"]) == (2, 2), "the refused event has a new number"
    assert told(call, "dead", "--forget", B, "--home", home, "--json").json["forgotten"] == 1
    for verb in (("retry", B), ("dead", "--forget", B)):
        missing = call(*verb, "--seq", "77", "--home", home)
        assert missing.code == 1
        assert f"no event with number 77 to or from {B} was given up" in missing.err
    assert given_up() == []
    gone = call("dead", "--forget", B, "--home", home)
    assert (gone.code, gone.out) == (1, "")
    assert f"no event to or from {B} was given up" in gone.err
    never = call("retry", "never.seen", "--home", home)
    assert (never.code, never.out) == (1, "")
    assert "nothing was posted to never.seen:2289" in never.err


def test_a_link_that_waits_is_hurried(home: Path, call: Call) -> None:
    done = told(call, "retry", "--all", "--home", home, "--json")
    assert done.json == {"retried": 2, "refused": 0, "hurried": 1}
    [b, _] = told(call, "links", "--home", home, "--json").json["links"]
    assert (b["next_attempt"], b["attempts"]) == (None, 1)


def test_calls_of_retry_and_dead_that_are_wrong_exit_2(home: Path, call: Call) -> None:
    for words in (["retry"], ["retry", B, "--all"], ["retry", "--all", "--seq", 1]):
        assert call(*words, "--home", home).code == 2, words
    assert call("dead", "--seq", 1, "--home", home).code == 2


def test_status_counts_what_is_worth_a_look(home: Path, call: Call) -> None:
    assert told(call, "status", "--home", home, "--json").json["hosts"] == {
        "name": None,
        "links": 2,
        "queued": 1,
        "failing": 1,
        "unhandled": 4,
        "dead": 2,
    }
    said = told(call, "status", "--home", home).out.splitlines()[-1]
    counts = "2 known, 1 queued, 1 failing, 4 not handled, 2 given up"
    assert said.split(maxsplit=1) == ["hosts", f"{counts}; this one is not named"]


def test_doctor_finds_what_fails_and_what_was_given_up(home: Path, call: Call) -> None:
    (home / "config.toml").write_text('serve.listen = "127.0.0.1:0"\n')
    found = {
        one["what"]: one for one in told(call, "doctor", "--home", home, "--json").json["findings"]
    }
    assert (found[f"host {B}"]["state"], found["dead letters"]["state"]) == ("warning", "warning")
    assert found[f"host {B}"]["text"].startswith("failed (1 attempt): ")
    assert f"postbox doctor {B} walks the way" in found[f"host {B}"]["cure"]
    assert found["dead letters"]["text"] == "given up: 2 events"
    assert "postbox retry HOST" in found["dead letters"]["cure"]


def test_a_serving_node_tells_the_same(home: Path, call: Call) -> None:
    verbs = (["inbox", "--json"], ["inbox"], ["dead", "--json"], ["dead"])
    stopped = [told(call, *verb, "--home", home).out for verb in verbs]
    with served(home):
        assert [told(call, *verb, "--home", home).out for verb in verbs] == stopped
        assert [
            link["host"] for link in told(call, "links", "--home", home, "--json").json["links"]
        ] == [B, C]


def test_a_node_on_postgres_tells_the_same(
    home: Path, tmp_path: Path, database: str, call: Call
) -> None:
    other = tmp_path / "other"
    trio.run(fill, other, database)
    for verb in ("inbox", "links", "dead", "hosts list", "retry --all", "dead", "status"):
        words = (*verb.split(), "--json")
        one, two = (told(call, *words, "--home", each).out for each in (home, other))
        if verb == "status":
            one, two = (json.loads(each)["hosts"] for each in (one, two))
        assert timeless(one) == timeless(two), verb


def timeless(out: object) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "then", str(out))
