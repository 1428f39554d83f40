"""The command as a script sees it: words in, exit codes and JSON out."""

from __future__ import annotations

import base64
import fcntl
import gzip
import io
import json
import os
import re
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from postbox.cli.verdicts import WORDS, worded
from postbox.core import verdict_names
from postbox.home import open_home
from postbox.world import system_world
from support.command import POSTBOX, Call, Done, environment, postbox, told
from support.homes import Imported
from support.mesh import (
    ANN,
    MALLORY,
    believe,
    digest,
    history_lines,
    node_at,
    small_history,
    take,
    tease,
)

VERBS = [
    "serve",
    "import",
    "export",
    "sync",
    "status",
    "peers",
    "peers ban",
    "peers forgive",
    "doctor",
    "verify",
    "config",
    "bench",
    "demo",
    "trust add",
    "trust refuse",
    "trust import",
    "trust list",
    "keys show",
]
READING = ["status", "peers", "verify", "trust list", "keys show"]
SMALL = small_history(200)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    path.write_bytes(b"\n".join(SMALL) + b"\n")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("verb", ["", *VERBS, "trust", "keys"])
def test_help_answers_for_every_verb(call: Call, verb: str) -> None:
    done = call(*verb.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: postbox {verb}".rstrip())
    assert max(map(len, done.out.splitlines())) <= 80
    if not verb:
        assert all(name.split()[0] in done.out for name in VERBS)


def test_the_list_of_verbs_is_the_same_with_options_of_every_verb(call: Call) -> None:
    plain = call("--help")
    for words in ("--json --help", "--home x --help", "--help --json", "-h --home=x --json"):
        assert call(*words.split()) == plain, words


def test_a_verbs_own_page_says_more_than_its_line_in_the_list(call: Call) -> None:
    line = "Look for the usual mistakes"
    assert f"{line}." in call("--help").out
    page = " ".join(call("doctor", "--help").out.split())
    assert f"{line}: home, keys, configuration" in page
    assert "Exits 1 if something is wrong" in page
    own, _, of_every = page.partition("Of every verb")
    assert "--loopback" in own
    assert "--home" in of_every


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "bench"])
def test_help_says_what_every_argument_is(call: Call, verb: str) -> None:
    page = call(*verb.split(), "--help").out
    shown = [line.strip("│ ") for line in page.splitlines() if line.startswith("│")]
    assert shown
    assert not [line for line in shown if re.search(r"\b(STR|PATH)\b|default: (\(\)|False)", line)]
    assert not [line for line in shown if re.fullmatch(r"(\* +)?[A-Z]+( +\[required\])?", line)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nonsense", 'Unknown command "nonsense"'),
        ("--home HOME", "which verb? (postbox --help)"),
        ("--json", "which verb? (postbox --help)"),
        ("keys --home HOME", "which of its verbs: show, rotate? (postbox keys --help)"),
        ("--home HOME trust", "which of its verbs: add, refuse, import, list? (postbox trust"),
        ("peers nonsense", "Available commands: list, ban, forgive"),
        ("demo nonsense", "postbox demo takes no 'nonsense' (postbox demo --help)"),
        ("keys rotate --days 3 --home HOME", "Unknown option: --days"),
        ("hosts set x.example --tokens foo --home HOME", 'Choose from: "strict", "plain"'),
        ("inbox --limit 0 --home HOME", 'Invalid value "0" for --limit. Must be >= 1'),
        ("inbox --after 3 --home HOME", "--after goes with --host"),
        ("dead --seq 3 --home HOME", "--seq goes with --forget HOST"),
        ("retry --home HOME", "Say postbox retry HOST, perhaps with --seq N, or retry --all"),
        ("token mint --user a --home HOME", "--device requires an argument"),
        ("token mint --user a --device d --days x --home HOME", "--days: unable to convert"),
        ("token mint --user a --device d --url x --home HOME", "has the form https://chat.exam"),
        ("completion tcsh", 'Choose from: "bash", "zsh", "fish"'),
        ("bench --events x", '--events: unable to convert "x" into int'),
        ("serve --peer nonsense --home HOME", "--peer: expected http:// or https://"),
        ("serve --mqtt nonsense --home HOME", "--mqtt: expected the URL of an MQTT broker"),
        ("serve --store mysql://x --home HOME", "--store: expected the URL of a PostgreSQL"),
        ("serve --tls-cert x --home HOME", "tls_cert and tls_key are given together"),
        ("status", "which home? Say --home DIR, or set POSTBOX_HOME"),
        ("status --nonsense", "Unknown option"),
        ("status /a/home", "postbox: postbox status takes no '/a/home' (postbox status --help)"),
        ("import --home HOME", "requires an argument"),
        ("import --nonsense --home HOME", "--nonsense is no option of import"),
        ("export --nonsense --home HOME", "--nonsense is no option of export"),
        ("trust add --home HOME", "requires an argument"),
        ("trust add ann --id x --home HOME", "--id goes with a KEY"),
        ("trust add ann KEY --home HOME", "the public key 'KEY' is not base64"),
        ("trust add ann YWJj --home HOME", "a public key is 32 bytes in base64, not 3"),
        ("sync http://127.0.0.1:9 --mode nope --home HOME", 'Invalid value "nope" for --mode'),
        ("sync nonsense --home HOME", "expected the URL of a peer, http:// or"),
        ("sync ftp://box.example.org --home HOME", "not 'ftp://box.example.org'"),
        ("sync http://box.example.org/x?y --home HOME", "without user, ? and #"),
        (
            "status --memory nope --home HOME",
            "--memory: expected auto, short, medium",
        ),
        (
            "status --memory 0 --home HOME",
            "--memory: expected auto, short, medium",
        ),
        ("serve --listen nowhere --home HOME", "--listen: expected an IP address and a port"),
        ("serve --listen 127.0.0.1:99999 --home HOME", "--listen: expected an IP address"),
        ("serve --listen example.org:0 --home HOME", "--listen: expected an IP address"),
        ("serve --host foo --home HOME", "postbox: hosts.name (--host): 'foo' names no host"),
    ],
)
def test_a_wrong_call_exits_2_and_says_what_is_wrong(
    call: Call, home: Path, words: str, says: str
) -> None:
    done = call(*words.replace("HOME", str(home)).split())
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err
    assert '"level"' not in done.err, "nothing is logged before"


