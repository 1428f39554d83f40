"""Two nodes that serve, as their operators see them: what is posted to one that is down arrives
when it is back, and `postbox doctor HOST` walks the way there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from support.command import Call, ready_url, running, served
from support.plain_peer import Event, plain_peer
from support.ports import free_port

LOOKS = 1500  # at a fifth of a second and more: for a machine that is busy with everything else


def until(holds: Callable[[], bool]) -> None:
    """Of another process, which nobody wakes us for."""
    for _ in range(LOOKS):
        if holds():
            return
        trio.run(trio.sleep, 0.2)
    raise AssertionError("it did not come to that")


def test_what_is_posted_to_a_host_that_is_down_arrives_when_it_is_back(
    tmp_path: Path, call: Call
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    notes = tmp_path / "notes.jsonl"
    notes.write_text("".join(f'{{"n": {number}}}\n' for number in range(5)))

    def told(*words: object) -> Any:
        done = call(*words, "--json")
        assert done.code == 0, done
        return done.json

    def steps(code: int) -> dict[str, str]:
        done = call("doctor", there, "--home", a, "--json")
        assert done.code == code, done
        return {step["what"]: step["state"] for step in done.json["findings"]}

    there = f"127.0.0.1:{free_port()}"
    with served(a) as url:
        here = url.removeprefix("http://")
        assert told("keys", "show", "--home", a)["host"] == here
        post = ("post", there, "--type", "org.example.Note", "--data", notes, "--home", a)
        assert told(*post)["posted"] == 5
        assert steps(1) == {"name": "ok", "address": "wrong"}
        [link] = told("links", "--home", a)["links"]
        assert (link["host"], link["queued"], link["acknowledged"]) == (there, 5, 0)

        with running("serve", "--home", b, "--listen", there, "--loopback") as process:
            ready_url(process)
            assert set(steps(0).values()) == {"ok"}
            until(lambda: told("links", "--home", a)["links"][0]["acknowledged"] == 5)
            came = told("inbox", "--home", b)["events"]
            assert [(event["host"], event["data"]) for event in came] == [
                (here, {"n": number}) for number in range(5)
            ]
            [known] = told("hosts", "list", "--home", b)["hosts"]
            assert (known["host"], known["last_contact"] is None) == (here, False)
            assert told("hosts", "block", here, "--home", b)["admit"] == "block"
            assert steps(1)["token"] == "wrong"


def test_a_plain_host_is_asked_for_its_key_and_nothing_else(tmp_path: Path, call: Call) -> None:
    """It forgets what it once gave to a Sync."""
    home, own = tmp_path / "home", "127.0.0.1:7433"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f'serve.loopback = true\nhosts.name = "{own}"\n')
    with plain_peer() as peer:
        peer.waiting[own].append(Event("a/b", b"for us"))

        def step(what: str) -> tuple[str, str]:
            done = call("doctor", peer.name, "--home", home, "--json")
            assert done.code == 0, done
            found = {step["what"]: step for step in done.json["findings"]}
            return found[what]["state"], found[what]["cure"]

        state, cure = step("key")
        assert state == "warning"
        assert cure.startswith(f"postbox hosts set {peer.name} --tokens plain")
        assert call("hosts", "set", peer.name, "--tokens", "plain", "--home", home).code == 0
        assert step("key") == ("ok", "")
        assert step("token")[0] == "warning"
        assert (peer.tokens, len(peer.waiting[own])) == ([], 1)
