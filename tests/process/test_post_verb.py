"""`postbox post` and `postbox hosts`: what is posted, or said of hosts, is there when the verb has
ended, on a stopped node and on a serving one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from postbox.cli import post as post_verb
from support.command import Call, Done, ready_url, running, served

NOTE = ("--type", "org.example.Note")


@pytest.fixture
def home(tmp_path: Path, call: Call) -> Path:
    assert call("status", "--home", tmp_path / "home").code == 0
    return tmp_path / "home"


def lines(path: Path, count: int) -> Path:
    path.write_text("".join(f'{{"n": {number}}}\n' for number in range(count)))
    return path


def test_events_get_numbers_that_go_on_whether_the_node_serves_or_not(
    home: Path, tmp_path: Path, call: Call
) -> None:
    (tmp_path / "note.json").write_text('{"text": "hello"}')
    notes = lines(tmp_path / "notes.jsonl", 3)

    def post(data: Path, host: str = "B.Example.") -> Done:
        return call("post", host, *NOTE, "--data", data, "--home", home, "--json")

    said = [post(tmp_path / "note.json"), post(notes)]
    with served(home):
        said.append(post(notes))
        said.append(post(notes, "c.example:443"))
    assert [(done.code, done.json) for done in said] == [
        (0, {"host": "b.example:2289", "posted": 1, "first_seq": 1, "last_seq": 1}),
        (0, {"host": "b.example:2289", "posted": 3, "first_seq": 2, "last_seq": 4}),
        (0, {"host": "b.example:2289", "posted": 3, "first_seq": 5, "last_seq": 7}),
        (0, {"host": "c.example:443", "posted": 3, "first_seq": 1, "last_seq": 3}),
    ]
    assert call("post", "b.example", *NOTE, "--data", notes, "--home", home).out == (
        "3 events posted to b.example:2289, numbers 8 to 10\n"
    )


def test_a_long_file_goes_in_batches_and_its_progress_counts_what_is_durable(
    home: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_verb, "BATCH_EVENTS", 40)
    notes = lines(tmp_path / "notes.jsonl", 100)
    done = call("post", "b.example", *NOTE, "--data", notes, "--home", home, "--json")
    assert (done.json["posted"], done.json["first_seq"], done.json["last_seq"]) == (100, 1, 100)
    assert "posting to b.example: 40 events (39%)" in done.err


def test_nothing_is_posted_of_a_file_with_one_bad_line(
    home: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_verb, "BATCH_EVENTS", 2)
    notes = lines(tmp_path / "notes.jsonl", 5)
    with notes.open("a") as file:
        file.write("{\n")
    done = call("post", "b.example", *NOTE, "--data", notes, "--home", home, "--json")
    assert done.code == 1
    assert f"line 6 of {notes} is no JSON document" in done.json["error"]
    good = call("post", "b.example", *NOTE, "--data", lines(notes, 1), "--home", home, "--json")
    assert good.json["first_seq"] == 1


def test_a_type_that_is_known_is_encoded_from_its_fields_and_checked(
    home: Path, tmp_path: Path, call: Call
) -> None:
    data = tmp_path / "joined.json"
    data.write_text('{"user": "u@b.example", "guild": "g", "name": "Guild"}')
    joined = ("--type", "postbox.v1.GuildJoined", "--data", data, "--home", home, "--json")
    assert call("post", "b.example", *joined).json["posted"] == 1
    data.write_text('{"user": "u@b.example", "gild": "g"}')
    wrong = call("post", "b.example", *joined)
    assert wrong.code == 1
    assert f"{data}: " in wrong.json["error"]
    assert "A postbox.v1.GuildJoined has: user, guild, name" in wrong.json["error"]


def test_what_comes_on_stdin_is_posted(
    home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}\n{"a": 2}\n')))
    done = call("post", "b.example", *NOTE, "--data", "-", "--home", home, "--json")
    assert done.json["posted"] == 2


def test_an_empty_jsonl_posts_nothing_and_its_host_is_looked_at_all_the_same(
    home: Path, tmp_path: Path, call: Call
) -> None:
    empty = lines(tmp_path / "empty.jsonl", 0)
    done = call("post", "b.example", *NOTE, "--data", empty, "--home", home, "--json")
    nothing = {"host": "b.example:2289", "posted": 0, "first_seq": None, "last_seq": None}
    assert (done.code, done.json) == (0, nothing)
    assert call("post", "b/c", *NOTE, "--data", empty, "--home", home).code == 1


@pytest.mark.parametrize("host", ["", "b c", "http://b.example", "b.example:99999", "me.example"])
def test_what_names_no_host_is_refused(home: Path, tmp_path: Path, call: Call, host: str) -> None:
    (home / "config.toml").write_text('hosts.name = "me.example:2289"\n')
    notes = lines(tmp_path / "notes.jsonl", 1)
    done = call("post", host, *NOTE, "--data", notes, "--home", home)
    assert (done.code, done.out) == (1, "")
    assert "names no host" in done.err or "is this node itself" in done.err


def test_what_counts_under_loopback_alone_is_posted_to_there_alone(
    home: Path, tmp_path: Path, call: Call
) -> None:
    notes = lines(tmp_path / "notes.jsonl", 1)

    def post(*more: str) -> Done:
        return call("post", "127.0.0.1:7433", *NOTE, "--data", notes, "--home", home, *more)

    assert post("--loopback").code == 0
    stopped = post()
    assert (stopped.code, stopped.out) == (1, "")
    assert "addresses count with --loopback alone" in stopped.err
    with served(home):
        assert post().code == 0
    with running("serve", "--home", home, "--listen", "127.0.0.1:0") as node:
        ready_url(node)
        assert "addresses count with --loopback alone" in post().err
        assert call("hosts", "allow", "127.0.0.1:7433", "--home", home).code == 1
        for words in (["hosts", "block"], ["hosts", "forget"], ["retry"], ["inbox", "--host"]):
            done = call(*words, "127.0.0.1:7433", "--home", home)
            assert done.code == 0, f"what there is already can be spoken of: {done}"


def test_calls_that_are_wrong_exit_2(home: Path, tmp_path: Path, call: Call) -> None:
    notes = lines(tmp_path / "notes.jsonl", 1)
    assert call("post", "b.example", "--type", "a b", "--data", notes, "--home", home).code == 2
    assert call("post", "b.example", "--data", notes, "--home", home).code == 2
    assert call("post", "b.example", *NOTE, "--home", home).code == 2
    assert call("hosts", "set", "b.example", "--tokens", "no", "--home", home).code == 2


def test_what_is_said_of_hosts_is_kept_listed_and_taken_back(home: Path, call: Call) -> None:
    def said(*words: str) -> Done:
        return call("hosts", *words, "--home", home, "--json")

    def listed() -> list[tuple[str, str, str]]:
        hosts = said("list").json["hosts"]
        return [(host["host"], host["admit"], host["tokens"]) for host in hosts]

    assert said("list").json == {"name": None, "admits": "list", "hosts": []}
    assert said("allow", "B.example").json["host"] == "b.example:2289"
    said("allow", "*.example.org")
    with served(home):
        said("block", "bad.example")
        said("set", "b.example", "--tokens", "plain")
        assert said("list").json["admits"] == "open"  # under --loopback
    assert listed() == [
        ("*.example.org", "allow", "strict"),
        ("b.example:2289", "allow", "plain"),
        ("bad.example:2289", "block", "strict"),
    ]
    said("forget", "b.example:2289")
    assert said("forget", "*.example.org").json["admit"] == ""
    assert [host for host, *_ in listed()] == ["bad.example:2289"]
    assert said("allow", "b c").code == 1


def test_a_host_has_the_tokens_that_a_pattern_gives_it_and_the_node_itself_none(
    home: Path, call: Call
) -> None:
    (home / "config.toml").write_text('hosts.name = "me.example"\n')
    call("hosts", "allow", "b.example", "--home", home)
    call("hosts", "set", "*.example", "--tokens", "plain", "--home", home)
    listed = call("hosts", "list", "--home", home, "--json").json["hosts"]
    assert {host["host"]: host["tokens"] for host in listed} == {
        "*.example": "plain",
        "b.example:2289": "plain",
    }
    strict = call("hosts", "set", "b.example", "--tokens", "strict", "--home", home)
    assert strict.out == "b.example:2289: may post here, strict tokens\n"
    for words in (("allow", "Me.example"), ("set", "me.example:2289", "--tokens", "plain")):
        done = call("hosts", *words, "--home", home)
        assert (done.code, done.out) == (1, "")
        assert "me.example:2289 is this node itself" in done.err
    assert call("hosts", "forget", "me.example", "--home", home).code == 0


def test_lists_of_hosts_are_said_in_words(home: Path, call: Call) -> None:
    call("hosts", "set", "b.example", "--tokens", "plain", "--home", home)
    assert call("hosts", "allow", "b.example", "--home", home).out == (
        "b.example:2289: may post here, plain tokens\n"
    )
    assert call("hosts", "list", "--home", home).out.splitlines() == [
        "this host: not named: postbox serve --host DOMAIN:PORT, or hosts.name in config.toml",
        "takes events from: the hosts that are allowed (postbox hosts allow HOST)",
        "host            may post  tokens  last contact",
        "b.example:2289  allow     plain   -",
    ]
    assert call("hosts", "forget", "b.example", "--home", home).out == (
        "b.example:2289: nothing is said of it any more\n"
    )
    assert json.loads(call("hosts", "list", "--json", "--home", home).out)["hosts"] == []
