"""kill -9 while commits run: everything that was answered is there, and nothing is half there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from support.children import CHUNK, command, environment
from support.toy_log import stored_entries


def answered_until_killed(path: Path, count: int) -> list[int]:
    """The chunks whose answer was printed before the process was killed, `count` at least."""
    with subprocess.Popen(
        command("write-until-killed", str(path)),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as child:
        assert child.stdout is not None
        lines = list(islice(child.stdout, count))
        child.kill()
        lines += list(whole_lines(child.stdout.read()))
    return [int(line) for line in lines]


def whole_lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines(keepends=True) if line.endswith("\n"))


@pytest.mark.parametrize("count", [1, 150])
def test_what_was_answered_survives_kill_9_and_no_batch_is_half_there(
    tmp_path: Path, count: int
) -> None:
    path = tmp_path / "node.db"
    answered = answered_until_killed(path, count)
    assert len(answered) >= count
    entries = stored_entries(path)
    ids = {int.from_bytes(entry.id, "big") for entry in entries}
    assert {first + at for first in answered for at in range(CHUNK)} <= ids
    assert all(number - number % CHUNK + at in ids for number in ids for at in range(CHUNK))
    assert all(entry.seq == int.from_bytes(entry.id, "big") % CHUNK + 1 for entry in entries)
