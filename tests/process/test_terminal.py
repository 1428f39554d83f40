"""What the verbs show on a terminal of 80 columns, and that none of it is lost in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from postbox.rules import Payer
from postbox.trust.waiting_rules import WaitingRules, waiting_draft
from support.command import POSTBOX, TIMEOUT_S, environment, postbox
from support.mesh import ANN, BOB, CAT, believe, node_at, small_history, take

PEERS = 'mesh.peers = ["http://127.0.0.1:9", "https://a-box-with-a-long-name.example.invalid:7433"]'


CONTROL = re.compile(r"\x1b\[[0-9;]*m")
FREE = re.compile(r"[\d.,]+(?= GiB free)")
PEER = Payer("peer", "100.64.0.9")


@pytest.fixture
def home() -> Iterator[Path]:
    """With history, a known name, two that wait, and peers that are not there. Its path is short:
    none is broken to fit a terminal."""
    with TemporaryDirectory(prefix="postbox-", dir="/tmp") as folder:
        home = Path(folder) / "home"
        trio.run(fill, home)
        (home / "config.toml").write_text(f'serve.listen = "127.0.0.1:0"\n{PEERS}\n')
        yield home


async def fill(home: Path) -> None:
    async with node_at(home) as node:
        await take(node, small_history(500))
        await believe(node, ANN)
        waits = [
            waiting_draft(node.world.new_id(), one.name, one.public_key, one.id, where, PEER)
            for one, where in ((BOB, "100.64.0.9"), (CAT, "93.184.1.5"))
        ]
        await node.admission.submit(WaitingRules(), waits)


def on_terminal(*words: str | Path, columns: int = 80, **env_of: str) -> list[str]:
    """The lines that the command shows there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(**env_of)
    del env["COLUMNS"]
    line = [str(POSTBOX), *map(str, words)]
    with subprocess.Popen(line, stdout=theirs, stderr=subprocess.DEVNULL, env=env) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 2**16):
                shown += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(timeout=TIMEOUT_S) in (0, 1)
    return shown.decode().splitlines()


@pytest.mark.parametrize("verb", ["status", "peers", "doctor", "config", "trust list"])
def test_nothing_is_wider_than_the_terminal(home: Path, verb: str) -> None:
    lines = on_terminal(*verb.split(), "--home", home)
    too_wide = [line for line in lines if len(line) > 80]
    assert lines
    assert too_wide == []


def test_in_a_pipe_a_table_is_a_row_a_line_with_all_that_is_known(home: Path) -> None:
    piped = postbox("trust", "list", "--home", home, COLUMNS="80").out
    shown = "\n".join(on_terminal("trust", "list", "--home", home))
    for one in (ANN, BOB, CAT):
        (line,) = [line for line in piped.splitlines() if line.startswith(one.name)]
        assert one.public_key_base64 in line
        assert one.name in shown
    assert "…" not in piped
    assert ANN.public_key_base64 not in shown
    assert f"{ANN.public_key_base64[:6]}" in shown
    assert BOB.public_key_base64 in shown, "who waits is compared by its key"
    assert on_terminal("trust", "list", "--home", home, columns=200) == piped.splitlines()


def test_a_table_that_is_too_wide_keeps_what_matters_and_names_the_rest(home: Path) -> None:
    lines = on_terminal("peers", "--home", home)
    assert lines[0].split() == ["url", "name", "answers", "round", "trip", "pulls"]
    assert lines[1].startswith("http://127.0.0.1:9 ")
    left_out = "Left out here, and shown by a wider terminal or | cat: is a, clock, memory"
    assert lines[3].startswith(left_out)
    assert on_terminal("peers", "--home", home, columns=250)[0].split()[:4] == [
        "url",
        "name",
        "is",
        "a",
    ]


def test_who_waits_is_told_first_or_alone(home: Path) -> None:
    listed = ("trust", "list", "--home", home)
    lines = postbox(*listed).out.splitlines()
    first = [line.split()[0] for line in lines if line]
    assert lines[0].startswith("Who waits: postbox trust add NAME")
    assert first[1:5] == ["name", "bob", "cat", "Who"]
    assert "ann" in first[5:]
    assert postbox(*listed, "--waiting").out.splitlines() == lines[:4]
    alone, both = (postbox(*listed, "--json", *more).json for more in (["--waiting"], []))
    assert alone == {"waiting": both["waiting"]}
    assert len(both["keys"]) > 1
    for name in ("bob", "cat"):
        postbox("trust", "refuse", name, "--home", home)
    assert postbox(*listed, "--waiting").out == "nobody waits\n"
    assert postbox(*listed).out.startswith("name ")


def steady(shown: list[str]) -> list[str]:
    """The lines, without how much of the disk is free: that may change between two looks."""
    return [FREE.sub("", line) for line in shown]


def test_heads_and_states_are_coloured_where_that_is_wanted(home: Path) -> None:
    refused = 'serve.listen = "127.0.0.1:0"\nmesh.peers = ["http://127.0.0.1:9"]\n'
    (home / "config.toml").write_text(refused)  # what others answer may differ from look to look
    verbs = (("doctor", "--home", home), ("trust", "list", "--home", home))
    for verb in verbs:
        plain = steady(on_terminal(*verb))
        assert steady(on_terminal(*verb, TERM="xterm-256color", NO_COLOR="1")) == plain
        coloured = steady(on_terminal(*verb, TERM="xterm-256color"))
        assert [CONTROL.sub("", line) for line in coloured] == plain, "colours move nothing"
        assert coloured != plain
    doctors = "\n".join(on_terminal("doctor", "--home", home, TERM="xterm-256color"))
    assert "\x1b[32mok\x1b[0m" in doctors
    assert "\x1b[1;31mwrong\x1b[0m" in doctors
