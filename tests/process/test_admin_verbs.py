"""Every verb on a serving node: the same words come out as on a stopped one, and no command,
however it ends, ends the node."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from postbox.admin.place import MAX_PATH_BYTES, NOTE, SOCKET
from support.command import (
    TIMEOUT_S,
    Call,
    Done,
    counted_at_line,
    counts,
    postbox,
    ready_url,
    running,
    served,
    stepwise,
    told,
)
from support.homes import Imported
from support.mesh import ANN, BOB, CAT, HISTORY, MALLORY, small_history

SMALL = small_history(500)
MORE = small_history(600)

KEYS = [
    {"Name": who.name, "PublicKey": who.public_key_base64, "ID": who.id} for who in (BOB, MALLORY)
]

VERBS = (
    "status",
    "status --json",
    "keys show",
    "keys show --json",
    f"trust add ann {ANN.public_key_base64} --id {ANN.id}",
    f"trust add cat {CAT.public_key_base64} --id {ANN.id} --json",
    "trust add nobody",
    "trust refuse nobody --json",
    "trust import FOLDER/keys.json",
    "trust list",
    "trust list --json",
    "peers ban bob --why spam",  # before the imports: who serves hears of peers in new events
    "peers ban a:b",
    "peers",
    "peers --json",
    "peers forgive bob --json",
    "peers forgive bob",
    "import FOLDER/history.jsonl --json",
    "import FOLDER/mixed --json",
    "import FOLDER/cut --json",
    "import FOLDER/keys.json",
    "import FOLDER/missing",
    "export FOLDER/HOME.jsonl --json",
    "export FOLDER",
    "verify",
    "verify --json",
    "config --json",
    "hosts allow *.example.org",
    "hosts set b.example --tokens plain --json",
    "hosts allow nonsense/",
    "hosts list",
    "hosts list --json",
    "devices",
    "devices revoke ann",
    "devices revoke ann phone",
    "devices revoke a@b.example phone --json",
    "devices list --user ann",
    "token mint --user a@b.example --device phone --json",
    "inbox --json",
    "inbox",
    "dead --json",
    "retry --all",
    # A minute after it met a peer a node that serves tells of it, in an event: so these are last.
    "sync http://192.0.2.1:9 --json",
    "sync nonsense",
    "sync URL --mode recent",
    "sync URL --json",
    "doctor",
    "doctor --json",
    "trust list",
    "status --json",
)
CONFIG = '[serve]\nlisten = "127.0.0.1:0"\nloopback = true\n[hosts]\nname = "twin.example"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(SMALL))
    (tmp_path / "mixed").write_bytes(b"\n".join([b"garbage", SMALL[0], b"\xff\x00"]))
    (tmp_path / "cut").write_bytes(b"\x1f\x8b cut")
    (tmp_path / "keys.json").write_text(json.dumps(KEYS))
    return tmp_path


def test_every_verb_says_on_a_serving_node_what_it_says_on_a_stopped_one(
    folder: Path, call: Call
) -> None:
    """One of twins serves, and its path is too long for a socket."""
    stopped, serving = folder / "stopped", folder / ("s" * (150 - len(str(folder)) - 1))
    call("keys", "show", "--home", stopped)
    (stopped / "config.toml").write_text(CONFIG)
    shutil.copytree(stopped, serving)
    (folder / "more.jsonl").write_bytes(b"\n".join(MORE))
    told("import", folder / "more.jsonl", "--home", folder / "peer")

    def said(home: Path, verb: str, url: str) -> Done:
        words = verb.replace("FOLDER", str(folder)).replace("HOME", home.name).replace("URL", url)
        code, out, err = call(*words.split(), "--home", home)
        err = "".join(line for line in err.splitlines(True) if not re.search(r": \d+ events", line))
        return Done(code, *(text.replace(home.name, "HOME") for text in (plain(out), err)))

    assert len(str(serving)) == 150 > MAX_PATH_BYTES
    with served(folder / "peer") as url, served(serving):
        assert (serving / NOTE).exists()
        for verb in VERBS:
            assert said(serving, verb, url) == said(stopped, verb, url), verb
    left = sorted(path.name for path in serving.iterdir())
    assert left == [".gitignore", "anchor", "config.toml", "lock", "node.key", "postbox.db"]
    assert told("status", "--home", serving)["events"] == len({*SMALL, *MORE})
    assert (folder / "stopped.jsonl").read_bytes() == b"\n".join([*SMALL, b""])
    assert (folder / f"{serving.name}.jsonl").read_bytes() == b"\n".join([*SMALL, b""])
    one, other = (told("status", "--home", home) for home in (serving, stopped))
    one["disk"] = other["disk"]
    assert one == other


def plain(out: str) -> str:
    """Less what only one of the two has, and how much room disk and database have at the moment."""
    for pattern, instead in (
        (r'"url":"[^"]+","uptime_s":\d+', '"url":null,"uptime_s":null'),
        (r"(url +)http://\S+ \(for \d+ \w+\)", r"\1not serving"),
        (r"serving at http://[\d.:]+", "not serving"),
        (r"\nok +port .*|,\{\"what\":\"port\".*?\}", ""),
        (r"[\d,.]+ [GM]iB", "much"),
        (r'"disk":\{.*?\}', '"disk":{}'),
        (r'"recovery":\{.*?\}', '"recovery":null'),
        (r"\nrecovery .*", ""),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "then"),
    ):
        out = re.sub(pattern, instead, out)
    return out


def test_options_of_the_node_are_said_to_have_no_effect_on_a_serving_one(
    tmp_path: Path, call: Call
) -> None:
    with served(tmp_path, "--memory", "short") as url:
        done = call("status", "--home", tmp_path, "--memory", "50", "--json")
        assert (done.code, done.json["capacity"], done.json["url"]) == (0, 20_000, url)
        assert done.err == "postbox: --memory has no effect: the node serves, with its own\n"
        assert call("status", "--home", tmp_path).err == ""


def test_two_verbs_at_once_each_get_their_answer(folder: Path) -> None:
    home = folder / "home"
    with served(home):
        with running("verify", "--home", home, "--json") as verify:
            with running("import", folder / "history.jsonl", "--home", home, "--json") as import_:
                imported = json.loads(import_.communicate(timeout=TIMEOUT_S)[0])
            checked = json.loads(verify.communicate(timeout=TIMEOUT_S)[0])
        assert (verify.returncode, import_.returncode) == (0, 0)
        assert (imported["imported"], checked["wrong"]) == (500, [])
        assert told("status", "--home", home)["events"] == 500


def test_interrupted_verbs_leave_the_node_serving_and_what_they_counted_in_it(
    imported: Imported, copy_of: Callable[[Imported], Path], tmp_path: Path
) -> None:
    full, empty, other = copy_of(imported), tmp_path / "empty", tmp_path / "other"
    with served(full) as url, served(empty), served(other):
        for home, *words in (
            (full, "verify"),
            (empty, "import", HISTORY),
            (other, "sync", url, "--mode", "page"),
        ):
            with stepwise(*words, "--home", home) as verb:
                count = counted_at_line(1, verb)
                verb.send_signal(signal.SIGINT)
                rest = verb.communicate(timeout=TIMEOUT_S)[1]
            assert verb.returncode == 130, (words, rest)
            assert "Traceback" not in rest
            status = told("status", "--home", home)
            assert status["events"] >= count > 0
            assert status["url"] is not None
        assert told("status", "--home", empty)["events"] < 80_000
        assert told("status", "--home", other)["events"] < 80_000


def test_a_node_killed_in_the_midst_of_an_import_is_told_of_and_has_what_was_counted(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with running("serve", "--home", home, "--listen", "127.0.0.1:0") as node:
        ready_url(node)
        with stepwise("import", HISTORY, "--home", home, "--json") as import_:
            count = counted_at_line(2, import_)
            node.kill()
            out, err = import_.communicate(timeout=TIMEOUT_S)
    (said,) = [line for line in err.splitlines() if line.startswith("postbox: ")]
    assert (import_.returncode, json.loads(out)) == (1, {"error": said.removeprefix("postbox: ")})
    assert f"the node of {home} went away before it had answered" in said
    assert "start the node again" in said
    count = max([count, *counts(err.splitlines())])
    assert (home / SOCKET).exists(), "a killed node leaves it behind"
    assert count <= told("status", "--home", home)["events"] < 80_000
    with served(home):
        assert postbox("verify", "--home", home).code == 0
        assert told("import", HISTORY, "--home", home)["rejected"] == 0
    assert told("status", "--home", home)["events"] == 80_000