def test_the_process_exits_with_what_the_call_gave(home: Path, tmp_path: Path) -> None:
    """What the tests above call in this process, once as a process of its own."""
    for words, code, out, err in (
        (["--help"], 0, "Usage: postbox VERB", ""),
        (["status"], 2, "", "postbox: which home?"),
        (["import", tmp_path / "missing", "--home", home], 1, "0 events imported", "postbox: made"),
    ):
        done = postbox(*words)
        assert (done.code, done.out[: len(out)], done.err[: len(err)]) == (code, out, err)


def test_what_fails_exits_1_and_says_what_to_do(call: Call, home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "list").write_text("{}")
    for words, says in (
        (["import", tmp_path / "missing"], "cannot read"),
        (["import", tmp_path], "Is a directory"),
        (["import", tmp_path / "file"], "1 event refused: no JSON (not_json)"),
        (["export", tmp_path / "no" / "where"], "cannot write"),
        (["trust", "import", tmp_path / "list"], "is no list of keys"),
        (["trust", "import", tmp_path / "missing"], "cannot read"),
        (["sync", "http://127.0.0.1:9", "--loopback"], "127.0.0.1:9"),
        (["sync", "http://127.0.0.1:9"], "is a loopback address: start with --loopback"),
        (["sync", "http://10.0.0.1:7433"], "is a private address"),
        (["trust", "add", "ann"], "postbox: nobody waits under the name ann"),
        (["trust", "refuse", "ann"], "postbox: nobody waits under the name ann"),
        (["trust", "add", "a:b"], "cannot be a name"),
        (["trust", "add", "a:b", ANN.public_key_base64], "cannot be a name"),
        (["hosts", "allow", "not a host"], "is no name or pattern of hosts"),
        (["post", "box.example", "--type", "T", "--data", "missing"], "cannot read missing"),
        (["dead", "--forget", "box.example"], "`postbox dead` has those that were"),
        (["retry", "box.example"], "`postbox links` has the hosts that there are"),
        (["token", "mint", "--user", "a b", "--device", "d"], "cannot be a user's name"),
        (["devices", "revoke", "nobody"], "nobody signed in here as nobody"),
        (["open"], "postbox serve, then postbox open"),
        (["backup", tmp_path / "no" / "where"], "cannot write"),
        (["backup", tmp_path], "name a plain file"),
        (["restore", tmp_path / "missing"], "there is no file"),
        (["restore", tmp_path / "file"], "is no backup, or damaged"),
        (["serve", "--tls-cert", "no", "--tls-key", "no"], "cannot read the certificate no"),
        (["serve", "--listen", "198.51.100.1:80"], "no address of this machine; name one"),
        (["serve", "--listen", "127.0.0.1:0", "--name", "a b"], "a node keeps its name"),
    ):
        done = call(*words, "--home", home)
        assert done.code == 1, (words, done)
        assert says in done.err
        assert "Traceback" not in done.err
    done = call("status", "--home", tmp_path / "file")
    assert (done.code, done.out) == (1, "")
    assert "as a home" in done.err


