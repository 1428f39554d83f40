"""`postbox keys`: the key by which other hosts know this one, and its change in one step or two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from postbox.world import SystemClock
from support.command import Call, served


def keys(call: Call, home: Path, *words: str) -> list[dict[str, Any]]:
    done = call("keys", *words, "--home", home, "--json")
    assert done.code == 0, done
    return list(done.json["host_keys" if words == ("show",) else "keys"])


def test_the_next_key_is_made_known_before_it_is_used(tmp_path: Path, call: Call) -> None:
    [first] = keys(call, tmp_path, "show")
    with served(tmp_path):
        now, next_ = keys(call, tmp_path, "rotate")
        again = call("keys", "rotate", "--home", tmp_path)
    assert (now["kid"], now["use"], next_["use"]) == (first["kid"], "now", "next")
    begins = datetime.fromisoformat(next_["begins"])
    assert begins - datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC) > timedelta(days=3)
    assert again.code == 1
    assert "to use it at once: postbox keys rotate --now" in again.err
    now, former = keys(call, tmp_path, "rotate", "--now")
    assert (now["kid"], now["use"]) == (next_["kid"], "now")
    assert (former["kid"], former["use"]) == (first["kid"], "former")
    assert [key["kid"] for key in keys(call, tmp_path, "show")] == [now["kid"], former["kid"]]


def test_the_key_stands_beside_the_nodes_own_which_stays(tmp_path: Path, call: Call) -> None:
    (tmp_path / "config.toml").write_text('hosts.name = "A.example"\n')
    before = call("keys", "show", "--home", tmp_path, "--json").json
    said = call("keys", "rotate", "--home", tmp_path).out.splitlines()
    after = call("keys", "show", "--home", tmp_path, "--json").json
    for name in ("name", "public_key", "id", "host"):
        assert before[name] == after[name]
    assert after["host"] == "a.example:2289"
    assert [line.split()[:2] for line in said] == [["host_key", "(now)"], ["host_key", "(next)"]]
    assert ", used from 2" in said[1]