def test_with_json_the_last_line_is_a_document_also_where_it_fails(
    call: Call, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    verbs = (
        "status",
        "peers",
        "verify",
        "config",
        "keys show",
        "trust list",
        "trust add ann",
        "trust refuse ann",
        "trust import FILE",
        "import FILE",
        "export FILE.out",
        "sync http://127.0.0.1:9",
    )
    for verb in verbs:
        words = verb.replace("FILE", str(tmp_path / "file")).split()
        done = call(*words, "--home", tmp_path / "file", "--json")
        assert (done.code, list(done.json)) == (1, ["error"]), verb
        assert done.err == f"postbox: {done.json['error']}\n"
    refused = call("sync", "http://127.0.0.1:9", "--home", home, "--json")
    assert (refused.code, list(refused.json)) == (1, ["error"])
    assert "is a loopback address" in refused.json["error"]
    assert call("trust", "add", "ann", "KEY", "--home", home, "--json")[:2] == (2, "")


@pytest.mark.parametrize("verb", READING)
def test_a_home_that_does_not_exist_is_made_by_any_verb(home: Path, verb: str) -> None:
    assert postbox(*verb.split(), "--home", home).code == 0
    assert told("status", "--home", home)["events"] == 0


def test_import_says_what_became_of_the_events(home: Path, history: Path, tmp_path: Path) -> None:
    """One line, the last; progress and reasons are elsewhere."""
    mixed = tmp_path / "mixed"
    mixed.write_bytes(b"\n".join([tease(1), b"garbage", tease(2), SMALL[0]]))
    first = postbox("import", history, "--home", home, "--json")
    assert (first.code, first.out) == (
        0,
        '{"imported":200,"duplicates":0,"rejected":0,"pruned":0,"forgotten":0,"verdicts":{}}\n',
    )
    assert "importing history.jsonl: 200 events (100%)" in first.err
    second = postbox("import", mixed, "--home", home, "--json")
    told_twice = {"imported": 2, "duplicates": 1, "rejected": 1, "pruned": 0, "forgotten": 0}
    assert (second.code, second.json) == (0, told_twice | {"verdicts": {"not_json": 1}})
    assert "postbox: 1 event refused: no JSON (not_json)" in second.err
    third = postbox("import", history, "--home", home)
    assert third.out == "0 events imported, 200 known already, 0 refused, 0 below what is kept\n"
    small = postbox("import", history, "--home", tmp_path / "small", "--memory", "50", "--json")
    assert small.code == 0
    numbers = small.json
    forgotten, verdicts = numbers.pop("forgotten"), numbers.pop("verdicts")
    assert sum(numbers.values()) == 200
    assert (numbers["imported"] - forgotten, verdicts) == (50, {})
    assert told("status", "--home", tmp_path / "small", "--memory", "50")["events"] == 50


def test_events_that_a_smaller_memory_takes_away_are_counted(
    call: Call, home: Path, history: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").write_bytes(tease(1))
    call("import", history, "--home", home)
    less = call("import", tmp_path / "new", "--home", home, "--memory", "50")
    assert less.code == 0
    assert "postbox: 150 of 200 events left the log: --memory 50 keeps 50\n" in less.err
    assert less.out.endswith(" below what is kept, 150 forgotten\n")
    again = call("import", tmp_path / "new", "--home", home, "--memory", "50")
    assert "left the log" not in again.err
    assert "forgotten" not in again.out


def test_one_event_is_no_events(call: Call, home: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"garbage")
    done = call("import", tmp_path / "one", "--home", home)
    assert "importing one: 1 event (100%)" in done.err
    assert "1 events" not in done.err


def test_every_verdict_has_words() -> None:
    never_refused = {"ok", "known", "below_retention"}
    assert set(WORDS) == {*verdict_names} - never_refused
    assert worded("stored under another id than its own") == "stored under another id than its own"


def test_a_damaged_file_exits_1_and_still_says_what_was_taken(home: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"\n".join(SMALL))[:-10])
    done = postbox("import", cut, "--home", home, "--json")
    assert done.code == 1
    assert "damaged or cut off" in done.err
    assert done.json["error"] in done.err
    taken = done.json["imported"]
    assert 0 < taken <= 200
    assert told("status", "--home", home)["events"] == taken


def test_status_says_what_the_node_holds(home: Path, history: Path) -> None:
    empty = told("status", "--home", home, "--memory", "short")
    assert list(empty) == [
        "name",
        "url",
        "uptime_s",
        "events",
        "capacity",
        "digest",
        "epoch",
        "head",
        "keys",
        "services",
        "standings",
        "authors",
        "leases",
        "disk",
        "renewed",
        "hosts",
        "recovery",
        "mqtt",
    ]
    assert (empty["url"], empty["uptime_s"]) == (None, None)
    assert (empty["events"], empty["capacity"]) == (0, 20_000)
    assert (len(empty["digest"]), len(empty["epoch"])) == (64, 32)
    assert (empty["keys"], empty["authors"], empty["leases"]) == (1, {}, None)
    told("import", history, "--home", home)
    full = told("status", "--home", home)
    assert full["events"] == 200
    assert sum(full["services"].values()) == sum(full["standings"].values()) == 200
    assert sum(full["authors"].values()) == 200
    assert full["epoch"] == empty["epoch"]
    assert full["digest"] != empty["digest"]
    assert full["standings"]["attested"] > 100
    shown = postbox("status", "--home", home)
    assert f"digest     {full['digest']}" in shown.out


def test_keys_show_is_stable_and_the_key_is_the_owner_s_alone(home: Path) -> None:
    shown = told("keys", "show", "--home", home)
    assert list(shown) == ["name", "public_key", "id", "host", "host_keys"]
    assert len(base64.b64decode(shown["public_key"], validate=True)) == 32
    assert told("keys", "show", "--home", home) == shown
    mode = stat.S_IMODE((home / "node.key").stat().st_mode)
    assert (mode, stat.S_IMODE(home.stat().st_mode)) == (0o600, 0o700)
    assert shown["public_key"] in postbox("keys", "show", "--home", home).out


def test_every_file_of_a_home_is_its_owner_s_alone(home: Path) -> None:
    told("status", "--home", home)
    database = system_world().disk.open_database(str(home / "postbox.db"))
    database.execute("select count(*) from entry").fetchall()  # so that there is a WAL
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    database.close()
    database_files = {"postbox.db", "postbox.db-wal", "postbox.db-shm"}
    assert set(modes) == {".gitignore", "anchor", "node.key", "lock", *database_files}
    assert set(modes.values()) == {0o600}


def test_git_adds_nothing_of_a_new_home_nor_what_was_configured_before(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text('node.memory = "short"\n')
    told("status", "--home", home)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    listed = [*git, "status", "--porcelain", "--untracked-files=all"]
    assert subprocess.run(listed, check=True, capture_output=True).stdout == b""
    (home / ".gitignore").unlink()
    told("status", "--home", home)
    assert b"home/node.key" in subprocess.run(listed, check=True, capture_output=True).stdout


def test_a_damaged_key_file_is_named_and_never_replaced(home: Path) -> None:
    told("status", "--home", home)
    key = home / "node.key"
    good = key.read_bytes()
    for bad, mode, says in (
        (b"", 0o600, "is damaged"),
        (good[:-20], 0o600, "is damaged"),
        (good.replace(b'"name":"', b'"name":"x'), 0o600, "does not belong to the name"),
        (good, 0o644, "chmod 600"),
    ):
        key.write_bytes(bad)
        key.chmod(mode)
        done = postbox("status", "--home", home)
        assert (done.code, done.out) == (1, "")
        assert says in done.err
        assert key.read_bytes() == bad
        soul = json.loads(good)["soul"]
        assert soul not in done.err
    key.write_bytes(good)
    key.chmod(0o600)
    assert postbox("status", "--home", home).code == 0


def test_trust_is_given_and_listed(home: Path, tmp_path: Path) -> None:
    me = told("keys", "show", "--home", home)
    add = ("trust", "add", "ann", ANN.public_key_base64, "--id", ANN.id)
    assert told(*add, "--home", home) == {"believed": 1, "refused": 0}
    listed = told("trust", "list", "--home", home)["keys"]
    ann = next(one for one in listed if one["name"] == "ann")
    assert ann == {
        "name": "ann",
        "public_key": ANN.public_key_base64,
        "id": ANN.id,
        "source": "operator",
        "old_keys": 0,
    }
    own = next(one for one in listed if one["name"] == me["name"])
    assert (own["source"], own["public_key"], own["id"]) == ("own", me["public_key"], me["id"])
    taken = postbox(
        "trust",
        "add",
        "mallory",
        MALLORY.public_key_base64,
        "--id",
        ANN.id,
        "--home",
        home,
        "--json",
    )
    assert (taken.code, taken.json) == (1, {"believed": 0, "refused": 1})
    assert f"the id {ANN.id} belongs to 'ann'" in taken.err
    mine = postbox("trust", "add", me["name"], MALLORY.public_key_base64, "--home", home)
    assert mine.code == 1
    assert mine.err.startswith(f"postbox: {me['name']} is this node itself")
    keys = tmp_path / "keys.json"
    rows = [
        {"Name": "mallory", "PublicKey": MALLORY.public_key_base64, "ID": MALLORY.id},
        {"Name": "b b", "PublicKey": MALLORY.public_key_base64, "ID": ""},
    ]
    keys.write_text(json.dumps(rows))
    partly = postbox("trust", "import", keys, "--home", home, "--json")
    assert (partly.code, partly.json) == (1, {"believed": 1, "refused": 1})
    assert f"row 2 of {keys}" in partly.err
    assert len(told("trust", "list", "--home", home)["keys"]) == 3
    assert "mallory" in postbox("trust", "list", "--home", home).out


def test_verify_counts_and_exits_0_when_nothing_is_wrong(home: Path, history: Path) -> None:
    told("import", history, "--home", home)
    checked = told("verify", "--home", home)
    assert list(checked) == ["checked", "attested", "unproven", "hearsay", "wrong", "database"]
    assert (checked["checked"], checked["wrong"]) == (200, [])
    assert checked["attested"] + checked["unproven"] + checked["hearsay"] == 200
    standings = told("status", "--home", home)["standings"]
    assert {name: checked[name] for name in standings} == standings


async def test_verify_names_what_is_wrong_and_exits_1(home: Path) -> None:
    """A byte changed on the disk, behind the node's back."""
    async with node_at(home) as node:
        await believe(node, ANN)
        await take(node, [tease(1), tease(2)])
    database = system_world().disk.open_database(str(home / "postbox.db"))
    changed = tease(1).replace(b"random", b"comebk")
    database.execute("update entry set body = ? where body = ?", (changed, tease(1)))
    database.close()
    done = postbox("verify", "--home", home, "--json")
    assert done.code == 1
    ((wrong),) = done.json["wrong"]
    assert (done.json["checked"], wrong["problem"]) == (2, "id_mismatch")
    said = f"at position {wrong['position']}: the id does not fit the content (id_mismatch)"
    shown = postbox("verify", "--home", home).out
    assert said in shown
    assert "restore a backup" in shown


def test_an_export_read_into_a_fresh_home_gives_an_equal_ledger(
    home: Path, history: Path, tmp_path: Path
) -> None:
    told("import", history, "--home", home)
    digests = {told("status", "--home", home)["digest"]}
    for name in ("out.jsonl", "out.jsonl.gz"):
        file, other = tmp_path / name, tmp_path / f"from {name}"
        assert told("export", file, "--home", home) == {"exported": 200}
        assert told("import", file, "--home", other)["imported"] == 200
        digests.add(told("status", "--home", other)["digest"])
    assert len(digests) == 1
    assert (tmp_path / "out.jsonl").read_bytes() == history.read_bytes()
    assert (tmp_path / "out.jsonl.gz").stat().st_size < history.stat().st_size / 2
    assert not list(tmp_path.glob("*.part"))


def test_an_export_to_stdout_is_events_and_nothing_else(home: Path, history: Path) -> None:
    told("import", history, "--home", home)
    for more, says in ((["--json"], '{"exported":200}'), ([], "200 events exported to stdout")):
        done = postbox("export", "-", "--home", home, *more)
        assert (done.code, done.out.encode()) == (0, history.read_bytes())
        assert done.err.endswith(f"{says}\n")
    for end, code, says in (("| head -c 9", 0, ""), ("> /dev/full", 1, "No space left on device")):
        line = ["sh", "-c", f'"$@" {end}', "sh", str(POSTBOX), "export", "-", "--home", str(home)]
        ran = subprocess.run(line, capture_output=True, text=True, env=environment(), check=False)
        assert (ran.returncode, len(ran.stdout)) == (code, 9 if code == 0 else 0)
        said = [line for line in ran.stderr.splitlines() if "postbox" in line]
        assert all(says in line for line in said)
        assert len(said) == code


def test_an_export_of_many_pages_loses_and_repeats_nothing(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    assert told("export", file, "--home", copy_of(imported)) == {"exported": 80_000}
    assert sorted(file.read_bytes().splitlines()) == sorted(history_lines())


def test_the_home_may_come_from_the_environment(home: Path, history: Path) -> None:
    assert postbox("import", history, "--json", POSTBOX_HOME=str(home)).code == 0
    assert postbox("status", "--json", POSTBOX_HOME=str(home)).json["events"] == 200
    assert told("status", "--home", home)["events"] == 200


async def test_the_command_and_the_package_see_one_ledger(home: Path, history: Path) -> None:
    told("import", history, "--home", home)
    async with node_at(home) as node:
        assert digest(node) == told_digest(home.parent / "copy", history)


def told_digest(home: Path, history: Path) -> str:
    told("import", history, "--home", home)
    return str(told("status", "--home", home)["digest"])


# -- what a newcomer does -----------------------------------------------------------------------


def test_options_of_every_verb_may_stand_before_it(call: Call, home: Path) -> None:
    made = call("--home", home, "keys", "show", "--json")
    assert made.code == 0
    for words in (
        (f"--home={home}", "--json", "keys", "show"),
        ("--json", "--home", home, "--memory", "short", "keys", "show"),
        ("--home", home, "keys", "show", "--json"),
    ):
        assert call(*words) == Done(0, made.out, "")


def test_a_node_that_is_made_is_told_of_once(call: Call, home: Path) -> None:
    """So that a home that was mistyped shows."""
    first, second = (call("keys", "show", "--home", home, "--json") for _ in range(2))
    assert first.err == f"postbox: made a new node {first.json['name']} in {home}\n"
    assert second == Done(0, first.out, "")


def test_stdin_is_imported_as_a_file_is(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for packed in (b"\n".join(SMALL), gzip.compress(b"\n".join(SMALL))):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(packed)))
        done = call("import", "-", "--home", home, "--json")
        assert (done.code, done.json["imported"] + done.json["duplicates"]) == (0, 200)
        assert "importing stdin: 200 events (100%)" in done.err


def test_a_list_of_keys_is_told_from_a_history(call: Call, home: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([{"Name": "ann", "PublicKey": ANN.public_key_base64, "ID": ""}]))
    done = call("import", keys, "--home", home)
    assert done.code == 1
    assert f"{keys} is a list of keys: use postbox trust import" in done.err
    keys.write_bytes(b"garbage\n")
    assert "list of keys" not in call("import", keys, "--home", home).err


def test_nothing_is_all_there_is_of_an_empty_home(call: Call, home: Path, tmp_path: Path) -> None:
    assert "0 events (100%)" in call("export", tmp_path / "out", "--home", home).err
    assert (tmp_path / "out").read_bytes() == b""
    assert "0 events (100%)" in call("verify", "--home", home).err


def test_a_home_that_another_process_keeps_is_refused_after_a_while(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postbox.cli.node.IN_USE_S", 0)
    with open_home(home):
        done = call("status", "--home", home)
    assert (done.code, done.out) == (1, "")
    assert f"the home {home} is open in another process" in done.err
    assert call("status", "--home", home).code == 0


def test_a_verb_waits_for_the_one_before_it(call: Call, home: Path) -> None:
    """Here: for a lock that is free the third time it is asked for."""
    call("status", "--home", home)
    lock = os.open(home / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    release = threading.Timer(0.3, os.close, (lock,))
    release.start()
    assert call("status", "--home", home).code == 0
    release.join()
